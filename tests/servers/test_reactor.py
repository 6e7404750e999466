"""The reactor over each demultiplexer, with real sockets: who is told of what, when, and how often."""

import errno
import os
import select
import signal
import socket
import threading
import time
from contextlib import closing, contextmanager, suppress

import pytest

from iolab.models.multiplexing_epoll import EDGE, LEVEL, ONE_SHOT, EpollDemultiplexer
from iolab.models.multiplexing_epoll import unavailable as no_epoll
from iolab.models.multiplexing_poll import PollDemultiplexer
from iolab.models.multiplexing_poll import unavailable as no_poll
from iolab.models.multiplexing_select import SelectDemultiplexer
from iolab.models.readiness import READ, WRITE
from iolab.servers.posted import Posted
from iolab.servers.reactor import Reactor
from iolab.servers.timers import Deadline, Timers
from tests.left_behind import nothing_left_behind

PATIENCE_S = 20
DEMULTIPLEXERS = [
    pytest.param(SelectDemultiplexer, id="select"),
    pytest.param(PollDemultiplexer, id="poll", marks=pytest.mark.skipif(bool(no_poll()), reason=str(no_poll()))),
    *(
        pytest.param(
            lambda trigger=trigger: EpollDemultiplexer(trigger=trigger),
            id=f"epoll-{trigger}",
            marks=pytest.mark.skipif(bool(no_epoll()), reason=str(no_epoll())),
        )
        for trigger in (LEVEL, EDGE, ONE_SHOT)
    ),
]


@pytest.fixture(params=DEMULTIPLEXERS)
def reactor(request):
    with nothing_left_behind(), closing(Reactor(request.param())) as reactor:
        yield reactor


@contextmanager
def pairs(count: int = 1):
    """Connected sockets, nonblocking, those that the reactor watches and those of the peers."""
    made = [socket.socketpair() for _ in range(count)]
    try:
        for pair in made:
            for sock in pair:
                sock.setblocking(False)
        yield [ours for ours, _ in made], [peer for _, peer in made]
    finally:
        for pair in made:
            for sock in pair:
                sock.close()


def fill(sock: socket.socket) -> None:
    """Send until the kernel takes no more."""
    with suppress(BlockingIOError):
        while True:
            sock.send(bytes(1 << 16))


class Handler:
    """Notes what it is told of, and then calls what a test has given it."""

    def __init__(self, sock, on_input=None, on_output=None, told=None, name="") -> None:
        self.sock, self.fd, self.name = sock, sock.fileno(), name
        self.on_input, self.on_output = on_input, on_output
        self.told = [] if told is None else told

    def handle_input(self) -> None:
        self.told.append(f"{self.name}input")
        if self.on_input:
            self.on_input(self)

    def handle_output(self) -> None:
        self.told.append(f"{self.name}output")
        if self.on_output:
            self.on_output(self)

    def handle_error(self, error) -> None:
        self.told.append(error)


def test_a_handler_is_told_that_it_can_read_and_reads_itself(reactor):
    with pairs() as ([ours], [peer]):
        got = []
        reactor.register_handler(Handler(ours, lambda handler: got.append(handler.sock.recv(100))), READ)
        reactor.handle_events(0)
        assert got == []
        peer.send(b"hello")
        reactor.handle_events(PATIENCE_S)
        assert got == [b"hello"]


def test_the_end_of_a_stream_is_input(reactor):
    with pairs() as ([ours], [peer]):
        got = []
        reactor.register_handler(Handler(ours, lambda handler: got.append(handler.sock.recv(100))), READ)
        peer.shutdown(socket.SHUT_WR)
        reactor.handle_events(PATIENCE_S)
        assert got == [b""]


def test_output_is_told_when_there_is_room_again(reactor):
    with pairs() as ([ours], [peer]):
        fill(ours)
        handler = Handler(ours)
        reactor.register_handler(handler, WRITE)
        reactor.handle_events(0)
        assert handler.told == []
        while True:
            try:
                peer.recv(1 << 20)
            except BlockingIOError:
                break
        reactor.handle_events(PATIENCE_S)
        assert handler.told == ["output"]


def test_what_a_handler_asks_for_can_be_changed_and_taken_back(reactor):
    with pairs() as ([ours], [peer]):
        handler = Handler(ours)
        reactor.register_handler(handler, WRITE)
        peer.send(b"x")
        reactor.handle_events(PATIENCE_S)
        reactor.register_handler(handler, READ)
        reactor.handle_events(PATIENCE_S)
        assert handler.told == ["output", "input"]
        reactor.register_handler(handler, 0)
        reactor.handle_events(0)
        reactor.remove_handler(handler)  # twice is harmless
        reactor.handle_events(0)
        assert handler.told == ["output", "input"]
        reactor.register_handler(handler, READ)
        reactor.handle_events(PATIENCE_S)
        assert handler.told == ["output", "input", "input"]


