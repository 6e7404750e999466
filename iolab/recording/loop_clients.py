"""Two clients for one loop, in the very thread that runs it: so that between any two steps everything stands still.

    a   connects   GET /book ────────────────── reads it                                    closes
    b     connects     half a request ── ── ── ── ── the rest: GET /long   reads slowly

Two facts that surprise:
* A client needs no thread and no process: what it sends lies in the kernel, and the kernel needs nobody to keep it.
* On loopback a send delivers, as a rule, before it returns; yet no man page promises that. So after each act the
  recorder looks until the kernel says that it is there.
"""

import socket
from collections.abc import Callable
from time import monotonic

from iolab.servers.http_requests import Request
from iolab.servers.http_responses import Response, plain
from iolab.servers.listening import listen

LIMIT_S = 20
LONG_NBYTES, BUFFER_NBYTES = 72 << 10, 16 << 10
ASK = {path: f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in ("/book", "/long")}
HALF = 9


class TwoPages:
    """An application: /long is more than the buffers of a slow connection hold."""

    def slow(self, request: Request) -> bool:
        """Nothing is for a worker."""
        return False

    def handle(self, request: Request) -> Response:
        """One page or the other."""
        return Response(200, bytes(LONG_NBYTES)) if request.path == "/long" else plain(200, "a book")


def small_listener() -> socket.socket:
    """A listening socket whose connections get a small send buffer, by inheritance (socket(7))."""
    listener = listen(backlog=8)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_NBYTES)
    return listener


def connected(address: tuple) -> socket.socket:
    """A client's socket with a small receive buffer: it is set before the connection, which agrees on a window."""
    client = socket.socket()
    try:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_NBYTES)
        client.settimeout(LIMIT_S)
        client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


def read_all(client: socket.socket) -> int:
    """What is there now; the number of bytes."""
    nbytes = 0
    client.setblocking(False)
    try:
        while piece := client.recv(1 << 16):
            nbytes += len(piece)
    except BlockingIOError:  # EAGAIN: that was all
        pass
    client.settimeout(LIMIT_S)
    return nbytes


def until(condition: Callable[[], object], what: str) -> None:
    """Look again and again until it is so; RuntimeError, naming `what`, after LIMIT_S."""
    deadline = monotonic() + LIMIT_S
    while not condition():
        if monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {LIMIT_S} s")
