"""One call, taken apart by what higher rungs have seen inside it: asleep, woken without a CPU, copying, and the rest.

    call       ├─────────────────────── read ───────────────────────┤
    moments      out ┆          waking ┆   in ┆   copy ┆    ┆
    spans      ├ call ┼─── blocked ────┼ runnable ┼ call ┼ copy ┼ call ┤

The best evidence for each boundary, never an average: switches by trace points, else by the switch record; the copy by
the function graph, else by trace points, else by the witness. A moment outside of the call, or out of order, is not
believed; without any the call is left to the rules of thread_lane.
"""

from bisect import bisect_left, bisect_right
from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

from iolab.recording.moment import Moment
from iolab.recording.stamp import Stamp

ONE_COPY_NS = 5_000  # pieces of a copy that follow each other so closely are one span
RANK = {"function-graph": 0, "switch-record": 2, "witness": 3}
TRACE_POINTS = 1  # each names itself
_when = attrgetter("ns")
SWITCHES, COPIES = ("switched-out", "waking", "switched-in"), ("copy-start", "copy-end")


class Part(NamedTuple):
    """A piece of a call in one state; `evidence` is by whose word it ends."""

    state: str
    start: Stamp
    end: Stamp
    evidence: str


def rank(moment: Moment) -> int:
    """0 is best; sources are named after their rungs."""
    return next((number for name, number in RANK.items() if name in moment.source), TRACE_POINTS)


def best_of(moments: list[Moment], kinds: tuple[str, ...]) -> list[Moment]:
    """Of several rungs' moments of these kinds those of the best rung that has any, in order of time."""
    wanted = [moment for moment in moments if moment.kind in kinds]
    best = min(map(rank, wanted), default=0)
    return sorted((moment for moment in wanted if rank(moment) == best), key=lambda moment: moment.ns)


def inside(moments: list[Moment], thread_id: int, fd: int | None, start_ns: int, end_ns: int) -> list[Moment]:
    """What was seen of a thread in a stretch of time: its switches, and its copies from `fd` (None: it copies nothing).

    `moments` are in order of time.
    The witness does not know who copies: its moments, of thread 0, are the caller's to attribute.
    """
    here = moments[bisect_left(moments, start_ns, key=_when) : bisect_right(moments, end_ns, key=_when)]
    switches = best_of([moment for moment in here if moment.thread_id == thread_id], SWITCHES)
    copies = [
        moment for moment in here if moment.thread_id in (thread_id, 0) and fd is not None and moment.fd in (fd, -1)
    ]
    return sorted(switches + best_of(copies, COPIES), key=lambda moment: moment.ns)


def parts_of(moments: list[Moment], start: Stamp, end: Stamp, ready: Stamp | None, state: str = "call") -> list[Part]:
    """The parts of a call from `start`, when it was in `state`, to `end`; [] where the moments do not tell a story."""
    parts, since, by = [], start, "clock"

    def change(to: str, at: Stamp, source: str) -> None:
        nonlocal state, since, by
        if at.ns > since.ns:
            parts.append(Part(state, since, at, source if by == "clock" else by))
        state, since, by = to, at, source

    for moment in moments:
        at = Stamp(moment.ns, moment.earliest_ns, moment.latest_ns, moment.source)
        if moment.kind == "switched-out" and state in ("call", "copy"):
            change("runnable" if moment.detail.startswith("R") else "blocked", at, moment.source)
        elif moment.kind == "waking" and state == "blocked":
            change("runnable", at, moment.source)
        elif moment.kind == "switched-in" and state in ("blocked", "runnable"):
            if state == "blocked" and ready and since.ns < ready.ns < moment.ns:  # nobody saw the waking itself
                change("runnable", ready, ready.source)
            change("call", at, moment.source)
        elif moment.kind == "switched-in" and moment.earliest_ns <= start.ns:
            continue  # not seen but deduced; and whoever made this call had a CPU already
        elif moment.kind in SWITCHES and state == "call":  # it was never seen falling asleep
            return []
        elif moment.kind == "copy-start":
            if state != "call":  # a switch in was never seen: the copy proves it
                change("call", at, moment.source)
            change("copy", at, moment.source)
        elif moment.kind == "copy-end" and state == "copy":
            change("call", at, moment.source)
    if state in ("blocked", "copy"):  # it returned all the same: something is missing
        return []
    if state == "runnable":  # nobody saw it get a CPU; it had one when it returned
        by, end = f"{by}; until the return: an upper bound", replace(end, earliest_ns=since.ns)
    change("", end, "clock")
    return _joined(parts)


def _joined(parts: list[Part]) -> list[Part]:
    """The pieces of one copy as one part."""
    result: list[Part] = []
    for part in parts:
        between = len(result) >= 2 and result[-2].state == part.state == "copy" and result[-1].state == "call"
        if between and result[-1].end.ns - result[-1].start.ns <= ONE_COPY_NS:
            result[-2:] = [result[-2]._replace(end=part.end)]
        else:
            result.append(part)
    return result
