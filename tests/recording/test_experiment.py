"""Real runs: what the kernel counted, what the sender stamped, and what happens when a sender does not behave."""

import gc
import os
import signal
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from iolab.drawing.order_figure import longest_stay_ns, order_of_completion
from iolab.drawing.words import signature
from iolab.models import MODELS, blocking, multiplexing_epoll, nonblocking, signal_driven
from iolab.recording import experiment
from iolab.recording.evidence import switch_record, trace_points
from iolab.recording.experiment import MOST_DISCARDED, run, typical
from iolab.recording.invariants import violations
from iolab.recording.scenario import Delivery, Scenario, many_reads, one_read
from iolab.recording.timeline import APPLICATION, PEER
from tests.control_group import QUOTA, limited_to_one_and_a_half_cpus
from tests.left_behind import children, nothing_left_behind
from tests.tracing import needs_data_ready

MiB = 1 << 20
every_model = pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=pytest.mark.skipif(bool(model.unavailable()), reason=str(model.unavailable())))
        for model in MODELS
    ],
    ids=lambda model: model.NAME,
)
every_transport = pytest.mark.parametrize("transport", ["tcp", "pipe", "socketpair"])


def first_undisturbed(attempt, tries: int = 5):
    """The first of a few runs that satisfies `attempt`; a busy machine may disturb one, not all."""
    for _ in range(tries - 1):
        if result := attempt():
            return result
    return attempt()


@every_model
@every_transport
def test_every_byte_arrives_and_the_timeline_can_be_true(model, transport):
    with nothing_left_behind():
        timeline = run(model, Scenario((Delivery(20, 100_000),), transport))
    assert timeline.facts["nbytes"] == 100_000
    assert timeline.facts["ended"] == "all bytes"
    assert violations(timeline) == []


@every_model
def test_the_wait_agrees_with_the_senders_clock(model):
    timeline = run(model, one_read(100, MiB))
    last_send = [span for span in timeline.lane(PEER) if span.call == "send"][-1]
    ready_ns = timeline.facts["deliveries"][0]["ready"]["ns"]
    assert last_send.start.ns <= ready_ns <= last_send.end.ns + 5e6
    assert timeline.facts["wait_ns"] == ready_ns - timeline.facts["begin_ns"]


def test_blocking_sleeps_exactly_once_when_the_low_water_mark_asks_for_all():
    def attempt():
        timeline = run(blocking, one_read(100, MiB))
        assert timeline.facts["calls"] == {"read": 1}
        return timeline.facts["voluntary_switches"] == 1

    assert first_undisturbed(attempt)


def test_proc_saw_the_blocked_thread_asleep_and_the_polling_one_running():
    assert {look[2] for look in run(blocking, one_read(60)).facts["looks"]} == {"S"}
    assert "R" in {look[2] for look in run(nonblocking, one_read(60)).facts["looks"]}


def test_nonblocking_is_refused_often_and_burns_a_cpu():
    """What it got of a CPU and what it queued for one are the kernel's own sums: others may take the CPU meanwhile."""

    def read_into(*arguments):
        before, start = schedstat(), time.monotonic_ns()
        try:
            return nonblocking.read_into(*arguments)
        finally:
            ran, queued = (after - then for after, then in zip(schedstat(), before, strict=True))
            shares.append((ran + queued) / (time.monotonic_ns() - start))

    shares = []
    model = SimpleNamespace(NAME="nonblocking", unavailable=lambda: None, read_into=read_into)
    facts = run(model, one_read(100, MiB)).facts
    assert facts["refused"] > 100
    assert facts["voluntary_switches"] < 20
    assert shares[0] > 0.8


def schedstat() -> tuple[int, int]:
    """Nanoseconds on a CPU, and waiting for one, of this thread: Documentation/scheduler/sched-stats.rst."""
    with open("/proc/thread-self/schedstat") as file:
        ran, queued, _ = map(int, file.read().split())
    return ran, queued


