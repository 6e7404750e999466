"""Asking io_uring to end operations, until they have ended: a request of its own, with an answer of its own.

    put(cancel(7)) ── CQE: 0          ended; 7's own CQE says -ECANCELED, before or after this one
                   ── CQE: -ENOENT    it is over, or a device is busy with it, or nobody knows it
                   ── CQE: -EALREADY  a worker runs it and was interrupted ── 20 ms later: still there? ask again

Two facts that surprise:
* -EALREADY is no refusal and no promise. A send of many bytes (MSG_WAITALL) that a signal interrupts has sent some of
  them: so it goes on, and only an interruption that finds no progress ends it.
* A request to cancel never comes too late to be answered, and never too early: it is told apart by its own user_data.

io_uring_cancelation(7), io_uring_prep_cancel(3).
"""

import errno

from iolab.kernel.io_uring import Ring
from iolab.kernel.io_uring_closing import CANCEL_AGAIN_S
from iolab.kernel.io_uring_operations import cancel


class Cancels:
    """For one ring: which operations it was asked to end, and which of them still run."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._asked: dict[int, int] = {}  # by the user_data of the request: that of the operation
        self._running: list[int] = []
        self._due: list[int] = []

    def ask(self, user_data: int) -> None:
        """With the next enter(). OSError when the submission queue stays full."""
        self._asked[self._ring.put(cancel(user_data))] = user_data

    def heard(self, user_data: int, res: int) -> None:
        """Whatever came: perhaps an answer."""
        if user_data in self._asked:
            if res == -errno.EALREADY:
                self._running += (self._asked[user_data],)
            del self._asked[user_data]

    @property
    def running(self) -> bool:
        """Whether an operation is to be asked about again."""
        return bool(self._running)

    def within(self, timeout: float | None) -> float | None:
        """How long the next enter() may sleep, before ask_again()."""
        self._due, self._running = self._due + self._running, []
        return timeout if not self._due else CANCEL_AGAIN_S if timeout is None else min(timeout, CANCEL_AGAIN_S)

    def ask_again(self) -> None:
        """After that enter(): for what ran before it and runs still."""
        while self._due:
            if self._due[-1] in self._ring.in_flight:
                self.ask(self._due[-1])
            del self._due[-1]
