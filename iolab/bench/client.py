"""Load by a client of our own: N connections, on each one request under way, every response checked.

    connection 1   send ── waits ── response: checked ── send ── waits ── ...
    connection 2      send ── waits ── response: checked ── send ── ...         one thread, one epoll
                   run(seconds) ─────────────────────────────────── last responses: nothing is under way

Three facts that surprise:
* With N connections that are always busy the mean latency is N divided by the rate (Little, 1961). So it says little
  that the rate does not; what p99 adds is whether all wait alike.
* A client that waits for the response before it asks again goes easy on a slow server: while the server stands still,
  it asks nothing, and one bad second counts as one bad response ("coordinated omission", Tene).
* A client in Python needs for a request about as much time as the leanest server in Python. Where the two have to share
  a CPU, or others want it, the rate is as much the client's; `cpu_ns` says how busy it was. The server's CPU time for a
  request depends on it far less.

Each run ends with the last response, so that client and server have counted the same when it is over.
"""

import select
import socket
import time
from contextlib import suppress
from typing import NamedTuple

from iolab.bench.application import Asked

HOST = "127.0.0.1"
PATIENCE_S = 20.0  # for one response
AT_ONCE = 1 << 16


class WrongResponse(RuntimeError):
    """The server has answered something else than it was to answer, or not all of it."""


class Load(NamedTuple):
    """One run: how many responses came in how many nanoseconds, how long each one took, what it cost the client."""

    requests: int
    wall_ns: int
    latencies_ns: list[int]
    cpu_ns: int


class Client:
    """`connections` to `port`, for `asked`; a context manager. OSError where they cannot be made."""

    def __init__(self, port: int, asked: Asked, connections: int) -> None:
        self._asked, self._epoll = asked, select.epoll()
        self._socks: dict[int, socket.socket] = {}
        try:
            for _ in range(connections):
                sock = socket.create_connection((HOST, port), PATIENCE_S)
                self._socks[sock.fileno()] = sock
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._epoll.register(sock, select.EPOLLIN)
        except BaseException:
            self.close()
            raise

    def run(self, seconds: float) -> Load:
        """Ask again and again for so long, then wait for what is still under way. WrongResponse."""
        socks, request, monotonic_ns, latencies = self._socks, self._asked.request, time.monotonic_ns, []
        received: dict[int, bytes] = {}  # the beginnings of responses
        sent_ns: dict[int, int] = {}  # by connection: when what is under way there was sent
        cpu_ns, begin_ns = time.thread_time_ns(), monotonic_ns()
        end_ns = begin_ns + round(seconds * 1e9)
        for fd, sock in socks.items():
            sent_ns[fd] = monotonic_ns()
            sock.send(request)  # less than any socket's buffer holds
        while sent_ns:
            ready = self._epoll.poll(PATIENCE_S)
            if not ready:
                raise WrongResponse(
                    f"no response within {PATIENCE_S:g} s on {len(sent_ns)} of {len(socks)} connections"
                )
            for fd, _ in ready:
                sock = socks[fd]
                data = sock.recv(AT_ONCE)
                if not data:
                    raise WrongResponse(f"the connection ends after {received.get(fd, b'')[-80:]!r}")
                if fd not in sent_ns:
                    raise WrongResponse(f"nothing was asked, and the answer is {data[:80]!r}")
                if fd in received:
                    data = received.pop(fd) + data
                if not self.complete(data):
                    received[fd] = data
                    continue
                now = monotonic_ns()
                latencies.append(now - sent_ns[fd])
                if now < end_ns:
                    sent_ns[fd] = now
                    sock.send(request)
                else:
                    del sent_ns[fd]
        return Load(len(latencies), now - begin_ns, latencies, time.thread_time_ns() - cpu_ns)

    def complete(self, data: bytes) -> bool:
        """Whether this is the whole response; False for a beginning of it. WrongResponse for anything else."""
        head, blank, body = data.partition(b"\r\n\r\n")
        expected = self._asked.body
        if not blank and len(data) < AT_ONCE:
            return False
        if not head.startswith(b"HTTP/1.1 200 ") or b"\r\nContent-Length: %d\r\n" % len(expected) not in head + blank:
            raise WrongResponse(f"status or length is wrong: {head[:200]!r}")
        if body != expected[: len(body)]:
            raise WrongResponse(f"the body is {body[:80]!r}, not {expected[:80]!r}")
        return len(body) == len(expected)

    def close(self) -> None:
        """Give everything back, whatever is under way."""
        for sock in self._socks.values():
            sock.close()
        self._epoll.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        try:
            if error is None:
                self._say_goodbye()
        finally:
            self.close()

    def _say_goodbye(self) -> None:
        """End each connection, and wait until the server has ended it, too: it is free for others then."""
        deadline = time.monotonic() + PATIENCE_S
        with suppress(OSError):  # closed or reset before; or the server has not ended it in time
            for sock in self._socks.values():
                sock.shutdown(socket.SHUT_WR)
            for sock in self._socks.values():
                sock.settimeout(max(0.001, deadline - time.monotonic()))
                sock.recv(1)
