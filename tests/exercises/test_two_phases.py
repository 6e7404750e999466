"""The checks of the chapter on the two phases: right is right, each typical mistake is explained, nothing hangs."""

import os
import select
import signal
import socket
import time
from time import monotonic_ns

import pytest

from iolab.exercises.two_phases import check_make_cold, check_two_phases, check_wait_until_queued
from iolab.recording.file_read import file_reads
from tests.left_behind import nothing_left_behind

FADVISE = os.POSIX_FADV_DONTNEED


@pytest.fixture
def answer(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGALRM)

    def try_out(check, function) -> str:
        with nothing_left_behind():
            check(function)
        assert signal.getsignal(signal.SIGALRM) is handler
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
        assert os.listdir(tmp_path) == []
        return capsys.readouterr().out

    return try_out


def timed(wait, receive=lambda sock, nbytes: sock.recv(nbytes)):
    def two_phases(sock, nbytes):
        start = monotonic_ns()
        wait(sock)
        ready = monotonic_ns()
        data = receive(sock, nbytes)
        return ready - start, monotonic_ns() - ready, data

    return two_phases


def spins(sock):
    while not select.select([sock], [], [], 0)[0]:
        pass


def polls(sock):
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    poller.poll()


def unfinished(sock, nbytes):
    select.select(..., ..., ...)


def never_ends(sock, nbytes):
    while True:
        try:
            sock.no_such_method()
        except Exception:
            time.sleep(0.01)


@pytest.mark.parametrize("wait", [lambda sock: select.select([sock], [], []), polls], ids=["select", "poll"])
def test_waiting_first_is_right(answer, wait):
    assert answer(check_two_phases, timed(wait)).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (unfinished, "Not answered yet."),
        (None, "Not answered yet."),
        (timed(lambda sock: None), "itself went to sleep"),
        (timed(lambda sock: select.select([], [sock], [])), "second list"),
        (timed(lambda sock: sock.setblocking(False)), "EAGAIN"),
        (timed(spins), "did not sleep"),
        (timed(lambda sock: sock.recv(1), lambda sock, nbytes: b""), "takes none"),
        (lambda sock, nbytes: sock.recv(nbytes), "not the three values"),
        (lambda sock, nbytes: (1.5, 2, b""), "not the three values"),
        (lambda sock, nbytes: 1 / 0, "ZeroDivisionError"),
        (lambda sock: None, "TypeError"),
        (lambda sock, nbytes: sock.close(), "not the three values"),
        (never_ends, "did not come to its end"),
    ],
)
def test_two_phases_not_told_apart_are_explained(answer, function, said):
    printed = answer(check_two_phases, function)
    assert said in printed
    assert printed.startswith("Not ")


def cold(fd):
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, FADVISE)


def without_fsync(fd):
    os.posix_fadvise(fd, 0, 0, FADVISE)


def only_fsync(fd):
    os.fsync(fd)


def shortens(fd):
    os.ftruncate(fd, 0)


def closes(fd):
    os.close(fd)


def test_fsync_then_advice_is_right(answer):
    assert answer(check_make_cold, cold).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda fd: ..., "Not answered yet."),
        (without_fsync, "dirty"),
        (only_fsync, "nobody told the kernel"),
        (closes, "nobody told the kernel"),
        (shortens, "changed the file"),
        (lambda fd: os.fsync("x"), "TypeError"),
    ],
)
def test_pages_that_stay_are_explained(answer, function, said):
    assert said in answer(check_make_cold, function)


def test_advice_before_fsync_is_explained(answer, tmp_path):
    if not file_reads(str(tmp_path), 1 << 20).evicted:
        pytest.skip("this file system drops no pages")

    def too_early(fd):
        os.posix_fadvise(fd, 0, 0, FADVISE)
        os.fsync(fd)

    assert "before the pages were clean" in answer(check_make_cold, too_early)


def by_mark(sock, nbytes):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, nbytes)
    select.select([sock], [], [])


def by_peek(sock, nbytes):
    sock.recv(nbytes, socket.MSG_PEEK | socket.MSG_WAITALL)


def by_asking(sock, nbytes):
    while len(sock.recv(nbytes, socket.MSG_PEEK)) < nbytes:
        pass


def mark_too_high(sock, nbytes):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, nbytes + 1)
    select.select([sock], [], [])


@pytest.mark.parametrize("function", [by_mark, by_peek])
def test_waiting_without_taking_is_right(answer, function):
    assert answer(check_wait_until_queued, function).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda sock, nbytes: ..., "Not answered yet."),
        (lambda sock, nbytes: select.select([sock], [], []), "before all bytes"),
        (lambda sock, nbytes: sock.recv(nbytes, socket.MSG_WAITALL), "took them out"),
        (lambda sock, nbytes: None, "before all bytes"),
        (by_asking, "asked again and again"),
        (mark_too_high, "still waited"),
        (lambda sock, nbytes: sock.nothing, "AttributeError"),
    ],
)
def test_waiting_otherwise_is_explained(answer, function, said):
    assert said in answer(check_wait_until_queued, function)
