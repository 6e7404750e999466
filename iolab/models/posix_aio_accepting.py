"""Accepting connections beside POSIX AIO, which has no such call: one thread that polls, and accepts when it can.

    application ── start ──> poll(listener, note) ┐             ┌ accept4 ── the descriptor ── wake ──> wait()
    this thread                                   └ sleeps ─────┘

Two facts that surprise:
* aio_read of a listening socket does not wait for a connection: it fails at once, as read(2) of one does.
* ACE, whose POSIX proactor is the oldest that is still built, does it the same way and calls it a pseudo task.

Whoever waits by then is accepted, too: one for each turn of a busy loop would leave the others in the backlog for
seconds. What was not asked for stays there, where the kernel keeps it. poll(2), accept4(2).
"""

import errno
import os
import select
import threading
from collections.abc import Callable

from iolab.calls import unrecorded
from iolab.models.at_once import accepted
from iolab.models.completion import Event, Operation
from iolab.models.posix_aio_preparing import Flags

CANCELED = -errno.ECANCELED


class Acceptances:
    """Accepts in flight; `wake` is called in the thread whenever one is over. By `flags` the listeners do not block."""

    def __init__(self, wake: Callable[[], None], flags: Flags) -> None:
        self._wake, self._flags, self._lock = wake, flags, threading.Lock()
        self._asked: list[Operation] = []
        self._closed = False
        self._over: list[Event] = []
        self._note = self._thread = None

    def start(self, operation: Operation) -> None:
        """Accept those who wait once somebody does. OSError: no descriptor for a note to the thread (EMFILE), no thread."""
        self._flags.hold(operation.fd, blocking=False)
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
                self._over.append(Event(operation, CANCELED))
        self._wake()
        return True

    def over(self, events: list[Event]) -> None:
        """Lay what has come behind `events`: descriptors, or -errno."""
        with self._lock:
            found, self._over = self._over, []
            events += found  # and no call in between, behind which a signal's handler may raise
        for event in found:
            if not event.more:
                self._flags.release(event.operation.fd)

    def close(self) -> None:
        """End the thread; what was accepted and not asked for is closed."""
        if self._thread is not None:
            with self._lock:
                self._closed = True
            os.eventfd_write(self._note, 1)
            self._thread.join()
            os.close(self._note)
            self._thread = None
        self.over(left := [])
        for event in left:
            if event.result >= 0:
                os.close(event.result)

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
            found, refused = accepted(operation, unrecorded, need_more=True)  # a duplicate, for each write
            results = found + [refused] * bool(refused)
            if not results:  # somebody else was faster
                return
            self._asked.remove(operation)
            self._over += [Event(operation, result, True) for result in results[:-1]]
            self._over.append(Event(operation, results[-1]))
        self._wake()