def test_a_descriptor_has_one_handler(reactor):
    with pairs() as ([ours], _):
        reactor.register_handler(Handler(ours), READ)
        with pytest.raises(ValueError, match=f"handler: descriptor {ours.fileno()} has another handler"):
            reactor.register_handler(Handler(ours), READ)


def test_a_descriptor_that_is_not_open_is_refused_and_not_registered():
    reactor = Reactor(EpollDemultiplexer())
    with closing(reactor), pairs() as ([ours], _):
        handler = Handler(ours)
        handler.fd = number = os.dup(ours.fileno())
        os.close(number)
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            reactor.register_handler(handler, READ)
        reactor.remove_handler(handler)
        reactor.handle_events(0)


@pytest.mark.parametrize("count", [2, 40])
def test_a_handler_that_another_one_removed_in_the_same_turn_hears_of_nothing(reactor, count):
    with pairs(count) as (ours, peers):
        told = []

        def first(me):
            for handler in handlers:
                if handler is not me:
                    reactor.remove_handler(handler)

        handlers = [Handler(sock, first, told=told) for sock in ours]
        for handler in handlers:
            reactor.register_handler(handler, READ)
        for peer in peers:
            peer.send(b"x")
        reactor.handle_events(PATIENCE_S)
        reactor.handle_events(0)
        assert set(told) == {"input"}
        assert len(told) <= 2, "only the first one, and it again in the second turn"


def test_a_number_that_is_used_again_in_the_same_turn_brings_no_stale_event(reactor):
    with pairs(2) as (ours, peers), pairs() as ([fresh], _):
        told, reused = [], []

        def closes_the_other(me):
            (other,) = (each for each in handlers if each is not me)
            reactor.remove_handler(other)
            reactor.remove_handler(me)
            number = other.sock.detach()
            os.dup2(fresh.fileno(), number)  # the same number, and nothing to read
            handler = Handler(socket.socket(fileno=number), told=told, name="stranger's ")
            reused.append(handler)
            reactor.register_handler(handler, READ)

        handlers = [Handler(sock, closes_the_other, told=told) for sock in ours]
        for handler in handlers:
            reactor.register_handler(handler, READ)
        for peer in peers:
            peer.send(b"x")
        reactor.handle_events(PATIENCE_S)
        reactor.handle_events(0)
        assert told == ["input"]
        reactor.remove_handler(reused[0])
        reused[0].sock.close()


def test_one_that_no_longer_wants_input_gets_none_that_was_found_before(reactor):
    with pairs(2) as (ours, peers):
        told = []

        def first(me):
            for handler in handlers:
                reactor.register_handler(handler, WRITE)

        handlers = [Handler(sock, first, told=told) for sock in ours]
        for handler in handlers:
            reactor.register_handler(handler, READ)
        for peer in peers:
            peer.send(b"x")
        reactor.handle_events(PATIENCE_S)
        assert told == ["input"]


