"""Callbacks that other threads hand to an event loop: a queue, and a socket that makes the loop's wait end.

    other thread  post(callback) ── append ── send 1 byte ┐
    loop          wait() ┐                                ┌─ readable ──> handle_input(): callback()
                         └─ sleeps in epoll_wait ─────────┘

Two facts that surprise:
* A queue alone wakes nobody: the loop does not sleep on the queue but in the kernel, which watches descriptors and
  knows nothing of Python's objects. So the news must be a byte. D. J. Bernstein called it the self-pipe trick.
* Of a thousand posts only the first needs the byte. Whether it is on its way is asked and noted under a lock: else a
  post could see a byte that is just being taken, and its callback would wait for the next one.

A socket pair, because select(2) of Windows watches nothing but sockets. It is also an EventHandler of the reactor.
"""

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger("iolab.servers")


class Posted:
    """What other threads want to be run; `fd` is readable while there is something."""

    def __init__(self) -> None:
        self._callbacks: deque = deque()
        # A signal handler may post while the thread that it interrupts is posting: hence the RLock.
        self._lock, self._byte_is_there, self._closed = threading.RLock(), False, False
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)
        self._there.setblocking(False)
        self.fd = self._here.fileno()

    def post(self, callback: Callable, *arguments) -> None:
        """Any thread may call it; ValueError once it is closed."""
        with self._lock:
            if self._closed:
                raise ValueError("nobody will run what is posted: the loop is closed")
            self._callbacks.append((callback, arguments))
            self._wake()

    def handle_input(self) -> None:
        """Run what has been posted by now; what is posted meanwhile is for the next turn, I/O comes in between."""
        try:
            with self._lock:
                self._byte_is_there = False  # before it is taken: a byte too many is better than one too few
                self._here.recv(64)
                self._byte_is_there = False  # again: a signal handler that posted in between had its byte taken, too
                now = len(self._callbacks)
            while now:
                callback, arguments = self._callbacks.popleft()
                now -= 1
                try:
                    callback(*arguments)
                except Exception:
                    log.exception("posted: %r has raised", callback)
        finally:
            with self._lock:
                if self._callbacks:  # Ctrl-C, perhaps as soon as the byte was taken: the rest is for the next turn
                    self._wake()

    def handle_output(self) -> None:
        """Never asked for."""

    def handle_error(self, error: Exception) -> None:
        """Each callback's error is its own."""

    def close(self) -> None:
        """Give the sockets back. What was posted and not run is dropped."""
        with self._lock:
            self._closed = True
            self._here.close()
            self._there.close()
            self._callbacks.clear()

    def _wake(self) -> None:
        if not self._byte_is_there:
            self._there.send(b"\0")
            self._byte_is_there = True
