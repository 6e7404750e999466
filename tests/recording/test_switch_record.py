"""The switch record of a run, against the kernel's counts of switches, /proc's lists of threads, and the reader's clock."""

import os
import threading
import time
from pathlib import Path

import pytest

from iolab.kernel import perf_switches
from iolab.models import (
    MODELS,
    asynchronous_io_uring,
    asynchronous_posix_aio,
    asynchronous_threads,
    blocking,
    multiplexing_epoll,
)
from iolab.recording.evidence import switch_record
from iolab.recording.scenario import one_read
from tests.left_behind import nothing_left_behind
from tests.recording.observed_run import observed_run

pytestmark = pytest.mark.skipif(bool(switch_record.unavailable()), reason=str(switch_record.unavailable()))
PATIENCE_S = 60
resource = pytest.importorskip("resource", reason="no getrusage here")


def me() -> tuple[int, int]:
    return os.getpid(), threading.get_native_id()


def usable(*models):
    return [
        pytest.param(model, marks=pytest.mark.skipif(bool(model.unavailable()), reason=str(model.unavailable())))
        for model in models
    ]


def of(moments, thread_id, kind=None):
    return [each for each in moments if each.thread_id == thread_id and kind in (None, each.kind)]


def rings() -> int:
    return Path("/proc/self/maps").read_text().count("perf_event")


@pytest.mark.parametrize("model", usable(*MODELS), ids=lambda model: model.NAME)
def test_the_readers_switches_are_as_many_as_the_kernel_counts_and_in_order(model):
    with nothing_left_behind():
        outer = resource.getrusage(resource.RUSAGE_THREAD)
        run = observed_run(switch_record, model, one_read(10, 1 << 18))
        after = resource.getrusage(resource.RUSAGE_THREAD)
    own = of(run.moments, run.reader[1])
    assert run.observer.lost == 0
    assert run.observer.unpaired == []
    assert [each.kind for each in own] == ["switched-out", "switched-in"] * (len(own) // 2)
    outs = of(own, run.reader[1], "switched-out")
    assert sum(each.detail == "" for each in outs) <= after.ru_nvcsw - outer.ru_nvcsw
    assert sum(each.detail == "R" for each in outs) <= after.ru_nivcsw - outer.ru_nivcsw
    assert [each.ns for each in own] == sorted(each.ns for each in own)
    assert all(each.earliest_ns < each.ns <= each.latest_ns for each in own)


@pytest.mark.parametrize("model", usable(blocking, multiplexing_epoll), ids=lambda model: model.NAME)
def test_a_reader_that_waits_falls_asleep_before_the_data_and_has_a_cpu_again_after_it(model):
    run = observed_run(switch_record, model, one_read(30, 1 << 18))
    own = of(run.moments, run.reader[1])
    sends = run.sent[0]
    pairs = list(zip(own[::2], own[1::2], strict=True))
    asleep = [pair for pair in pairs if pair[0].detail == "" and pair[0].ns < sends[0].before_ns < pair[1].ns]
    assert len(asleep) == 1  # one sleep, over the moment of the first send
    ((begin, end),) = asleep
    assert run.before_ns <= begin.ns
    assert sends[-1].before_ns <= end.ns <= run.after_ns  # woken once, by the last byte: the low-water mark


def test_the_threads_of_a_model_are_in_the_record_from_their_birth():
    run = observed_run(switch_record, asynchronous_threads, one_read(30, 1 << 18))
    assert run.helpers
    for thread_id in run.helpers:
        own = of(run.moments, thread_id)
        assert own[0].kind == "switched-in"
        assert len(own) >= 3  # in, out to wait, in again


@pytest.mark.skipif(bool(asynchronous_posix_aio.unavailable()), reason=str(asynchronous_posix_aio.unavailable()))
def test_the_c_librarys_helper_is_in_the_record_also_when_it_was_there_before():
    def helpers():
        known = {thread.native_id for thread in threading.enumerate()}
        return {int(each) for each in os.listdir("/proc/self/task")} - known

    for _ in range(2):  # glibc's helper waits a second for more work
        run = observed_run(switch_record, asynchronous_posix_aio, one_read(20, 1 << 18))
        present = helpers()
        assert present
        seen = [thread_id for thread_id in present if len(of(run.moments, thread_id, "switched-in")) >= 2]
        # Two at least: to begin its read, and when data came.
        assert seen


@pytest.mark.skipif(bool(asynchronous_io_uring.unavailable()), reason=str(asynchronous_io_uring.unavailable()))
@pytest.mark.parametrize(("manner", "comm"), [("async", "iou-wrk-"), ("sqpoll", "iou-sqp-")])
def test_the_kernels_workers_are_in_the_record(manner, comm):
    seen, over = {}, threading.Event()

    def look():
        while not over.wait(0.001):
            for folder in Path("/proc/self/task").iterdir():
                try:
                    seen[int(folder.name)] = (folder / "comm").read_text()
                except OSError:
                    continue

    looking = threading.Thread(target=look)
    looking.start()
    try:
        run = observed_run(switch_record, asynchronous_io_uring, one_read(40, 1 << 18), manner=manner)
    finally:
        over.set()
        looking.join()
    workers = {thread_id for thread_id, name in seen.items() if name.startswith(comm)}
    assert workers
    assert workers & {each.thread_id for each in run.moments}


def test_threads_of_other_processes_are_not_in_the_record():
    run = observed_run(switch_record, blocking, one_read(5, 1000))
    with nothing_left_behind(), switch_record.Observer(me(), [], []) as observer:
        child = os.fork()
        if not child:
            time.sleep(0.001)
            os._exit(0)
        os.waitpid(child, 0)
        moments = observer.moments()
    assert child not in {each.thread_id for each in moments}
    assert {each.source for each in run.moments + moments} == {"switch-record"}


def test_a_thread_of_which_a_switch_is_missing_is_named_and_not_believed(monkeypatch):
    whole = perf_switches.SwitchRing.read
    missing = []

    def read(ring):
        switches = whole(ring)
        if not missing and len(switches) > 4:
            missing.append(switches.pop(2))
        return switches

    monkeypatch.setattr(perf_switches.SwitchRing, "read", read)
    deadline = time.monotonic() + PATIENCE_S
    while not missing and time.monotonic() < deadline:
        with switch_record.Observer(me(), [], []) as observer:
            for _ in range(10):
                time.sleep(1e-4)
    assert observer.unpaired == [missing[0].thread_id]
    assert of(observer.moments(), missing[0].thread_id) == []


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_nothing_is_left_behind_also_after_an_error(error):
    with nothing_left_behind():
        try:
            with switch_record.Observer(me(), [], []) as observer:
                assert rings() >= 1
                raise error
        except error:
            pass
        assert rings() == 0
        observer.close()


def test_what_a_refused_event_has_opened_before_is_closed(monkeypatch):
    opened = []

    class Refused(perf_switches.SwitchRing):
        def __init__(self, *arguments, **more):
            if opened:
                raise OSError(1, "Operation not permitted", "perf_event_open")
            super().__init__(*arguments, **more)
            opened.append(self)

    monkeypatch.setattr(switch_record, "SwitchRing", Refused)
    with nothing_left_behind(), pytest.raises(OSError, match="not permitted"):
        switch_record.Observer(me(), [], []).__enter__()
    assert opened
    assert rings() == 0
    opened.clear()
    assert switch_record.unavailable() == "perf_event_open: Operation not permitted"
