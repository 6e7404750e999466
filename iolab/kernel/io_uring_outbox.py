"""Where small sends wait for their end: memory whose address is known, cut into places of equal size.

    copy_in(b"HTTP/1.1 200 OK...") ──> address ── send_at(fd, address) ── last CQE ──> free(address)

Two facts that surprise:
* To copy 200 bytes costs a fraction of what it costs to learn from Python where they lie, and to forbid that they
  are moved: a buffer is exported by a call of the C interface, and released by another one.
* A copy is also safe from its owner: what the program does to its buffer meanwhile does not show in what is sent.

For what is larger than a place, or finds none free, there is Pinned.
"""

import mmap

from iolab.kernel.pinned import Pinned

PLACE_NBYTES = 2048


class Outbox:
    """`count` places. It must live as long as the kernel may read from it: Ring.registered."""

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, count * PLACE_NBYTES)
        self._pin = Pinned(self._memory, writable=True)
        self._free = [self._pin.address + number * PLACE_NBYTES for number in range(count)]

    def copy_in(self, data: memoryview | bytes) -> int | None:
        """The address where `data` now lies; None where there is no place."""
        nbytes = len(data)
        if nbytes > PLACE_NBYTES or not self._free:
            return None
        address = self._free.pop()
        begin = address - self._pin.address
        self._memory[begin : begin + nbytes] = data
        return address

    def free(self, address: int) -> None:
        """The kernel reads there no more."""
        self._free += (address,)
