"""An I/O completion port: a queue in Windows' kernel into which it puts a packet for every operation that is over.

    CreateIoCompletionPort ── the port          GetQueuedCompletionStatusEx ┐               ┌─> [packet, packet, ...]
    CreateIoCompletionPort(socket, port, key) ── belongs to it   kernel     └ waits ── over ┘
    start(WSARecv, OVERLAPPED, buffer) ────────> pending ──────────────────────────── over ─> packet: key, OVERLAPPED

Two facts that surprise:
* One function does two things: it makes the port, and it puts a handle under it. For the latter there is no opposite:
  a socket that has been put under a port belongs to that port as long as it lives. (Win32 has none. Since Windows 8.1
  the native FileReplaceCompletionInformation has one.)
* An operation that is over at once puts its packet all the same. The program may therefore always go the same way;
  what has *failed* at once puts none.

Each OVERLAPPED and its buffer are kept in `in_flight` until their packet has come out of the port, whatever anybody
else forgets meanwhile, and be it the port. Several threads may wait for one port: the kernel wakes the one that came
last (LIFO), and lets only as many run as the port was made for. Here one waits. learn.microsoft.com: "I/O Completion
Ports".
"""

import ctypes
import math
import os
import sys
import time
from itertools import takewhile
from typing import Self

from iolab.kernel.iocp_abi import (
    INVALID_HANDLE,
    STARTED,
    WAIT_TIMEOUT,
    OverlappedEntry,
    failed,
    function,
    winerror_of,
)
from iolab.kernel.iocp_request import Packet, Request

MOST_PACKETS = 256  # taken by one call
LAST_S = 5.0  # for packets of what was cancelled
LONGEST_MS = 500  # of one call: Python's handler of Ctrl-C runs only between two
FREE = ctypes.c_size_t(-1).value  # the key of an entry that holds no packet
_open: set["Port"] = set()
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_open))  # at the interpreter's end the kernel may still write, too


class Port:
    """A port of one waiting thread. OSError as Windows says; ValueError once it is closed."""

    def __init__(self) -> None:
        self.in_flight: dict[int, Request] = {}  # by the address of the OVERLAPPED
        self._ready: list[Packet] = []  # out of the kernel, and not handed out yet
        self._entries = (OverlappedEntry * MOST_PACKETS)(*[(FREE,)] * MOST_PACKETS)
        self._handle = None
        self._handle = function("CreateIoCompletionPort")(INVALID_HANDLE, None, 0, 1)
        if not self._handle:
            raise failed("CreateIoCompletionPort")
        _open.add(self)

    def associate(self, handle: int, key: int) -> None:
        """Have the packets of `handle` come here, with `key`. OSError, winerror 87, when it belongs to a port already."""
        if not function("CreateIoCompletionPort")(handle, self._own(), key, 0):
            raise failed("CreateIoCompletionPort")

    def start(self, request: Request, begin) -> None:
        """Call begin(request), which says whether its function of Windows failed. OSError: no packet will come.

        It is kept before the call: its packet may be there when this returns.
        """
        self._own()
        self.in_flight[request.address] = request
        if begin(request):
            if (winerror := ctypes.get_last_error()) not in STARTED:
                del self.in_flight[request.address]
                raise failed(request.name, winerror)
            request.pended = True

    def wait(self, timeout_s: float | None = None) -> list[Packet]:
        """Sleep until a packet is there, or the time is over (None: never); all that are there then."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        left_s = math.inf
        while not self._ready and left_s > 0:
            left_s = math.inf if deadline is None else max(0.0, deadline - time.monotonic())
            self._take(math.ceil(min(LONGEST_MS, left_s * 1000)))
        found, self._ready = self._ready, []
        return found

    def _take(self, wait_ms: int) -> None:
        """Packets out of the kernel. Ctrl-C raises as soon as the call returns: what it brought is kept all the same."""
        entries, taken = self._entries, ctypes.c_uint32()
        try:
            found = function("GetQueuedCompletionStatusEx")(
                self._own(), ctypes.addressof(entries), len(entries), ctypes.addressof(taken), wait_ms, False
            )
            if not found and (winerror := ctypes.get_last_error()) != WAIT_TIMEOUT:
                raise failed("GetQueuedCompletionStatusEx", winerror)
        finally:
            for entry in takewhile(lambda entry: entry.key != FREE, entries):
                self._ready.append(self._packet(entry))
                entry.key = FREE

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
        """Cancel all, wait for every packet, LAST_S at most, and give the port back; again is harmless."""
        if self._handle is None:
            return
        for request in list(self.in_flight.values()):
            self.cancel(request)
        while (self.in_flight or self._ready) and (packets := self.wait(LAST_S)):
            for packet in packets:
                if packet.request:
                    packet.request.give_back()
        handle, self._handle = self._handle, None
        function("CloseHandle")(handle)
        if not self.in_flight:  # else Ctrl-C came before a call was made, or one cannot be hurried: kept for ever
            _open.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.close()

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
