"""An I/O completion port: a queue in Windows' kernel into which it puts a packet for every operation that is over.

    CreateIoCompletionPort ── the port          GetQueuedCompletionStatusEx ┐               ┌─> [packet, packet, ...]
    CreateIoCompletionPort(socket, port, key) ── belongs to it   kernel     └ waits ── over ┘
    start(WSARecv, OVERLAPPED, buffer) ────────> pending ──────────────────────────── over ─> packet: key, OVERLAPPED

Two facts that surprise:
* One function does two things: it makes the port, and it puts a handle under it. For the latter there is no opposite:
  a socket that has been put under a port belongs to that port as long as it lives (until Windows 8.1 at least).
* An operation that is over at once puts its packet all the same. The program may therefore always go the same way;
  what has *failed* at once puts none.

Each OVERLAPPED and its buffer are kept in `in_flight` until their packet has come out of the port, whatever anybody
else forgets meanwhile. Several threads may wait for one port: the kernel wakes the one that came last (LIFO), and lets
only as many run as the port was made for. Here one waits. learn.microsoft.com: "I/O Completion Ports".
"""

import ctypes
import math
import os
import sys
import time
from typing import NamedTuple

from iolab.kernel.iocp_abi import (
    ERROR_IO_PENDING,
    INVALID_HANDLE,
    WAIT_TIMEOUT,
    Overlapped,
    OverlappedEntry,
    failed,
    function,
    winerror_of,
)

MOST_PACKETS = 256  # taken by one call
LONGEST_MS = 500  # of one call: Python's handler of Ctrl-C runs only between two


class Request:
    """An OVERLAPPED with all that the kernel may write to or read from; `handle` it belongs to."""

    __slots__ = ("overlapped", "address", "handle", "kept", "name")

    def __init__(self, name: str, handle: int, kept: tuple, offset: int = 0) -> None:
        self.name, self.handle, self.kept = name, handle, kept
        self.overlapped = Overlapped(0, 0, offset & 0xFFFFFFFF, offset >> 32, None)
        self.address = ctypes.addressof(self.overlapped)


class Packet(NamedTuple):
    """`request` None: it was posted. `winerror` is 0 for success."""

    key: int
    request: Request | None
    nbytes: int
    winerror: int


class Port:
    """A port of one waiting thread. OSError as Windows says; ValueError once it is closed."""

    def __init__(self) -> None:
        self.in_flight: dict[int, Request] = {}  # by the address of the OVERLAPPED
        self._entries = (OverlappedEntry * MOST_PACKETS)()
        self._handle = None
        self._handle = function("CreateIoCompletionPort")(INVALID_HANDLE, None, 0, 1)
        if not self._handle:
            raise failed("CreateIoCompletionPort")

    def associate(self, handle: int, key: int) -> None:
        """Have the packets of `handle` come here, with `key`. OSError, winerror 87, when it belongs to a port already."""
        if not function("CreateIoCompletionPort")(handle, self._own(), key, 0):
            raise failed("CreateIoCompletionPort")

    def start(self, request: Request, begin, *arguments) -> None:
        """Call begin(handle, *arguments, OVERLAPPED), which says whether it failed. OSError: no packet will come.

        It is kept before the call: its packet may be there when this returns.
        """
        self._own()
        self.in_flight[request.address] = request
        if begin(request, *arguments) and (winerror := ctypes.get_last_error()) != ERROR_IO_PENDING:
            del self.in_flight[request.address]
            raise failed(request.name, winerror)

    def wait(self, timeout_s: float | None = None) -> list[Packet]:
        """Sleep until a packet is there, or the time is over (None: never); all that are there then."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        taken = ctypes.c_uint32()
        while True:
            left_s = math.inf if deadline is None else max(0.0, deadline - time.monotonic())
            found = function("GetQueuedCompletionStatusEx")(
                self._own(), ctypes.addressof(self._entries), MOST_PACKETS, ctypes.addressof(taken),
                math.ceil(min(LONGEST_MS, left_s * 1000)), False,
            )  # fmt: skip
            if found:
                return [self._packet(entry) for entry in self._entries[: taken.value]]
            if (winerror := ctypes.get_last_error()) != WAIT_TIMEOUT:
                raise failed("GetQueuedCompletionStatusEx", winerror)
            if left_s == 0:
                return []

    def post(self, key: int) -> None:
        """A packet of no operation. Any thread may call it."""
        if not function("PostQueuedCompletionStatus")(self._own(), 0, key, None):
            raise failed("PostQueuedCompletionStatus")

    def cancel(self, request: Request) -> bool:
        """Ask for its end; its packet comes in any case. False: there was nothing to end any more.

        Its handle may have been closed, which ends it as well, and the number be another one's by now: what names the
        operation is the address of its OVERLAPPED.
        """
        return request.address in self.in_flight and bool(function("CancelIoEx")(request.handle, request.address))

    def close(self) -> None:
        """Cancel all, wait for every packet, and only then give the port back; again is harmless."""
        if self._handle is None:
            return
        for request in list(self.in_flight.values()):
            self.cancel(request)
        while self.in_flight:
            self.wait()
        handle, self._handle = self._handle, None
        function("CloseHandle")(handle)

    def _packet(self, entry: OverlappedEntry) -> Packet:
        request = self.in_flight.pop(entry.overlapped, None) if entry.overlapped else None
        winerror = 0 if request is None else winerror_of(request.overlapped.internal)
        return Packet(entry.key, request, entry.nbytes, winerror)

    def _own(self) -> int:
        if self._handle is None:
            raise ValueError("the completion port is closed")
        return self._handle


def unavailable() -> str | None:
    """Why there are no completion ports here; None on Windows, and under Wine."""
    return None if os.name == "nt" else f"I/O completion ports are Windows', and this is {sys.platform}"
