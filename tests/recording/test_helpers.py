"""Who works for the reader: what a run says of its helper threads, against /proc, and against the model's own threads."""

import os
import threading
from pathlib import Path

import pytest

from iolab.calls import COMPLETION, Call
from iolab.drawing.order_figure import order_of_completion
from iolab.drawing.words import by_posix, copied_by, copier, fetching, sentence
from iolab.kernel.tasks import Task, tasks
from iolab.models import (
    ASYNCHRONOUS,
    MODELS,
    asynchronous_io_uring,
    asynchronous_linux_aio,
    asynchronous_posix_aio,
    asynchronous_threads,
)
from iolab.recording import experiment, senders
from iolab.recording.assembling import timeline_of
from iolab.recording.counting import native_ids
from iolab.recording.evidence.clock import Counters
from iolab.recording.evidence.helper_threads import Helper, as_traced, could_tell, helpers_of
from iolab.recording.experiment import run
from iolab.recording.invariants import violations
from iolab.recording.moment import Moment
from iolab.recording.observation import Observation
from iolab.recording.scenario import Delivery, Scenario, many_reads, one_read
from iolab.recording.senders import Sent
from iolab.recording.stream import Stream
from iolab.recording.timeline import APPLICATION
from tests.left_behind import nothing_left_behind
from tests.tracing import needs_data_ready

HELPED = (asynchronous_threads, asynchronous_posix_aio)
MANNERS = ("default", "defer-taskrun", "async", "sqpoll")
needs_io_uring = pytest.mark.skipif(
    bool(asynchronous_io_uring.unavailable()), reason=str(asynchronous_io_uring.unavailable())
)
every_asynchronous_model = pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=pytest.mark.skipif(bool(model.unavailable()), reason=str(model.unavailable())))
        for model in ASYNCHRONOUS
    ],
    ids=lambda model: model.NAME,
)


class Watch(threading.Thread):
    """Collects which threads of this process were inside read(2) or pread64(2), by /proc/self/task/*/syscall."""

    NUMBERS = {"0", "17"} if os.uname().machine == "x86_64" else {"63", "67"}

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self._over = set(), threading.Event()

    def run(self):
        while not self._over.wait(0.005):
            for folder in Path("/proc/self/task").iterdir():
                try:
                    if (folder / "syscall").read_text().split()[0] in self.NUMBERS:
                        self.seen.add(int(folder.name))
                except OSError:
                    continue

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()


@every_asynchronous_model
def test_the_copier_is_a_helper_or_the_application_and_posix_is_told_accordingly(model):
    timeline = run(model, one_read(60, 1 << 20))
    assert violations(timeline) == []
    helped = model in HELPED
    assert copied_by(timeline).startswith("helper") == helped
    assert copier(timeline).startswith(
        "copied by helper thread" if helped else "copied by the application's own thread"
    )
    assert by_posix(timeline) == ("synchronous" if model is asynchronous_linux_aio else "asynchronous")
    assert timeline.facts["asynchronous"]
    assert timeline.facts["copiers_known"]
    assert "complete" in {link.kind for link in timeline.links}


def test_the_helper_of_posix_aio_is_the_thread_that_proc_showed_reading():
    with Watch() as watch:
        timeline = run(asynchronous_posix_aio, one_read(150, 1 << 20))
    (helper,) = timeline.facts["helpers"]
    if not watch.seen:
        pytest.skip("/proc/self/task/TID/syscall tells nothing on this machine")
    assert helper["thread_id"] in watch.seen
    assert helper["thread_id"] not in {os.getpid(), threading.get_native_id()}
    assert helper["cpu_ns"] > 0
    assert "reading descriptor" in helper["evidence"]


def test_the_helpers_of_the_threads_model_keep_their_own_record():
    timeline = run(asynchronous_threads, many_reads((60, 40, 20), 1000))
    assert len({each["thread_id"] for each in timeline.facts["helpers"]}) == 3
    for lane in [each["lane"] for each in timeline.facts["helpers"]]:
        spans = timeline.lane(lane)
        assert {"poll", "read"} <= {span.call for span in spans}
        assert sum(span.nbytes or 0 for span in spans) == 1000
    assert violations(timeline) == []


@every_asynchronous_model
@pytest.mark.parametrize("transport", ["tcp", "pipe", "socketpair"])
def test_several_streams_are_read_at_once_and_every_byte_has_a_copier(model, transport):
    with nothing_left_behind():  # threads of the C library, which rest for a second, are not Python's to count
        timeline = run(model, many_reads((150, 90, 30), 5000, transport=transport))
    assert violations(timeline) == []
    assert timeline.facts["ended"] == "all bytes"
    assert order_of_completion(timeline) == [3, 2, 1]


