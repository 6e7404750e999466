"""The checks of the chapter on completion ports: right answers are right, each typical mistake is explained."""

import pytest

from iolab.exercises import iocp
from iolab.exercises.iocp import check_close, check_dispatch, check_pairs, check_readable


def answer(capsys, check, *answers) -> str:
    check(*answers)
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def dispatch(packets, handlers):
    for packet in packets:
        handlers[packet.overlapped](packet.nbytes, packet.error)


def by_key(packets, handlers):
    for packet in packets:
        handlers[packet.key](packet.nbytes, packet.error)


def leaves_out_zero(packets, handlers):
    for packet in packets:
        if packet.nbytes:
            handlers[packet.overlapped](packet.nbytes, packet.error)


def open_answer(packets, handlers): ...


@pytest.mark.parametrize(("function", "said"), [
    (dispatch, "Right."), (by_key, "named by its OVERLAPPED"), (leaves_out_zero, "Zero bytes are the end"),
    (lambda packets, handlers: None, "No handler was called"), (open_answer, "Not answered yet."),
])  # fmt: skip
def test_dispatching_by_the_overlapped(capsys, function, said):
    assert said in answer(capsys, check_dispatch, function)


def close(port, free):
    names = list(port.in_flight)
    for name in names:
        port.cancel(name)
    while port.in_flight:
        port.wait()
    for name in names:
        free(name)


def frees_what_is_cancelled(port, free):
    for name in list(port.in_flight):
        port.cancel(name)
        free(name)


def believes_false(port, free):
    for name in list(port.in_flight):
        if not port.cancel(name):
            free(name)


def waits_once(port, free):
    for name in list(port.in_flight):
        port.cancel(name)
    for packet in port.wait():
        free(packet.overlapped)


def waits_for_all_without_asking(port, free):
    while port.in_flight:
        port.wait()


@pytest.mark.parametrize(("function", "said"), [
    (close, "Right."), (frees_what_is_cancelled, "freed before its packet"), (believes_false, "freed before its packet"),
    (waits_once, "in flight. A wait hands out"), (waits_for_all_without_asking, "Nobody has cancelled"),
    (lambda port, free: 1 / 0, "Nobody has cancelled"),
])  # fmt: skip
def test_closing_waits_for_every_packet(capsys, function, said):
    assert said in answer(capsys, check_close, function)


def watch(port, sock):
    port.receive(sock, 0, "readable")


def on_packet(port, packet, callbacks):
    callbacks[packet.key]()
    watch(port, packet.key)


def asks_before(port, packet, callbacks):
    watch(port, packet.key)
    callbacks[packet.key]()


@pytest.mark.parametrize(("answers", "said"), [
    ((watch, on_packet), "Right."), ((watch, asks_before), "before the callback had read"),
    ((lambda port, sock: port.receive(sock, 100, "x"), on_packet), "takes them out of the socket"),
    ((lambda port, sock: None, on_packet), "Nothing was started"),
    ((watch, lambda port, packet, callbacks: callbacks[packet.key]()), "again and again"),
    ((watch, lambda port, packet, callbacks: None), "was called 0 times"),
])  # fmt: skip
def test_readiness_is_imitated_by_a_receive_of_no_bytes(capsys, answers, said):
    assert said in answer(capsys, check_readable, *answers)


def test_words_of_both_sides_are_paired(capsys):
    assert answer(capsys, check_pairs, iocp.PAIRS).startswith("Right.")
    assert "Not answered yet." in answer(capsys, check_pairs, dict.fromkeys(iocp.PAIRS, "?"))
    assert "user_data is not 'key'" in answer(capsys, check_pairs, iocp.PAIRS | {"user_data": "key"})
