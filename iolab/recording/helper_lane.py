"""The lane of a helper that keeps no record of its own: glibc's for POSIX AIO, io_uring's workers. What /proc allows.

    application  ├ aio_read ┤            ├───────── aio_suspend ─────────┤   found done
    looks                      ·   ·   ·                                     S in wait_woken, read(5, ...)
    helper                  ├──── blocked ────┼───────── handover ───────┤   its CPU time grew by 84 µs
                                            ready

It cannot have begun before it was asked, was seen asleep, and was done before the application found that out. When it
got a CPU, and when it copied, lies somewhere after "ready": so that is one bar, handover.
"""

from dataclasses import replace

from iolab.calls import Call
from iolab.recording.evidence.helper_threads import Helper
from iolab.recording.observation import Observation
from iolab.recording.stamp import Stamp
from iolab.recording.timeline import Link, Span
from iolab.recording.wake_ups import COMPLETION_WAITS


def helper_lane(seen: Observation, lane: str, helper: Helper, fds: list[int]) -> tuple[list[Span], list[Link]]:
    """What one helper did for the descriptors `fds`."""
    spans, links, cursor = [], [], seen.begin_ns
    for fd in fds:
        consumed = 0
        for number, call in enumerate(seen.calls):
            for nbytes in [nbytes for of, nbytes in call.completed if of == fd]:
                asked, found_ns = max(cursor, _asked_ns(seen, fd, number)), _found_ns(seen, number)
                ready = replace(seen.streams[fd], consumed=consumed).ready(asked, max(asked, found_ns))
                state = {"R": "call"}.get(helper.looks[-1].state if helper.looks else "", "blocked")
                if helper.looks and ready.ns > asked:
                    start = Stamp(
                        asked, asked, max(asked, min(helper.looks[0].before_ns, ready.ns)), "asked, seen in /proc"
                    )
                    spans.append(Span(lane, state, start, ready, helper.thread_id, "read", None, helper.words))
                if found_ns > ready.ns:
                    done = Stamp(found_ns, ready.earliest_ns, found_ns, "found done")
                    spans.append(Span(lane, "handover", ready, done, helper.thread_id, "read", nbytes, helper.words))
                links.append(Link("wake-up", seen.streams[fd].lanes[1], ready.ns, lane, ready.ns))
                consumed, cursor = consumed + nbytes, found_ns
    return spans, links


def _asked_ns(seen: Observation, fd: int, number: int) -> int:
    """The end of the latest call before completion `number` that submitted work for the descriptor."""
    submits = [call for call in seen.calls[:number] if call.fd == fd and not call.completed and not call.errno]
    return submits[-1].end_ns if submits else seen.begin_ns


def _found_ns(seen: Observation, number: int) -> int:
    """When the application knew: at the end of the wait that completion `number` ended, or of the call that told."""
    call: Call = seen.calls[number]
    if call.name not in COMPLETION_WAITS and number and seen.calls[number - 1].name in COMPLETION_WAITS:
        return seen.calls[number - 1].end_ns
    return call.end_ns
