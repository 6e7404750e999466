"""How another thread ends the wait of a ring's own thread: a read of an eventfd that is always in flight.

    ring's thread   put(read(eventfd)) ── enter(1) ┐                    ┌ CQE: 8 bytes ── put(read(eventfd)) ──>
    other thread                                   └─ eventfd_write(1) ─┘

Two facts that surprise:
* No other thread may touch the ring, its queues have no locks. An eventfd is the door: a counter with a descriptor,
  and write(2) to it is safe from any thread, and from a signal handler.
* Ten wake-ups may make one completion: the read takes the counter's whole value. So it says "look", not how often.

eventfd(2).
"""

import os
from threading import RLock

from iolab.kernel.io_uring import Ring
from iolab.kernel.io_uring_operations import read


class WakeUp:
    """For one ring. OSError where there is no descriptor for it."""

    def __init__(self, ring: Ring) -> None:
        self._ring, self._counter, self._closing = ring, bytearray(8), RLock()  # a signal handler, too
        self._eventfd: int | None = os.eventfd(0, os.EFD_CLOEXEC)
        self._listen()

    def _listen(self) -> None:
        self._user_data = self._ring.put(read(self._eventfd, self._counter))

    def heard(self, user_data: int) -> bool:
        """Whether this is a wake-up; then the next one is listened for."""
        heard = user_data == self._user_data
        if heard:
            self._listen()
        return heard

    def wake(self) -> None:
        """Any thread may call it; harmless after close()."""
        with self._closing:
            if self._eventfd is not None:
                os.eventfd_write(self._eventfd, 1)

    def close(self) -> None:
        """After the ring was closed, as long as its read is in flight; again is harmless."""
        with self._closing:
            if self._eventfd is not None:
                os.close(self._eventfd)
            self._eventfd = None
