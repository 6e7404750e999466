"""The recorder: writes down the calls that a model names, with the clock and the kernel's count of sleeps.

    with call("read", fd):    ├────────── read ──────────┤
                              start_ns              end_ns, ru_nvcsw

Two facts that surprise:
* A recorder that is asked a hundred thousand times becomes part of what it measures. This one costs less
  than a microsecond a call (tests/test_calls.py prints it): after a refusal the clock is its only system call.
* The kernel counts how often a thread went to sleep (`ru_nvcsw`, voluntary context switches). The count says
  with certainty what a clock can only suggest: a call that slept. A sleep may be over after four microseconds, and
  one between two calls is neither's: so the count is asked after each call that succeeds, and behind each gap.
"""

from bisect import bisect_right
from collections.abc import Iterator
from statistics import median
from threading import get_native_id
from time import monotonic_ns
from typing import Self

from iolab.calls import COMPLETION, Call, unrecorded

try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:  # Windows: calls are recorded there, and not which of them slept
    RUSAGE_THREAD = getrusage = None


def _switches() -> int | None:
    """How often this thread went to sleep by itself; None where nobody counts it."""
    return getrusage(RUSAGE_THREAD).ru_nvcsw if getrusage else None


# A thread that sleeps is away for two context switches at least (the shortest of 4,898 took 4.0 µs); after shorter
# refusals and gaps nobody is asked.
SLEEP_IS_LONGER_THAN_NS = 2_000


class Recorder:
    """Writes down the calls of the one thread that made it; calls do not nest. `helpers`: those of other threads."""

    __slots__ = (
        "thread_id",
        "helpers",
        "_name",
        "_fd",
        "_start",
        "_end",
        "_nbytes",
        "_calls",
        "_refused",
        "_completed",
    )

    def __init__(self) -> None:
        self.thread_id = get_native_id()
        self.helpers: list[Recorder] = []
        self._calls: list[tuple] = []
        self._refused: list[tuple] = []
        self._completed: list[tuple] = []
        self._nbytes = None
        self._end = 0

    def __call__(self, name: str, fd: int = -1) -> Self:
        self._name = name
        self._fd = fd
        self._start = monotonic_ns()
        if self._start - self._end > SLEEP_IS_LONGER_THAN_NS:
            self.slept_elsewhere()
            self._start = monotonic_ns()
        return self

    # The clock is read already, and a built-in function needs no frame: a quarter of a microsecond saved.
    __enter__ = bool

    def __exit__(self, kind, error, traceback) -> None:
        self._end = end = monotonic_ns()
        if kind is BlockingIOError and end - self._start <= SLEEP_IS_LONGER_THAN_NS:
            self._refused.append((self._name, self._fd, self._start, end, None, error.errno, 0))
            return
        errno = 0 if kind is None else getattr(error, "errno", None) or -1
        self._calls.append((self._name, self._fd, self._start, end, self._nbytes, errno, _switches()))
        self._nbytes = None

    def returned(self, nbytes: int) -> int:
        self._nbytes = nbytes
        return nbytes

    def slept_elsewhere(self) -> None:
        """What the thread has slept until now is not to be booked on its next call."""
        self._calls.append((None, -1, 0, 0, None, 0, _switches()))

    def completed(self, fd: int, nbytes: int) -> None:
        self._completed.append((monotonic_ns(), fd, nbytes))

    def in_this_thread(self) -> "Recorder":
        helper = Recorder()
        helper.slept_elsewhere()
        self.helpers.append(helper)
        return helper

    def calls(self, switches_before: int = 0) -> list[Call]:
        """All calls in order of time; `switches_before` is the thread's ru_nvcsw when recording began."""
        found = sorted([*self._called(switches_before), *(Call(*call) for call in self._refused)], key=_begin)
        outside = []
        for ns, fd, nbytes in self._completed:
            last = bisect_right(found, ns, key=_begin) - 1
            if last >= 0 and ns <= found[last].end_ns:
                found[last] = found[last]._replace(completed=(*found[last].completed, (fd, nbytes)))
            else:
                outside.append(Call(COMPLETION, fd, ns, ns, None, 0, 0, ((fd, nbytes),)))
        return sorted(found + outside, key=_begin)

    def _called(self, known: int) -> Iterator[Call]:
        for name, fd, start, end, nbytes, errno, switches in self._calls:
            slept = 0 if switches is None else switches - known
            known = known if switches is None else switches
            if name is not None:
                yield Call(name, fd, start, end, nbytes, errno, slept)


def _begin(call: Call) -> int:
    return call.start_ns


def recorder_ns_per_call(calls: int = 300, rounds: int = 5) -> int:
    """What a Recorder adds to a call that is refused, on this machine now: the median of several rounds."""

    def spend(call) -> int:
        start = monotonic_ns()
        for _ in range(calls):
            try:
                with call("read", 0):
                    raise BlockingIOError
            except BlockingIOError:
                pass
        return monotonic_ns() - start

    return max(0, round(median(spend(Recorder()) - spend(unrecorded) for _ in range(rounds)) / calls))
