"""Timers of an event loop: a heap says how long the loop may sleep, and what is due when it wakes.

    after(5) ── after(1) ── after(3)      heap: 1 3 5      wait(1) ──> due: 1      heap: 3 5      wait(2) ──>

Two facts that surprise:
* The kernel needs to know of one timer only, the next one: it is the time-out of the wait that the loop makes anyway.
* Most timers of a server never ring: they are put off by each byte that comes. To take them out of the heap and in
  again each time would be its main work. So a Deadline that moves away lets its timer ring, and then looks again.

CLOCK_MONOTONIC: the clock on the wall may be set back. A timer that is cancelled stays in the heap until it would have
rung, unless such are the majority: then the heap is made anew. POSA2, Reactor: timers; Varghese and Lauck 1987.
"""

import heapq
from collections.abc import Callable
from itertools import count
from math import inf
from time import monotonic

LONGEST_S = 3600.0  # of one wait: epoll_wait(2) counts its milliseconds in an int
_FEW = 64


class Timer:
    """`callback` is to be called at `at`, a moment of time.monotonic()."""

    __slots__ = ("at", "callback", "_timers")

    def __init__(self, at: float, callback: Callable[[], None], timers: "Timers") -> None:
        self.at, self.callback, self._timers = at, callback, timers

    def cancel(self) -> None:
        """It never rings; after it has rung, nothing."""
        if self.callback is not None:
            self.callback = None
            self._timers.one_was_cancelled()


class Timers:
    """All timers of one loop, for its thread alone."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial, self._cancelled = count(), 0

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """A timer that rings in `delay_s` seconds; ValueError below zero."""
        if not delay_s >= 0:  # nan is refused, too
            raise ValueError(f"delay_s must be 0 or more seconds, not {delay_s!r}")
        timer = Timer(monotonic() + delay_s, callback, self)
        heapq.heappush(self._heap, (timer.at, next(self._serial), timer))
        return timer

    def left_s(self, timeout: float | None = None) -> float | None:
        """How long a wait of `timeout` seconds (None: for ever) may take until the next timer rings."""
        self._drop_cancelled()
        if self._heap:
            left_s = min(max(0.0, self._heap[0][0] - monotonic()), LONGEST_S)
            return left_s if timeout is None or left_s < timeout else timeout
        return timeout

    def due(self, now: float) -> Callable[[], None] | None:
        """The callback of the next timer that has rung by `now`, once; None when there is no more."""
        self._drop_cancelled()
        if not self._heap or self._heap[0][0] > now:
            return None
        timer = heapq.heappop(self._heap)[2]
        callback, timer.callback = timer.callback, None
        return callback

    def one_was_cancelled(self) -> None:
        """Told by Timer.cancel()."""
        self._cancelled += 1
        if self._cancelled > _FEW and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap)

    def _drop_cancelled(self) -> None:
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1


class Deadline:
    """Until when somebody waits for something: `expired` is called unless it was put off or lifted before.

    `after` is a loop's call_after. A deadline waits for one thing at a time, named by a key: the same key again
    leaves it as it is, another one begins anew.
    """

    __slots__ = ("_after", "_expired", "_key", "_at", "_timer")

    def __init__(self, after: Callable[[float, Callable[[], None]], Timer], expired: Callable[[], None]) -> None:
        self._after, self._expired = after, expired
        self._key, self._at, self._timer = None, inf, None

    def wait_for(self, key, seconds: float) -> None:
        """From now on for what `key` names, for so many seconds; inf: for ever."""
        if key == self._key:
            return
        at = monotonic() + seconds
        self._key, self._at = key, at
        if self._timer is None or at < self._timer.at:
            self._set(seconds)

    def lift(self) -> None:
        """Nobody waits any more."""
        self._key, self._at = None, inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds == inf else self._after(seconds, self._rung)

    def _rung(self) -> None:
        self._timer, left_s = None, self._at - monotonic()
        if left_s > 0:
            self._set(left_s)
        else:
            self._key, self._at = None, inf
            self._expired()
