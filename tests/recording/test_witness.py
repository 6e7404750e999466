"""The witness, against the clock of whoever writes, the kernel's books of processes, and the bytes themselves."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from time import monotonic_ns

import pytest

from iolab.kernel import cpus
from iolab.models import MODELS, asynchronous_io_uring, blocking
from iolab.recording.evidence import watcher, witness
from iolab.recording.evidence.watcher import Watcher
from iolab.recording.evidence.watching import LEAST_PART, PARTS, offsets
from iolab.recording.evidence.witness import STORE_NS
from iolab.recording.scenario import many_reads, one_read
from iolab.recording.shared_buffer import SharedBuffer
from tests.left_behind import children, nothing_left_behind
from tests.recording.observed_run import observed_run

pytestmark = pytest.mark.skipif(bool(witness.unavailable()), reason=str(witness.unavailable()))
PATIENCE_S = 60
every_model = pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=pytest.mark.skipif(bool(model.unavailable()), reason=str(model.unavailable())))
        for model in MODELS
    ],
    ids=lambda model: model.NAME,
)


def allowed(thread_id: int | str) -> list[int]:
    lines = Path(f"/proc/{thread_id}/status").read_text().splitlines()
    return cpus.numbers(next(line.split()[1] for line in lines if line.startswith("Cpus_allowed_list")))


def me() -> tuple[int, int]:
    return os.getpid(), threading.get_native_id()


def a_cpu() -> int:
    return witness.cpu_of_the_witness()


def until(condition) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not (true := condition()) and time.monotonic() < deadline:
        time.sleep(0.001)
    return bool(true)


def seen_whole(run_once, least: int | None = None):
    """A run in which the witness had its CPU when it mattered: on a loaded machine not the first one."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        run = run_once()
        if len(run.moments) >= (least or 2 * len(run.fds)) or time.monotonic() > deadline:
            return run


# The process that watches


def test_it_looks_at_both_ends_and_at_sixteenths_of_what_is_large():
    assert offsets(1) == [0]
    assert offsets(2) == [0, 1]
    assert offsets(LEAST_PART) == [0, LEAST_PART - 1]
    assert offsets(1 << 20) == [part << 16 for part in range(PARTS)] + [(1 << 20) - 1]
    for nbytes in (1000, 65_537, 1_000_003):
        places = offsets(nbytes)
        assert places == sorted(set(places))
        assert (places[0], places[-1]) == (0, nbytes - 1)
        assert len(places) <= PARTS + 1


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_byte_is_seen_between_the_moments_at_which_it_was_written(count):
    nbytes = PARTS * LEAST_PART
    buffers = [SharedBuffer(nbytes) for _ in range(count)]
    places = offsets(nbytes)
    written = {}
    try:
        with nothing_left_behind(), Watcher(a_cpu(), buffers) as watch:
            for offset in places:
                for number in reversed(range(count)):
                    before = monotonic_ns()
                    buffers[number][offset] = 0
                    written[number, offset] = before, monotonic_ns()
            assert watch.seen_all(PATIENCE_S)
            saw = watch.stop()
    finally:
        for buffer in buffers:
            buffer.close()
    assert sorted((each.buffer, each.offset) for each in saw) == sorted(written)
    for each in saw:
        before, after = written[each.buffer, each.offset]
        assert each.earliest_ns <= after + STORE_NS
        assert before <= each.latest_ns + STORE_NS


def test_a_zero_byte_or_any_other_but_the_one_that_nobody_sends_is_seen():
    for byte in (0, 1, 250):
        with SharedBuffer(1) as buffer, Watcher(a_cpu(), [buffer]) as watch:
            buffer[0] = byte
            assert watch.seen_all(PATIENCE_S)


def test_a_watcher_runs_on_its_cpu_alone():
    for cpu in cpus.allowed_cpus():
        with SharedBuffer(1) as buffer, Watcher(cpu, [buffer]) as watch:
            assert allowed(watch.process_id) == [cpu]


