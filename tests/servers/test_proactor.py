"""The proactor over each mechanism, with real sockets: what was started completes once, and its own handler is told."""

import errno
import os
import signal
import socket
import threading
import time

import pytest

from iolab.servers.proactor import Proactor
from tests.models.completion_back_ends import (
    PATIENCE_S,
    Queue,
    connected,
    is_open,
    nothing_left,
    parameters,
    tcp_listener,
)


@pytest.fixture(params=parameters())
def proactor(request):
    with nothing_left(helpers_too=False):  # glibc's end by themselves, a second later
        proactor = Proactor(Queue(request.param.processor()))
        yield proactor
        proactor.close()


class Handler:
    """Notes what it is told, and copies what it is lent; then calls what a test has given it."""

    def __init__(self, **then) -> None:
        self.told: list[tuple] = []
        self._then = then

    def _note(self, kind: str, completion) -> None:
        self.told.append((kind, completion.result, completion.more, bytes(completion.data or b"")))
        if kind in self._then:
            self._then[kind](completion)

    def handle_accept(self, completion) -> None:
        self._note("accept", completion)

    def handle_receive(self, completion) -> None:
        self._note("receive", completion)

    def handle_send(self, completion) -> None:
        self._note("send", completion)

    def handle_close(self, completion) -> None:
        self._note("close", completion)

    def handle_error(self, error) -> None:
        self.told.append(("error", error))

    def kinds(self) -> list[str]:
        return [each[0] for each in self.told]

    def received(self) -> bytes:
        return b"".join(each[3] for each in self.told if each[0] == "receive")


def turn_until(proactor: Proactor, condition) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it has not come in time"
        proactor.handle_events(0.5)


@pytest.fixture
def pair():
    """A connected pair over TCP: the descriptor that the proactor closes, and the peer."""
    with tcp_listener() as listener, connected(listener) as peer:
        fd = listener.accept()[0].detach()
        yield fd, peer
        if is_open(fd):
            os.close(fd)


def close(proactor: Proactor, fd: int, handler: Handler) -> None:
    proactor.close_connection(fd, handler)
    turn_until(proactor, lambda: "close" in handler.kinds())
    assert not is_open(fd)


def test_a_handler_is_told_when_it_has_been_received(proactor, pair):
    fd, peer = pair
    handler = Handler()
    proactor.receive(fd, handler)
    proactor.handle_events(0)
    assert handler.told == []
    for piece in (b"hello", b"again"):
        peer.sendall(piece)
        turn_until(proactor, lambda piece=piece: handler.received().endswith(piece))
    peer.shutdown(socket.SHUT_WR)
    turn_until(proactor, lambda: handler.told[-1][1] == 0)
    assert handler.received() == b"helloagain"
    assert [each[2] for each in handler.told] == [True] * (len(handler.told) - 1) + [False]
    close(proactor, fd, handler)


def test_a_send_completes_when_all_of_it_has_gone(proactor, pair):
    fd, peer = pair
    handler, data = Handler(), bytes(range(256)) * (1 << 15)  # 8 MiB
    proactor.send(fd, data, handler)
    got = bytearray()
    reader = threading.Thread(
        target=lambda: [got.extend(peer.recv(1 << 20)) for _ in iter(lambda: len(got) < len(data), False)]
    )
    reader.start()
    turn_until(proactor, lambda: handler.told)
    reader.join()
    assert handler.told == [("send", len(data), False, b"")]
    assert got == data
    close(proactor, fd, handler)


def test_each_connection_that_is_accepted_is_told_to_the_one_who_asked(proactor):
    with tcp_listener() as listener:
        handler = Handler()
        accepting = proactor.accept(listener.fileno(), handler)
        clients = [connected(listener) for _ in range(5)]
        turn_until(proactor, lambda: len(handler.told) == 5)
        assert {each[0] for each in handler.told} == {"accept"}
        assert all(each[2] for each in handler.told)
        proactor.cancel(accepting)
        turn_until(proactor, lambda: len(handler.told) == 6)
        assert handler.told[-1][1:3] == (-errno.ECANCELED, False)
        for _, fd, *_ in handler.told[:5]:
            os.close(fd)
        for client in clients:
            client.close()


