"""What a trace viewer can show of a Timeline: a track for each lane, a bar for each span, a mark for each moment.

    peer         ├●─ send ─┤                                    bars of one track never overlap
    kernel         ╰───▶●┼──── queued ────┤                     a mark ● has no length
    application  ├──── blocked in read ───┼─ copy in read ─┤    an arrow goes from mark to mark

Chrome's format and Perfetto's know processes and threads only, so a lane is a thread of one of three processes: peer,
kernel, and ours. Two facts that surprise. Two bars of one track that overlap are refused or dropped by a viewer, without
a word in the picture. And Perfetto lets an arrow leave at the *end* of the bar that it starts in: an arrow tied to a bar
would show the wrong moment. So every arrow goes from mark to mark, and what overlaps is refused here.
"""

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from iolab.recording.stamp import Stamp
from iolab.recording.timeline import APPLICATION, HELPER, KERNEL, PEER, Span, Timeline

# No thread of Linux has a higher number (proc_sys_kernel(5), pid_max): what is no thread of ours is numbered above.
PID_MAX = 1 << 22
LINK, STAMP, LOOK, FACTS = "link", "stamp", "look", "facts"


class Track(NamedTuple):
    """A lane as a thread: the number of its thread, or, where it has none, one that no thread can have."""

    lane: str
    process: str
    process_id: int
    thread_id: int


class Bar(NamedTuple):
    """A span: `category` is its state, `name` the state and the call; times are CLOCK_MONOTONIC, ns."""

    track: Track
    start_ns: int
    end_ns: int
    name: str
    category: str
    details: dict


class Mark(NamedTuple):
    """A moment on a track; `flow` is the number of the arrow that leaves or arrives here, 0 for none."""

    track: Track
    ns: int
    name: str
    category: str
    details: dict
    flow: int = 0
    arrives: bool = False


class TraceEvents(NamedTuple):
    """All that is in a trace: bars track by track in order of time, marks with the two ends of each arrow in order."""

    tracks: list[Track]
    bars: list[Bar]
    marks: list[Mark]

    @property
    def first_ns(self) -> int:
        """When the trace begins; 0 for an empty one."""
        return min([bar.start_ns for bar in self.bars] + [mark.ns for mark in self.marks], default=0)


def trace_events(timeline: Timeline) -> TraceEvents:
    """The events of one run; ValueError where spans of a lane overlap, for no viewer would show both."""
    tracks = _tracks(timeline)
    bars = [bar for lane, track in tracks.items() for bar in _bars(timeline, lane, track)]
    return TraceEvents(list(tracks.values()), bars, [*_moments(timeline, tracks), *_arrows(timeline, tracks)])


def _tracks(timeline: Timeline) -> dict[str, Track]:
    known = {lane: max(span.thread_id for span in timeline.lane(lane)) for lane in timeline.lanes}
    ends = [lane for link in timeline.links for lane in (link.from_lane, link.to_lane)]
    free = (number for number in count(PID_MAX + 1) if number not in known.values())
    threads = {lane: known.get(lane) or next(free) for lane in dict.fromkeys([*known, *ends])}
    processes: dict[str, list[str]] = {PEER: [], KERNEL: []}
    for lane in threads:
        group = lane.partition("-")[0]
        processes.setdefault(APPLICATION if group == HELPER else group, []).append(lane)
    # A Timeline tells no process id; the first thread of a process has the same number (clone(2), CLONE_THREAD).
    tracks = {}
    for group, lanes in processes.items():
        process_id = threads[APPLICATION if APPLICATION in lanes else lanes[0]] if lanes else 0
        tracks |= {lane: Track(lane, _process(timeline, group), process_id, threads[lane]) for lane in lanes}
    return tracks


def _process(timeline: Timeline, group: str) -> str:
    if group != APPLICATION:
        return group
    recorded = timeline.facts.get("recorded")
    return f"iolab: {timeline.model}" + (f", a RECORDING of {recorded}" if recorded else "")


def _bars(timeline: Timeline, lane: str, track: Track) -> Iterator[Bar]:
    end_ns = None
    for span in sorted(timeline.lane(lane), key=lambda span: (span.start.ns, span.end.ns)):
        if span.duration_ns < 0 or (end_ns is not None and span.start.ns < end_ns):
            raise ValueError(f"spans of one lane must not overlap: {lane}, {_name(span)}")
        end_ns = span.end.ns
        yield Bar(track, span.start.ns, span.end.ns, _name(span), span.state, _details(span))


def _name(span: Span) -> str:
    if span.call and span.state in ("call", "peer"):
        return span.call
    return f"{span.state} in {span.call}" if span.call else span.state


def _details(span: Span) -> dict:
    """What is known of a bar; of each end, by how much it may lie earlier or later than drawn."""
    more = {"calls": span.calls, "calls_ns": span.calls_ns} if span.calls != 1 else {}
    known = {"state": span.state, "evidence": span.evidence, "bytes": span.nbytes, "call": span.call or None, **more}
    details = {name: value for name, value in known.items() if value is not None}
    return details | {"start": _interval(span.start), "end": _interval(span.end)}


def _interval(stamp: Stamp) -> dict:
    earlier_ns, later_ns = stamp.ns - stamp.earliest_ns, stamp.latest_ns - stamp.ns
    return {"earlier_ns": earlier_ns, "later_ns": later_ns, "source": stamp.source}


def _moments(timeline: Timeline, tracks: dict[str, Track]) -> Iterator[Mark]:
    """The facts at the beginning, every stamp of the moment "ready", every look into /proc."""
    facts = timeline.facts
    application = tracks.get(APPLICATION)
    if application and "begin_ns" in facts:
        told = {name: fact for name, fact in facts.items() if name != "looks"}
        yield Mark(application, facts["begin_ns"], f"run of {timeline.model}", FACTS, told)
    for number, delivery in enumerate(facts.get("deliveries", ()), 1):
        queue = tracks.get(KERNEL) or tracks.get(f"{KERNEL}-{number}")
        for one in delivery["ready_stamps"] if queue else ():
            stamp = Stamp(one["ns"], one["earliest_ns"], one["latest_ns"], one["source"])
            yield Mark(queue, stamp.ns, f"ready, by {stamp.source}", STAMP, _interval(stamp))
    for before_ns, after_ns, state, wchan, call in facts.get("looks", ()) if application else ():
        details = {"earlier_ns": after_ns - before_ns, "later_ns": 0, "source": "/proc", "syscall": call}
        yield Mark(application, after_ns, f"seen: {state} in {wchan}", LOOK, details)


def _arrows(timeline: Timeline, tracks: dict[str, Track]) -> Iterator[Mark]:
    for flow, link in enumerate(timeline.links, 1):
        details = {"from": link.from_lane, "to": link.to_lane}
        yield Mark(tracks[link.from_lane], link.from_ns, link.kind, LINK, details, flow)
        yield Mark(tracks[link.to_lane], link.to_ns, link.kind, LINK, details, flow, arrives=True)
