"""A client that only measures: one connection, one request at a time, the moments of both ends.

    ask ── sent_ns ── GET ──────>
    hear <── 200, Content-Length, body ── answered_ns

Two facts that surprise:
* A client that blocks in recv is a fine measuring instrument: it is woken when the answer is there. Many of them in one
  thread would stand in each other's way, so several are asked in one wait, by select.
* The answer's end is known only from its own words, Content-Length. Who takes one recv for one answer measures the
  first part of it.
"""

import re
import socket
from time import monotonic_ns

LIMIT_S = 60
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)


class Client:
    """A connection to `address`; `sent_ns` and `answered_ns` of the last request, `asked` is whether one is under way."""

    def __init__(self, address: tuple) -> None:
        self._sock = socket.create_connection(address, LIMIT_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._got, self.sent_ns, self.answered_ns, self.asked = b"", 0, 0, False

    def fileno(self) -> int:
        return self._sock.fileno()

    def ask(self, target: str) -> None:
        """Send a GET; the answer is for hear()."""
        self._got, self.asked = b"", True
        self.sent_ns = monotonic_ns()
        self._sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def hear(self) -> bool:
        """One recv of the answer; whether it is complete now. RuntimeError for one that is not 200, or an early end."""
        piece = self._sock.recv(1 << 16)
        self.answered_ns = monotonic_ns()
        self._got += piece
        head, end, body = self._got.partition(b"\r\n\r\n")
        if end and not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"the server answered {head.splitlines()[0].decode('latin-1')}")
        length = _LENGTH.search(head + b"\r\n") if end else None
        if length and len(body) >= int(length[1]):
            self.asked = False
            return True
        if not piece:
            raise RuntimeError(f"the server closed the connection after {len(self._got)} bytes of an answer")
        return False

    def answer(self, target: str) -> None:
        """Ask, and wait for all of the answer."""
        self.ask(target)
        while not self.hear():
            pass

    def close(self) -> None:
        """Give the socket back."""
        self._sock.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.close()