def test_a_reset_is_told_to_one_that_waits_for_room_only(reactor):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        sock, _ = listener.accept()
        with sock:
            sock.setblocking(False)
            fill(sock)
            failures = []

            def look(handler):
                try:
                    handler.sock.send(b"x")
                except BlockingIOError:
                    pass
                except OSError as error:
                    failures.append(error.errno)
                    reactor.remove_handler(handler)

            reactor.register_handler(Handler(sock, look, look), WRITE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            deadline = time.monotonic() + PATIENCE_S
            while not failures and time.monotonic() < deadline:
                reactor.handle_events(1)
            assert failures in ([errno.ECONNRESET], [errno.EPIPE])


def test_an_error_that_is_neither_data_nor_room_is_told_to_one_that_waits_for_room(reactor):
    """A full pipe whose reader has gone: poll(2) says POLLERR, and nothing else."""
    reader, writer = os.pipe()
    with open(writer, "wb", buffering=0) as full:
        os.set_blocking(writer, False)
        while full.write(bytes(1 << 16)):
            pass
        handler = Handler(full, reactor.remove_handler, reactor.remove_handler)
        reactor.register_handler(handler, WRITE)
        reactor.handle_events(0)
        assert handler.told == []
        os.close(reader)
        reactor.handle_events(PATIENCE_S)
        assert len(handler.told) == 1


def test_a_handler_that_raises_is_told_so_and_the_others_go_on(reactor, caplog):
    with pairs(3) as (ours, peers):
        told = []

        def fail(handler):
            raise KeyError(handler.name)

        handlers = [Handler(sock, None if number == 1 else fail, told=told) for number, sock in enumerate(ours)]
        for handler in handlers:
            reactor.register_handler(handler, READ)
        for peer in peers:
            peer.send(b"x")
        reactor.handle_events(PATIENCE_S)
        assert told.count("input") == 3
        assert [type(each) for each in told if each != "input"] == [KeyError, KeyError]
        assert caplog.text.count("KeyError") >= 2


def test_a_handler_whose_handle_error_raises_ends_nothing(reactor, caplog):
    with pairs() as ([ours], [peer]):

        class Hopeless(Handler):
            def handle_input(self):
                raise RuntimeError("input")

            def handle_error(self, error):
                raise RuntimeError("error")

        reactor.register_handler(Hopeless(ours), READ)
        peer.send(b"x")
        reactor.handle_events(PATIENCE_S)
        assert "error" in caplog.text
        reactor.call_after(0, reactor.stop)
        reactor.run()


def test_timers_ring_in_their_order_and_not_too_early(reactor):
    rung, start = [], time.monotonic()
    for delay_s in (0.06, 0.02, 0.04):
        reactor.call_after(delay_s, lambda delay_s=delay_s: rung.append((delay_s, time.monotonic() - start)))
    reactor.call_after(0.03, lambda: rung.append("cancelled")).cancel()
    reactor.call_after(0.08, reactor.stop)
    reactor.run()
    assert [delay_s for delay_s, _ in rung] == [0.02, 0.04, 0.06]
    assert all(after_s >= delay_s for delay_s, after_s in rung)


def test_a_loop_with_a_timer_sleeps_until_it_rings(reactor):
    start = time.process_time()
    reactor.call_after(0.5, reactor.stop)
    reactor.run()
    assert time.process_time() - start < 0.25


def test_a_timer_that_raises_ends_nothing(reactor, caplog):
    reactor.call_after(0, lambda: 1 / 0)
    reactor.call_after(0, reactor.stop)
    reactor.run()
    assert "ZeroDivisionError" in caplog.text


def test_a_timer_that_sets_itself_at_once_leaves_room_for_input(reactor):
    with pairs() as ([ours], [peer]):

        def again():
            reactor.call_after(0, again)

        again()
        handler = Handler(ours, lambda _: reactor.stop())
        reactor.register_handler(handler, READ)
        peer.send(b"x")
        reactor.run()
        assert "input" in handler.told


def interrupted_when_the_byte_is_taken(posted: Posted, recv) -> None:
    """The next recv of one that posts is recv(socket, nbytes), once: what happens if a signal's handler runs there."""
    taken = posted._here

    class Interrupted:
        def recv(self, nbytes):
            posted._here = taken
            return recv(taken, nbytes)

    posted._here = Interrupted()


def test_a_signal_handler_that_posts_while_the_byte_is_taken_leaves_the_next_post_its_byte():
    ran, posted = [], Posted()

    def recv(taken, nbytes):
        posted.post(ran.append, "handler")
        return taken.recv(nbytes)

    posted.post(ran.append, "thread")
    interrupted_when_the_byte_is_taken(posted, recv)
    posted.handle_input()
    assert ran == ["thread", "handler"]
    posted.post(ran.append, "later")
    assert select.select([posted.fd], [], [], 0)[0] == [posted.fd]
    posted.close()


def test_an_interrupt_as_soon_as_the_byte_is_taken_leaves_the_callbacks_to_the_next_turn():
    ran, posted = [], Posted()

    def recv(taken, nbytes):
        taken.recv(nbytes)
        raise KeyboardInterrupt

    posted.post(ran.append, "thread")
    interrupted_when_the_byte_is_taken(posted, recv)
    with pytest.raises(KeyboardInterrupt):
        posted.handle_input()
    assert select.select([posted.fd], [], [], 0)[0] == [posted.fd]
    posted.handle_input()
    assert ran == ["thread"]
    assert select.select([posted.fd], [], [], 0)[0] == []
    posted.close()


def test_a_posted_callback_that_posts_leaves_room_for_input(reactor):
    with pairs() as ([ours], [peer]):

        def again():
            reactor.post(again)

        again()
        handler = Handler(ours, lambda _: reactor.stop())
        reactor.register_handler(handler, READ)
        peer.send(b"x")
        reactor.run()
        assert "input" in handler.told


@pytest.mark.parametrize("delay_s", [-1, float("nan")])
def test_a_delay_below_zero_is_refused(reactor, delay_s):
    with pytest.raises(ValueError, match="delay_s must be 0 or more seconds"):
        reactor.call_after(delay_s, print)


def test_post_wakes_a_loop_that_sleeps_and_runs_there(reactor):
    ran = []
    thread = threading.Thread(target=reactor.run)
    thread.start()
    reactor.post(lambda number: ran.append((number, threading.get_ident())), 7)
    reactor.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert ran == [(7, thread.ident)]


def test_nothing_that_is_posted_by_many_threads_is_lost(reactor):
    ran = []
    each, threads = 2000, 4

    def post(number):
        for serial in range(each):
            reactor.post(ran.append, (number, serial))

    posters = [threading.Thread(target=post, args=(number,)) for number in range(threads)]
    for poster in posters:
        poster.start()
    deadline = time.monotonic() + PATIENCE_S
    while len(ran) < each * threads and time.monotonic() < deadline:
        reactor.handle_events(1)
    for poster in posters:
        poster.join()
    assert len(ran) == each * threads
    for number in range(threads):
        assert [serial for by, serial in ran if by == number] == list(range(each))


def test_stop_before_run_ends_the_first_turn(reactor):
    reactor.stop()
    reactor.run()


def test_posting_to_a_closed_loop_is_refused():
    reactor = Reactor(SelectDemultiplexer())
    reactor.close()
    with pytest.raises(ValueError, match="the loop is closed"):
        reactor.post(print)


def test_an_interrupt_leaves_the_loop_and_it_can_run_again(reactor):
    with pairs(2) as (ours, peers):
        told = []

        def interrupted_once(handler):
            handler.sock.recv(10)
            if len(told) == 1:
                signal.raise_signal(signal.SIGINT)

        for sock, peer in zip(ours, peers, strict=True):
            reactor.register_handler(Handler(sock, interrupted_once, told=told), READ)
            peer.send(b"x")
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                reactor.run()
        finally:
            signal.signal(signal.SIGINT, before)
        assert told == ["input"]


def test_posted_callbacks_behind_an_interrupted_one_run_in_the_next_turn(reactor):
    def interrupt():
        raise KeyboardInterrupt

    ran = []
    reactor.post(interrupt)
    reactor.post(ran.append, 1)
    with pytest.raises(KeyboardInterrupt):
        reactor.handle_events(PATIENCE_S)
    reactor.handle_events(PATIENCE_S)
    assert ran == [1]


# Timers by themselves


def test_cancelled_timers_do_not_fill_the_memory():
    timers = Timers()
    for _ in range(10_000):
        timers.after(3600, print).cancel()
    assert len(timers) < 200


def test_a_wait_is_as_long_as_the_next_timer_allows_and_at_most_an_hour():
    timers = Timers()
    assert timers.left_s() is None
    assert timers.left_s(5) == 5
    timers.after(1e9, print)
    assert timers.left_s() == 3600
    timer = timers.after(10, print)
    assert 9 < timers.left_s() <= 10
    assert timers.left_s(0.5) == 0.5
    timer.cancel()
    timer.cancel()
    assert timers.left_s() == 3600


class Clock:
    """call_after and the due moments of a loop that never sleeps."""

    def __init__(self) -> None:
        self.timers = Timers()

    def run(self, limit_s: float) -> None:
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            left_s = self.timers.left_s(end - time.monotonic())
            threading.Event().wait(max(0, left_s))
            while (callback := self.timers.due(time.monotonic())) is not None:
                callback()


def test_a_deadline_expires_once_and_the_same_key_does_not_put_it_off():
    clock, expired, start = Clock(), [], time.monotonic()
    deadline = Deadline(clock.timers.after, lambda: expired.append(time.monotonic() - start))
    deadline.wait_for("header", 0.05)
    deadline.wait_for("header", 10)
    clock.run(0.2)
    assert len(expired) == 1
    assert expired[0] >= 0.05


def test_a_deadline_can_be_put_off_brought_forward_and_lifted():
    clock, expired, start = Clock(), [], time.monotonic()
    deadline = Deadline(clock.timers.after, lambda: expired.append(time.monotonic() - start))
    deadline.wait_for(1, 0.02)
    deadline.wait_for(2, 0.1)  # put off: the timer looks again
    clock.run(0.05)
    assert expired == []
    deadline.wait_for(3, 60)
    deadline.wait_for(4, 0.01)  # brought forward
    clock.run(0.1)
    assert len(expired) == 1
    deadline.wait_for(5, 0.01)
    deadline.lift()
    clock.run(0.05)
    assert len(expired) == 1
    deadline.wait_for(6, float("inf"))
    assert len(clock.timers) == 0
