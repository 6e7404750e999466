"""A calibration counts every read, takes each rung at its own word, and measures it by the best one."""

import json
import math
import os
import random
import statistics
from dataclasses import replace
from types import SimpleNamespace

import pytest

from iolab.calls import Call
from iolab.models import asynchronous_io_uring, blocking
from iolab.recording import calibration
from iolab.recording.believed import broken, rows
from iolab.recording.calibration import calibrate
from iolab.recording.calibration_data import Calibration, Row, distances, percentile
from iolab.recording.claims import BOUNDARIES, CLAIMANTS, claims_of, in_order, unfit
from iolab.recording.evidence import RUNGS, clock, function_graph, kernel_stamp, switch_record, trace_points, witness
from iolab.recording.evidence.clock import Counters
from iolab.recording.moment import Moment
from iolab.recording.observation import Observation
from iolab.recording.scenario import Delivery, Scenario
from iolab.recording.senders import Sent
from iolab.recording.stamp import Stamp
from iolab.recording.stream import Stream
from tests.control_group import QUOTA, limited_to_one_and_a_half_cpus
from tests.left_behind import nothing_left_behind
from tests.tracing import instances, needs_data_ready

READER, FD, NBYTES = 77, 5, 1001
TRACED = (  # kind, time: one read that sleeps and copies in two pieces
    ("switched-out", 12_000), ("data-ready", 103_000), ("switched-in", 130_000), ("copy-start", 140_000),
    ("copy-end", 142_000), ("copy-start", 143_000), ("copy-end", 145_000), ("call-exit", 150_000),
)  # fmt: skip


def moment(kind, ns, source="trace point x/y", before=0, after=0) -> Moment:
    who = 0 if source == witness.NAME else READER
    fd = -1 if kind.startswith("switched") else FD
    return Moment(kind, who, ns, ns - before, ns + after, source, fd, NBYTES if fd == FD else 0)


def read_of(moments, calls_end_ns=160_000, slept=1) -> Observation:
    """A blocking read of 1001 bytes; the last of them was sent between 100 and 105 µs, and stamped at 101."""
    sends = [Sent(90_000, 99_000, NBYTES - 1), Sent(100_000, 105_000, 1)]
    stream = Stream(("peer", "kernel"), NBYTES, NBYTES, sends, Stamp(101_000, 100_900, 101_100, "receive time stamp"))
    calls = [Call("read", FD, 1_000, calls_end_ns, NBYTES, 0, slept)]
    return Observation(
        "blocking", Scenario((Delivery(1, NBYTES),)), {FD: stream}, calls, READER, 0, calls_end_ns + 1_000,
        Counters(0, 0, 0), Counters(45_000, slept, 0), moments=sorted(moments, key=lambda each: each.ns),
    )  # fmt: skip


def moved(moments, kind, ns, source="trace point x/y") -> list[Moment]:
    """The same moments, one of which was seen at another time."""
    return [
        each._replace(ns=ns, earliest_ns=ns, latest_ns=ns) if (each.kind, each.source) == (kind, source) else each
        for each in moments
    ]


def whole(shift=0) -> list[Moment]:
    """What trace points, the switch record and the witness saw of that read; the latter two are `shift` ns later."""
    weaker = [
        moment("switched-out", 12_500 + shift, switch_record.NAME, 3_000),
        moment("switched-in", 137_000 + shift, switch_record.NAME, 25_000),
        moment("copy-start", 141_000 + shift, witness.NAME, 4_000, 200),
        moment("copy-end", 145_100 + shift, witness.NAME, 200, 1_500),
    ]
    return [moment(kind, ns) for kind, ns in TRACED] + weaker


# One read


def test_each_boundary_is_that_of_the_kernels_code_by_each_rung_that_claims_it():
    claims = claims_of(read_of(whole()))
    times = {key: stamp.ns for key, stamp in claims.items()}
    assert times == {
        ("block begins", "tracepoints"): 12_000, ("block begins", "switch-record"): 12_500, ("block begins", "clock"): 1_000,
        ("data ready", "tracepoints"): 103_000, ("data ready", "kernel-stamp"): 101_000, ("data ready", "clock"): 105_000,
        ("reader runs", "tracepoints"): 130_000, ("reader runs", "switch-record"): 137_000,
        ("copy starts", "tracepoints"): 140_000, ("copy starts", "witness"): 141_000,
        ("copy ends", "tracepoints"): 145_000, ("copy ends", "witness"): 145_100,
        ("call ends", "tracepoints"): 150_000, ("call ends", "clock"): 160_000,
    }  # fmt: skip
    by_name_only = {("copy starts", "function-graph"), ("copy ends", "function-graph")}
    assert set(times) | by_name_only == {(boundary, rung) for boundary in BOUNDARIES for rung in CLAIMANTS[boundary]}
    assert unfit(read_of(whole())) == ""


