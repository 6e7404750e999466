"""One io_uring: operations go in, completions come out, and what the kernel may still write to stays where it is.

    put(read(fd, buffer)) ─> SQ        enter(1) ┐                                    ┌ completions() ─> [Cqe(7, 1000, 0)]
                                       kernel   └ takes SQEs ... waits, copies ... CQE ┘

Two facts that surprise:
* A descriptor may be closed and a Python object forgotten: the operation still runs, and writes where it was told to.
  So the ring pins each buffer until its last CQE, and close() cancels and reaps before it unmaps anything.
* With default flags the kernel completes an operation by interrupting the thread that submitted it, wherever that is:
  the CQE appears without a call. With DEFER_TASKRUN nothing appears until that thread calls enter().

user_data is a serial number, never used again: a descriptor's number is, and a late CQE would meet the wrong reader.
io_uring(7), io_uring_cancelation(7).
"""

import errno
import os
import warnings
from collections import deque
from time import monotonic
from typing import NamedTuple

from iolab.kernel import io_uring_layout as layout
from iolab.kernel.io_uring_closing import cancel_all, keep_for_ever
from iolab.kernel.io_uring_enter import Enter
from iolab.kernel.io_uring_queues import Queues
from iolab.kernel.io_uring_setup import NEWEST, io_uring_setup, unavailable
from iolab.kernel.io_uring_sqe import Sqe
from iolab.kernel.owner import Owner

__all__ = ["NEWEST", "Cqe", "Ring", "unavailable"]


class Cqe(NamedTuple):
    """`res` is what the call would have returned, or -errno; `flags` are the layout's CQE_F_..."""

    user_data: int
    res: int
    flags: int


class Ring:
    """A ring of the thread that made it: RuntimeError in another thread, or in a child after fork(2).

    `required` and `wished` are flags (io_uring_setup); neither gives the default set-up. The CQ has `cq_entries`,
    by default twice as many as the SQ. ValueError for impossible numbers, OSError as the kernel says.
    """

    def __init__(self, entries=64, cq_entries: int | None = None, required=0, wished=0, sq_thread_idle_ms=0) -> None:
        self._closed, self._owner = True, Owner("the ring")
        self.check = self._owner.check  # RuntimeError for a thread or a process that it does not belong to; ValueError
        set_up = io_uring_setup(entries, cq_entries, required, wished, sq_thread_idle_ms)
        self.fd, self.flags, self.features, self._serial = set_up.fd, set_up.flags, set_up.features, 0
        self.queues, self._enter, self._closed = Queues(set_up), Enter(self.fd, self.flags), False
        self.in_flight: dict[int, Sqe] = {}  # by user_data, until the last CQE
        self.silent: dict[int, Sqe] = {}  # those that complete only if they fail
        self.taken: deque[tuple[int, int, int]] = deque()  # out of the CQ, and nobody has been told yet
        self.registered: list[object] = []  # buffer rings: the kernel chooses from them, so they live as long

    def put(self, sqe: Sqe) -> int:
        """Queue one operation, to be submitted by the next enter(); its user_data. A full SQ is submitted first."""
        self.check()
        while not (user_data := self.offer(sqe)):
            if not self._enter.make_room(self.queues.unsubmitted) and self.queues.full:
                raise BlockingIOError(errno.EAGAIN, "the submission queue stays full", "io_uring_enter")
        return user_data

    def offer(self, sqe: Sqe) -> int:
        """put() for the ring's own thread, which knows that it is: 0 where the SQ is full, and nothing is submitted."""
        if not self.queues.push(sqe.packed(self._serial + 1)):
            return 0
        self._serial += 1
        (self.silent if sqe.flags & layout.IOSQE_CQE_SKIP_SUCCESS else self.in_flight)[self._serial] = sqe
        return self._serial

    def submit(self) -> int:
        """One io_uring_enter(2) that submits and asks for nothing; how many were taken."""
        self.check()
        return self._enter.submit(self.queues.unsubmitted)

    def enter(self, min_complete: int = 0, timeout: float | None = None) -> int:
        """One io_uring_enter(2): submit, then sleep until `min_complete` CQEs are there; how many SQEs were taken.

        Back early after `timeout` seconds, and after a signal, whose Python handler then runs and may raise.
        """
        self.check()
        return self._enter.wait(self.queues.unsubmitted, min_complete, timeout)

    def completions(self) -> list[Cqe]:
        """The CQEs that are there, without any system call."""
        found, self.taken = [Cqe(*fields) for fields in self.take()], deque()
        return found

    def take(self) -> deque[tuple[int, int, int]]:
        """The same, as bare tuples: a name for each field costs as much as all else here.

        It is `taken` itself. Whoever works them off removes each when it is done with it: what a handler of a signal
        leaves there by raising comes again, before the others.
        """
        self.check()
        taken, in_flight = self.taken, self.in_flight
        self.queues.take_all(taken)
        for user_data, _, flags in taken:
            if not flags & layout.CQE_F_MORE and in_flight.pop(user_data, None) is None:
                self._has_failed(user_data)
        return taken

    def _has_failed(self, user_data: int) -> None:
        """A silent one: what is linked behind it ends with it, and without a CQE, whether silent or not."""
        sqe = self.silent.pop(user_data, None)
        while sqe and sqe.flags & layout.IOSQE_IO_LINK:
            user_data += 1
            sqe = self.in_flight.pop(user_data, None) or self.silent.get(user_data)
            self.silent.update({user_data: sqe} if sqe else {})

    def wait(self, min_complete: int = 1, timeout: float | None = None) -> list[Cqe]:
        """Submit and sleep until so many have come, or fewer when `timeout` seconds are over; whatever else is there."""
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - monotonic())
            self.enter(0 if left == 0 else max(0, min_complete - len(self.taken)), left)
            self.take()
            if not self.queues.overflown and (len(self.taken) >= min_complete or left == 0):
                return self.completions()

    def close(self) -> None:
        """Cancel everything, reap until nothing is in flight, then unmap and close; again is harmless.

        What cannot be cancelled keeps its buffer, for ever (io_uring_closing). In a forked child it gives back the
        child's copies alone, the ring goes on in its parent.
        """
        if self._closed:
            return
        if ours := os.getpid() == self._owner.process:
            self.check()
            cancel_all(self)
        self._closed = True
        if ours and (self.in_flight or self.silent):
            keep_for_ever(self)
        else:
            self.registered.clear()
        self._owner.close()
        self.queues.close()

    def __del__(self) -> None:
        if not self._closed:
            idle = not (self.in_flight or self.silent or self.registered)
            self.queues.close() if idle else keep_for_ever(self)
            # Last: with -W error it raises.
            warnings.warn(f"a ring was never closed: descriptor {self.fd}", ResourceWarning, stacklevel=2)
