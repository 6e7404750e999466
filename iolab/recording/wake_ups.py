"""Why a sleeping call went on: which stream it waited for, and when what it waited for was there.

    read, epoll_wait     until data is ready                    the thread itself goes on, and copies
    aio_suspend, futex   until somebody else has copied         ready ≤ done ≤ the end of the call

A wait on several streams: which one woke it is not certain; the claimed interval covers all candidates.
"""

from collections.abc import Iterable

from iolab.calls import Call
from iolab.recording.observation import HELPER_COPIES, Observation
from iolab.recording.stamp import Stamp
from iolab.recording.stream import Stream
from iolab.recording.timeline import Link

READS = {"read"}
WAITS = {
    "select",
    "poll",
    "epoll_wait",
    "sigtimedwait",
    "io_getevents",
    "io_pgetevents",
}  # for descriptors; copy nothing
COMPLETION_WAITS = {"aio_suspend", "futex", "io_uring_enter"}


def awaited(call: Call, from_here: Iterable[Call]) -> int:
    """The descriptor that a call is about; of a wait for completions, that of the first one told by it or after it."""
    if call.name in COMPLETION_WAITS:
        for each in from_here:
            if each.completed:
                return each.completed[0][0]
    return call.fd


def waited(call: Call, stream: Stream | None, streams: dict[int, Stream]) -> bool:
    """Whether a call that slept did so for data: not if that was there before the call began."""
    if call.name in READS | COMPLETION_WAITS:
        return stream is not None and not stream.was_ready(call.start_ns)
    pending = [stream] if stream else [each for each in streams.values() if each.consumed < each.wanted]
    return call.name in WAITS and not any(each.was_ready(call.start_ns) for each in pending)


def woken(call: Call, stream: Stream | None, streams: dict[int, Stream]) -> tuple[Stamp, Stream]:
    """When what a sleeping call waited for was there, and which stream it was."""
    if stream:
        return stream.ready(call.start_ns, call.end_ns), stream
    waiting = [each for each in streams.values() if each.consumed < each.wanted] or list(streams.values())
    moments = [(each.ready(call.start_ns, call.end_ns), each) for each in waiting]
    first, by = min(moments, key=lambda moment: moment[0].ns)
    # Which of them it was is not known for sure: the first of all lies before the end of every interval.
    earliest, latest = (min(getattr(stamp, name) for stamp, _ in moments) for name in ("earliest_ns", "latest_ns"))
    return Stamp(first.ns, earliest, latest, first.source), by


def done_by_another(seen: Observation, fd: int, call: Call, stream: Stream) -> Stamp:
    """When another thread had copied what a sleeping call waited for: exactly, where that thread kept a record."""
    if seen.helper_calls and seen.copier(fd)[0] == HELPER_COPIES:
        ends = [take.end_ns for take in seen.takes_of(fd) if call.start_ns <= take.end_ns <= call.end_ns]
        if ends:
            return Stamp(ends[0], ends[0], ends[0], "the helper's own clock")
    earliest = stream.ready(call.start_ns, call.end_ns).earliest_ns
    return Stamp(call.end_ns, earliest, call.end_ns, "the end of the wait")


def wake_up(lane: str, call: Call, ready: Stamp, stream: Stream) -> Link:
    """The arrow from a stream's queue to the thread that slept for it."""
    queue = stream.lanes[1]
    if call.name not in WAITS:
        return Link("wake-up", queue, ready.ns, lane, ready.ns)
    return Link("signal" if call.name == "sigtimedwait" else "ready", queue, ready.ns, lane, call.end_ns)
