"""The checks of the chapter on multiplexing: the right answer is right, each typical mistake gets its explanation."""

import signal

import pytest

from iolab.exercises import attempting
from iolab.exercises.multiplexing import check_drain, check_first_come, check_no_spinning
from iolab.models.readiness import READ, WRITE
from tests.streams import open_descriptors


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch):
    monkeypatch.setattr(attempting, "LIMIT_S", 0.3)
    before, handler = open_descriptors(), signal.getsignal(signal.SIGALRM)
    yield
    assert open_descriptors() == before
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def answer(capsys, check, function) -> str:
    check(function)
    return capsys.readouterr().out


def drain(sock):
    data = b""
    try:
        while piece := sock.recv(1024):
            data += piece
    except BlockingIOError:
        pass
    return data


def drain_lets_eagain_out(sock):
    data = b""
    while piece := sock.recv(1024):
        data += piece
    return data


def drain_forgets_the_end(sock):
    data = b""
    while True:
        try:
            data += sock.recv(1024)
        except BlockingIOError:
            return data


def drain_asks_for_ever(sock):
    while True:
        try:
            sock.recv(1024)
        except BlockingIOError:
            continue


def drain_swallows_everything(sock):
    while True:
        try:
            sock.recv(1024)
        except Exception:
            continue


def test_draining_until_the_kernel_refuses_is_right(capsys):
    assert answer(capsys, check_drain, drain).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (
            lambda sock: sock.recv(1024),
            "1,976 of 3,000 bytes lie in the kernel. EPOLLET, asked again, told of 0 events",
        ),
        (drain_lets_eagain_out, "EAGAIN is no failure"),
        (drain_forgets_the_end, "recv returns b''"),
        (drain_asks_for_ever, "recv refuses with EAGAIN"),
        (drain_swallows_everything, "You went on asking"),
        (lambda sock: drain(sock)[::-1], "it held 3,000 bytes, and you returned b'"),
        (lambda sock: len(drain(sock)), "and you returned 3000"),
        (lambda sock: sock.close(), "and you returned None"),
        (lambda: None, "TypeError"),
        ("not a function", "TypeError"),
        (lambda sock: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_wrong_drain_is_told_what_the_kernel_did(capsys, function, why):
    said = answer(capsys, check_drain, function)
    assert said.startswith("Not right yet.")
    assert why in said


def test_a_drain_that_does_nothing_is_unanswered(capsys):
    assert answer(capsys, check_drain, lambda sock: None).startswith("Not answered yet.")


def read_to_end(sock, demultiplexer, events=READ, end=True, waits_once_more=False):
    data = b""
    demultiplexer.watch(sock.fileno(), events)
    while True:
        for _, ready in demultiplexer.wait():
            if ready & READ:
                piece = sock.recv(1024)
                if not piece and waits_once_more:
                    demultiplexer.forget(sock.fileno())
                elif not piece and end:
                    return data
                data += piece


def test_a_loop_that_is_woken_only_for_cause_is_right(capsys):
    assert answer(capsys, check_no_spinning, read_to_end).startswith("Right. 4 wake-ups")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda sock, world: read_to_end(sock, world, READ | WRITE), "WRITE is true at once"),
        (lambda sock, world: read_to_end(sock, world, READ | WRITE, end=False), "WRITE is true at once"),
        (lambda sock, world: read_to_end(sock, world, end=False), "woken 1,001 times: the end stays readable"),
        (lambda sock, world: read_to_end(sock, world, waits_once_more=True), "your loop was still not back"),
        (lambda sock, world: sock.recv(1024), "your loop was still not back"),
        (lambda sock, world: read_to_end(sock, world)[:5], "You returned b'the f'"),
        (lambda sock, world: read_to_end(sock, world).decode(), "You returned 'the first"),
        (lambda sock: None, "TypeError"),
        (lambda sock, world: sock.close(), "Not answered yet."),
        (None, "TypeError"),
    ],
)
def test_a_wrong_loop_is_told_what_woke_it(capsys, function, why):
    said = answer(capsys, check_no_spinning, function)
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said


def first_come(socks, demultiplexer):
    numbers, messages = {sock.fileno(): number for number, sock in enumerate(socks)}, []
    for fd in numbers:
        demultiplexer.watch(fd, READ)
    while len(messages) < len(socks):
        for fd, _ in demultiplexer.wait():
            messages.append((numbers[fd], socks[numbers[fd]].recv(1024)))
    return messages


def waits_for_ever(socks, demultiplexer):
    first_come(socks, demultiplexer)
    demultiplexer.wait()


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda socks, world: [(number, sock.recv(1024)) for number, sock in enumerate(socks)], "socket 2 lay unread"),
        (waits_for_ever, "nothing was left to read"),
        (lambda socks, world: sorted(first_come(socks, world)), "came from the sockets 2, 0, 1"),
        (lambda socks, world: [message for _, message in first_come(socks, world)], "(number, message) came"),
        (lambda socks, world: [sock.close() for sock in socks], "came from the sockets 2, 0, 1"),
        (lambda socks: [], "TypeError"),
        (lambda socks, world: None, "Not answered yet."),
    ],
)
def test_a_wrong_order_is_explained(capsys, function, why):
    said = answer(capsys, check_first_come, function)
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said


def test_the_order_of_arrival_is_right(capsys):
    assert answer(capsys, check_first_come, first_come).startswith("Right.")
