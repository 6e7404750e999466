"""The higher rungs around one run: started together, stopped together, and what they saw as one list of moments.

    Observers ── enter each ── the model reads ── leave each ── moments(begin, end)

A rung that observes has a class Observer; the clock and /proc need none. The witness watches the buffers from another
process, so they are shared memory when it is there.
"""

import os
from contextlib import ExitStack, nullcontext
from threading import get_native_id

from iolab.recording.evidence import function_graph, switch_record, trace_points, witness
from iolab.recording.moment import Moment
from iolab.recording.shared_buffer import SharedBuffer
from iolab.recording.stamp import Stamp

NEVER_SENT = b"\xff"  # the buffers are full of it beforehand: their pages exist, and a copy shows


def buffer_for(rungs: list, nbytes: int):
    """A context manager that gives a buffer of NEVER_SENT."""
    return SharedBuffer(nbytes) if witness in rungs else nullcontext(bytearray(NEVER_SENT) * nbytes)


class Observers:
    """A context manager around one run of the calling thread; `names` are those of the rungs that observe."""

    def __init__(self, rungs: list, buffers: list, fds: list[int]) -> None:
        observing = [rung for rung in rungs if hasattr(rung, "Observer")]
        self.names = [rung.NAME for rung in observing]
        # The function graph has the trace points with it, in the one instance that a user may have been lent.
        self._rungs = [rung for rung in observing if rung is not trace_points or function_graph not in rungs]
        self._buffers, self._fds, self._stack, self._observers = buffers, fds, ExitStack(), []

    def __enter__(self) -> "Observers":
        reader = os.getpid(), get_native_id()
        with ExitStack() as stack:  # what is entered is left, should another one fail
            for rung in self._rungs:
                self._observers.append(stack.enter_context(rung.Observer(reader, self._buffers, self._fds)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._stack.__exit__(*error)

    def moments(self, begin_ns: int, end_ns: int) -> list[Moment]:
        """What was seen between two moments, in order of time; after the run."""
        seen = [moment for observer in self._observers for moment in observer.moments()]
        return sorted((each for each in seen if begin_ns <= each.ns <= end_ns), key=lambda each: each.ns)

    def lost(self) -> dict[str, int]:
        """How many events found no room, by rung, where one counts them; after the run."""
        counts = {}
        for rung, observer in zip(self._rungs, self._observers, strict=True):
            if rung in (trace_points, function_graph):
                counts[trace_points.NAME] = observer.losses.overrun + observer.losses.dropped
            elif rung is switch_record:
                counts[rung.NAME] = observer.lost
        return counts


def last_ready(moments: list[Moment], fd: int, closed_ns: int) -> Stamp | None:
    """When the kernel said for the last time that bytes of a descriptor are ready, by its own trace points.

    The end of a stream is "data ready", too: what comes after the sender's close, at `closed_ns`, is no bytes.
    """
    ready = [each for each in moments if each.kind == "data-ready" and each.fd == fd and each.ns < closed_ns]
    return Stamp(ready[-1].ns, ready[-1].earliest_ns, ready[-1].latest_ns, trace_points.NAME) if ready else None