@needs_io_uring
@pytest.mark.parametrize("manner", MANNERS)
def test_io_uring_copies_in_the_asking_thread_unless_told_to_use_another(manner):
    timeline = run(asynchronous_io_uring, one_read(100, 1 << 20), manner=manner)
    assert violations(timeline) == []
    comm = {"async": "iou-wrk-", "sqpoll": "iou-sqp-"}.get(manner)
    if comm:
        assert copied_by(timeline) == "helper-1"
        assert comm in timeline.facts["helpers"][0]["evidence"]
    else:
        assert copied_by(timeline) == "application"
        assert timeline.facts["helpers"] == []


@needs_io_uring
def test_io_uring_makes_no_call_while_the_program_works():
    timeline = run(asynchronous_io_uring, one_read(60, 1 << 16), work=lambda: sum(range(500)))
    assert timeline.facts["work_slices"] > 10
    assert sum(timeline.facts["calls"].values()) <= 3  # set-up, submission, perhaps a cancel
    assert "midst of its own work" in fetching(timeline)
    assert violations(timeline) == []


@every_asynchronous_model
def test_the_clock_alone_does_not_know_who_copied_and_says_so(model):
    timeline = run(model, one_read(20, 1000), evidence="clock")
    known = model is asynchronous_threads  # its helpers have a clock of their own
    assert timeline.facts["copiers_known"] == known
    assert (copied_by(timeline) == "?") == (not known)
    assert ("not known" in sentence(timeline)) == (not known)
    assert violations(timeline) == []


def test_synchronous_models_have_no_helpers():
    for model in set(MODELS) - set(ASYNCHRONOUS):
        timeline = run(model, one_read(5, 100))
        assert timeline.facts["helpers"] == []
        assert not timeline.facts["asynchronous"]


def test_where_proc_does_not_show_others_calls_a_helper_is_known_by_what_it_has_read(monkeypatch):
    """As with kernel.yama.ptrace_scope 1: a child may not see in which call its parent's threads are."""

    def refused(looks):
        return [look._replace(seen=look.seen._replace(syscall="Operation not permitted")) for look in looks]

    stop = senders.Senders.stop
    monkeypatch.setattr(senders.Senders, "stop", lambda self: (*(told := stop(self))[:2], refused(told[2])))
    for _ in range(3):  # the helper of the first run is there for the next ones
        timeline = run(asynchronous_posix_aio, one_read(20, 1 << 16), "kernel-stamp")
        assert copied_by(timeline) == "helper-1"
        assert violations(timeline) == []


def test_without_any_sign_it_is_not_known_who_copied(monkeypatch):
    monkeypatch.setattr(experiment, "could_tell", lambda *_: False)
    monkeypatch.setattr(experiment, "helpers_of", lambda *_: [])
    assert copied_by(run(asynchronous_posix_aio, one_read(20, 1000), "kernel-stamp")) == "?"


@needs_io_uring
@pytest.mark.parametrize("manner", MANNERS)
def test_without_schedstat_the_work_of_io_urings_threads_is_neither_seen_nor_denied(manner, monkeypatch):
    """A kernel without CONFIG_SCHED_INFO: all CPU times are 0."""

    def untimed(process_id):
        return {thread_id: task._replace(run_ns=0) for thread_id, task in tasks(process_id).items()}

    monkeypatch.setattr(experiment, "tasks", untimed)
    timeline = run(asynchronous_io_uring, one_read(60, 1000), "kernel-stamp", manner=manner)
    # Those that ask the thread itself to copy may meet a worker of an earlier test.
    assert copied_by(timeline) in ({"?"} if manner in ("async", "sqpoll") else {"?", "application"})
    assert timeline.facts["helpers"] == []
    assert violations(timeline) == []


def test_trace_points_know_the_copiers_even_if_proc_shows_nothing(monkeypatch):
    needs_data_ready()
    monkeypatch.setattr(experiment, "could_tell", lambda *_: False)
    monkeypatch.setattr(experiment, "helpers_of", lambda *_: [])
    timeline = run(asynchronous_posix_aio, many_reads((90, 60, 30), 1000), "tracepoints")
    assert copied_by(timeline) == "helper-1, helper-2, helper-3"
    assert violations(timeline) == []
    assert {each["thread_id"] for each in timeline.facts["helpers"]}.isdisjoint(native_ids())