def test_a_watcher_ends_when_its_reader_is_killed():
    program = (
        "import time\n"
        "from iolab.recording.evidence.watcher import Watcher\n"
        "from iolab.recording.shared_buffer import SharedBuffer\n"
        f"watcher = Watcher({a_cpu()}, [SharedBuffer(10)])\n"
        "print(watcher.process_id, flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as reader:
        watching = int(reader.stdout.readline())
        assert Path(f"/proc/{watching}").exists()
        reader.kill()
        assert until(lambda: not alive(watching))


def alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_a_watcher_hears_the_end_also_where_its_signal_was_blocked_or_ignored():
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
    ignored = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        with SharedBuffer(1) as buffer, Watcher(a_cpu(), [buffer]) as watch:
            assert watch.stop() == []
            assert until(lambda: not alive(watch.process_id))
    finally:
        signal.signal(signal.SIGIO, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def test_a_watcher_that_cannot_start_says_why(monkeypatch):
    monkeypatch.setattr(watcher, "_PROGRAM", "raise SystemExit('no CPU of that number')")
    with nothing_left_behind(), SharedBuffer(1) as buffer, pytest.raises(RuntimeError, match="no CPU of that number"):
        Watcher(a_cpu(), [buffer])


# The rung


@every_model
@pytest.mark.parametrize("transport", ["tcp", "pipe", "socketpair"])
def test_every_model_copies_after_the_first_send_and_before_it_returns(model, transport):
    run = seen_whole(lambda: observed_run(witness, model, one_read(10, 1 << 18, transport=transport)))
    start, end = run.moments
    assert (start.kind, start.fd, end.kind, end.fd, end.nbytes) == (
        "copy-start", run.fds[0], "copy-end", run.fds[0], 1 << 18,
    )  # fmt: skip
    assert run.sent[0][0].before_ns <= start.latest_ns <= end.latest_ns
    assert end.earliest_ns <= run.after_ns
    assert start.earliest_ns < start.ns <= start.latest_ns
    assert end.earliest_ns <= end.ns < end.latest_ns
    if transport == "tcp" and model is blocking:  # with the low-water mark nothing is copied before all is there
        assert run.sent[0][-1].before_ns <= start.latest_ns


@pytest.mark.skipif(bool(asynchronous_io_uring.unavailable()), reason=str(asynchronous_io_uring.unavailable()))
@pytest.mark.parametrize("manner", ["default", "defer-taskrun", "async", "sqpoll"])
def test_every_manner_of_io_uring_is_seen(manner):
    run = seen_whole(lambda: observed_run(witness, asynchronous_io_uring, one_read(10, 1 << 18), manner=manner))
    start, end = run.moments
    assert run.sent[0][0].before_ns <= start.latest_ns <= end.latest_ns
    assert end.earliest_ns <= run.after_ns


@every_model
def test_several_streams_are_told_apart(model):
    run = seen_whole(lambda: observed_run(witness, model, many_reads((20, 5), 1 << 16)), least=2)
    assert len(run.moments) >= 2
    for fd, sends in zip(run.fds, run.sent, strict=True):
        own = [moment for moment in run.moments if moment.fd == fd]
        assert [moment.kind for moment in own] in (["copy-start", "copy-end"], ["copy-start"], ["copy-end"], [])
        assert all(sends[0].before_ns <= moment.latest_ns for moment in own)
        assert all(moment.earliest_ns <= run.after_ns for moment in own)


def test_the_progress_of_a_copy_is_told_in_sixteenths():
    run = seen_whole(lambda: observed_run(witness, blocking, one_read(10, 1 << 20)))
    (progress,) = run.observer.progress().values()
    assert [nbytes for nbytes, _ in progress] == [(part << 16) + 1 for part in range(PARTS)] + [1 << 20]
    times = [ns for _, ns in progress]
    assert times == sorted(times)


def test_of_a_read_that_ends_early_the_begin_is_seen_and_no_end():
    def once():
        with SharedBuffer(2000) as buffer, witness.Observer(me(), [buffer], [9]) as observer:
            buffer[:1000] = bytes(1000)
            written = monotonic_ns()
            while monotonic_ns() < written + 5_000_000:  # time for a look
                pass
            return observer.moments()

    deadline, moments = time.monotonic() + PATIENCE_S, []
    while not moments and time.monotonic() < deadline:
        moments = once()
    assert [(moment.kind, moment.fd) for moment in moments] == [("copy-start", 9)]


def test_a_witness_that_lost_its_cpu_says_nothing_and_counts_it():
    with SharedBuffer(10) as buffer, witness.Observer(me(), [buffer], [9]) as observer:
        watching = observer._watcher.process_id
        os.kill(watching, signal.SIGSTOP)
        assert until(lambda: Path(f"/proc/{watching}/stat").read_text().rpartition(") ")[2][0] == "T")
        buffer[:] = bytes(10)
        written = monotonic_ns()
        while monotonic_ns() < written + 2 * witness.AWAY_NS:
            pass
        os.kill(watching, signal.SIGCONT)
        assert observer._watcher.seen_all(PATIENCE_S)
        assert observer.moments() == []
        assert observer.away == 2
        for saw in observer._watcher.saw:  # its interval is long, and right
            assert saw.earliest_ns <= written <= saw.latest_ns


def test_the_reader_stays_off_the_witnesss_cpu_and_gets_it_back():
    before = allowed("thread-self")
    with SharedBuffer(1) as buffer:
        for error in (None, KeyError("any")):
            try:
                with witness.Observer(me(), [buffer], [9]) as observer:
                    (cpu,) = allowed(observer._watcher.process_id)
                    assert allowed("thread-self")
                    assert set(allowed("thread-self")) <= set(before) - {cpu}
                    if error:
                        raise error
            except KeyError:
                pass
            assert allowed("thread-self") == before


def test_nothing_is_left_behind_also_after_an_error_and_an_interrupt():
    known = children()
    with nothing_left_behind(), SharedBuffer(1) as buffer:
        for error in (KeyError, KeyboardInterrupt):
            try:
                with witness.Observer(me(), [buffer], [9]):
                    assert len(children() - known) == 1
                    raise error
            except error:
                continue
        with witness.Observer(me(), [buffer], [9]) as observer:
            pass
        observer.close()


def test_with_one_cpu_there_is_no_witness_and_the_reason_says_so():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert f"CPU {min(before)} only" in witness.unavailable()
        with nothing_left_behind(), SharedBuffer(1) as buffer, pytest.raises(ValueError, match="another CPU than"):
            witness.Observer(me(), [buffer], [9]).__enter__()
    finally:
        os.sched_setaffinity(0, before)


def test_with_a_quota_of_one_cpu_there_is_no_witness(monkeypatch):
    monkeypatch.setattr(witness, "cpu_quota", lambda: 1.0)
    assert "quota is 1 CPUs" in witness.unavailable()


def test_a_witness_with_a_wrong_clock_is_not_trusted(monkeypatch):
    class Late(Watcher):
        def stop(self):
            return [
                saw._replace(earliest_ns=saw.earliest_ns + 10**12, latest_ns=saw.latest_ns + 10**12)
                for saw in super().stop()
            ]

    monkeypatch.setattr(witness, "Watcher", Late)
    assert "after its write" in witness._tested.__wrapped__(tuple(cpus.allowed_cpus()))
