"""POSA2's Completion Event Queue, with its demultiplexer: the same promises over every mechanism.

    read(fd, buffer, token) ── Operation ──> processor ── Event ──> wait() ──> [Completion(token, nbytes), ...]

What it promises, over every processor (tests/models/test_completion_contract.py):
* each operation has exactly one last Completion; receive and accept may have several before it (`more`);
* until its last Completion an operation's buffer is kept alive; what a receive brought is lent until the next wait();
* an error of I/O is a result below zero, -errno, and never raised;
* a send goes out whole or fails; of one descriptor one is in flight, and what waits behind it goes out together;
* cancel may come too late; post is the only call for other threads;
* close_connection closes a descriptor when nothing is in flight on it: its number is not used again too early;
* an accept that finds no free descriptor rests for a while (completion_rules.AcceptPause);
* a program that is slower than its peer cancels the receive, and loses nothing; later it receives again.
"""

import threading
import time
from collections import deque

from iolab.kernel.owner import Owner
from iolab.models.completion import ACCEPT, READ, RECEIVE, SEND, WRITE, Completion, Operation
from iolab.models.completion_books import Books
from iolab.models.completion_rules import shut_down

CLOSE_LIMIT_S = 5.0  # what is cancelled and not over by then is abandoned: its buffer lives on


class CompletionQueue:
    """Operations over one AsynchronousOperationProcessor, which it closes with itself.

    It belongs to the thread that made it: RuntimeError in another one, or in a forked child. ValueError for a wrong
    argument, for a descriptor that is being closed, and once the queue is closed.
    """

    def __init__(self, processor) -> None:
        self._processor, self._books, self._owner = processor, Books(processor), Owner("the completion queue")
        self._posted: deque = deque()
        self._events: deque = deque()  # not booked yet
        self._closed, self._posting = False, threading.RLock()  # a signal handler may post while its thread does

    def read(self, fd: int, buffer, token, offset: int | None = None) -> Operation:
        """One read(2) into `buffer`, of a file at `offset`: the result may be short, 0 at the end."""
        return self._begin(READ, fd, token, self._checked(READ, buffer, offset), offset)

    def write(self, fd: int, data, token, offset: int | None = None) -> Operation:
        """All of `data`, of a file at `offset`; the result is its length or -errno."""
        return self._begin(WRITE, fd, token, self._checked(WRITE, data, offset), offset)

    def receive(self, fd: int, token) -> Operation:
        """What comes, as it comes, again and again until the stream ends (result 0), fails, or it is cancelled."""
        return self._begin(RECEIVE, fd, token)

    def accept(self, fd: int, token) -> Operation:
        """Connections of the listening socket `fd`, again and again: each result is a new descriptor."""
        return self._begin(ACCEPT, fd, token)

    def send(self, fd: int, data, token) -> Operation:
        """All of `data`, behind what was to be sent before it; the result is its length or -errno."""
        return self._begin(SEND, fd, token, data if type(data) is bytes and data else self._checked(SEND, data))

    def cancel(self, operation: Operation) -> None:
        """Ask for its end; it may come too late. The last Completion still comes, as a rule with -ECANCELED."""
        self._owner.check()
        self._books.cancel(operation)

    def post(self, token) -> None:
        """A Completion with this token and result 0 comes out of wait(). Any thread may call it; ValueError if closed."""
        self._owner.check_process()
        with self._posting:
            if self._closed:
                raise ValueError("the completion queue is closed")
            self._posted.append(token)
            self._processor.wake()

    def close_connection(self, fd: int, token) -> None:
        """Shut the stream down, end what is in flight on `fd`, close it; then comes Completion(token, 0)."""
        self._check_descriptor(fd)
        shut_down(fd)
        self._books.close_when_idle(fd, token)

    def wait(self, timeout: float | None = None) -> list[Completion]:
        """Sleep until something is over; the completions in their order, [] when `timeout` seconds are."""
        self._owner.check()
        if timeout is not None and not 0 <= timeout <= threading.TIMEOUT_MAX:
            raise ValueError(f"timeout must be None or from 0 seconds on, not {timeout!r}")
        deadline = None if timeout is None else time.monotonic() + timeout
        books = self._books
        while True:
            self._book()
            if any(each.data is not None for each in books.ready):  # the processor's next wait() takes it back
                return books.hand_out()
            books.start_what_is_due()
            while self._posted:
                books.ready += (Completion(self._posted[0], 0),)
                del self._posted[0]
            left_s = None if deadline is None else max(0, deadline - time.monotonic())
            self._events.extend(self._processor.wait(0 if books.ready else books.at_most(left_s)))
            self._book()
            if books.ready or (deadline is not None and time.monotonic() >= deadline):
                return books.hand_out()

    def close(self) -> None:
        """Cancel what is in flight, wait until it is over, and only then give back what the kernel lent."""
        if self._closed:
            return
        self._owner.check()
        with self._posting:
            self._closed = True
            self._owner.close()
        try:
            self._book()
            self._books.close(CLOSE_LIMIT_S)
        finally:
            self._processor.close()

    def __enter__(self) -> "CompletionQueue":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.close()

    def _book(self) -> None:
        """Also what a handler that raised, in the middle of the wait() before this one, has left."""
        events, book = self._events, self._books.book
        while events:
            book(events)

    def _check_descriptor(self, fd: int) -> None:
        self._owner.check()
        if not (isinstance(fd, int) and 0 <= fd < 1 << 31):
            raise ValueError(f"fd must be an integer from 0 to 2**31 - 1, not {fd!r}")
        if fd in self._books.closing:
            raise ValueError(f"fd: descriptor {fd} is being closed")

    def _begin(self, kind: str, fd: int, token, buffer=b"", offset: int | None = None) -> Operation:
        self._check_descriptor(fd)
        operation = Operation(kind, fd, token, buffer, offset)
        self._books.begin(operation)
        return operation

    def _checked(self, kind: str, buffer, offset: int | None = None) -> memoryview:
        view = memoryview(buffer)
        if not view.nbytes or not view.c_contiguous:
            raise ValueError(f"the buffer of a {kind} must be contiguous and hold at least 1 byte, not {view.nbytes}")
        if kind == READ and view.readonly:
            raise ValueError("the buffer of a read must be writable")
        if offset is not None and not 0 <= offset < 1 << 63:
            raise ValueError(f"offset must be None or from 0 to 2**63 - 1, not {offset!r}")
        return view.cast("B")