def test_completions_go_to_their_own_handlers(proactor, pair):
    fd, peer = pair
    receiver, sender = Handler(), Handler()
    proactor.receive(fd, receiver)
    proactor.send(fd, b"out", sender)
    peer.sendall(b"in")
    turn_until(proactor, lambda: receiver.told and sender.told)
    assert peer.recv(3) == b"out"
    assert (receiver.received(), sender.kinds()) == (b"in", ["send"])
    close(proactor, fd, sender)
    turn_until(proactor, lambda: not receiver.told[-1][2])
    assert receiver.kinds() == ["receive"] * len(receiver.told)
    assert sender.kinds() == ["send", "close"]


def test_what_is_under_way_ends_before_the_descriptor_is_closed(proactor, pair):
    fd, peer = pair
    handler = Handler()
    proactor.receive(fd, handler)
    proactor.handle_events(0)
    proactor.close_connection(fd, handler)
    turn_until(proactor, lambda: "close" in handler.kinds())
    assert handler.kinds() == ["receive", "close"]
    assert not is_open(fd)
    assert peer.recv(1) == b""


def test_a_handler_that_raises_is_told_so_and_the_others_go_on(proactor, pair, caplog):
    def fail(completion):
        raise KeyError("mine")

    fd, peer = pair
    bad, good = Handler(receive=fail), Handler()
    proactor.receive(fd, bad)
    proactor.send(fd, b"x", good)
    peer.sendall(b"y")
    turn_until(proactor, lambda: "error" in bad.kinds() and good.told)
    assert isinstance(bad.told[1][1], KeyError)
    assert "KeyError" in caplog.text
    close(proactor, fd, good)


def test_post_wakes_a_loop_that_sleeps_and_runs_there(proactor):
    ran = []
    poster = threading.Thread(
        target=lambda: (proactor.post(lambda number: ran.append((number, threading.get_ident())), 7), proactor.stop())
    )
    poster.start()
    proactor.run()
    poster.join()
    assert ran == [(7, threading.get_ident())]


def test_nothing_that_is_posted_by_many_threads_is_lost(proactor):
    ran, each, threads = [], 500, 4
    posters = [
        threading.Thread(target=lambda number=number: [proactor.post(ran.append, (number, n)) for n in range(each)])
        for number in range(threads)
    ]
    for poster in posters:
        poster.start()
    turn_until(proactor, lambda: len(ran) == each * threads)
    for poster in posters:
        poster.join()
    for number in range(threads):
        assert [n for by, n in ran if by == number] == list(range(each))


def test_timers_ring_in_their_order_and_not_too_early(proactor):
    rung, start = [], time.monotonic()
    for delay_s in (0.06, 0.02, 0.04):
        proactor.call_after(delay_s, lambda delay_s=delay_s: rung.append((delay_s, time.monotonic() - start)))
    proactor.call_after(0.03, lambda: rung.append("cancelled")).cancel()
    proactor.call_after(0.05, lambda: 1 / 0)
    proactor.call_after(0.08, proactor.stop)
    proactor.run()
    assert [delay_s for delay_s, _ in rung] == [0.02, 0.04, 0.06]
    assert all(after_s >= delay_s for delay_s, after_s in rung)


def test_a_loop_with_a_timer_sleeps_until_it_rings(proactor):
    start = time.process_time()
    proactor.call_after(0.5, proactor.stop)
    proactor.run()
    assert time.process_time() - start < 0.25


def test_an_interrupt_leaves_the_loop_and_what_has_completed_is_told_later(proactor, pair):
    fd, peer = pair
    told = []

    def interrupted_once(completion):
        told.append(completion.result)
        if len(told) == 1:
            signal.raise_signal(signal.SIGINT)

    handlers = [Handler(send=interrupted_once) for _ in range(3)]
    for handler in handlers:
        proactor.send(fd, b"x", handler)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            proactor.run()
    finally:
        signal.signal(signal.SIGINT, before)
    turn_until(proactor, lambda: len(told) == 3)
    assert told == [1, 1, 1]
    assert peer.recv(10) == b"xxx"[: len(told)]
    close(proactor, fd, handlers[0])


def test_posting_to_a_closed_loop_is_refused(proactor):
    proactor.close()
    with pytest.raises(ValueError, match="closed"):
        proactor.post(print)
