"""One operation under a completion port, from its start until its packet, and that packet.

    Request   OVERLAPPED │ kept: buffer, lengths │ opened: a file, an accept's socket    until the packet
    Packet    key │ Request │ bytes │ error                                              then give_back()

Two facts that surprise:
* The packet is small: it holds no data, and of the operation only its address. All the rest has to be kept by the
  program, under that address.
* The error is not in the packet either. The kernel has written it into the OVERLAPPED, as a status of its own kind.

So a Request holds whatever the kernel may write to, and what was opened for this operation alone, and closes that once.
"""

import ctypes
from typing import NamedTuple, Protocol

from iolab.kernel.iocp_abi import Overlapped


class Opened(Protocol):
    """What was opened for one operation; to close it again is harmless."""

    def close(self) -> None: ...


class Request:
    """An OVERLAPPED with all that the kernel may write to or read from; `handle` it belongs to.

    `pended`: whether the call that started it left it to be done later.
    """

    __slots__ = ("overlapped", "address", "handle", "kept", "name", "opened", "pended")

    def __init__(self, name: str, handle: int, kept: tuple, opened: Opened | None = None, offset: int = 0) -> None:
        self.name, self.handle, self.kept, self.opened, self.pended = name, handle, kept, opened, False
        self.overlapped = Overlapped(0, 0, offset & 0xFFFFFFFF, offset >> 32, None)
        self.address = ctypes.addressof(self.overlapped)

    def give_back(self) -> None:
        """Close what was opened for it."""
        if self.opened is not None:
            self.opened.close()


class Packet(NamedTuple):
    """`request` None: it was posted. `winerror` is 0 for success."""

    key: int
    request: Request | None
    nbytes: int
    winerror: int
