"""A moment that evidence has seen: of which kind, of which thread, when, and by whose word.

    switched-out ┄ waking ┄ switched-in ┄ copy-start ┄ copy-end          of one read that slept, by trace points

All times are CLOCK_MONOTONIC in nanoseconds; the truth is claimed to lie in [earliest_ns, latest_ns].
"""

from typing import NamedTuple

KINDS = (
    "call-enter", "call-exit", "switched-out", "waking", "switched-in", "data-ready", "copy-start", "copy-end",
    "signal", "device-start", "device-end", "task-work", "worker",
)  # fmt: skip


class Moment(NamedTuple):
    """`thread_id` is whom it concerns: who is woken, who copies. `detail` is a state letter, a call, a thread's name."""

    kind: str
    thread_id: int
    ns: int
    earliest_ns: int
    latest_ns: int
    source: str
    fd: int = -1
    nbytes: int = 0
    detail: str = ""
