"""A Timeline as Perfetto's own trace (.pftrace): a row of packets, nanoseconds, and the clock that they are of.

    clock_snapshot: MONOTONIC │ descriptors: process, thread, name, rank │ begin · instant · end · begin · end ...

Two facts that surprise. A slice is two packets that never name each other: an end belongs to the last begin of its
track. And a trace begins in CLOCK_BOOTTIME, whatever its packets say: MONOTONIC counts only if a clock snapshot makes it
the primary clock, or can translate it. So the snapshot comes first, packets are sorted by time, and at equal times an
end comes before the next begin. Field numbers: protos/perfetto/trace/ in Perfetto's source, never reused there.
"""

from iolab.recording.protobuf import double, fixed64, integer, message, text
from iolab.recording.timeline import Timeline
from iolab.recording.trace_events import Bar, Mark, Track, trace_events

MONOTONIC = 3  # BuiltinClock
SEQUENCE = 1  # whose packets these are: one writer's
BEGIN, END, INSTANT = 1, 2, 3  # TrackEvent.Type
EXPLICIT = 1  # process_ordering, thread_ordering


def perfetto_trace(timeline: Timeline) -> bytes:
    """The bytes of a Trace message with TrackEvents; ValueError where spans of a lane overlap."""
    tracks, bars, marks = events = trace_events(timeline)
    uuids = {track: number for number, track in enumerate(tracks, len(tracks) + 1)}
    timed = [event for bar in bars for event in _bar(bar, uuids[bar.track])]
    timed += [(mark.ns, _mark(mark, uuids[mark.track])) for mark in marks]
    timed.sort(key=lambda event: event[0])
    packets = [_clock(events.first_ns), *_descriptors(tracks, uuids), *(_packet(*event) for event in timed)]
    return b"".join(packets)


def _clock(ns: int) -> bytes:
    """ClockSnapshot: `clocks` one, MONOTONIC at some moment; `primary_trace_clock` the same: times are shown as they are."""
    clock = message(1, integer(1, MONOTONIC), integer(2, ns))
    return message(1, message(6, clock, integer(2, MONOTONIC)))


def _descriptors(tracks: list[Track], uuids: dict[Track, int]) -> list[bytes]:
    """TrackDescriptors: track 0, of which all are children, orders them by rank; a process, then its threads."""
    written = [_descriptor(integer(1, 0), integer(19, EXPLICIT), integer(20, EXPLICIT))]
    processes: dict[int, int] = {}
    for rank, track in enumerate(tracks):
        if track.process_id not in processes:
            processes[track.process_id] = rank + 1
            process = message(3, integer(1, track.process_id), text(6, track.process))
            written.append(_descriptor(integer(1, rank + 1), process, integer(12, rank)))
        thread = message(4, integer(1, track.process_id), integer(2, track.thread_id), text(5, track.lane))
        written.append(
            _descriptor(integer(1, uuids[track]), thread, integer(5, processes[track.process_id]), integer(12, rank))
        )
    return written


def _descriptor(*fields: bytes) -> bytes:
    return message(1, integer(10, SEQUENCE), message(60, *fields))


def _packet(ns: int, event: bytes) -> bytes:
    return message(1, integer(8, ns), integer(10, SEQUENCE), event, integer(58, MONOTONIC))


def _event(kind: int, uuid: int, name: str, category: str, details: dict, *more: bytes) -> bytes:
    """TrackEvent with its debug annotations: what a viewer shows when it is clicked."""
    annotations = [_annotation(4, name, value) for name, value in details.items() if value is not None]
    return message(11, *annotations, integer(9, kind), integer(11, uuid), text(22, category), text(23, name), *more)


def _bar(bar: Bar, uuid: int) -> list[tuple[int, bytes]]:
    begin = _event(BEGIN, uuid, bar.name, bar.category, bar.details)
    return [(bar.start_ns, begin), (bar.end_ns, message(11, integer(9, END), integer(11, uuid)))]


def _mark(mark: Mark, uuid: int) -> bytes:
    """An instant; flow_ids says that an arrow leaves it, terminating_flow_ids that one ends."""
    flow = [fixed64(48 if mark.arrives else 47, mark.flow)] if mark.flow else []
    return _event(INSTANT, uuid, mark.name, mark.category, mark.details, *flow)


def _annotation(field: int, name: str, value) -> bytes:
    """DebugAnnotation: a name and a value, which may be a dictionary or a list; what a list holds has no name."""
    named = [text(10, name)] if name else []
    if isinstance(value, dict):
        entries = [_annotation(11, key, each) for key, each in value.items() if each is not None]
        return message(field, *named, *entries)
    if isinstance(value, list | tuple):
        return message(field, *named, *(_annotation(12, "", each) for each in value))
    if isinstance(value, bool):
        return message(field, integer(2, value), *named)
    if isinstance(value, int):
        return message(field, integer(4, value), *named)
    if isinstance(value, float):
        return message(field, double(5, value), *named)
    return message(field, text(6, str(value)), *named)
