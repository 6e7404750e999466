"""Linux native AIO: for a disk with O_DIRECT a completion mechanism, for sockets a reactor in disguise.

    stream  io_submit(POLL) ── io_getevents ┐       ┌ io_submit(PREAD) ┐        ┌ io_getevents: 1,000 bytes ──>
    kernel                                  └ waits ┘                  └ copies ┘
    file    io_submit(PREAD): out of the page cache it is copied in there; with O_DIRECT the disk works meanwhile

Two facts that surprise:
* The thread that calls io_submit copies a socket's bytes itself, inside that call. By the question "who fetches the
  data?" this is synchronous I/O with an asynchronous interface.
* A read that has to wait waits inside io_submit, and all that was submitted behind it waits, too. Hence POLL first,
  and O_NONBLOCK as long as an operation is under way: then a read that finds nothing says EAGAIN.

So what was started is kept until wait(), where one io_submit(2) takes it all; send and accept are tried at
once. POLL came with Linux 4.19, and refuses what has two wait queues, such as a terminal, with EINVAL.
"""

import errno
import os
import select
import time
from contextlib import suppress

from iolab.calls import CallNamer, unrecorded
from iolab.kernel.linux_aio import POLL, PREAD, PWRITE, Request, why
from iolab.models.at_once import accepted, on_a_device, written
from iolab.models.borrowed import Borrowed
from iolab.models.completion import ACCEPT, RECEIVE, SEND, WRITE, Event, Operation, position, read_when_complete
from iolab.models.completion_queue import CompletionQueue
from iolab.models.linux_aio_submissions import Submissions
from iolab.models.reads import Work

NAME = "linux-aio"
RECEIVED_AT_ONCE = 1 << 16


class LinuxAioProcessor:
    """completion.AsynchronousOperationProcessor by native AIO; about `entries` operations under way at most (EAGAIN)."""

    def __init__(self, call: CallNamer = unrecorded, entries: int = 1024) -> None:
        self._call, self._nonblocking = call, Borrowed()
        self._done: list[Event] = []
        self._submissions = Submissions(call, entries)
        self.wake = self._submissions.wake

    def start(self, operation: Operation) -> None:
        try:
            if operation.kind in (ACCEPT, SEND) or not on_a_device(operation.fd):
                self._nonblocking.borrow(operation.fd)
        except OSError as error:  # EBADF
            self._done.append(Event(operation, -error.errno))
        else:
            now = {ACCEPT: self._accept, SEND: self._write, WRITE: self._write}
            now.get(operation.kind if operation.fd in self._nonblocking else None, self._ask)(operation)

    def cancel(self, operation: Operation) -> bool:
        if self._submissions.drop(operation):
            self._end(operation, -errno.ECANCELED)
        elif not self._submissions.cancel(operation):
            return operation.fd in self._nonblocking  # a POLL that is over ends it as well; a disk's read goes on
        return True

    def abandon(self, operation: Operation) -> None:
        """The kernel's context holds its buffer, and close() waits for it."""

    def wait(self, timeout: float | None) -> list[Event]:
        deadline, submissions = None if timeout is None else time.monotonic() + timeout, self._submissions
        submissions.begin()
        while True:
            refused = submissions.submit()
            while refused:
                self._end(*refused.popleft())
            left = None if deadline is None else max(0, deadline - time.monotonic())
            submissions.take(0 if self._done or submissions.woken else left)
            while over := submissions.next():
                self._go_on(*over)
            if not submissions.kept and (self._done or submissions.woken or left == 0):
                done, self._done = self._done, []
                return done

    def close(self) -> None:
        try:
            self._submissions.close()
        finally:
            self._nonblocking.give_all_back()

    def _ask(self, operation: Operation, ready: bool = False, later: bool = False) -> None:
        """Poll a stream; read what is ready, or lies on a device."""
        kind, fd, stream = operation.kind, operation.fd, operation.fd in self._nonblocking
        if stream and not ready:
            request = Request(POLL, fd, events=select.POLLOUT if kind in (SEND, WRITE) else select.POLLIN)
        else:
            buffer = bytearray(RECEIVED_AT_ONCE) if kind == RECEIVE else operation.buffer
            offset = 0 if stream else position(fd) if operation.offset is None else operation.offset
            request = Request(PWRITE if kind == WRITE else PREAD, fd, buffer, offset)
        self._submissions.keep(operation, request, later)

    def _go_on(self, operation: Operation, request: Request, result: int) -> None:
        stream = operation.fd in self._nonblocking
        if request.command != POLL and not (stream and result == -errno.EAGAIN):
            if not stream and operation.offset is None and result > 0:  # as after read(2)
                with suppress(OSError):  # closed meanwhile
                    os.lseek(operation.fd, request.offset + result, os.SEEK_SET)
            received = memoryview(request.buffer)[:result] if operation.kind == RECEIVE and result >= 0 else None
            self._end(operation, result, bool(received) and not operation.cancelled, received)
        elif operation.cancelled:
            self._end(operation, -errno.ECANCELED)
        elif operation.kind == ACCEPT:
            self._accept(operation)
        elif operation.kind in (SEND, WRITE):
            self._write(operation)
        else:  # after EAGAIN somebody else was faster: poll again
            self._ask(operation, ready=request.command == POLL)

    def _write(self, operation: Operation) -> None:
        nbytes = written(operation, self._call)
        return self._ask(operation) if nbytes is None else self._end(operation, nbytes)

    def _accept(self, operation: Operation) -> None:
        found, refused = accepted(operation, self._call)
        self._done += [Event(operation, fd, True) for fd in found]
        return self._end(operation, refused) if refused else self._ask(operation, later=True)

    def _end(self, operation: Operation, result: int, more: bool = False, data: memoryview | None = None) -> None:
        self._done.append(Event(operation, result, more, data))
        if more:
            self._ask(operation, later=True)
        else:
            self._nonblocking.give_back(operation.fd)


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None) -> list[int]:
    """Fill each (fd, buffer) of `reads`, all submitted at once; the counts in the order given."""
    return read_when_complete(lambda: CompletionQueue(LinuxAioProcessor(call)), reads, work)


def unavailable() -> str | None:
    """Why this system has no native AIO that can poll, in the kernel's words; None when it has."""
    try:
        LinuxAioProcessor(entries=1).close()
    except AttributeError as error:  # os.eventfd: Linux alone has it
        return str(error)
    except OSError as error:
        return why(error)
    return None
