"""A call taken apart by moments: it is covered without a gap, and what does not tell a story is not believed."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iolab.models import MODELS, asynchronous_threads, nonblocking
from iolab.recording.evidence import switch_record, trace_points, witness
from iolab.recording.experiment import run
from iolab.recording.invariants import violations
from iolab.recording.moment import Moment
from iolab.recording.refining import best_of, inside, parts_of
from iolab.recording.scenario import many_reads, one_read
from iolab.recording.stamp import Stamp, exact
from iolab.recording.timeline import APPLICATION
from tests.left_behind import nothing_left_behind
from tests.recording.test_helpers import HELPED
from tests.tracing import needs_data_ready

THREAD, FD = 7, 5


def moment(kind: str, ns: int, source: str = "trace point x", thread_id: int = THREAD, fd: int = -1, detail: str = "S"):
    return Moment(kind, thread_id, ns, ns, ns, source, fd, 0, detail)


SLEEP_AND_COPY = [
    moment("switched-out", 110), moment("waking", 500), moment("switched-in", 520),
    moment("copy-start", 530, fd=FD), moment("copy-end", 560, fd=FD),
]  # fmt: skip


def states(moments, start=100, end=600, ready=None, state="call"):
    return [
        (part.state, part.start.ns, part.end.ns) for part in parts_of(moments, exact(start), exact(end), ready, state)
    ]


def test_a_read_that_slept_is_asleep_then_runnable_then_copying():
    assert states(SLEEP_AND_COPY) == [
        ("call", 100, 110), ("blocked", 110, 500), ("runnable", 500, 520), ("call", 520, 530), ("copy", 530, 560),
        ("call", 560, 600),
    ]  # fmt: skip


def test_where_nobody_saw_the_waking_the_thread_was_runnable_from_ready_on():
    ready = Stamp(450, 440, 470, "sender's bracket")
    seen = [moment("switched-out", 110), moment("switched-in", 520)]
    assert states(seen, ready=ready) == [
        ("call", 100, 110), ("blocked", 110, 450), ("runnable", 450, 520), ("call", 520, 600),
    ]  # fmt: skip


def test_a_thread_that_lost_its_cpu_was_not_asleep():
    seen = [moment("switched-out", 200, detail="R"), moment("switched-in", 300)]
    assert states(seen) == [("call", 100, 200), ("runnable", 200, 300), ("call", 300, 600)]


def test_pieces_of_one_copy_are_one_copy():
    pieces = [
        moment(kind, ns, fd=FD)
        for ns, kind in ((200, "copy-start"), (250, "copy-end"), (260, "copy-start"), (300, "copy-end"))
    ]
    assert states(pieces) == [("call", 100, 200), ("copy", 200, 300), ("call", 300, 600)]


@pytest.mark.parametrize("missing", ["switched-out"])
def test_a_chain_that_lacks_its_beginning_is_not_believed(missing):
    assert states([each for each in SLEEP_AND_COPY if each.kind != missing]) == []


def test_a_call_that_returned_while_it_slept_is_not_believed():
    assert states([moment("switched-out", 110)]) == []


def test_the_copy_proves_a_switch_that_was_never_seen():
    seen = [each for each in SLEEP_AND_COPY if each.kind != "switched-in"]
    assert ("copy", 530, 560) in states(seen)


def test_where_nobody_saw_it_get_a_cpu_runnable_until_the_return_is_an_upper_bound():
    parts = parts_of(SLEEP_AND_COPY[:2], exact(100), exact(600), None)
    assert [(part.state, part.end.ns) for part in parts] == [("call", 110), ("blocked", 500), ("runnable", 600)]
    assert parts[-1].evidence.endswith("until the return: an upper bound")
    assert (parts[-1].end.earliest_ns, parts[-1].end.latest_ns) == (500, 600)


def test_a_switch_that_is_only_deduced_and_may_lie_before_the_call_says_nothing_of_it():
    deduced = moment("switched-in", 530)._replace(earliest_ns=90)
    assert states([deduced, *SLEEP_AND_COPY[3:]]) == [("call", 100, 530), ("copy", 530, 560), ("call", 560, 600)]
    assert states([deduced._replace(earliest_ns=110), *SLEEP_AND_COPY[3:]]) == []
    asleep = states([deduced, *SLEEP_AND_COPY[3:]], state="blocked")  # a helper, asked while it slept
    assert asleep == [("blocked", 100, 530), ("copy", 530, 560), ("call", 560, 600)]


def test_the_best_rung_is_taken_whole_and_never_mixed():
    traced, witnessed = moment("copy-start", 530, fd=FD), moment("copy-start", 533, "witness", 0, FD)
    assert best_of([witnessed, traced], ("copy-start",)) == [traced]
    assert best_of([witnessed], ("copy-start",)) == [witnessed]


def test_of_another_thread_and_of_another_descriptor_nothing_is_taken():
    others = [moment("switched-out", 200, thread_id=8), moment("copy-start", 300, fd=6), moment("copy-end", 310, fd=6)]
    assert inside(others, THREAD, FD, 100, 600) == []
    assert inside(SLEEP_AND_COPY, THREAD, None, 100, 600) == SLEEP_AND_COPY[:3]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["switched-out", "waking", "switched-in", "copy-start", "copy-end"]), st.integers(100, 600)
        ),
        max_size=12,
    )
)
def test_whatever_was_seen_the_parts_cover_the_call_without_a_gap(seen):
    moments = sorted((moment(kind, ns, fd=FD) for kind, ns in seen), key=lambda each: each.ns)
    parts = parts_of(moments, exact(100), exact(600), None)
    for before, after in zip(parts, parts[1:], strict=False):
        assert before.end.ns == after.start.ns
    assert not parts or (parts[0].start.ns, parts[-1].end.ns) == (100, 600)


# Real runs


def must_be_there(rung) -> None:
    """Skip where the machine lacks a rung. On CI root must have it; but a witness needs a CPU that nobody else wants."""
    if rung is trace_points:
        needs_data_ready()
    if reason := rung.unavailable():
        (pytest.fail if os.environ.get("CI") and os.geteuid() == 0 and rung is not witness else pytest.skip)(reason)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.NAME)
def test_by_trace_points_asleep_runnable_and_copy_are_separate_and_the_copier_is_the_same(model):
    must_be_there(trace_points)
    if reason := model.unavailable():
        pytest.skip(reason)
    with nothing_left_behind():
        timeline = run(model, one_read(60, 1 << 20), evidence="tracepoints")
    assert violations(timeline) == []
    copies = [span for span in timeline.spans if span.state == "copy"]
    assert sum(span.nbytes or 0 for span in copies) == 1 << 20
    assert all("trace point" in span.evidence for span in copies)
    assert max(span.end.ns for span in timeline.lane("kernel")) == max(span.end.ns for span in copies)
    assert [link.from_ns for link in timeline.links if link.kind == "complete"] == [copies[-1].end.ns]
    assert ({span.lane for span in copies} == {APPLICATION}) == (model not in HELPED)
    if model.NAME != "nonblocking":
        assert {"blocked", "runnable"} <= {span.state for span in timeline.spans}
    assert "tracepoints" in timeline.facts["evidence"]


@pytest.mark.parametrize("rung", [trace_points, switch_record], ids=lambda rung: rung.NAME)
def test_a_loop_that_has_lost_its_cpu_to_another_program_is_not_polling_meanwhile(rung):
    """The thread's CPU clock is the witness: what it does not count, the thread had no CPU for."""
    must_be_there(rung)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        timeline = run(nonblocking, one_read(80), evidence=rung.NAME)
    finally:
        hog.kill()
        hog.wait()
        os.sched_setaffinity(0, allowed)
    assert violations(timeline) == []
    facts, spans = timeline.facts, timeline.lane(APPLICATION)
    without = sum(span.duration_ns for span in spans if span.state in ("runnable", "blocked"))
    assert without > facts["wall_ns"] / 10
    assert abs(facts["wall_ns"] - facts["cpu_ns"] - without) < facts["wall_ns"] / 20
    assert sum(span.calls for span in spans if span.state == "refused") == facts["refused"]


@pytest.mark.parametrize("rung", [trace_points, switch_record], ids=lambda rung: rung.NAME)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.NAME)
def test_who_wakes_the_application_is_the_same_by_whatever_evidence(model, rung):
    must_be_there(rung)
    if reason := model.unavailable():
        pytest.skip(reason)

    def arrows(evidence: str) -> list[tuple[str, bool]]:
        links = [
            each for each in run(model, many_reads((60, 40, 20), 1 << 16), evidence).links if each.kind != "complete"
        ]
        return sorted((each.kind, each.from_lane.startswith("kernel")) for each in links if each.to_lane == APPLICATION)

    assert arrows(rung.NAME) == arrows("kernel-stamp")


@pytest.mark.parametrize("rung", [witness, switch_record], ids=lambda rung: rung.NAME)
def test_a_rung_that_needs_no_privilege_is_asked_for_by_its_name(rung):
    must_be_there(rung)
    with nothing_left_behind():
        timeline = run(asynchronous_threads, one_read(60, 1 << 20), evidence=rung.NAME)
    assert violations(timeline) == []
    assert rung.NAME in timeline.facts["evidence"]
    assert timeline.facts["nbytes"] == 1 << 20
