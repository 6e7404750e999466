"""A server on raw sockets that answers each request with the bytes that a test gives it, in the pieces that it gives."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

PATIENCE_S = 30


def answer(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
    return head.encode() + body


class Lying:
    """`requests` counts what has come in, by the empty lines; `port` is where it listens."""

    def __init__(self, pieces: Sequence[bytes], after: int | None, instead: Sequence[bytes], ends: bool) -> None:
        self._pieces, self._after, self._instead, self._ends = pieces, after, instead, ends
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.requests = self._listener.getsockname()[1], 0
        self._lock, self._threads = threading.Lock(), []
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    def _accept(self) -> None:
        with suppress(OSError):  # shut down
            while True:
                sock, _ = self._listener.accept()
                thread = threading.Thread(target=self._talk, args=(sock,))
                thread.start()
                self._threads.append(thread)

    def _talk(self, sock: socket.socket) -> None:
        received = b""
        with sock, suppress(OSError):
            sock.settimeout(PATIENCE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := sock.recv(1 << 16):
                received += data
                while b"\r\n\r\n" in received:
                    _, _, received = received.partition(b"\r\n\r\n")
                    with self._lock:
                        self.requests += 1
                        lies = self._after is not None and self.requests > self._after
                    for piece in self._instead if lies else self._pieces:
                        sock.send(piece)
                    if lies and self._ends:
                        return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(PATIENCE_S)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)


@contextmanager
def lying(
    pieces: Sequence[bytes], after: int | None = None, instead: Sequence[bytes] = (), ends: bool = False
) -> Iterator[Lying]:
    """Answers with `pieces`; after so many requests with `instead`, and then ends the connection if it is to."""
    server = Lying(pieces, after, instead, ends)
    try:
        yield server
    finally:
        server.close()
