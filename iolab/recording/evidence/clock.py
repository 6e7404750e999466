"""Rung 0, the clock: stamps before and after, the thread's own counters, the sender's bracket. Always there.

    sender     before ├── send() ──┤ after         data came between the two; on an idle machine the kernel
    reader        asleep in read()    ├─ returns   delivers over loopback inside the sender's own call

What it gives: bounds and durations. A voluntary context switch proves that a call slept; the thread's CPU time
tells for how long it did not. What it cannot give: when the thread got a CPU again, and when the copy began. From
"ready" to the return is therefore one piece, "handover".

Two facts that surprise:
* The sender's send() may return after the reader's read(): the woken reader takes the sender's CPU at once.
* A long send() makes data ready soon after its beginning, a send() of one byte at its end. That is why a sender
  sends the last byte alone.
"""

import time
from typing import NamedTuple

from iolab.recording.senders import Sent
from iolab.recording.stamp import Stamp

try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:
    RUSAGE_THREAD = getrusage = None

NAME = "clock"
# A send() of at most this much goes as one segment (an interface's smallest usual MTU): it is ready all at once.
ONE_SEGMENT = 1400


class Counters(NamedTuple):
    """What the kernel has counted for the calling thread so far."""

    cpu_ns: int
    voluntary_switches: int
    involuntary_switches: int


def counters() -> Counters:
    """CLOCK_THREAD_CPUTIME_ID and getrusage(RUSAGE_THREAD) of the calling thread."""
    usage = getrusage(RUSAGE_THREAD)
    return Counters(time.thread_time_ns(), usage.ru_nvcsw, usage.ru_nivcsw)


def arrival(sends: list[Sent], wanted: int) -> Stamp | None:
    """When byte number `wanted` (from 1) was queued at the reader, or the stream ended before it.

    None when the sender reported neither: it was killed.
    """
    total = 0
    for sent in sends:
        total += sent.nbytes
        if total >= wanted or sent.nbytes == 0:
            at_end = total == wanted or 0 <= sent.nbytes <= ONE_SEGMENT
            ns = sent.after_ns if at_end else sent.before_ns
            return Stamp(ns, sent.before_ns, sent.after_ns, "sender's bracket")
    return None


def unavailable() -> str | None:
    """Why this system cannot count a thread's sleeps; None when it can."""
    return None if getrusage else "no getrusage(RUSAGE_THREAD): it is Linux's"
