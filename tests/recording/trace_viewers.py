"""Traces as a viewer reads them: Chrome's JSON by json, Perfetto's by the official classes; both into the same words.

The rules for a track are those of Perfetto's trace processor (slice_tracker.cc, flow_tracker.cc): in the order of the
file a slice that has ended is closed; one without length closes no other without length; a slice that would outlive the
one around it is an error; an arrow belongs to the innermost slice that is open.
"""

import json
from dataclasses import dataclass, field

from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import (
    BUILTIN_CLOCK_MONOTONIC,
    Trace,
    TrackDescriptor,
    TrackEvent,
)


@dataclass
class Slice:
    lane: str
    name: str
    category: str
    start_ns: int
    end_ns: int | None  # None: still open
    args: dict
    depth: int


@dataclass
class Shown:
    """What a viewer shows: for each lane its process and (process id, thread id), from top to bottom; slices; arrows."""

    lanes: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    arrows: list[tuple[Slice, Slice]] = field(default_factory=list)
    stacks: dict[str, list[Slice]] = field(default_factory=dict)

    def open(self, lane, name, category, start_ns, end_ns, args) -> Slice:
        stack = self.stacks.setdefault(lane, [])
        while stack and stack[-1].end_ns is not None:
            last = stack[-1]
            both_without_length = last.start_ns == last.end_ns == start_ns == end_ns
            if last.end_ns > start_ns or both_without_length:
                break
            stack.pop()
        if stack and stack[-1].end_ns is not None and end_ns is not None:
            assert end_ns <= stack[-1].end_ns, f"{lane}: {name} outlives {stack[-1].name} around it"
        self.slices.append(Slice(lane, name, category, start_ns, end_ns, args, len(stack)))
        stack.append(self.slices[-1])
        return stack[-1]

    def bars(self, categories) -> list[Slice]:
        return [one for one in self.slices if one.category in categories]


def nanoseconds(microseconds: float) -> int:
    """As trace processor does it: cut off (json_parser.h, CoerceToTs)."""
    return int(microseconds * 1000.0)


def read_chrome(text: str) -> Shown:
    whole = json.loads(text)
    events, zero_ns, shown = whole["traceEvents"], whole["otherData"]["zero_ns"], Shown()
    said = {(event["name"], event["tid"]): event for event in events if event["ph"] == "M"}
    processes = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert len(processes) == sum(event["name"] == "process_name" for event in events)
    ranks = {event["pid"]: event["args"]["sort_index"] for event in events if event["name"] == "process_sort_index"}
    threads = [event for (name, _), event in said.items() if name == "thread_name"]
    assert len(threads) == sum(event["name"] == "thread_name" for event in events)
    order = {tid: event["args"]["sort_index"] for (name, tid), event in said.items() if name == "thread_sort_index"}
    for event in sorted(threads, key=lambda event: (ranks[event["pid"]], order[event["tid"]])):
        shown.lanes[event["args"]["name"]] = (processes[event["pid"]], event["pid"], event["tid"])
    lanes = {numbers: lane for lane, (_, *numbers) in ((lane, (p, (a, b))) for lane, (p, a, b) in shown.lanes.items())
             for numbers in numbers}  # fmt: skip
    last, flows = 0.0, {}
    for event in (event for event in events if event["ph"] != "M"):
        assert event["ts"] >= last, "not in order of time"
        last, lane = event["ts"], lanes[event["pid"], event["tid"]]
        start_ns = zero_ns + nanoseconds(event["ts"])
        if event["ph"] in "Xi":
            assert event["ph"] == "X" or event["s"] == "t"
            end_ns = start_ns + nanoseconds(event.get("dur", 0))
            shown.open(lane, event["name"], event["cat"], start_ns, end_ns, event["args"])
        elif event["ph"] == "s":
            assert event["id"] not in flows
            flows[event["id"]] = (event["name"], event["cat"], shown.stacks[lane][-1])
        else:
            assert (event["ph"], event["bp"]) == ("f", "e")
            name, category, leaves = flows.pop(event["id"])
            assert (name, category) == (event["name"], event["cat"])
            shown.arrows.append((leaves, shown.stacks[lane][-1]))
    assert flows == {}, "arrows that never arrive"
    return shown


def unknown_fields(message) -> list[int]:
    """Field numbers that the official classes do not know, at any depth."""
    found = [one.field_number for one in UnknownFieldSet(message)]
    for kind, value in message.ListFields():
        if kind.message_type:
            for each in value if kind.is_repeated else [value]:
                found += unknown_fields(each)
    return found


def annotated(one):
    """The value of a DebugAnnotation."""
    if one.dict_entries:
        return {each.name: annotated(each) for each in one.dict_entries}
    if one.array_values:
        return [annotated(each) for each in one.array_values]
    kind = one.WhichOneof("value")
    return getattr(one, kind) if kind else {}


def read_perfetto(data: bytes) -> Shown:
    trace, shown = Trace.FromString(data), Shown()
    assert unknown_fields(trace) == []
    assert trace.SerializeToString() == data  # byte for byte what the official writer makes of it
    first, *packets = trace.packet
    assert first.clock_snapshot.primary_trace_clock == BUILTIN_CLOCK_MONOTONIC
    assert [one.clock_id for one in first.clock_snapshot.clocks] == [BUILTIN_CLOCK_MONOTONIC]
    tracks = [packet.track_descriptor for packet in packets if packet.HasField("track_descriptor")]
    known = {one.uuid: one for one in tracks}
    assert len(known) == len(tracks)
    assert known[0].process_ordering == TrackDescriptor.PROCESS_ORDERING_EXPLICIT
    assert known[0].thread_ordering == TrackDescriptor.THREAD_ORDERING_EXPLICIT
    threads = [one for one in tracks if one.HasField("thread")]
    for one in sorted(threads, key=lambda one: (known[one.parent_uuid].sibling_order_rank, one.sibling_order_rank)):
        process = known[one.parent_uuid].process
        assert process.pid == one.thread.pid
        shown.lanes[one.thread.thread_name] = (process.process_name, process.pid, one.thread.tid)
    last, flows = 0, {}
    for packet in (packet for packet in packets if packet.HasField("track_event")):
        event, lane = packet.track_event, known[packet.track_event.track_uuid].thread.thread_name
        assert packet.trusted_packet_sequence_id
        assert packet.timestamp_clock_id == BUILTIN_CLOCK_MONOTONIC
        assert packet.timestamp >= last, "not in order of time"
        last = packet.timestamp
        if event.type == TrackEvent.TYPE_SLICE_END:
            while (ending := shown.stacks[lane].pop()).end_ns is not None:  # instants, which are over
                pass
            ending.end_ns = packet.timestamp
            continue
        args = {one.name: annotated(one) for one in event.debug_annotations}
        end_ns = packet.timestamp if event.type == TrackEvent.TYPE_INSTANT else None
        one = shown.open(lane, event.name, event.categories[0], packet.timestamp, end_ns, args)
        flows |= dict.fromkeys(event.flow_ids, one)
        shown.arrows += [(flows.pop(number), one) for number in event.terminating_flow_ids]
    assert flows == {}, "arrows that never arrive"
    assert all(one.end_ns is not None for one in shown.slices), "slices that never end"
    return shown
