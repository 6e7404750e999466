"""The checks of the chapter on nonblocking I/O: right answers, typical wrong ones, and answers that never end."""

import fcntl
import os
import signal
import threading
from contextlib import suppress

import pytest

from iolab.exercises import attempting
from iolab.exercises.nonblocking import check_ask_and_work, check_send_all, check_two_flags


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch):
    monkeypatch.setattr(attempting, "LIMIT_S", 0.3)
    fds, handler = os.listdir("/proc/self/fd"), signal.getsignal(signal.SIGALRM)
    yield
    assert os.listdir("/proc/self/fd") == fds
    assert signal.getsignal(signal.SIGALRM) == handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def asking(fd, nbytes, work):
    data = b""
    while len(data) < nbytes:
        try:
            part = os.read(fd, nbytes - len(data))
        except BlockingIOError:
            work()
            continue
        if not part:
            break
        data += part
    return data


def asking_with_gap(fd, nbytes, work):
    try:
        return os.read(fd, nbytes)
    except ...:  # noqa: B030
        work()


def asking_without_work(fd, nbytes, work):
    while True:
        try:
            return os.read(fd, nbytes)
        except BlockingIOError:
            pass


def asking_blocking(fd, nbytes, work):
    os.set_blocking(fd, True)
    return os.read(fd, nbytes)


def asking_once(fd, nbytes, work):
    work()
    return os.read(fd, nbytes)


def asking_until_the_first(fd, nbytes, work):
    while True:
        try:
            return os.read(fd, nbytes)
        except BlockingIOError:
            work()


def asking_blind_to_the_end(fd, nbytes, work):
    data = b""
    while len(data) < nbytes:
        try:
            data += os.read(fd, nbytes - len(data))
        except OSError:
            work()
    return data


def asking_for_ever(fd, nbytes, work):
    while True:
        try:
            os.read(fd, nbytes)
        except OSError:
            work()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (asking, "Right."),
        (asking_with_gap, "Not answered yet."),
        (asking_without_work, "never worked"),
        (asking_blocking, "never worked"),
        (asking_once, "You let BlockingIOError out"),
        (asking_until_the_first, "in pieces; your function returned b'Dear'"),
        (asking_blind_to_the_end, "b'' is the end"),
        (asking_for_ever, "count what each read brought"),
        (lambda fd: None, "TypeError"),
        ("asking", "Not answered yet."),
    ],
)
def test_ask_and_work(answer, says, capsys):
    check_ask_and_work(answer)
    assert says in capsys.readouterr().out


def both(fd):
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK | os.O_ASYNC)


def both_but_beejs_way(fd):
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_ASYNC)


def both_and_nothing_else(fd):
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)


def both_for_this_process(fd):
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    both(fd)


def both_and_closed(fd):
    both(fd)
    os.close(fd)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (both, "Right."),
        (both_for_this_process, "Right."),
        (both_and_closed, "Right."),
        (both_but_beejs_way, "Missing afterwards: O_NONBLOCK and O_APPEND"),
        (both_and_nothing_else, "Missing afterwards: O_APPEND"),
        (lambda fd: os.set_blocking(fd, False), "Missing afterwards: O_ASYNC"),
        (lambda fd: fcntl.fcntl(fd), "TypeError"),
        (lambda fd: threading.Event().wait(), "still busy"),
    ],
)
def test_two_flags(answer, says, capsys):
    check_two_flags(answer)
    assert says in capsys.readouterr().out


def sending(sock, data, work):
    left = memoryview(data)
    while left:
        try:
            left = left[sock.send(left) :]
        except BlockingIOError:
            work()


def sending_once(sock, data, work):
    sock.send(data)


def sending_from_the_start(sock, data, work):
    sent = 0
    while sent < len(data):
        try:
            sent += sock.send(data)
        except BlockingIOError:
            work()


def sending_without_work(sock, data, work):
    left = memoryview(data)
    while left:
        with suppress(BlockingIOError):
            left = left[sock.send(left) :]


def sending_open(sock, data, work):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (sending, "Right."),
        (sending_once, "nobody sends the rest"),
        (sending_from_the_start, "twice or out of order"),
        (sending_without_work, "never worked"),
        (lambda sock, data, work: sock.sendall(data), "sendall will not do"),
        (lambda sock, data, work: (sock.setblocking(True), sock.sendall(data)), "never worked"),
        (lambda sock, data, work: None, "received 0 of"),
        (lambda sock, data, work: sock.close(), ""),
        (sending_open, "Not answered yet."),
    ],
)
def test_send_all(answer, says, capsys):
    check_send_all(answer)
    assert says in capsys.readouterr().out
