"""Timelines: what they must never say, and that JSON keeps all of it."""

import json

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from iolab.calls import Call
from iolab.recording.assembling import timeline_of
from iolab.recording.evidence.clock import Counters
from iolab.recording.invariants import violations
from iolab.recording.observation import Observation
from iolab.recording.polling import FEW, merged
from iolab.recording.scenario import Delivery, Scenario
from iolab.recording.senders import Sent
from iolab.recording.stamp import Stamp, exact
from iolab.recording.stream import Stream
from iolab.recording.timeline import APPLICATION, LINKS, STATES, Link, Span, Timeline
from tests.recording.observations import truths

# Shrinking a whole run may take minutes; the first example that fails says enough.
NO_LONG_SHRINK = (Phase.explicit, Phase.reuse, Phase.generate)
WORDS = st.text("abcdefghij -äß", max_size=8)
MOMENTS = st.integers(0, 1 << 62)


@st.composite
def stamps(draw) -> Stamp:
    low, ns, high = sorted(draw(st.tuples(MOMENTS, MOMENTS, MOMENTS)))
    return Stamp(ns, low, high, draw(WORDS))


spans = st.builds(
    Span, WORDS, st.sampled_from(STATES), stamps(), stamps(), st.integers(0, 1 << 22), WORDS,
    st.none() | st.integers(0, 1 << 40), WORDS, st.integers(1, 1 << 30), st.integers(0, 1 << 40),
)  # fmt: skip
links = st.builds(Link, st.sampled_from(LINKS), WORDS, MOMENTS, WORDS, MOMENTS)
facts = st.dictionaries(WORDS, st.none() | st.integers() | WORDS | st.lists(st.integers(), max_size=3), max_size=4)


@given(WORDS, facts, st.lists(spans, max_size=5).map(tuple), st.lists(links, max_size=3).map(tuple))
def test_json_keeps_every_part_of_a_timeline(model, some_facts, some_spans, some_links):
    timeline = Timeline(model, some_facts, some_spans, some_links)
    assert Timeline.from_json(timeline.to_json()) == timeline


def test_json_has_the_keys_that_other_programs_rely_on():
    span = Span(APPLICATION, "copy", exact(5), exact(9), 7, "read", 3)
    whole = json.loads(Timeline("blocking", {"nbytes": 3}, (span,)).to_json())
    assert whole["version"] == 1
    assert {"model", "facts", "spans", "links"} <= whole.keys()
    wanted = {
        "lane": "application",
        "state": "copy",
        "start_ns": 5,
        "end_ns": 9,
        "thread_id": 7,
        "call": "read",
        "nbytes": 3,
    }
    assert wanted.items() <= whole["spans"][0].items()
    assert "evidence" in whole["spans"][0]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"version": 2}',
        '{"version": 1}',
        '{"version": 1, "model": "x", "facts": {}, "spans": [{}], "links": []}',
    ],
)
def test_text_that_is_no_timeline_is_refused_in_words(text):
    with pytest.raises(ValueError, match="not a Timeline"):
        Timeline.from_json(text)


@given(truths())
@settings(max_examples=70, deadline=None, phases=NO_LONG_SHRINK)
def test_an_assembled_run_breaks_no_invariant(truth):
    assert violations(timeline_of(truth.observation)) == []


@given(truths())
@settings(max_examples=70, deadline=None, phases=NO_LONG_SHRINK)
def test_the_claimed_interval_of_ready_contains_the_moment_that_really_woke_the_reader(truth):
    timeline = timeline_of(truth.observation)
    blocked = {span.start.ns: span.end for span in timeline.lane(APPLICATION) if span.state == "blocked"}
    for start_ns, woken_ns in truth.woken_ns:
        assert blocked[start_ns].earliest_ns <= woken_ns <= blocked[start_ns].latest_ns


@given(truths())
@settings(max_examples=40, deadline=None, phases=NO_LONG_SHRINK)
def test_bytes_lie_in_the_kernel_only_while_some_have_come_and_are_not_taken(truth):
    timeline = timeline_of(truth.observation)
    for stream in truth.observation.streams.values():
        taken = [call.end_ns for call in truth.observation.calls if call.nbytes]
        for span in timeline.lane(stream.lanes[1]):
            assert span.end.ns in taken
            assert any(sent.before_ns <= span.start.latest_ns for sent in stream.sends)


@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 40_000)), min_size=1, max_size=400))
@settings(max_examples=25, deadline=None)
def test_merging_polls_loses_none_and_leaves_no_gap(gaps):
    spans, now = [], 0
    for inside, outside in gaps:
        spans.append(Span(APPLICATION, "refused", exact(now), exact(now + inside), 1, "read", None, "", 1, inside))
        spans.append(Span(APPLICATION, "user", exact(now + inside), exact(now + inside + outside), 1))
        now += inside + outside
    result = merged(spans)
    assert sum(span.calls for span in result if span.state == "refused") == len(gaps)
    assert sum(span.calls_ns for span in result) == sum(inside for inside, _ in gaps)
    assert (result[0].start, result[-1].end) == (spans[0].start, spans[-1].end)
    assert all(a.end.ns == b.start.ns for a, b in zip(result, result[1:], strict=False))
    if len(gaps) <= FEW:
        assert result == spans


def test_a_stamp_outside_its_own_interval_is_refused():
    with pytest.raises(ValueError, match="interval"):
        Stamp(5, 6, 7, "clock")


def test_repr_says_in_one_line_what_was_read():
    timeline = Timeline(
        "epoll", {"nbytes": 1024, "evidence": "clock"}, (Span(APPLICATION, "user", exact(0), exact(2_500_000)),)
    )
    assert repr(timeline) == "<Timeline of epoll: 1,024 bytes in 2.5 ms, 1 spans, by clock>"


def test_a_timeline_that_cannot_be_true_is_called_so():
    wrong = Timeline(
        "any", {"wall_ns": 10, "nbytes": 5},
        (Span(APPLICATION, "user", exact(0), exact(8)), Span(APPLICATION, "copy", exact(6), exact(10), 1, "read", 4)),
        (Link("ready", "kernel", 5, APPLICATION, 9), Link("complete", "kernel", 9, APPLICATION, 9)),
    )  # fmt: skip
    assert len(violations(wrong)) == 4


def test_a_call_that_slept_although_the_data_was_there_did_not_wait_for_it():
    stream = Stream(("peer", "kernel"), 100, 1, [Sent(1_000, 2_000, 100)])
    calls = [Call("read", 5, 50_000, 90_000, 100, 0, 1)]
    seen = Observation(
        "any", Scenario((Delivery(0, 100),)), {5: stream}, calls, 1, 0, 95_000, Counters(0, 0, 0), Counters(0, 1, 0)
    )
    states = [span.state for span in timeline_of(seen).lane(APPLICATION)]
    assert states == ["user", "handover", "user"]