def test_a_pause_between_polls_saves_the_cpu_and_is_seen_as_a_sleep():
    timeline = run(nonblocking, one_read(100, 1000), pause_s=0.01)
    assert 5 <= timeline.facts["calls"]["clock_nanosleep"] <= 11
    assert timeline.facts["cpu_ns"] < 0.5 * timeline.facts["wall_ns"]
    assert timeline.total_ns("blocked") > 0.5 * timeline.facts["wall_ns"]


@pytest.mark.parametrize("trigger", ["level", "edge", "one-shot"])
def test_epoll_waits_in_one_call_and_reads_in_another(trigger):
    timeline = run(multiplexing_epoll, one_read(60, MiB), trigger=trigger)
    states = {(span.call, span.state) for span in timeline.lane(APPLICATION)}
    assert ("epoll_wait", "blocked") in states
    assert ("read", "copy") in states
    assert {"ready", "complete"} <= {link.kind for link in timeline.links}


def test_signal_driven_gets_a_signal_and_reads_then():
    timeline = run(signal_driven, one_read(60, MiB))
    assert {"signal", "complete"} <= {link.kind for link in timeline.links}
    assert timeline.facts["calls"]["sigtimedwait"] == 1


def test_several_streams_finish_in_their_own_order_when_blocking_and_in_order_of_arrival_with_epoll():
    first, second = (run(model, many_reads((300, 200, 100))) for model in (blocking, multiplexing_epoll))
    assert order_of_completion(first) == [1, 2, 3]
    assert order_of_completion(second) == [3, 2, 1]
    for timeline in (first, second):
        assert 299e6 < timeline.facts["wall_ns"] < 450e6
        assert violations(timeline) == []
    assert longest_stay_ns(first) > 190e6 > longest_stay_ns(second)


@every_model
def test_work_is_done_during_the_wait_where_the_model_has_time(model):
    timeline = run(model, one_read(60, 1000), work=lambda: sum(range(1000)))
    assert (timeline.facts["work_slices"] > 10) == (model is not blocking)
    assert timeline.facts["nbytes"] == 1000


def test_signal_driven_works_without_asking():
    timeline = run(signal_driven, one_read(60, 1000), work=lambda: sum(range(1000)))
    assert timeline.facts["refused"] <= 3
    assert "sigtimedwait" not in timeline.facts["calls"]


def test_pieces_are_met_one_by_one_without_a_low_water_mark():
    scenario = Scenario((Delivery(20, 4000, pieces=4, pause_ms=20),), one_wait=False)
    timeline = run(blocking, scenario)
    assert timeline.facts["calls"]["read"] >= 4
    assert sum(span.state == "blocked" for span in timeline.lane(APPLICATION)) >= 4
    assert run(blocking, Scenario(scenario.deliveries)).facts["calls"] == {"read": 1}


@every_model
@pytest.mark.parametrize(
    ("ending", "words"), [("close", "ended early"), ("die", "ended early"), ("reset", "ConnectionResetError")]
)
def test_a_sender_that_stops_early_is_reported_as_the_kernel_reports_it(model, ending, words):
    with nothing_left_behind():
        timeline = run(model, Scenario((Delivery(20, 5000, ending=ending, sent=2000),)))
    assert words in timeline.facts["ended"]
    assert timeline.facts["nbytes"] <= 2000
    assert violations(timeline) == []


@pytest.mark.parametrize("model", [blocking, multiplexing_epoll, signal_driven], ids=lambda model: model.NAME)
def test_the_time_limit_ends_an_experiment_and_says_so(model):
    started = time.monotonic()
    with nothing_left_behind():
        timeline = run(model, Scenario((Delivery(60_000, 100),), time_limit_s=0.3))
    assert "time limit" in timeline.facts["ended"]
    assert 0.3 <= time.monotonic() - started < 10


