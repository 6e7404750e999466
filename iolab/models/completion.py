"""The family of completion: a thread starts an operation, and is told when it *has been* carried out.

    read(fd, buffer) ──> start ┐              ┌─ wait() ──> Completion(token, 1000): the bytes are in the buffer
    processor                  └ waits, copies ┘

Two facts that surprise:
* Between start and completion the buffer is not the program's. Whoever frees it, or reads it, meets memory that
  somebody else is writing to. So an Operation holds it until its last event.
* "Asynchronous" says that this call does not wait, not who does. It may be the kernel, a thread in the C library, or
  the application's own thread inside its next system call: the evidence tells (iolab.recording).

POSA2's names: an AsynchronousOperationProcessor carries operations out, one file for each mechanism; a
CompletionQueue (completion_queue.py) keeps the books and hands out completions: the same for every mechanism.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from iolab.models.reads import Work, prepared

ACCEPT, RECEIVE, SEND, READ, WRITE = "accept", "receive", "send", "read", "write"


class Completion(NamedTuple):
    """What a program is told: `result` is a count of bytes, of an accept the new descriptor, below zero -errno.

    `more`: the same operation will complete again. `data`: what a receive brought, on loan until the next wait(); what
    is to be kept longer must be copied, bytes(data), for a slice of the view would show the next client's bytes.
    """

    token: object
    result: int
    more: bool = False
    data: memoryview | None = None


class Operation:
    """From its start to its last event it keeps its buffer, a view or bytes, alive. `state` is the processor's own."""

    __slots__ = ("kind", "fd", "token", "buffer", "offset", "nbytes_before", "cancelled", "state")

    def __init__(self, kind: str, fd: int, token, buffer: memoryview | bytes | None, offset: int | None) -> None:
        self.kind, self.fd, self.token, self.buffer, self.offset = kind, fd, token, buffer, offset
        self.nbytes_before = 0  # written by earlier parts of the same operation
        self.cancelled = False
        self.state: object = None

    def go_on_behind(self, nbytes: int) -> None:
        """The next part: what is left of the buffer."""
        self.buffer = memoryview(self.buffer)[nbytes:]
        self.nbytes_before += nbytes
        self.offset = None if self.offset is None else self.offset + nbytes


class Event(NamedTuple):
    """What a processor reports of an operation; `result` as in Completion, `more` False for the last event."""

    operation: Operation
    result: int
    more: bool = False
    data: memoryview | None = None


# Tuples straight to their class, event_of((operation, 1000, False, None)): in half the time that Event(...) takes. A
# server makes four of them for each request.
event_of, completion_of = partial(tuple.__new__, Event), partial(tuple.__new__, Completion)


class AsynchronousOperationProcessor(Protocol):
    """POSA2: carries operations out. One thread calls all but `wake`; a CompletionQueue sees to that."""

    def start(self, operation: Operation) -> None:
        """Begin it, or keep it until the next wait(). The kernel's refusal is an Event with -errno, never raised.

        READ fills operation.buffer by one read(2)'s worth, WRITE and SEND write it by one write's worth: a short
        count is all right, the queue goes on. `offset` None means: a stream, or the file's own position. RECEIVE has
        no buffer: the processor has, and lends it in Event.data until the next wait(). RECEIVE and ACCEPT may
        complete several times (`more`) or once; the queue starts them anew.
        """

    def cancel(self, operation: Operation) -> bool:
        """Ask for its end; its last event still comes, with its result or -ECANCELED. False: it cannot be hurried."""

    def abandon(self, operation: Operation) -> None:
        """Nobody will ask for its event. Its buffer lives on until it is over, wherever that may be kept."""

    def wait(self, timeout: float | None) -> list[Event]:
        """Submit what was kept, sleep until something is over, for `timeout` seconds at most; [] if nothing is.

        None waits for ever, 0 not at all. What earlier events lent is taken back.
        """

    def wake(self) -> None:
        """End the wait(), the present or the next; any thread may call it."""

    def close(self) -> None:
        """Give back what the kernel lent. Called once nothing is in flight but what was abandoned."""


def position(fd: int) -> int | None:
    """Where a file is read next; None for a stream, which has no position."""
    if os.name == "nt":  # a socket's number may be a file's, too, whose position is none of its business
        from iolab.kernel.iocp_operations import is_socket

        if is_socket(fd):
            return None
    try:
        return os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:  # ESPIPE: a socket or a pipe
        return None


def read_when_complete(new_queue: Callable, reads, work: Work | None = None) -> list[int]:
    """Fill each (fd, buffer) of `reads`, all started at once; the counts in the order given.

    `new_queue` makes the CompletionQueue, once the arguments are known to be right. A thread that has other `work`
    does not sleep: it looks at the queue between two slices.
    """
    reads = prepared(reads)
    counts, starts = [0] * len(reads), [position(fd) for fd, _ in reads]
    queue = new_queue()
    try:

        def read_on(number: int) -> None:
            (fd, buffer), start, count = reads[number], starts[number], counts[number]
            queue.read(fd, buffer[count:], number, None if start is None else start + count)

        for number in range(len(reads)):
            read_on(number)
        pending = len(reads)
        while pending:
            completions = queue.wait(None if work is None else 0)
            if not completions and work is not None:
                work()
            for number, result, *_ in completions:
                if result < 0:
                    raise OSError(-result, os.strerror(-result))
                counts[number] += result
                if result and counts[number] < len(reads[number][1]):
                    read_on(number)
                else:
                    pending -= 1
    finally:
        queue.close()
    for (fd, _), start, count in zip(reads, starts, counts, strict=True):
        if start is not None:  # as after read(2): the next read goes on behind these bytes
            os.lseek(fd, start + count, os.SEEK_SET)
    return counts
