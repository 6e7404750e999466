"""POSIX AIO: aio_read starts a read in a thread of the C library; aio_suspend sleeps until one of many is over.

    application     aio_read ┐ its own work  aio_suspend ┐                  ┌─ aio_return: 1,000 ──>
    helper thread            └─ read() ┐                 │        ┌ copies ─┘
    kernel                             └ waits for data ─┴────────┘

Two facts that surprise:
* The kernel knows nothing of it: on Linux a thread of this very process sleeps in read(2), one for each silent
  descriptor, 20 at most unless more are asked for before the first request. The twenty-first waits, data or no data.
* aio_error and aio_return are no system calls; asking "not yet?" costs a lock, not a visit to the kernel. aio(7), aio_suspend(3).

So: threads enough, descriptors that block (posix_aio_preparing), a duplicate for writing (posix_aio_numbers), and
accepting by other means (posix_aio_accepting). A helper asleep in a call cannot be called back: shutdown(2) wakes it.
"""

import errno
import os
from contextlib import suppress

from iolab.calls import CallNamer, unrecorded
from iolab.kernel import posix_aio as aio
from iolab.kernel.posix_aio_block import ControlBlock
from iolab.kernel.posix_aio_layout import AIO_NOTCANCELED
from iolab.models.completion import ACCEPT, READ, RECEIVE, Event, Operation, read_when_complete
from iolab.models.completion_queue import CLOSE_LIMIT_S, CompletionQueue
from iolab.models.posix_aio_accepting import Acceptances
from iolab.models.posix_aio_numbers import abandon, new_note
from iolab.models.posix_aio_preparing import Flags, provide_threads
from iolab.models.posix_aio_request import Request
from iolab.models.reads import Work

NAME = "posix-aio"


class PosixAioProcessor:
    """completion.AsynchronousOperationProcessor by aio(7)."""

    def __init__(self, call: CallNamer = unrecorded) -> None:
        provide_threads()
        self._call, self._flags = call, Flags()
        self._in_flight: dict[Operation, None] = {}  # in the order of their start
        self._events: list[Event] = []  # known without waiting
        self._lent: list[memoryview] = []
        self._note = new_note()
        self._accepts = Acceptances(self.wake)
        self._listen_to_note()

    def start(self, operation: Operation) -> None:
        try:
            if operation.kind == ACCEPT:
                self._flags.hold(operation.fd, blocking=False)
                self._accepts.start(operation)
            else:
                self._begin(operation)
        except OSError as error:
            self._flags.release(operation.fd)
            self._events.append(Event(operation, -error.errno))

    def cancel(self, operation: Operation) -> bool:
        if operation.kind == ACCEPT:
            return self._accepts.cancel(operation)
        block = operation.state.block if operation in self._in_flight else None
        try:
            if block is None or aio.aio_error(block) != errno.EINPROGRESS:  # it is over, and has its event
                return True
            return aio.aio_cancel(block.structure.aio_fildes, block) != AIO_NOTCANCELED
        except OSError:  # EBADF: closed by its owner, which ends nothing
            return False

    def abandon(self, operation: Operation) -> None:
        # iolab.kernel holds the control block, and it the buffer, until a helper is through with it.
        if operation.kind == ACCEPT:
            self._accepts.cancel(operation)
        elif operation in self._in_flight:
            del self._in_flight[operation]
            abandon(operation.state.block)
            self._flags.release(operation.fd)

    def wait(self, timeout: float | None) -> list[Event]:
        while self._lent:
            self._lent.pop().release()
        self._take_accepted()
        if timeout == 0 or self._events:
            for operation in list(self._in_flight):
                with suppress(BlockingIOError), self._call("aio_error", operation.fd):  # EINPROGRESS: not yet
                    self._over(operation, aio.error_once_over(operation.state.block))
        else:
            with self._call("aio_suspend"):
                aio.aio_suspend([self._listening, *(each.state.block for each in self._in_flight)], timeout)
                for operation in list(self._in_flight):
                    if (error := aio.aio_error(operation.state.block)) != errno.EINPROGRESS:
                        self._over(operation, error)
        if aio.aio_error(self._listening) != errno.EINPROGRESS:
            self._listen_to_note()
            self._take_accepted()
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        os.eventfd_write(self._note.fd, 1)
        aio.aio_cancel(self._note.fd, self._listening)  # it is still queued if no helper is free: this wakes as well

    def close(self) -> None:
        self._accepts.close()
        self.wake()
        aio.aio_suspend([self._listening], CLOSE_LIMIT_S)
        abandon(self._listening)  # it is over; were it not, it would keep the note open
        self._note = None
        self._flags.close()

    def _listen_to_note(self) -> None:
        aio.aio_read(listening := ControlBlock(self._note.fd, bytearray(8), keep=self._note))
        self._listening = listening  # begun: other threads may cancel it

    def _begin(self, operation: Operation) -> None:
        self._flags.hold(operation.fd, blocking=True)
        operation.state = request = Request(operation)
        with self._call(request.call, operation.fd):
            request.begin()
        self._in_flight[operation] = None

    def _over(self, operation: Operation, error: int) -> None:
        del self._in_flight[operation]  # first: whatever is raised, nobody may ask for its result again
        request, operation.state = operation.state, None
        self._flags.release(operation.fd)
        result = -error if error else request.result()
        if operation.kind in (READ, RECEIVE) and result >= 0:
            self._call.completed(operation.fd, result)
        self._lent += [data] if (data := request.received(result)) is not None else []
        self._events.append(Event(operation, result, False, data))

    def _take_accepted(self) -> None:
        for operation, result in self._accepts.over():
            self._flags.release(operation.fd)
            self._events.append(Event(operation, result))


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None) -> list[int]:
    """Fill each (fd, buffer) of `reads`, a helper thread for each; the counts in the order given."""
    return read_when_complete(lambda: CompletionQueue(PosixAioProcessor(call)), reads, work)


def unavailable() -> str | None:
    """Why this system has no POSIX AIO of the layout that iolab knows; None when it has."""
    return aio.unavailable() or (None if hasattr(os, "eventfd") else "this Python has no os.eventfd")
