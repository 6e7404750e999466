"""Accepting connections beside POSIX AIO, which has no such call: one thread that polls, and accepts when it can.

    application ── start ──> poll(listener, note) ┐             ┌ accept4 ── the descriptor ── wake ──> wait()
    this thread                                   └ sleeps ─────┘

Two facts that surprise:
* aio_read of a listening socket does not wait for a connection: it fails at once, as read(2) of one does.
* ACE, whose POSIX proactor is the oldest that is still built, does it the same way and calls it a pseudo task.

One connection for each start: what was not asked for stays in the backlog, where the kernel keeps it. poll(2), accept4(2).
"""

import errno
import os
import select
import threading
from collections import deque
from collections.abc import Callable

from iolab.models.borrowed import accepted_from, borrowed_socket
from iolab.models.completion import Operation

CANCELED = -errno.ECANCELED


class Acceptances:
    """Accepts in flight; `wake` is called in the thread whenever one is over. The listeners must be nonblocking."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake, self._lock = wake, threading.Lock()
        self._asked: list[Operation] = []
        self._closed = False
        self._over: deque[tuple[Operation, int]] = deque()
        self._note = self._thread = None

    def start(self, operation: Operation) -> None:
        """Accept one connection. OSError when there is no descriptor for a note to the thread (EMFILE), or no thread."""
        if self._thread is None:
            self._note = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._thread = threading.Thread(target=self._accept_until_closed, daemon=True, name="accepting")
            try:
                self._thread.start()
            except RuntimeError as error:  # pthread_create(3): EAGAIN
                self._thread = None
                os.close(self._note)
                raise BlockingIOError(errno.EAGAIN, str(error)) from None
        with self._lock:
            self._asked.append(operation)
        os.eventfd_write(self._note, 1)

    def cancel(self, operation: Operation) -> bool:
        """It is over with ECANCELED, unless it was over already."""
        with self._lock:
            if operation in self._asked:
                self._asked.remove(operation)
                self._over.append((operation, CANCELED))
        self._wake()
        return True

    def over(self) -> list[tuple[Operation, int]]:
        """Operations with their results, descriptors or -errno, each once."""
        with self._lock:
            found = list(self._over)
            self._over.clear()
        return found

    def close(self) -> None:
        """End the thread; what was accepted and not asked for is closed."""
        if self._thread is not None:
            with self._lock:
                self._closed = True
            os.eventfd_write(self._note, 1)
            self._thread.join()
            os.close(self._note)
            self._thread = None
        for _, result in self.over():
            if result >= 0:
                os.close(result)

    def _accept_until_closed(self) -> None:
        while True:
            poller = select.poll()
            poller.register(self._note, select.POLLIN)
            with self._lock:
                if self._closed:
                    return
                for fd in {operation.fd for operation in self._asked}:
                    poller.register(fd, select.POLLIN)
            ready = [fd for fd, _ in poller.poll()]
            if self._note in ready:
                os.eventfd_read(self._note)
            for fd in ready:
                self._accept(fd)

    def _accept(self, fd: int) -> None:
        # Under the lock: who has cancelled may close the listener, and its number may then be another's.
        with self._lock:
            operation = next((each for each in self._asked if each.fd == fd), None)
            if operation is None:
                return
            try:
                with borrowed_socket(fd) as listener:
                    result = accepted_from(listener)
            except BlockingIOError:  # somebody else was faster
                return
            except OSError as error:
                result = -error.errno
            self._asked.remove(operation)
            self._over.append((operation, result))
        self._wake()
