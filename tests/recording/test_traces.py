"""Traces for Chrome and Perfetto: every nanosecond, every arrow and every doubt of a Timeline is in them."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import DebugAnnotation, TrackEvent

from iolab import recorded
from iolab.recording.assembling import timeline_of
from iolab.recording.chrome_trace import chrome_trace, microseconds
from iolab.recording.perfetto_trace import perfetto_trace
from iolab.recording.protobuf import double, fixed64, integer, message, text, varint
from iolab.recording.stamp import Stamp, exact
from iolab.recording.timeline import APPLICATION, STATES, Link, Span, Timeline
from tests.recording.observations import truths
from tests.recording.trace_viewers import read_chrome, read_perfetto

FILES = sorted(Path(recorded.__file__).parent.glob("*.json"))
RUNS = [file for file in FILES if json.loads(file.read_text(encoding="utf-8")).keys() >= {"spans", "links"}]
MOST_THREADS = 1 << 22  # proc_sys_kernel(5): the highest pid_max

every_run = pytest.mark.parametrize("file", RUNS, ids=[file.stem for file in RUNS])
both_formats = pytest.mark.parametrize(
    "shown_of",
    [lambda timeline: read_chrome(chrome_trace(timeline)), lambda timeline: read_perfetto(perfetto_trace(timeline))],
    ids=["chrome", "perfetto"],
)

QUEUED = Stamp(5_007, 5_001, 5_019, "receive time stamp")
SMALL = Timeline(
    "epoll",
    {"nbytes": 4},
    (
        Span("peer", "peer", exact(5_000), exact(5_009), 0, "send", 4),
        Span("kernel", "queued", QUEUED, exact(5_300), nbytes=4),
        Span(APPLICATION, "blocked", exact(4_001), QUEUED, 77, "read", None, "clock, slept 1×"),
        Span(APPLICATION, "handover", QUEUED, exact(5_300), 77, "read", 4),
    ),
    (Link("wake-up", "kernel", 5_007, APPLICATION, 5_008),),
)


def timeline_in(file: Path) -> Timeline:
    return Timeline.from_json(file.read_text(encoding="utf-8"))


def test_there_are_recorded_runs_to_test_with():
    assert len(RUNS) >= 10


@every_run
@both_formats
def test_every_span_is_a_bar_with_its_very_nanoseconds_its_bytes_and_its_evidence(file, shown_of):
    timeline = timeline_in(file)
    bars = [
        (bar.lane, bar.category, bar.start_ns, bar.end_ns, bar.args.get("bytes"), bar.args["evidence"], bar.depth)
        for bar in shown_of(timeline).bars(STATES)
    ]
    spans = [
        (span.lane, span.state, span.start.ns, span.end.ns, span.nbytes, span.evidence, 0) for span in timeline.spans
    ]
    assert Counter(bars) == Counter(spans)


@every_run
@both_formats
def test_the_doubt_about_both_ends_of_a_bar_is_told(file, shown_of):
    timeline = timeline_in(file)
    told = Counter(
        (bar.lane, bar.start_ns - bar.args["start"]["earlier_ns"], bar.end_ns + bar.args["end"]["later_ns"])
        for bar in shown_of(timeline).bars(STATES)
    )
    assert told == Counter((span.lane, span.start.earliest_ns, span.end.latest_ns) for span in timeline.spans)


@every_run
@both_formats
def test_every_arrow_leaves_and_arrives_at_its_very_moment(file, shown_of):
    timeline = timeline_in(file)
    arrows = []
    for leaves, arrives in shown_of(timeline).arrows:
        # Perfetto draws from the end of the one slice to the start of the other.
        arrows.append((leaves.name, leaves.lane, leaves.end_ns, arrives.lane, arrives.start_ns))
        assert leaves.name == arrives.name
    assert Counter(arrows) == Counter(
        (link.kind, link.from_lane, link.from_ns, link.to_lane, link.to_ns) for link in timeline.links
    )


@every_run
@both_formats
def test_lanes_are_threads_of_named_processes_in_the_order_of_the_figure(file, shown_of):
    timeline = timeline_in(file)
    lanes = shown_of(timeline).lanes
    assert list(lanes) == timeline.lanes
    assert len({thread_id for _, _, thread_id in lanes.values()}) == len(lanes)
    own = {lane for lane in lanes if lane.startswith((APPLICATION, "helper"))}
    for lane, (process, process_id, thread_id) in lanes.items():
        if lane in own:
            assert {thread_id} == {span.thread_id for span in timeline.lane(lane)}
            assert process_id == timeline.lane(APPLICATION)[0].thread_id
            assert "RECORDING" in process
            assert timeline.facts["recorded"] in process
        else:
            assert process == lane.partition("-")[0]
            assert min(process_id, thread_id) > MOST_THREADS


@every_run
@both_formats
def test_the_facts_and_every_stamp_and_look_are_marks(file, shown_of):
    timeline = timeline_in(file)
    shown = shown_of(timeline)
    (facts,) = shown.bars(["facts"])
    assert facts.start_ns == timeline.facts["begin_ns"]
    for name in ("kernel", "nbytes", "cpu_ns", "calls", "asynchronous"):
        assert facts.args[name] == timeline.facts[name]
        assert type(facts.args[name]) is type(timeline.facts[name])
    stamps = [stamp for delivery in timeline.facts["deliveries"] for stamp in delivery["ready_stamps"]]
    told = [(one.start_ns, one.args["source"]) for one in shown.bars(["stamp"])]
    assert Counter(told) == Counter((stamp["ns"], stamp["source"]) for stamp in stamps)
    looks = [(one.start_ns - one.args["earlier_ns"], one.start_ns) for one in shown.bars(["look"])]
    assert sorted(looks) == sorted((look[0], look[1]) for look in timeline.facts["looks"])


@both_formats
def test_bars_are_called_by_state_and_call(shown_of):
    names = [bar.name for bar in sorted(shown_of(SMALL).bars(STATES), key=lambda bar: (bar.lane, bar.start_ns))]
    assert names == ["blocked in read", "handover in read", "queued", "send"]


@given(truths())
@settings(max_examples=40, deadline=None)
def test_any_timeline_that_could_be_true_is_readable_in_both_formats(truth):
    timeline = timeline_of(truth.observation)
    chrome, perfetto = read_chrome(chrome_trace(timeline)), read_perfetto(perfetto_trace(timeline))
    for shown in (chrome, perfetto):
        assert len(shown.bars(STATES)) == len(timeline.spans)
        assert len(shown.arrows) == len(timeline.links)
    assert chrome.lanes == perfetto.lanes

    def times(shown):
        return Counter((one.lane, one.name, one.start_ns, one.end_ns) for one in shown.slices)

    assert times(chrome) == times(perfetto)


@pytest.mark.parametrize("write", [chrome_trace, perfetto_trace])
@pytest.mark.parametrize("second", [(7, 12), (12, 11)], ids=["overlaps", "ends before it begins"])
def test_bars_that_no_viewer_could_show_are_refused(write, second):
    spans = [Span(APPLICATION, "user", exact(0), exact(10)), Span(APPLICATION, "copy", *_stamps(*second), 1, "read")]
    with pytest.raises(ValueError, match="application, copy in read"):
        write(Timeline("any", {}, tuple(spans)))


def _stamps(start_ns: int, end_ns: int) -> tuple[Stamp, Stamp]:
    return exact(start_ns), exact(end_ns)


@both_formats
def test_an_arrow_to_a_lane_without_bars_has_a_lane_to_arrive_at(shown_of):
    links = (Link("data", "peer", 3, "kernel", 4),)
    shown = shown_of(Timeline("any", {}, (Span(APPLICATION, "user", exact(0), exact(9), 5),), links))
    assert list(shown.lanes) == ["peer", "kernel", APPLICATION]
    assert [(leaves.lane, arrives.lane) for leaves, arrives in shown.arrows] == [("peer", "kernel")]


@both_formats
def test_a_timeline_without_spans_is_an_empty_trace(shown_of):
    shown = shown_of(Timeline("any"))
    assert (shown.lanes, shown.slices) == ({}, [])


# Chrome's numbers


@given(st.integers(0, (1 << 51) - 1))
@settings(max_examples=2000, deadline=None)
def test_microseconds_are_the_nanosecond_again_whether_cut_off_or_rounded(ns):
    read = json.loads(json.dumps(microseconds(ns)))
    assert math.floor(read * 1000) == round(read * 1000) == ns


def test_every_nanosecond_of_the_first_ten_thousand_survives():
    assert [math.floor(microseconds(ns) * 1000) for ns in range(10_000)] == list(range(10_000))


def test_chrome_json_is_the_document_that_the_format_asks_for():
    whole = json.loads(chrome_trace(SMALL))
    assert whole["displayTimeUnit"] == "ns"
    assert whole["otherData"]["zero_ns"] == 4_001
    timed = [event for event in whole["traceEvents"] if event["ph"] != "M"]
    assert [(event["ph"], event["name"], round(event["ts"], 3), event.get("dur") and round(event["dur"], 3))
            for event in timed] == [
        ("X", "blocked in read", 0.0, 1.006),
        ("X", "send", 0.999, 0.009),
        ("X", "queued", 1.006, 0.293),
        ("X", "handover in read", 1.006, 0.293),
        ("X", "wake-up", 1.006, 0),
        ("s", "wake-up", 1.006, None),
        ("X", "wake-up", 1.007, 0),
        ("f", "wake-up", 1.007, None),
    ]  # fmt: skip
    assert timed[0]["args"]["end"] == {"earlier_ns": 6, "later_ns": 12, "source": "receive time stamp"}


# Protocol Buffers, by the official writer


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=False), st.text())
def test_fields_are_written_as_the_official_writer_writes_them(number, fraction, string):
    assert integer(4, number) == DebugAnnotation(int_value=number).SerializeToString()
    assert double(5, fraction) == DebugAnnotation(double_value=fraction).SerializeToString()
    assert text(6, string) == DebugAnnotation(string_value=string).SerializeToString()
    inner = DebugAnnotation(dict_entries=[DebugAnnotation(int_value=number)])
    assert message(11, integer(4, number)) == inner.SerializeToString()


@given(st.integers(0, (1 << 64) - 1))
def test_unsigned_numbers_are_written_as_the_official_writer_writes_them(number):
    assert integer(11, number) == TrackEvent(track_uuid=number).SerializeToString()
    assert fixed64(47, number) == TrackEvent(flow_ids=[number]).SerializeToString()


@pytest.mark.parametrize("number", [1 << 64, -(1 << 63) - 1])
def test_a_number_of_more_than_64_bits_is_refused(number):
    with pytest.raises(ValueError, match="64 bits"):
        varint(number)
