"""The checks of the chapter on completion ports: right answers are right, each typical mistake is explained."""

import pytest

from iolab.exercises import iocp
from iolab.exercises.iocp import check_close, check_dispatch, check_pairs, check_readable
from iolab.exercises.paper_port import PaperPort


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


def cancels_again_and_again(port, free):
    while port.in_flight:
        for name in list(port.in_flight):
            port.cancel(name)
        for packet in port.wait():
            free(packet.overlapped)


def waits_for_all_without_asking(port, free):
    while port.in_flight:
        port.wait()


@pytest.mark.parametrize(("function", "said"), [
    (close, "Right."), (cancels_again_and_again, "Right."), (frees_what_is_cancelled, "freed before its packet"), (believes_false, "freed before its packet"),
    (waits_once, "in flight. A wait hands out"), (waits_for_all_without_asking, "Nobody has cancelled"),
    (lambda port, free: 1 / 0, "Nobody has cancelled"),
])  # fmt: skip
def test_closing_waits_for_every_packet(capsys, function, said):
    assert said in answer(capsys, check_close, function)


def watch(port, sock):
    port.receive(sock, 0, ("readable", sock))


def on_packet(port, packet, callbacks):
    if packet.error or packet.key not in callbacks:
        return
    callbacks[packet.key]()
    if packet.key in callbacks:
        watch(port, packet.key)


def asks_before(port, packet, callbacks):
    watch(port, packet.key)
    callbacks[packet.key]()


def goes_on_after_the_end(port, packet, callbacks):
    callbacks[packet.key]()
    watch(port, packet.key)


def goes_on_after_an_error(port, packet, callbacks):
    callbacks[packet.key]()
    if packet.key in callbacks:
        watch(port, packet.key)


@pytest.mark.parametrize(("answers", "said"), [
    ((watch, on_packet), "Right."), ((watch, asks_before), "before the callback had read"),
    ((watch, goes_on_after_the_end), "taken itself out"), ((watch, goes_on_after_an_error), "after an error none comes"),
    ((lambda port, sock: port.receive(sock, 0, "readable"), on_packet), "cannot share one"),
    ((lambda port, sock: port.receive(sock, 100, sock), on_packet), "takes them out of the socket"),
    ((lambda port, sock: None, on_packet), "Nothing was started"),
    ((watch, lambda port, packet, callbacks: callbacks[packet.key]()), "again and again"),
    ((watch, lambda port, packet, callbacks: None), "called for []"),
])  # fmt: skip
def test_readiness_is_imitated_by_a_receive_of_no_bytes(capsys, answers, said):
    assert said.lower() in answer(capsys, check_readable, *answers).lower()


def test_the_paper_port_delivers_as_sockets_do():
    port = PaperPort()
    port.arrive(17, 3)
    port.receive(17, 8, "a")
    port.receive(17, 8, "b")
    port.receive(18, 8, "c")
    port.arrive(17, 10)
    assert port.wait() == [(17, "a", 3, 0), (17, "b", 8, 0)]
    assert (port.cancel("c"), port.cancel("c"), port.cancel("a")) == (True, False, False)
    assert port.wait() == [(18, "c", 0, 995)]
    port.receive(17, 1, "a")
    assert port.wait() == [(17, "a", 1, 0)]
    assert port.in_flight == {}


def test_words_of_both_sides_are_paired(capsys):
    assert answer(capsys, check_pairs, iocp.PAIRS).startswith("Right.")
    assert "Not answered yet." in answer(capsys, check_pairs, dict.fromkeys(iocp.PAIRS, "?"))
    assert "user_data is not 'key'" in answer(capsys, check_pairs, iocp.PAIRS | {"user_data": "key"})