def test_beside_the_function_graph_trace_points_claim_the_piece_in_which_the_function_ran():
    functions = [("copy-start", 140_300), ("copy-end", 141_900), ("copy-start", 143_200), ("copy-end", 144_700)]
    seen = read_of(whole() + [moment(*each, function_graph.NAME) for each in functions])
    claims = claims_of(seen)
    begins, ends = (claims[boundary, "tracepoints"] for boundary in ("copy starts", "copy ends"))
    assert (begins.ns, begins.earliest_ns, begins.latest_ns) == (140_000, 140_000, 142_000)
    assert (ends.ns, ends.earliest_ns, ends.latest_ns) == (145_000, 143_000, 145_000)
    assert claims["copy starts", "function-graph"].ns == 140_300
    assert claims["copy ends", "function-graph"].ns == 144_700
    found = {(row.boundary, row.rung): row for row in rows([claims], [each.NAME for each in RUNGS])}
    assert found["copy starts", "tracepoints"].against == found["copy ends", "witness"].against == "function-graph"
    assert found["copy starts", "tracepoints"].claims == ((-300, -300, 1_700),)
    assert found["copy ends", "tracepoints"].covered == 1
    assert found["block begins", "switch-record"].against == "tracepoints"


def test_functions_that_ran_after_the_call_put_the_read_out_of_order():
    late = [moment("copy-start", 140_300, function_graph.NAME), moment("copy-end", 150_500, function_graph.NAME)]
    seen = read_of(whole() + late)
    assert broken(seen, claims_of(seen)) == ""
    early = read_of(whole() + [moment("copy-start", 145_300, function_graph.NAME), *late[1:]])
    swapped = claims_of(early) | {("copy starts", "function-graph"): Stamp(151_000, 151_000, 151_000, "function-graph")}
    assert broken(early, swapped) == "functions out of order"


def test_a_weak_rung_does_not_profit_from_a_better_one():
    alone = [each for each in whole() if each.source == switch_record.NAME]
    with_all, without = claims_of(read_of(whole())), claims_of(read_of(alone))
    weak = (clock.NAME, kernel_stamp.NAME, switch_record.NAME)
    assert {key: with_all[key] for key in with_all if key[1] in weak} == without


def test_the_clock_claims_its_ends_within_the_cpu_time_that_the_thread_used():
    claims = claims_of(read_of(whole()))
    begins, ends = claims["block begins", "clock"], claims["call ends", "clock"]
    assert (begins.earliest_ns, begins.latest_ns) == (1_000, 1_000 + 45_000)
    assert (ends.earliest_ns, ends.latest_ns) == (160_000 - 45_000, 160_000)


def test_a_thread_that_was_kept_from_a_cpu_makes_the_clock_claim_less():
    seen = read_of(whole())
    ends = claims_of(replace(seen, after=Counters(45_000, 1, 1)))["call ends", "clock"]
    assert (ends.earliest_ns, ends.latest_ns) == (100_000, 160_000)


def test_a_preemption_is_no_sleep():
    kept = [each for each in whole() if each.kind != "switched-out" or each.source == switch_record.NAME]
    kept += [moment("switched-out", 11_000)._replace(detail="R"), moment("switched-in", 11_500)]
    assert ("block begins", "tracepoints") not in claims_of(read_of(kept))


def test_a_read_that_never_slept_is_unfit():
    assert unfit(read_of([], slept=0)) == "never asleep: data was there before"


def test_a_chain_that_leaves_the_call_is_out_of_order():
    claims = claims_of(read_of(whole()))
    assert in_order(read_of(whole()), claims, "tracepoints")
    late = claims | {("call ends", "tracepoints"): Stamp(160_001, 160_001, 160_001, "trace point x/y")}
    assert not in_order(read_of(whole()), late, "tracepoints")
    swapped = claims | {("copy starts", "tracepoints"): Stamp(129_999, 129_999, 129_999, "trace point x/y")}
    assert not in_order(read_of(whole()), swapped, "tracepoints")


# Many reads


@pytest.fixture
def staged(monkeypatch):
    """calibrate() with reads that are given, one after the other, those beside the witness apart; and with rungs."""

    def stage(reads, beside=(), rungs=(clock, kernel_stamp, witness, switch_record, trace_points), missing=None):
        waiting, watched = iter(reads), iter(beside)

        def observe(model, scenario, evidence):
            if witness in evidence:
                return next(watched, None) or read_of(whole())
            if switch_record in evidence:
                return next(waiting)
            return read_of([], 166_000 if trace_points in evidence else 160_000)

        monkeypatch.setattr(calibration, "rungs_up_to", lambda name: (list(rungs), missing or {}))
        monkeypatch.setattr(calibration, "observe", observe)
        return calibrate(nbytes=(NBYTES,), reads=len(reads)).series[0]

    return stage