@every_model
def test_an_interrupt_leaves_nothing_behind(model):
    class Interrupted(Exception):
        pass

    def interrupt(number, frame):
        raise Interrupted

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        with nothing_left_behind():
            signal.setitimer(signal.ITIMER_REAL, 0.25)
            with pytest.raises(Interrupted):
                run(model, one_read(5_000, 1000))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_senders_end_when_their_parent_is_killed(tmp_path):
    code = "from iolab.models import blocking; from iolab.recording.experiment import run; from iolab.recording.scenario import one_read; run(blocking, one_read(60000))"
    parent = os.spawnlp(os.P_NOWAIT, os.sys.executable, os.sys.executable, "-c", code)
    deadline = time.monotonic() + 20
    while not (senders := children(parent)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert senders
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    while any(os.path.exists(f"/proc/{sender}") for sender in senders) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(os.path.exists(f"/proc/{sender}") for sender in senders)


def test_a_receive_time_stamp_lies_where_the_sender_says_data_was_sent():
    def attempt():
        stamps = run(blocking, one_read(30, MiB)).facts["deliveries"][0]["ready_stamps"]
        bracket, received, *_ = stamps
        assert received["source"] == "receive time stamp"
        return bracket["earliest_ns"] <= received["latest_ns"] and received["earliest_ns"] <= bracket["latest_ns"]

    assert first_undisturbed(attempt)


@pytest.mark.parametrize("refused", [(), (trace_points,), (trace_points, switch_record)], ids=len)
def test_of_trace_points_and_switch_record_the_better_one_is_used_and_what_is_missing_is_told(monkeypatch, refused):
    for rung in (trace_points, switch_record):
        if rung in refused:
            monkeypatch.setattr(rung, "unavailable", lambda: "refused in this test")
    used = next((rung for rung in (trace_points, switch_record) if rung not in refused), None)
    if used and (reason := used.unavailable()):
        pytest.skip(reason)
    facts = run(blocking, one_read(20, 1000)).facts
    assert facts["evidence"].split(" + ")[3:] == [rung.NAME for rung in (used,) if rung]
    assert facts["evidence_missing"] == {rung.NAME: "refused in this test" for rung in refused}


def test_less_evidence_is_used_when_asked_for():
    facts = run(blocking, one_read(20, 1000), evidence="clock").facts
    assert facts["evidence"] == "clock"
    assert facts["looks"] == []
    second, piped = (run(blocking, one_read(20, 1000, transport=each), "kernel-stamp") for each in ("tcp", "pipe"))
    assert second.facts["evidence"] == "clock + receive time stamp + looks into /proc"
    assert piped.facts["evidence"] == "clock + looks into /proc"
    assert [stamp["source"] for stamp in facts["deliveries"][0]["ready_stamps"]] == ["sender's bracket"]


@pytest.mark.parametrize("fails", [False, True], ids=["", "fails"])
def test_the_collector_does_not_run_in_a_measurement_and_runs_again_afterwards(fails):
    collected, thresholds = [], gc.get_threshold()
    gc.callbacks.append(lambda phase, info: collected.append(time.monotonic_ns()))
    gc.set_threshold(100)
    try:
        with pytest.raises(ZeroDivisionError) if fails else nullcontext():
            facts = run(nonblocking, one_read(60), work=(lambda: 1 // 0) if fails else None).facts
        assert gc.isenabled()
        gc.collect()
        assert collected  # the callback hears of it
        if not fails:
            begin_ns = facts["begin_ns"]
            assert facts["refused"] > 1000  # as many objects, kept
            assert [each for each in collected if begin_ns <= each <= begin_ns + facts["wall_ns"]] == []
        gc.disable()
        run(nonblocking, one_read(1))
        assert not gc.isenabled()
    finally:
        gc.callbacks.pop()
        gc.set_threshold(*thresholds)
        gc.enable()


def test_a_reader_that_oversleeps_by_the_low_water_mark_is_discarded_and_never_stalls():
    """The second read begins with half of its bytes queued; TCP then wants as many again before it wakes anybody."""
    late = Delivery(30, 1 << 16, pieces=2, pause_ms=60)
    timeline = run(blocking, Scenario((Delivery(60, 1 << 16), late), time_limit_s=5))
    assert timeline.facts["ended"] == "all bytes"
    assert timeline.facts["discarded"] >= 1
    assert timeline.facts["wall_ns"] < 3e9
    assert violations(timeline) == []
    taken_all_the_same = timeline.facts["discarded"] == MOST_DISCARDED and "doubtful" in timeline.facts
    assert ("DOUBTFUL: the reader overslept" in signature(timeline)[0]) == taken_all_the_same


def test_a_run_that_is_taken_although_it_is_not_believed_says_so(monkeypatch):
    monkeypatch.setattr(experiment, "overslept", lambda *_: True)
    facts = run(blocking, one_read(1, 1000)).facts
    assert (facts["discarded"], facts["doubtful"]) == (MOST_DISCARDED, "the reader overslept")


def test_senders_that_begin_in_another_order_than_asked_are_discarded_and_asked_again():
    runs = []

    def read_many(reads, call, work=None):
        runs.append(reads)
        if len(runs) > 1:
            return blocking.read_many(reads, call, work)
        (early,) = (each for each in children() if "[[400, 999]," in Path(f"/proc/{each}/cmdline").read_text())
        os.kill(early, signal.SIGSTOP)
        goes_on = threading.Timer(1.0, os.kill, (early, signal.SIGCONT))
        goes_on.start()
        try:
            return blocking.read_many(reads, call, work)
        finally:
            goes_on.join()

    model = SimpleNamespace(NAME="blocking", unavailable=lambda: None, read_many=read_many)
    facts = run(model, many_reads((700, 400), 1000)).facts
    assert facts["discarded"] == len(runs) - 1 >= 1
    late, early = (each["ready"]["ns"] for each in facts["deliveries"])
    assert early < late


def test_the_end_of_a_stream_is_not_the_moment_at_which_its_bytes_were_ready():
    """The second stream is complete at 50 ms, and ends while the reader still sleeps at the first."""
    needs_data_ready()
    facts = run(blocking, many_reads((250, 50), 1000), evidence="tracepoints").facts
    for delivery in facts["deliveries"]:
        assert delivery["ready"]["source"] == "tracepoints"
        bracket = next(each for each in delivery["ready_stamps"] if each["source"] == "sender's bracket")
        assert bracket["earliest_ns"] <= delivery["ready"]["ns"] <= bracket["latest_ns"]


def test_typical_is_one_of_the_runs():
    assert typical(blocking, one_read(5, 10), runs=3).facts["runs"] == 3


def test_an_experiment_runs_in_another_thread():
    result = []
    thread = threading.Thread(target=lambda: result.append(run(signal_driven, one_read(20, 1000))))
    thread.start()
    thread.join(20)
    assert result[0].facts["nbytes"] == 1000


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Delivery(delay_ms=-1), "delay_ms"),
        (lambda: Delivery(delay_ms=float("nan")), "delay_ms"),
        (lambda: Delivery(nbytes=0), "nbytes"),
        (lambda: Delivery(nbytes=3, pieces=4), "pieces"),
        (lambda: Delivery(ending="explode"), "ending"),
        (lambda: Delivery(sent=5), "sent"),
        (lambda: Scenario(()), "deliveries"),
        (lambda: Scenario((Delivery(nbytes=1 << 28),) * 2), "nbytes of all"),
        (lambda: Scenario(transport="pigeon"), "transport"),
        (lambda: Scenario((Delivery(ending="reset", sent=1),), "pipe"), "reset"),
        (lambda: Scenario(time_limit_s=0), "time_limit_s"),
        (lambda: run(blocking, evidence="hearsay"), "evidence"),
        (lambda: run(nonblocking, pause_s=-1), "pause_s"),
        (lambda: typical(blocking, one_read(), runs=0), "runs"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_opened(wrong, words):
    with nothing_left_behind(), pytest.raises(ValueError, match=words):
        wrong()


def test_the_quota_of_the_control_group_is_a_fact_of_a_run(tmp_path, monkeypatch):
    limited_to_one_and_a_half_cpus(tmp_path, monkeypatch)
    timeline = run(blocking, one_read(1, 1))
    assert timeline.facts["cpu_quota"] == QUOTA
    assert f"CPU{'s' * (timeline.facts['cpus'] > 1)}, a quota of 1.5 · " in signature(timeline)[0]
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert run(blocking, one_read(1, 1)).facts["cpu_quota"] is None
