"""Asynchronous I/O by a pool of threads: somebody else sleeps and copies, and puts a note into the queue.

    application ── put(operation) ── its own work ───────── get() ┐             ┌─ the note: 1,000 bytes ──>
    helper             └─ get() ── poll() ┐           ┌─ read() ┐ ├─ put(note) ─┘
    kernel                                └ waits ────┘         └ copies

Two facts that surprise:
* This is what the C library does for aio_read(3), in about as many lines. Nothing is needed from the kernel; and by
  POSIX it is asynchronous all the same, for the thread that asks is never held up.
* A thread asleep in read(2) cannot be called back; that is why glibc cannot cancel. These sleep in poll(2), on the
  descriptor and on a note of their own, and can.

The completion queue is a blocking queue that helpers fill, and the application's thread sleeps on it. One thread for
each operation in flight, up to `most_threads`; beyond that operations wait their turn, as glibc's do beyond 20.

pthreads(7), aio(7) NOTES, poll(2); POSA2, Proactor.
"""

import os
import select
import threading
from collections import deque
from contextlib import suppress
from errno import EAGAIN, ECANCELED
from itertools import starmap
from queue import Empty, SimpleQueue

from iolab.calls import CallNamer, unrecorded
from iolab.models.carrying_out import carry_out
from iolab.models.completion import READ, RECEIVE, Event, Operation, read_when_complete
from iolab.models.completion_queue import CompletionQueue
from iolab.models.reads import Work

NAME = "threads"
MOST_THREADS = 20  # as many as glibc has


class ThreadsProcessor:
    """completion.AsynchronousOperationProcessor by threads that wait for one descriptor each."""

    def __init__(self, call: CallNamer = unrecorded, most_threads: int = MOST_THREADS) -> None:
        if not 1 <= most_threads <= 1000:
            raise ValueError(f"most_threads must be from 1 to 1,000, not {most_threads!r}")
        self._call, self._most = call, most_threads
        self._in_flight = 0
        self._requests: SimpleQueue = SimpleQueue()
        self._waiting: dict[Operation, bool] = {}  # in `_requests`: whoever pops it here first has it
        self._events: SimpleQueue = SimpleQueue()  # of Event; None ends a wait and means nothing
        self._taken: deque[Event | None] = deque()  # out of `_events`, and not looked at yet
        self._found: list[Event] = []
        self._woken = False
        self._threads: list[threading.Thread] = []

    def start(self, operation: Operation) -> None:
        self._in_flight += 1
        operation.state = None
        self._waiting[operation] = True
        self._requests.put(operation)
        try:
            if self._in_flight > len(self._threads) < self._most:
                self._start_helper()
        except OSError as error:
            if self._waiting.pop(operation, False):
                self._events.put(Event(operation, -error.errno))

    def cancel(self, operation: Operation) -> bool:
        if self._waiting.pop(operation, False):
            self._events.put(Event(operation, -ECANCELED))
        elif operation.state is not None:  # its helper looks whether it is still wanted before it sleeps
            os.eventfd_write(operation.state, 1)
        return True

    def abandon(self, operation: Operation) -> None:
        """Its helper holds it, and with it the buffer, for as long as it takes."""

    def wait(self, timeout: float | None) -> list[Event]:
        self._take(0)
        if not (self._found or self._woken or timeout == 0):
            with self._call("futex"):  # what a blocking queue sleeps in
                self._take(timeout)
        found, self._found, self._woken = self._found, [], False
        return found

    def wake(self) -> None:
        self._events.put(None)

    def close(self) -> None:
        for _ in self._threads:
            self._requests.put(None)
        for thread in filter(threading.Thread.is_alive, self._threads):
            thread.join(1)

    def _take(self, timeout: float | None) -> None:
        # To get and to append is one step: Python runs signal handlers between two, and one that raises loses nothing.
        with suppress(Empty):
            self._taken.extend(starmap(self._events.get, [(timeout != 0, timeout)]))
            while True:
                self._taken.extend(starmap(self._events.get, [(False,)]))
        while self._taken:
            event = self._taken[0]
            if event is None:
                self._woken = True
            else:
                self._in_flight -= not event.more
                self._found += [event]
            del self._taken[0]
            if event and event.operation.kind in (READ, RECEIVE) and event.result >= 0:
                self._call.completed(event.operation.fd, event.result)

    def _start_helper(self) -> None:
        note = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # A daemon: one that hangs in a device must not keep the interpreter from ending.
        thread = threading.Thread(target=self._serve, args=(note,), daemon=True, name=NAME)
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError as error:  # pthread_create(3): EAGAIN
            self._threads.remove(thread)
            os.close(note)
            raise BlockingIOError(EAGAIN, str(error)) from None

    def _serve(self, note: int) -> None:
        call = self._call.in_this_thread()
        while (operation := self._requests.get()) is not None:
            if not self._waiting.pop(operation, False):
                continue  # cancelled before its turn came
            operation.state = note
            for event in carry_out(operation, call):
                self._events.put(event)
            del operation, event  # an idle helper keeps no buffer
        os.close(note)


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None) -> list[int]:
    """Fill each (fd, buffer) of `reads`, a helper for each; the counts in the order given."""
    return read_when_complete(lambda: CompletionQueue(ThreadsProcessor(call)), reads, work)


def unavailable() -> str | None:
    """Why this system cannot: it needs poll and eventfd to call a helper back. None when it can."""
    missing = [name for module, name in ((select, "poll"), (os, "eventfd"), (os, "readv")) if not hasattr(module, name)]
    return f"this Python has no {', '.join(missing)}" if missing else None