def test_every_read_that_is_not_used_is_counted_with_its_reason(staged):
    no_copy = [each for each in whole() if each.kind != "copy-start" or each.source == witness.NAME]
    series = staged([read_of(whole()), read_of(no_copy), read_of(whole(), slept=0), read_of(whole())])
    assert series.discarded == {
        "chain incomplete: copy starts not traced": 1,
        "never asleep: data was there before": 1,
    }
    assert (series.reads, series.chains, series.complete, series.ordered) == (4, 3 + 4, 2 + 4, 2 + 4)
    assert {len(row.claims) for row in series.rows if row.rung != "witness"} == {2}
    assert {len(row.claims) for row in series.rows if row.rung == "witness"} == {4}


def test_a_chain_in_the_wrong_order_is_discarded_as_such(staged):
    wrong = moved(whole(), "data-ready", 139_000)
    series = staged([read_of(wrong)])
    assert series.discarded == {"trace points out of order": 1}
    assert (series.chains, series.complete, series.ordered) == (2, 2, 1)


def test_a_witness_that_was_away_is_counted_and_its_reads_serve_the_other_rungs(staged):
    away = [each for each in whole() if each.source != witness.NAME]
    backwards = moved(moved(whole(), "copy-start", 144_000, witness.NAME), "copy-end", 143_500, witness.NAME)
    series = staged([read_of(whole())] * 3, [read_of(away), read_of(backwards), read_of(whole())])
    assert series.silent == {"witness: away": 1, "witness: out of order": 1}
    assert series.discarded == {}
    counts = {(row.boundary, row.rung): len(row.claims) for row in series.rows}
    assert (counts["copy starts", "witness"], counts["block begins", "switch-record"]) == (1, 3)


def test_errors_are_claims_minus_truth_and_coverage_counts_the_intervals_that_hold_it(staged):
    series = staged([read_of(whole(shift)) for shift in (0, 500, 2_600, 3_000)])
    row = series.row("block begins", "switch-record")
    # 12,500 + shift against 12,000; claimed from 3,000 before: the last two intervals begin at 12,100 and 12,500.
    assert row.claims == ((500, -2500, 500), (1000, -2000, 1000), (3100, 100, 3100), (3500, 500, 3500))
    assert (row.covered, row.sign, row.against) == (0.5, "late", "tracepoints")
    assert series.row("data ready", "kernel-stamp").sign == "early"
    assert series.row("data ready", "clock").covered == 1


def test_a_moment_that_trace_points_only_bound_is_no_truth(staged):
    vague = [each._replace(earliest_ns=110_000) if each.kind == "switched-in" else each for each in whole()]
    series = staged([read_of(vague)])
    assert series.row("reader runs", "switch-record") is None
    assert len(series.row("block begins", "switch-record").claims) == 1


def test_traced_and_untraced_reads_alternate_and_their_medians_make_the_ratio(staged):
    series = staged([read_of(whole())] * 3)
    assert (series.traced_ns, series.untraced_ns) == ((66_000,) * 3, (60_000,) * 3)  # from the last send, at 100 µs
    assert series.unprepared_ns == (60_000,) * 3
    assert series.ratio == pytest.approx(1.1)


def test_without_trace_points_the_best_rung_is_the_measure_and_is_named(staged):
    weaker = [each for each in whole() if each.source in (switch_record.NAME, witness.NAME)]
    series = staged([read_of(weaker)], (), (clock, kernel_stamp, witness, switch_record), {"tracepoints": "refused"})
    against = {(row.boundary, row.rung): row.against for row in series.rows}
    assert against == {("block begins", "clock"): "switch-record", ("data ready", "clock"): "kernel-stamp"}
    assert series.ratio is None
    assert (series.chains, series.discarded) == (0, {})


# The numbers


def test_percentiles_agree_with_those_of_the_standard_library():
    dice = random.Random(4)
    for count in (2, 3, 10, 199, 200):
        values = [dice.randint(-(10**6), 10**6) for _ in range(count)]
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        assert [percentile(values, percent) for percent in range(1, 100)] == pytest.approx(cuts)
    assert percentile([7], 99) == 7
    with pytest.raises(ValueError, match="at least one number"):
        percentile([], 50)


def test_a_row_measures_sizes_without_sign_and_tells_the_sign_apart():
    errors = [-5, -4, -3, -2, -1, -6, -7, -8, -9, 10]
    row = Row("copy ends", "witness", "tracepoints", tuple((each, each - 3, each + 3) for each in errors))
    assert (row.size_ns(50), row.sign, row.width_ns) == (5.5, "early", 6)
    assert row.covered == sum(abs(each) <= 3 for each in errors) / 10
    assert replace(row, claims=row.claims[4:]).sign == "±"


