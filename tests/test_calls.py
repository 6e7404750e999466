"""The recorder: what it writes down is what happened, and it costs less than a microsecond a call."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from errno import EAGAIN, EBADF
from resource import RUSAGE_THREAD, getrusage

import pytest

from iolab.calls import unrecorded
from iolab.recorder import SLEEP_IS_LONGER_THAN_NS, Recorder

resource = pytest.importorskip("resource", reason="no getrusage here: no recorder counts sleeps")
pytestmark = pytest.mark.skipif(not hasattr(resource, "RUSAGE_THREAD"), reason="RUSAGE_THREAD is Linux's")

ROUNDS, CALLS_PER_ROUND = 120, 200
MOST_NS = 1000


def switches() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


@pytest.fixture
def pipe():
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    yield read_fd, write_fd
    os.close(read_fd)
    os.close(write_fd)


@pytest.fixture
def slow_sender():
    """The end to read from of a process that sends one byte a little later; a process holds no interpreter lock."""
    program = "import os, time; os.read(0, 1); time.sleep(0.03); os.write(1, b'x'); os.read(0, 1)"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sender:
        sender.stdin.raw.write(b"g")
        yield sender.stdout.fileno()
        sender.stdin.close()


def refused_read(call, fd):
    try:
        with call("read", fd):
            call.returned(os.readv(fd, [bytearray(1)]))
    except BlockingIOError:
        pass


# What is written down


def test_calls_are_written_down_in_their_order_with_names_and_descriptors():
    recorder = Recorder()
    for name, fd in (("fcntl", 3), ("poll", -1), ("read", 7)):
        with recorder(name, fd):
            pass
    assert [(call.name, call.fd) for call in recorder.calls()] == [("fcntl", 3), ("poll", -1), ("read", 7)]


def test_a_call_lies_between_the_clock_before_and_the_clock_after():
    recorder = Recorder()
    before = time.monotonic_ns()
    with recorder("first"):
        inside = time.monotonic_ns()
    between = time.monotonic_ns()
    with recorder("second"):
        pass
    after = time.monotonic_ns()
    first, second = recorder.calls()
    assert before <= first.start_ns <= inside <= first.end_ns <= between
    assert between <= second.start_ns <= second.end_ns <= after


def test_byte_counts_belong_to_the_call_that_returned_them():
    recorder = Recorder()
    with recorder("read"):
        assert recorder.returned(5) == 5
    with recorder("poll"):
        pass
    with recorder("read"):
        assert recorder.returned(0) == 0
    assert [call.nbytes for call in recorder.calls()] == [5, None, 0]


def test_a_failed_call_has_its_errno_and_no_bytes_and_its_error_is_not_swallowed():
    recorder = Recorder()
    with pytest.raises(OSError, match="Bad file descriptor"), recorder("read", -1):
        recorder.returned(os.readv(-1, [bytearray(1)]))
    with pytest.raises(KeyError), recorder("lookup"):
        raise KeyError
    assert [(call.errno, call.nbytes) for call in recorder.calls()] == [(EBADF, None), (-1, None)]


def test_refused_polls_are_complete_and_in_order(pipe):
    read_fd, write_fd = pipe
    recorder = Recorder()
    for number in range(3000):
        refused_read(recorder, read_fd)
        if number % 1000 == 999:
            os.write(write_fd, b"x")
            with recorder("read", read_fd):
                recorder.returned(os.readv(read_fd, [bytearray(1)]))
    calls = recorder.calls()
    assert [(call.errno, call.nbytes) for call in calls] == [*[(EAGAIN, None)] * 1000, (0, 1)] * 3
    assert all(this.end_ns <= following.start_ns for this, following in zip(calls, calls[1:], strict=False))
    assert {(call.name, call.fd) for call in calls} == {("read", read_fd)}


def test_a_recorder_may_be_asked_twice_and_knows_its_thread():
    recorder = Recorder()
    with recorder("read"):
        recorder.returned(1)
    assert recorder.calls() == recorder.calls()
    assert recorder.thread_id == threading.get_native_id()


# Who slept: getrusage knows


ECHO = "import os, sys; [os.write(int(sys.argv[1]), byte) for byte in iter(lambda: os.read(int(sys.argv[1]), 1), b'')]"


def test_a_blocking_read_slept_as_often_as_getrusage_says(slow_sender):
    recorder, before = Recorder(), switches()
    with recorder("read", slow_sender):
        recorder.returned(os.readv(slow_sender, [bytearray(1)]))
    slept = switches() - before
    (call,) = recorder.calls(before)
    assert call.slept == slept >= 1


def test_a_call_that_does_not_wait_slept_zero_times(pipe):
    read_fd, write_fd = pipe
    os.write(write_fd, b"x")
    recorder, before = Recorder(), switches()
    with recorder("read", read_fd):
        recorder.returned(os.readv(read_fd, [bytearray(1)]))
    (call,) = recorder.calls(before)
    assert call.slept == switches() - before == 0


def test_a_sleep_of_a_few_microseconds_is_booked_on_the_call_that_slept():
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen([sys.executable, "-c", ECHO, str(theirs.fileno())], pass_fds=[theirs.fileno()]):
        theirs.close()
        recorder, before, slept = Recorder(), switches(), []
        for _ in range(200):
            ours.send(b"x")
            behind = switches()
            with recorder("read", ours.fileno()):
                recorder.returned(len(os.read(ours.fileno(), 1)))
            slept.append(switches() - behind)
        ours.shutdown(socket.SHUT_WR)
    assert [call.slept for call in recorder.calls(before)] == slept
    assert (
        sum(slept) > 0
    )  # for the first answer at least, while the other process starts; on a quiet machine nearly all


def test_a_sleep_between_two_calls_is_neither_s():
    recorder, before = Recorder(), switches()
    for _ in range(2):
        time.sleep(0.002)
        with recorder("spin"):
            end = time.monotonic_ns() + 100_000
            while time.monotonic_ns() < end:
                pass
    assert [call.slept for call in recorder.calls(before)] == [0, 0]
    assert switches() - before >= 2


def test_a_long_call_that_never_sleeps_slept_zero_times():
    recorder, before = Recorder(), switches()
    with recorder("spin"):
        end = time.monotonic_ns() + 200 * SLEEP_IS_LONGER_THAN_NS
        while time.monotonic_ns() < end:
            pass
    (call,) = recorder.calls(before)
    assert call.slept == switches() - before == 0


def test_a_long_refusal_is_asked_whether_it_slept():
    def slow_refusal():
        time.sleep(0.005)
        raise BlockingIOError(EAGAIN, os.strerror(EAGAIN))

    recorder, before = Recorder(), switches()
    with pytest.raises(BlockingIOError), recorder("read", 3):
        slow_refusal()
    (call,) = recorder.calls(before)
    assert (call.errno, call.nbytes) == (EAGAIN, None)
    assert call.slept == switches() - before >= 1


def test_all_sleeps_of_many_calls_add_up_to_what_getrusage_says():
    recorder, before = Recorder(), switches()
    for number in range(20):
        with recorder("clock_nanosleep"):
            time.sleep(0.001 if number % 3 else 0)
    slept = switches() - before
    # A short call is not asked: what it slept is counted with the next long one, and the last one here is long.
    assert sum(call.slept for call in recorder.calls(before)) == slept >= 13


# What it costs


def cost_ns(call, read) -> float:
    """Nanoseconds of one read in a short round, with `call` around each."""
    start = time.perf_counter_ns()
    for _ in range(CALLS_PER_ROUND):
        read(call)
    return (time.perf_counter_ns() - start) / CALLS_PER_ROUND


@pytest.mark.parametrize("outcome", ["successful", "refused"])
def test_recording_a_call_costs_less_than_a_microsecond(outcome, pipe, capsys):
    read_fd, _ = pipe
    zero, buffers = os.open("/dev/zero", os.O_RDONLY), [bytearray(1)]

    def successful(call):
        with call("read", zero):
            call.returned(os.readv(zero, buffers))

    read = successful if outcome == "successful" else lambda call: refused_read(call, read_fd)
    try:
        # Rounds shorter than a time slice, taken in turn: among many, some of either kind had the CPU to themselves,
        # and only those can be the smallest. (The smallest difference of a pair would be too good: its unrecorded
        # round may be the one that lost the CPU.)
        pairs = [(cost_ns(unrecorded, read), cost_ns(Recorder(), read)) for _ in range(ROUNDS)]
    finally:
        os.close(zero)
    without, recorded = (min(column) for column in zip(*pairs, strict=True))
    with capsys.disabled():
        print(f"\n  {outcome} call: {without:.0f} ns, recorded {recorded:.0f} ns: {recorded - without:.0f} ns more")
    assert 0 < recorded - without <= MOST_NS


def test_the_unrecorded_call_changes_nothing():
    with unrecorded("read", 3) as nothing:
        assert unrecorded.returned(7) == 7
    assert nothing is None
    with pytest.raises(BlockingIOError), unrecorded("read"):
        raise BlockingIOError


def test_an_interrupt_inside_a_call_is_written_down_and_passed_on():
    class Interrupted(Exception):
        pass

    def interrupt(*_):
        raise Interrupted

    def sleep_until_interrupted():
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        time.sleep(15)

    old = signal.signal(signal.SIGALRM, interrupt)
    recorder = Recorder()
    try:
        with pytest.raises(Interrupted), recorder("pause"):
            sleep_until_interrupted()
    finally:
        signal.signal(signal.SIGALRM, old)
    (call,) = recorder.calls()
    assert (call.name, call.errno) == ("pause", -1)


def test_a_sleep_between_two_calls_is_not_booked_on_the_next_one():
    recorder = Recorder()
    before = getrusage(RUSAGE_THREAD).ru_nvcsw
    time.sleep(0.01)
    recorder.slept_elsewhere()
    with recorder("read", 0):
        until = time.monotonic() + 0.001
        while time.monotonic() < until:
            pass
    (call,) = recorder.calls(before)
    assert call.slept == 0
