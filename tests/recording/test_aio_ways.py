"""Ways to wait for an aio_read: who slept where, by /proc and the kernel's counters; limits of the pool of threads."""

import json
import os
import platform
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from iolab.kernel import posix_aio
from iolab.kernel.posix_aio import aio_read, aio_return, aio_suspend
from iolab.kernel.posix_aio_block import ControlBlock
from iolab.kernel.thread_state import thread_state
from iolab.recording import aio_limits
from iolab.recording.aio_limits import lost_results, starved
from iolab.recording.aio_ways import WAYS, ways_to_wait
from iolab.recording.reading_threads import readers_of
from tests.left_behind import nothing_left_behind

pytestmark = [
    pytest.mark.skipif(bool(posix_aio.unavailable()), reason=str(posix_aio.unavailable())),
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="these are facts of glibc"),
]
WAIT_MS = 100


@pytest.fixture(scope="module")
def rows():
    with nothing_left_behind():
        return {row["way"]: row for row in ways_to_wait(wait_ms=WAIT_MS)}


def test_each_way_reads_what_was_sent_and_not_before_it_was_sent(rows):
    assert list(rows) == list(WAYS)
    assert all(row["same"] and row["wall_ns"] >= WAIT_MS * 0.9e6 for row in rows.values())


def test_only_polling_asks_and_it_asks_often(rows):
    assert {name: row["asked"] for name, row in rows.items() if row["asked"]}.keys() == {"polling"}
    assert rows["polling"]["asked"] > 100


def test_only_polling_is_on_a_cpu_for_longer_than_it_takes_to_ask_once(rows):
    # A CPU hog beside it may halve what polling gets, and a cache that is cold doubles what the others need.
    others = [row["cpu_ns"] for name, row in rows.items() if name != "polling"]
    assert rows["polling"]["cpu_ns"] > 3 * max(others)


def test_every_other_way_gave_its_cpu_away(rows):
    assert all(row["switches"] for name, row in rows.items() if name != "polling")


@pytest.mark.parametrize(
    ("way", "function"),
    [("suspend", "futex"), ("signal", "sigtimedwait"), ("signalfd", "poll"), ("thread", "futex"), ("list", "futex")],
)
def test_the_thread_is_seen_asleep_where_its_way_says(rows, way, function):
    wchan = rows[way]["asleep_in"]
    if wchan in ("0", "Operation not permitted"):
        pytest.skip(f"/proc/PID/task/TID/wchan: {wchan}")
    assert function in wchan


def test_whichever_way_there_is_another_thread(rows):
    assert all(row["others"] >= 1 for row in rows.values())
    assert rows["polling"]["others"] == 1


def test_whichever_way_another_thread_sleeps_in_the_read(rows):
    if (scope := Path("/proc/sys/kernel/yama/ptrace_scope")).exists() and scope.read_text().strip() != "0":
        pytest.skip(f"{scope} is {scope.read_text().strip()}: a child may not see what its parent's threads call")
    for name, row in rows.items():  # seen at three moments: on a busy machine it may not have got there by then
        assert row["reader_asleep"] or any(ways_to_wait((name,), 500)[0]["reader_asleep"] for _ in range(5)), name


@pytest.mark.parametrize(("ways", "wait_ms"), [(("poll",), 100), (("polling",), -1), (("polling",), "x")])
def test_a_wrong_argument_is_refused_before_anything_is_started(ways, wait_ms):
    with pytest.raises(ValueError, match=r"must be"):
        ways_to_wait(ways, wait_ms)


def test_twenty_silent_sockets_keep_a_file_from_being_read_until_one_speaks():
    with nothing_left_behind():
        assert starved(20) == {"threads": 20, "asleep": 20, "over": False, "after_one_byte": True, "nbytes": 4}


def test_with_a_thread_to_spare_the_file_is_read_at_once():
    assert starved(19, patience_s=20) == {
        "threads": 19,
        "asleep": 19,
        "over": True,
        "after_one_byte": True,
        "nbytes": 4,
    }
    assert starved(40, threads=64, patience_s=20)["threads"] == 40


def test_a_full_queue_of_signals_costs_results_but_not_the_bytes():
    found = lost_results(reads=8, room=4)
    assert found["taken"] == 8
    assert found["counted"] + found["eagain"] == 8
    assert found["eagain"] >= 4


def test_signals_that_another_process_of_the_user_has_pending_take_no_room_away():
    program = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
for _ in range(10):
    os.kill(os.getpid(), signal.SIGRTMIN)
print("pending", flush=True)
input()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as other:
        assert other.stdout.readline() == "pending\n"
        found = lost_results(reads=8, room=4)
        other.communicate("\n")
    # Four, but for signals of others that have come to be pending meanwhile.
    assert 0 < found["counted"] <= 4
    assert found["counted"] + found["eagain"] == found["taken"] == 8


def test_if_another_process_makes_room_meanwhile_the_reads_are_made_once_more(monkeypatch):
    answers = [{"counted": 5, "eagain": 3}, {"counted": 4, "eagain": 4}]
    monkeypatch.setattr(aio_limits, "run_alone", lambda *_: json.dumps(answers.pop(0)))
    assert lost_results(reads=8, room=4) == {"counted": 4, "eagain": 4}
    answers += [{"counted": 8, "eagain": 0}] * aio_limits.ATTEMPTS  # a kernel that has no such limit
    assert lost_results(reads=8, room=4) == {"counted": 8, "eagain": 0}


def test_with_room_for_all_signals_no_result_is_lost():
    assert lost_results(reads=2, room=200) == {"taken": 2, "counted": 2, "eagain": 0}


@pytest.mark.parametrize(
    "wrong", [lambda: starved(0), lambda: starved(1, 0), lambda: lost_results(21), lambda: lost_results(1, -1)]
)
def test_a_limit_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must be from"):
        wrong()


def test_a_thread_of_the_c_library_is_found_asleep_in_its_read():
    ours, peer = socket.socketpair()
    with ours, peer, nothing_left_behind():
        block = ControlBlock(ours.fileno(), bytearray(1))
        aio_read(block)
        found = readers_of(ours.fileno())
        peer.send(b"x")
        aio_suspend([block])
        assert aio_return(block) == 1
    if not found and thread_state(os.getpid(), os.getpid()).syscall == "Operation not permitted":
        pytest.skip("/proc/PID/task/TID/syscall: Operation not permitted")
    [look] = found
    assert look.task.thread_id not in {thread.native_id for thread in threading.enumerate()}


def test_nobody_is_found_who_reads_what_nobody_reads():
    ours, peer = socket.socketpair()
    with ours, peer:
        assert readers_of(ours.fileno(), 0) == []