def test_an_end_within_a_truth_that_is_an_interval_itself_is_no_distance_from_it():
    truth = Stamp(100, 90, 110, "")
    assert distances(Stamp(95, 80, 105, ""), truth) == (-5, -10, 0)
    assert distances(Stamp(120, 111, 130, ""), truth) == (20, 1, 20)
    assert distances(Stamp(85, 80, 89, ""), truth) == (-15, -10, -1)


# Data and arguments


def test_json_gives_every_error_back(staged):
    series = staged([read_of(whole()), read_of(whole(700))])
    found = Calibration("tracepoints", {"x": "refused"}, {"cpus": 2}, (series,))
    assert Calibration.from_json(found.to_json()) == found
    plain = json.loads(found.to_json())
    assert plain["series"][0]["rows"][0]["claims"][0] == [500, -2500, 500]


@pytest.mark.parametrize(
    "text", ['{"version": 2}', "[]", '{"version": 1}', '{"version": 1, "best": "x", "series": [{}]}']
)
def test_json_of_something_else_is_a_value_error(text):
    with pytest.raises(ValueError, match="not a Calibration"):
        Calibration.from_json(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"reads": 0}, "reads"), ({"reads": True}, "reads"), ({"reads": 1.5}, "reads"), ({"nbytes": (0,)}, "nbytes"),
     ({"nbytes": ()}, "nbytes"), ({"models": ()}, "models")],
)  # fmt: skip
def test_a_wrong_argument_is_named_before_anything_is_read(arguments, words, monkeypatch):
    monkeypatch.setattr(calibration, "observe", lambda *arguments: pytest.fail("a read was made"))
    with pytest.raises(ValueError, match=words):
        calibrate(**arguments)


def test_a_model_that_this_machine_lacks_is_a_runtime_error():
    lacking = SimpleNamespace(NAME="telepathy", unavailable=lambda: "think: Function not implemented")
    with pytest.raises(RuntimeError, match="think: Function not implemented"):
        calibrate((lacking,), reads=1)


# On this machine


def check(found: Calibration, reads: int) -> None:
    for series in found.series:
        used = reads - sum(series.discarded.values())
        assert series.reads == reads
        assert all(0 < len(row.claims) <= used for row in series.rows)
        for row in series.rows:
            assert row.against in CLAIMANTS[row.boundary]
            assert all(math.isfinite(row.size_ns(percent)) for percent in (1, 50, 99))


def test_a_small_calibration_by_trace_points_is_whole_and_leaves_nothing():
    needs_data_ready()
    assert trace_points.unavailable() is None
    told, before = [], instances()
    with nothing_left_behind():
        found = calibrate(nbytes=(65536,), reads=6, progress=lambda: told.append(1))
    assert instances() == before
    assert len(told) == 6
    assert found.best == "tracepoints"
    check(found, 6)
    [series] = found.series
    # Where the machine is so busy that no reader fell asleep in time, nothing more can be known.
    if series.chains:
        assert series.complete == series.ordered == series.chains
        bracket = series.row("data ready", "clock")
        assert bracket.against == "tracepoints"
        assert all(earliest <= 0 <= latest for _, earliest, latest in bracket.claims)
        # The kernel's stamp comes before "ready", and a call ends before its caller knows.
        assert all(error > 0 for error, _, _ in series.row("call ends", "clock").claims)
    assert series.ratio is None or series.ratio > 0


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no sched_getaffinity here: it is Linux's")
def test_a_machine_without_trace_points_says_what_it_compares_with(monkeypatch):
    if reason := kernel_stamp.unavailable() or clock.unavailable():
        pytest.skip(reason)
    for rung in (trace_points, switch_record, witness):
        monkeypatch.setattr(rung, "unavailable", lambda: "refused: Permission denied")
    found = calibrate((blocking,), (4096,), reads=4)
    assert found.best == "kernel-stamp"
    assert set(found.missing) == {"function-graph", "tracepoints", "switch-record", "witness"}
    check(found, 4)
    assert {(row.rung, row.against) for row in found.series[0].rows} <= {("clock", "kernel-stamp")}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no sched_getaffinity here: it is Linux's")
def test_the_quota_of_the_control_group_is_a_fact_of_a_calibration(tmp_path, monkeypatch):
    limited_to_one_and_a_half_cpus(tmp_path, monkeypatch)
    assert calibrate((blocking,), (4096,), reads=1, cost=False).facts["cpu_quota"] == QUOTA


def test_an_asynchronous_model_is_measured_by_what_its_copies_show():
    if reason := asynchronous_io_uring.unavailable():
        pytest.skip(reason)
    needs_data_ready()
    found = calibrate((asynchronous_io_uring,), (65536,), reads=4)
    check(found, 4)
    assert {row.boundary for row in found.series[0].rows} <= {"data ready", "copy starts", "copy ends"}
    assert found.series[0].complete == found.series[0].chains
