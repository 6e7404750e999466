"""How a model names the system calls that it makes, and how somebody may write them down.

    with call("read", fd):                        time ──>
        nbytes = call.returned(os.readv(...))     ├────────── read ──────────┤
                                                  start_ns              end_ns

A model receives `call` and says what it calls, never what happened inside: whether the thread slept,
when data came and who copied it is for the kernel to say (iolab.recording.evidence).

Two facts that surprise:
* A recorder that is asked a hundred thousand times becomes part of what it measures. This one costs less
  than a microsecond a call (tests/test_calls.py prints it): the clock is its only system call, and the thread's
  counters are asked only after a call that took long enough to sleep.
* The kernel counts how often a thread went to sleep (`ru_nvcsw`, voluntary context switches). The count says
  with certainty what a clock can only suggest: a call that slept.
"""

from collections.abc import Iterator
from errno import EAGAIN
from threading import get_native_id
from time import monotonic_ns
from typing import NamedTuple, Protocol, Self

try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:  # not Linux: no recorder counts sleeps there, the models still import
    RUSAGE_THREAD = getrusage = None

# A thread that sleeps is away for two context switches at least; shorter calls are not asked.
SLEEP_IS_LONGER_THAN_NS = 20_000


class CallNamer(Protocol):
    """What a model needs: `with call(name, fd):` around each system call, `returned` around its byte count."""

    def __call__(self, name: str, fd: int = -1) -> Self: ...
    def __enter__(self) -> object: ...
    def __exit__(self, kind, error, traceback) -> None: ...
    def returned(self, nbytes: int) -> int: ...


class Call(NamedTuple):
    """One system call as the calling thread saw it; times are CLOCK_MONOTONIC in nanoseconds."""

    name: str
    fd: int
    start_ns: int
    end_ns: int
    nbytes: int | None  # bytes it returned; None where bytes are not what it returns, or it failed
    errno: int  # 0, or why the kernel refused
    slept: int  # voluntary context switches since the call before it whose count is known


class _Unrecorded:
    """Writes nothing down."""

    __slots__ = ()

    def __call__(self, name: str, fd: int = -1) -> Self:
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback) -> None:
        pass

    def returned(self, nbytes: int) -> int:
        return nbytes


unrecorded = _Unrecorded()


class Recorder:
    """Writes down the calls of the one thread that made it; calls do not nest."""

    __slots__ = ("thread_id", "_name", "_fd", "_start", "_nbytes", "_calls", "_refused")

    def __init__(self) -> None:
        self.thread_id = get_native_id()
        self._calls: list[tuple] = []
        self._refused: list[tuple] = []
        self._nbytes = None

    def __call__(self, name: str, fd: int = -1) -> Self:
        self._name = name
        self._fd = fd
        self._start = monotonic_ns()
        return self

    # The clock is read already, and a built-in function needs no frame: a quarter of a microsecond saved.
    __enter__ = bool

    def __exit__(self, kind, error, traceback) -> None:
        end = monotonic_ns()
        long = end - self._start > SLEEP_IS_LONGER_THAN_NS
        if kind is BlockingIOError and not long:
            self._refused.append((self._name, self._fd, self._start, end))
            return
        switches = getrusage(RUSAGE_THREAD).ru_nvcsw if long else None
        errno = 0 if kind is None else getattr(error, "errno", None) or -1
        self._calls.append((self._name, self._fd, self._start, end, self._nbytes, errno, switches))
        self._nbytes = None

    def returned(self, nbytes: int) -> int:
        self._nbytes = nbytes
        return nbytes

    def slept_elsewhere(self) -> None:
        """What the thread has slept until now is not to be booked on its next call."""
        self._calls.append((None, -1, 0, 0, None, 0, getrusage(RUSAGE_THREAD).ru_nvcsw))

    def calls(self, switches_before: int = 0) -> list[Call]:
        """All calls in order of time; `switches_before` is the thread's ru_nvcsw when recording began."""
        refused = [Call(*call, None, EAGAIN, 0) for call in self._refused]
        return sorted([*self._called(switches_before), *refused], key=lambda call: call.start_ns)

    def _called(self, known: int) -> Iterator[Call]:
        for name, fd, start, end, nbytes, errno, switches in self._calls:
            slept = 0 if switches is None else switches - known
            known = known if switches is None else switches
            if name is not None:
                yield Call(name, fd, start, end, nbytes, errno, slept)
