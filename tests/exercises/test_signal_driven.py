"""The checks of the chapter on signal-driven I/O: right is right, each mistake is explained, all is put back."""

import fcntl
import os
import signal
import struct
import threading

import pytest

from iolab.exercises import attempting
from iolab.exercises.signal_driven import check_arm, check_look_first, check_work_until_data
from iolab.kernel.realtime_signals import F_OWNER_EX, F_OWNER_TID, F_SETOWN_EX, F_SETSIG
from tests.streams import kernel_state


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch):
    monkeypatch.setattr(attempting, "LIMIT_S", 0.3)
    before = kernel_state()
    yield
    assert kernel_state() == before


def answer(capsys, check, function) -> str:
    check(function)
    return capsys.readouterr().out


def arm(fd, number, owner=True, setsig=True, keep=True):
    if owner:
        fcntl.fcntl(fd, F_SETOWN_EX, struct.pack(F_OWNER_EX, F_OWNER_TID, threading.get_native_id()))
    if setsig:
        fcntl.fcntl(fd, F_SETSIG, number)
    fcntl.fcntl(fd, fcntl.F_SETFL, (fcntl.fcntl(fd, fcntl.F_GETFL) if keep else 0) | os.O_ASYNC)


def test_arming_with_all_flags_kept_is_right(capsys):
    assert answer(capsys, check_arm, arm).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda fd, number: None, "Not answered yet. O_ASYNC is not set"),
        (lambda fd, number: arm(fd, number, keep=False), "O_NONBLOCK is gone"),
        (lambda fd, number: arm(fd, number, owner=False), "nobody owns this descriptor"),
        (lambda fd, number: arm(fd, number, setsig=False), f"Signal {int(signal.SIGIO)} came, with descriptor None"),
        (lambda fd, number: signal.pause(), "TooLong"),
        (lambda fd: None, "TypeError"),
        (lambda fd, number: arm(-1, number), "ValueError"),
        (None, "TypeError"),
    ],
)
def test_what_is_missing_when_arming_is_said(capsys, function, why):
    said = answer(capsys, check_arm, function)
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said


def read_one(sock, arm, wait):
    arm()
    while True:
        try:
            return sock.recv(100)
        except BlockingIOError:
            wait()


def waits_at_once(sock, arm, wait):
    arm()
    wait()
    return sock.recv(100)


def looks_then_arms(sock, arm, wait):
    try:
        return sock.recv(100)
    except BlockingIOError:
        arm()
        wait()
        return sock.recv(100)


def trusts_the_signal(sock, arm, wait):
    arm()
    try:
        return sock.recv(100)
    except BlockingIOError:
        wait()
        return sock.recv(100)


def never_arms(sock, arm, wait):
    return read_one(sock, lambda: None, wait)


def polls(sock, arm, wait):
    return read_one(sock, arm, lambda: None)


def test_arming_before_the_look_is_right(capsys):
    assert answer(capsys, check_look_first, read_one).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (waits_at_once, "The message came before your look"),
        (looks_then_arms, "The message came before the signals were on"),
        (trusts_the_signal, "its data may be gone"),
        (never_arms, "you sleep for ever"),
        (polls, "you sleep for ever"),
        (lambda sock, arm, wait: None, "Not answered yet."),
        (lambda sock, arm, wait: read_one(sock, arm, wait)[:3], "you returned b'the'"),
        (lambda sock, arm, wait: sock.close(), "Not answered yet."),
        (lambda sock: None, "TypeError"),
        (3, "TypeError"),
    ],
)
def test_each_race_is_named(capsys, function, why):
    said = answer(capsys, check_look_first, function)
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said


def work_until_data(sock, work, owner=True, put_back=True, ends=True, block=False):
    arrived, flags = [], fcntl.fcntl(sock, fcntl.F_GETFL)
    before = signal.signal(signal.SIGIO, lambda *_: arrived.append(1))
    if owner:
        fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(sock, fcntl.F_SETFL, flags | os.O_ASYNC)
    while not arrived or not ends:
        work()
    data = sock.recv(100)
    if put_back:
        fcntl.fcntl(sock, fcntl.F_SETFL, flags)
        signal.signal(signal.SIGIO, before)
    if block:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
    return data


def works_and_polls(sock, work):
    while True:
        try:
            return sock.recv(100)
        except BlockingIOError:
            work()


def forgets_the_handler(sock, work):
    flags = fcntl.fcntl(sock, fcntl.F_GETFL)
    data = work_until_data(sock, work, put_back=False)
    fcntl.fcntl(sock, fcntl.F_SETFL, flags)
    return data


def never_sets_o_async(sock, work):
    while True:
        work()


def test_working_until_the_signal_comes_is_right(capsys):
    assert answer(capsys, check_work_until_data, work_until_data).startswith("Right. 5 slices")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda sock, work: None, "Not answered yet."),
        (works_and_polls, "signals were off while you worked"),
        (lambda sock, work: work_until_data(sock, work, ends=False), "your handler did not end the work"),
        (lambda sock, work: work_until_data(sock, work, owner=False), "your handler did not end the work"),
        (never_sets_o_async, "O_ASYNC was not on"),
        (lambda sock, work: work_until_data(sock, work, put_back=False), "O_ASYNC is still on"),
        (lambda sock, work: work_until_data(sock, work, block=True), "SIGIO is blocked"),
        (forgets_the_handler, "your handler is still there"),
        (lambda sock, work: work(), "you returned None after 1 slices"),
        (lambda sock, work: sock.recv(100), "BlockingIOError"),
        (lambda sock, work: signal.pause(), "it lay unread"),
        (lambda sock: None, "TypeError"),
    ],
)
def test_what_went_wrong_in_the_work_is_said(capsys, function, why):
    said = answer(capsys, check_work_until_data, function)
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said
