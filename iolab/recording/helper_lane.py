"""The lane of a helper that keeps no record of its own: glibc's for POSIX AIO, io_uring's workers. What /proc allows.

    application  ├ aio_read ┤            ├───────── aio_suspend ─────────┤   found done
    looks                      ·   ·   ·                                     S in wait_woken, read(5, ...)
    helper                  ├──── blocked ────┼───────── handover ───────┤   its CPU time grew by 84 µs
                                            ready

It cannot have begun before it was asked, was seen asleep, and was done before the application found that out. When it
got a CPU, and when it copied, lies somewhere after "ready": so that is one bar, handover.
"""

from dataclasses import replace

from iolab.calls import COMPLETION
from iolab.recording.evidence.helper_threads import Helper
from iolab.recording.moment import Moment
from iolab.recording.observation import Observation
from iolab.recording.refining import Part, inside, parts_of
from iolab.recording.stamp import Stamp, exact
from iolab.recording.timeline import Link, Span
from iolab.recording.wake_ups import COMPLETION_WAITS


def helper_lane(seen: Observation, lane: str, helper: Helper, fds: list[int]) -> tuple[list[Span], list[Link]]:
    """What one helper did for the descriptors `fds`."""
    spans, links, cursor, consumed = [], [], seen.begin_ns, dict.fromkeys(fds, 0)
    call = "read" if helper.fd is not None else ""  # io_uring's workers and pollers are in no call: they await work
    told = [(number, fd, nbytes) for number, call in enumerate(seen.calls) for fd, nbytes in call.completed]
    for number, fd, nbytes in ((number, fd, nbytes) for number, fd, nbytes in told if fd in consumed):
        found_ns = max(cursor, _found_ns(seen, number))
        asked_ns = min(max(cursor, _asked_ns(seen, fd, number)), found_ns)
        ready = replace(seen.streams[fd], consumed=consumed[fd]).ready(asked_ns, found_ns)
        links.append(Link("wake-up", seen.streams[fd].lanes[1], ready.ns, lane, ready.ns))
        consumed[fd], cursor = consumed[fd] + nbytes, found_ns
        parts = _traced(inside(seen.moments, helper.thread_id, fd, asked_ns, found_ns), asked_ns, ready)
        copied = [part for part in parts if part.state == "copy"]
        for part in parts if copied else ():
            count = nbytes if part is copied[0] else None
            spans.append(Span(lane, part.state, part.start, part.end, helper.thread_id, call, count, part.evidence))
        if copied:
            continue
        if helper.looks and ready.ns > asked_ns:
            state = "call" if helper.looks[-1].state == "R" else "blocked"
            first_look_ns = max(asked_ns, min(helper.looks[0].before_ns, ready.ns))
            start = Stamp(asked_ns, asked_ns, first_look_ns, "asked, then seen in /proc")
            spans.append(Span(lane, state, start, ready, helper.thread_id, call, None, helper.words))
        done = Stamp(found_ns, ready.earliest_ns, found_ns, "found done")
        spans.append(Span(lane, "handover", ready, done, helper.thread_id, call, nbytes, helper.words))
    return spans, links


def _traced(moments: list[Moment], asked_ns: int, ready: Stamp) -> list[Part]:
    """The helper's way to the end of its copy, by higher rungs; [] without them. It may have slept before it was asked."""
    ends = [moment for moment in moments if moment.kind == "copy-end"]
    if not ends:
        return []
    asleep = moments[0].kind in ("waking", "switched-in")
    end = Stamp(ends[-1].ns, ends[-1].earliest_ns, ends[-1].latest_ns, ends[-1].source)
    until = [moment for moment in moments if moment.ns <= end.ns]
    return parts_of(until, exact(asked_ns), end, ready, "blocked" if asleep else "call")


def _asked_ns(seen: Observation, fd: int, number: int) -> int:
    """When the work of completion `number` was submitted: after a call on the descriptor, or in a call for several."""
    before = [call for call in seen.calls[: number + 1] if not call.errno]
    own = [call.end_ns for call in before if call.fd == fd and not call.completed]
    joint = [call.start_ns for call in before if call.name == "io_uring_enter"]
    return max(own, default=0) or min(joint, default=seen.begin_ns)


def _found_ns(seen: Observation, number: int) -> int:
    """When the application knew: at the end of the wait that completion `number` ended, or of the call that told."""
    call, before = seen.calls[number], seen.calls[number - 1] if number else None
    if before and before.name in COMPLETION_WAITS and call.name not in (COMPLETION, *COMPLETION_WAITS):
        return before.end_ns
    return call.end_ns