def test_of_the_threads_in_proc_only_those_that_copied_are_helpers_where_that_was_traced():
    there = [Helper(8, "python3", 5, 1000, ()), Helper(9, "python3", None, 1000, ())]
    copy = Moment("copy-start", 9, 150, 150, 150, "trace point skb/skb_copy_datagram_iovec", 5, 100)
    assert as_traced(there, [copy], {7}, {}, {}, [5]) == there[1:]
    assert as_traced(there, [copy], {7}, {}, {}, [5, 6]) == there  # of 6 nothing was traced
    assert as_traced(there, [copy._replace(thread_id=7)], {7}, {}, {}, [5]) == []
    (unseen,) = as_traced([], [copy], {7}, {}, {}, [5])
    assert (unseen.thread_id, unseen.fd, unseen.cpu_ns) == (9, None, None)


def test_io_urings_threads_are_known_by_their_cpu_time_and_unknown_without_it():
    reader, worker, other = Task(7, "python3", 900, 100), Task(8, "iou-wrk-7", 50), Task(9, "python3", 40)
    both = {7: reader, 8: worker, 9: other}
    assert could_tell(both, [])
    assert helpers_of(both, both, [], {7}, {5: 100}) == []
    assert helpers_of({7: reader}, {7: reader, 8: worker}, [], {7}, {5: 100}) == [Helper(8, "iou-wrk-7", None, 50, ())]
    untimed = {thread_id: task._replace(run_ns=0) for thread_id, task in both.items()}
    assert helpers_of({7: untimed[7]}, untimed, [], {7}, {5: 100}) == []  # nor is it the other one for certain
    assert not could_tell(untimed, [])
    del untimed[8]
    assert could_tell(untimed, [])
    [helper] = helpers_of({7: untimed[7]}, untimed, [], {7}, {5: 100})
    assert (helper.thread_id, helper.cpu_ns) == (9, None)  # "used 0 µs" would be false


# Runs that never happened: the rules, without a kernel


def observation(calls, **more) -> Observation:
    stream = Stream(("peer", "kernel"), 100, 100, [Sent(1_000_000, 1_010_000, 100)])
    return Observation(
        "any", Scenario((Delivery(1, 100),)), {5: stream}, calls, 7, 0, calls[-1].end_ns + 100, Counters(0, 0, 0),
        Counters(50_000, 1, 0), **{"looked_for_helpers": True} | more,
    )  # fmt: skip


def test_a_helper_was_done_between_ready_and_the_moment_when_it_was_found_done():
    calls = [
        Call("aio_read", 5, 100, 200, None, 0, 0),
        Call("aio_suspend", -1, 300, 1_100_000, None, 0, 1),
        Call("aio_return", 5, 1_100_100, 1_100_200, None, 0, 0, ((5, 100),)),
    ]
    timeline = timeline_of(observation(calls, helpers=[Helper(9, "python3", 5, 80_000, ())]))
    (copying,) = timeline.lane("helper-1")
    assert (copying.thread_id, copying.nbytes, copying.state) == (9, 100, "handover")
    assert (copying.end.earliest_ns, copying.end.latest_ns) == (1_000_000, 1_100_000)
    blocked = next(span for span in timeline.lane(APPLICATION) if span.state == "blocked")
    assert (blocked.call, blocked.end.ns) == ("aio_suspend", 1_100_000)
    assert violations(timeline) == []


def test_a_completion_found_in_memory_lies_in_the_programs_own_time():
    calls = [
        Call("io_uring_enter", -1, 100, 200, None, 0, 0),
        Call(COMPLETION, 5, 1_100_000, 1_100_000, None, 0, 0, ((5, 100),)),
    ]
    timeline = timeline_of(observation(calls))
    assert [(span.state, span.nbytes) for span in timeline.lane(APPLICATION) if span.nbytes] == [("user", 100)]
    assert timeline.facts["calls"] == {"io_uring_enter": 1}
    assert violations(timeline) == []


def test_bytes_of_several_helpers_that_nobody_saw_reading_are_nobodys():
    calls = [Call("io_uring_enter", -1, 100, 1_100_000, None, 0, 1, ((5, 100),))]
    helpers = [Helper(9, "iou-wrk-7", None, 10, ()), Helper(10, "iou-wrk-7", None, 10, ())]
    timeline = timeline_of(observation(calls, helpers=helpers))
    assert copied_by(timeline) == "?"
    assert violations(timeline) == []
