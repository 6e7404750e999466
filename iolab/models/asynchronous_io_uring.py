"""Asynchronous I/O by io_uring: the kernel carries the operation out, and one call starts many and waits for any.

    application  SQE ┐ io_uring_enter(1) ┐                            ┌ CQE: 1,000 bytes are in the buffer
    kernel           └───────────────────└ waits ──────────┘└ copies ─┘

Two facts that surprise:
* "The kernel copies" does not say on whose time. With default flags and with DEFER_TASKRUN it is this very thread's,
  inside the call, or interrupted in its own work. IOSQE_ASYNC gives it to a worker (iou-wrk-PID), SQPOLL to a poller.
* To look whether something is over takes no system call: a CQE appears in shared memory. Not so with DEFER_TASKRUN,
  where nothing is completed until this thread enters the kernel. With SQPOLL only new SQEs need the poller awake.

io_uring(7), io_uring_enter(2); Linux 5.11 for reads, 5.19 for accept, 6.0 for receive, 6.1 for DEFER_TASKRUN.
"""

import errno
import struct
from time import monotonic

from iolab.calls import CallNamer, unrecorded
from iolab.kernel import io_uring_layout as layout
from iolab.kernel.io_uring import NEWEST, Ring
from iolab.kernel.io_uring import unavailable as unavailable  # why there is none here
from iolab.kernel.io_uring_cancels import Cancels
from iolab.kernel.io_uring_sqe import Sqe, by_worker
from iolab.kernel.io_uring_wake_up import WakeUp
from iolab.models.completion import ACCEPT, READ, RECEIVE, SEND, Event, Operation, event_of, read_when_complete
from iolab.models.completion_queue import CompletionQueue
from iolab.models.io_uring_requests import Requests
from iolab.models.reads import Work

NAME = "io-uring"
DEFAULT, DEFER_TASKRUN, ASYNC, SQPOLL = MANNERS = "default", "defer-taskrun", "async", "sqpoll"
DEFERRED = layout.SETUP_SINGLE_ISSUER | layout.SETUP_DEFER_TASKRUN
_SET_UP = {DEFAULT: (0, 0), DEFER_TASKRUN: (DEFERRED, NEWEST), ASYNC: (0, 0), SQPOLL: (layout.SETUP_SQPOLL, 0)}
CQE_F_BUFFER, CQE_F_MORE, _NO_SOCKET = layout.CQE_F_BUFFER, layout.CQE_F_MORE, -errno.ENOTSOCK
POOL = (64, 1 << 14)  # buffers for what is received, and the bytes of each


class IoUringProcessor:
    """completion.AsynchronousOperationProcessor by one ring; `manner` is one of MANNERS.

    `pool`: how many buffers, a power of two, of how many bytes, for what is received. OSError as the kernel says.
    """

    def __init__(self, call: CallNamer = unrecorded, manner=DEFAULT, entries=64, cq_entries=None, pool=POOL) -> None:
        if manner not in MANNERS:
            raise ValueError(f"manner must be one of {', '.join(MANNERS)}, not {manner!r}")
        self._call, self._manner = call, manner
        with call("io_uring_setup"):
            self._ring = Ring(entries, cq_entries, *_SET_UP[manner])
        self._requests, self._cancels = Requests(self._ring, pool), Cancels(self._ring)
        self._by_worker, self._found = manner == ASYNC, []  # found, and not handed out yet
        self._operations: dict[int, Operation] = {}  # by user_data
        try:
            self._woken, self._wake_up = False, WakeUp(self._ring)
        except OSError:  # EMFILE
            self._ring.close()
            raise

    def start(self, operation: Operation) -> None:
        try:
            self._put(self._requests.sqe(operation), operation)
        except (OSError, struct.error) as error:  # struct: a number that no descriptor has
            self._requests.over(operation)
            self._found.append(Event(operation, -getattr(error, "errno", errno.EBADF)))

    def cancel(self, operation: Operation) -> bool:
        if self._operations.get(operation.state) is operation:
            if self._ring.queues.full:
                self._submit()
            self._cancels.ask(operation.state)
        return True  # how it went, its last CQE tells

    def abandon(self, operation: Operation) -> None:
        """The ring holds its buffer until its last CQE."""

    def wait(self, timeout: float | None) -> list[Event]:
        ring, received, events = self._ring, self._requests.received, self._found
        if received and not (events or ring.taken):  # else a handler has raised, and nobody has seen what was lent
            received.take_back()
        must_enter = ring.queues.must_enter or self._cancels.running or self._manner == DEFER_TASKRUN
        if over := timeout == 0 and not must_enter:  # no call: what is over shows in shared memory
            self._take()
        deadline = None if timeout is None else monotonic() + timeout
        while not over:
            left = None if deadline is None else max(0.0, deadline - monotonic())
            only = [each.fd for each in self._operations.values()] if len(self._operations) == 1 else ()
            with self._call("io_uring_enter", *only):
                ring.enter(0 if events or ring.taken or self._woken or left == 0 else 1, self._cancels.within(left))
                self._take()
            self._cancels.ask_again()
            over = events or self._woken or left == 0
        self._found, self._woken = [], False
        return events

    def wake(self) -> None:
        self._wake_up.wake()

    def close(self) -> None:
        self._ring.close()  # cancels and reaps what was abandoned
        self._wake_up.close()

    def _submit(self) -> None:
        with self._call("io_uring_enter"):
            self._ring.submit()

    def _put(self, sqe: Sqe, operation: Operation) -> None:
        sqe = by_worker(sqe) if self._by_worker and operation.kind != ACCEPT else sqe
        if not (state := self._ring.offer(sqe)):  # the SQ is full
            self._submit()
            state = self._ring.put(sqe)
        operation.state, self._operations[state] = state, operation

    def _take(self) -> None:
        """What the CQEs say. Behind each call a handler may raise: before the last one is done what may be done twice."""
        operations, requests, found, taken = self._operations, self._requests, self._found, self._ring.take()
        while taken:
            user_data, result, flags = taken[0]
            data = requests.received.lend(taken[0]) if flags & CQE_F_BUFFER else None
            operation = operations.get(user_data)
            if operation is None:  # a wake-up, or a cancel
                self._woken |= self._wake_up.heard(user_data)
                self._cancels.heard(user_data, result)
                taken.popleft()
                continue
            if operation.kind == SEND:
                requests.over(operation)
            elif result >= 0 and operation.kind in (RECEIVE, READ):
                self._call.completed(operation.fd, result)
            if result == _NO_SOCKET:
                if operation.cancelled:  # not begun
                    result = -errno.ECANCELED
                elif operation.kind == RECEIVE:  # a pipe: by read(2)
                    self._put(requests.read_from_pipe(operation), operation)
                    del operations[user_data], taken[0]
                    continue
            found += (event_of((operation, result, more := flags & CQE_F_MORE != 0, data)),)
            if not more:
                del operations[user_data]
            taken.popleft()


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None, manner: str = DEFAULT) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work, manner)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None, manner: str = DEFAULT) -> list[int]:
    """Fill each (fd, buffer) of `reads`, all submitted by one call; the counts in the order given."""
    return read_when_complete(lambda: CompletionQueue(IoUringProcessor(call, manner)), reads, work)
