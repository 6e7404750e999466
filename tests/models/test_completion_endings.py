"""What a CompletionQueue promises of endings, over every mechanism: of connections, of itself, of what it borrowed."""

import errno
import select
import signal
import socket
import threading
import time
import warnings
from contextlib import contextmanager, suppress

import pytest

from iolab.models.completion import READ, Operation
from tests.interrupting import interrupted_at, moments
from tests.left_behind import descriptors
from tests.models.completion_back_ends import (
    PATIENCE_S,
    Queue,
    Told,
    connected,
    data_of,
    eventually,
    helpers,
    is_open,
    last,
    nothing_left,
    parameters,
    received,
    resident_bytes,
    start_all,
    tcp_listener,
    to_the_last,
    told,
    told_now,
)
from tests.portable import WINDOWS, needs_alarm, needs_fork, needs_limits, needs_pipes, os
from tests.streams import KINDS, in_another_thread, open_stream, open_streams

SOCKETS = pytest.mark.parametrize("kind", ["socketpair", "tcp"])
CLOSES_WITHIN_S = 4  # less than the time after which a queue abandons what it cannot end


def given_away(stream) -> int:
    """The stream's descriptor, which somebody else closes now; the stream keeps another one."""
    fd = stream.fd
    stream.fd = os.open(os.devnull, os.O_RDONLY)
    return fd


def seen_to_end(peer: int) -> bool:
    """The peer reads to the end of the stream, or to a reset."""
    with socket.socket(fileno=os.dup(peer)) as sock:
        sock.settimeout(PATIENCE_S)
        try:
            while sock.recv(1 << 20):
                pass
        except ConnectionResetError:
            pass
    return True


# 7. close_connection


@SOCKETS
def test_closing_a_connection_ends_its_receive_and_only_then_closes(queue, kind):
    with open_stream(kind) as stream:
        fd = given_away(stream)
        queue.receive(fd, "receive")
        start_all(queue)
        socket_there = {each for each in descriptors() if each.startswith(f"{fd} ")}
        queue.close_connection(fd, "closed")
        assert socket_there <= descriptors()
        found = to_the_last(queue, "receive", "closed")
        assert [each.token for each in found] == ["receive", "closed"]
        assert found[0].result <= 0
        assert found[1] == ("closed", 0, False, b"")
        assert not is_open(fd)
        assert seen_to_end(stream.peer)


@SOCKETS
def test_closing_a_connection_ends_what_is_sent_and_what_waits_behind_it(queue, kind):
    with open_stream(kind) as stream:
        fd = given_away(stream)
        queue.send(fd, bytes(32 << 20), 0)
        for number in range(1, 5):
            queue.send(fd, b"data", number)
        queue.receive(fd, "receive")
        start_all(queue)
        queue.close_connection(fd, "closed")
        found = to_the_last(queue, *range(5), "receive", "closed")
        assert found[-1].token == "closed"
        assert len(found) == 7
        assert all(each.result < 0 for each in found if each.token in range(5))
        assert not is_open(fd)
        assert seen_to_end(stream.peer)


def test_closing_a_listener_ends_its_accept(queue):
    listener = tcp_listener()
    fd = listener.detach()
    queue.accept(fd, "accept")
    start_all(queue)
    queue.close_connection(fd, "closed")
    found = to_the_last(queue, "accept", "closed")
    assert [each.token for each in found] == ["accept", "closed"]
    assert found[0].result < 0
    assert not is_open(fd)


def test_closing_what_is_idle_closes_it(queue):
    with open_stream("tcp") as stream:
        fd = given_away(stream)
        queue.close_connection(fd, "closed")
        assert last(queue, "closed") == ("closed", 0, False, b"")
        assert not is_open(fd)
        assert seen_to_end(stream.peer)


def test_closing_does_not_wait_for_a_peer_that_is_silent(queue):
    with open_streams(*["tcp"] * 30) as streams:
        numbers = [given_away(stream) for stream in streams]
        for fd in numbers:
            queue.receive(fd, ("receive", fd))
        start_all(queue)
        for fd in numbers:
            queue.close_connection(fd, fd)
        to_the_last(queue, *numbers)
        assert not any(is_open(fd) for fd in numbers)


def test_a_descriptor_that_is_being_closed_takes_no_more_operations(queue):
    with open_stream("tcp") as stream:
        fd = given_away(stream)
        queue.receive(fd, "receive")
        start_all(queue)
        queue.close_connection(fd, "closed")
        for attempt in (
            lambda: queue.read(fd, bytearray(1), 0),
            lambda: queue.write(fd, b"1", 0),
            lambda: queue.receive(fd, 0),
            lambda: queue.send(fd, b"1", 0),
            lambda: queue.accept(fd, 0),
            lambda: queue.close_connection(fd, 0),
        ):
            with pytest.raises(ValueError, match=f"fd: descriptor {fd} is being closed"):
                attempt()
        assert [each.token for each in to_the_last(queue, "receive", "closed")] == ["receive", "closed"]
        assert queue.wait(0.02) == []


def test_a_number_that_is_used_again_gets_none_of_the_old_connections_bytes(queue):
    with tcp_listener() as listener:
        for turn in range(50):
            old_peer, new_peer = connected(listener), connected(listener)
            number, accepted = listener.accept()[0].detach(), listener.accept()[0].detach()
            queue.receive(number, ("old", turn))
            start_all(queue)
            sender = threading.Thread(target=lambda peer=old_peer: peer.send(b"old" * 100))
            sender.start()
            queue.close_connection(number, ("closed", turn))
            to_the_last(queue, ("closed", turn))
            assert not is_open(number)
            if WINDOWS:  # no dup2 of a socket; it gives out the number anew by itself, sooner or later
                number = accepted
            else:
                os.dup2(accepted, number, inheritable=False)
                os.close(accepted)
            queue.receive(number, ("new", turn))
            new_peer.sendall(b"new")
            found = told(queue, lambda found, turn=turn: data_of(found, ("new", turn)))
            assert found == [Told(("new", turn), 3, True, b"new")]
            sender.join(PATIENCE_S)
            queue.close_connection(number, ("closed again", turn))
            found = to_the_last(queue, ("closed again", turn))
            assert {each.token for each in found} == {("new", turn), ("closed again", turn)}
            old_peer.close()
            new_peer.close()


@needs_pipes
def test_a_pipe_is_closed_like_a_connection_once_nothing_is_in_flight(queue):
    with open_stream("pipe") as stream:
        fd = given_away(stream)
        read = queue.read(fd, bytearray(10), "read")
        start_all(queue)
        queue.close_connection(fd, "closed")
        if read in queue.not_hurried:
            assert queue.wait(0.02) == []
            assert is_open(fd)
            stream.end()
        assert [each.token for each in to_the_last(queue, "read", "closed")] == ["read", "closed"]
        assert not is_open(fd)


# 8. No descriptor is free


@contextmanager
def descriptors_left(number: int):
    """RLIMIT_NOFILE is such that so many descriptors can still be opened."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(each) for each in os.listdir("/proc/self/fd"))
    filling = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8 + number, limits[1]))
    try:
        while True:
            try:
                filling.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:  # EMFILE
                break
        for _ in range(number):
            os.close(filling.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in filling:
            os.close(fd)


def accepting_before(queue, listener) -> None:
    """What a mechanism opens for its first accept is open now, and the reserve is held."""
    accept = queue.accept(listener.fileno(), "before")
    start_all(queue)
    queue.cancel(accept)
    last(queue, "before")


@needs_limits
def test_an_accept_without_a_free_descriptor_rests_and_loses_nobody(queue):
    with tcp_listener() as listener:
        clients = [socket.socket() for _ in range(12)]
        accepting_before(queue, listener)
        with descriptors_left(4):
            queue.accept(listener.fileno(), "token")
            for client in clients:
                client.connect(listener.getsockname())
            found = told(queue, lambda some: len(some) == 4)
            before, start = time.process_time(), time.monotonic()
            while time.monotonic() < start + 0.5:
                found += told_now(queue, 0.1)
            assert time.process_time() - before < 0.25, "it asked again and again"
            assert len(found) == 4
            reserve = os.open(os.devnull, os.O_RDONLY)  # the program has it for itself
            os.close(reserve)
            for each in found[:2]:
                os.close(each.result)  # two have been served: two others get in
            found += told(queue, lambda more: len(more) == 2)
        found += told(queue, lambda more: len(more) == 6)
        assert all(each.more for each in found)
        assert len(found) == 12
        for each in found[2:]:
            os.close(each.result)
        for client in clients:
            client.close()


@needs_limits
def test_an_accept_that_rests_can_be_cancelled(queue):
    with tcp_listener() as listener, socket.socket() as client:
        accepting_before(queue, listener)
        with descriptors_left(0):
            accept = queue.accept(listener.fileno(), "token")
            client.connect(listener.getsockname())
            assert queue.wait(0.05) == []
            queue.cancel(accept)
            assert last(queue, "token").result == -errno.ECANCELED
        listener.settimeout(PATIENCE_S)
        listener.accept()[0].close()


@needs_limits
def test_those_who_are_there_are_served_while_no_descriptor_is_free(queue):
    with tcp_listener() as listener, socket.socket() as client, open_stream("tcp") as stream:
        queue.receive(stream.fd, "receive")
        accepting_before(queue, listener)
        with descriptors_left(0):
            queue.accept(listener.fileno(), "accept")
            client.connect(listener.getsockname())
            for number in range(5):
                stream.send(b"%d" % number)
                found = told(queue, bool)
                assert [(each.token, each.data) for each in found] == [("receive", b"%d" % number)]
        found = told(queue, bool)
        assert found[0].token == "accept"
        os.close(found[0].result)
        stream.end()


# Whose it is


def test_another_thread_is_refused_and_changes_nothing(queue):
    with open_stream("socketpair") as stream:
        operation = queue.read(stream.fd, bytearray(10), "token")
        for attempt in (
            lambda: queue.wait(0),
            lambda: queue.read(stream.fd, bytearray(1), 0),
            lambda: queue.write(stream.fd, b"1", 0),
            lambda: queue.receive(stream.fd, 0),
            lambda: queue.send(stream.fd, b"1", 0),
            lambda: queue.accept(stream.fd, 0),
            lambda: queue.cancel(operation),
            lambda: queue.close_connection(stream.fd, 0),
            lambda: queue.close(),
        ):
            with pytest.raises(RuntimeError, match="thread"):
                in_another_thread(attempt)
        stream.send(b"data")
        assert last(queue, "token").result == 4


@needs_fork
def test_a_forked_child_is_refused_and_the_parent_goes_on(queue):
    buffer = bytearray(10)
    with open_stream("socketpair") as stream:
        operation = queue.read(stream.fd, buffer, "token")
        start_all(queue)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: other threads exist
            child = os.fork()
        if child == 0:
            refused = 0
            for attempt in (
                lambda: queue.wait(0),
                lambda: queue.post("child"),
                lambda: queue.read(stream.fd, bytearray(1), 0),
                lambda: queue.cancel(operation),
                lambda: queue.close_connection(stream.fd, 0),
                lambda: queue.close(),
            ):
                try:
                    attempt()
                except RuntimeError:
                    refused += 1
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6
        assert queue.wait(0.02) == []
        stream.send(b"data")
        assert last(queue, "token").result == 4
        queue.post("parent")
        assert last(queue, "parent").result == 0
    assert buffer == b"data" + bytes(6)


@needs_fork
def test_what_was_in_flight_when_a_child_was_forked_is_written_in_the_parent_only(queue):
    buffer = bytearray(10)
    with open_stream("socketpair") as stream:
        queue.read(stream.fd, buffer, "token")
        start_all(queue)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            time.sleep(0.1)
            os._exit(buffer != bytes(10))
        stream.send(b"data")
        assert last(queue, "token").result == 4
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# Closing the queue


def test_close_ends_what_is_in_flight_and_leaves_nothing(back_end):
    before, threads = descriptors(), threading.active_count()
    with open_streams(*KINDS) as streams, tcp_listener() as listener:
        opened = descriptors()
        queue = Queue(back_end.processor())
        for number, stream in enumerate(streams):
            queue.read(stream.fd, bytearray(10), number)
        queue.receive(streams[-2].fd, "receive")
        queue.accept(listener.fileno(), "accept")
        queue.send(streams[-1].fd, bytes(32 << 20), "send")
        start_all(queue)
        start = time.monotonic()
        queue.close()
        assert time.monotonic() - start < CLOSES_WITHIN_S
        queue.close()
        # What could not be ended was abandoned: it keeps what it needs until the peer ends it.
        assert queue.not_hurried or descriptors() == opened
        streams[-1].reset()
    assert threading.active_count() == threads

    def nothing_new():
        Queue(back_end.processor()).close()  # who begins or ends sees what is over
        return descriptors() - before == set()

    assert eventually(nothing_new)


def test_what_close_ended_takes_no_bytes_that_come_later(back_end):
    with open_streams(*KINDS) as streams:
        queue = Queue(back_end.processor())
        buffers = [bytearray(4) for _ in streams]
        reads = [queue.read(stream.fd, buffer, 0) for stream, buffer in zip(streams, buffers, strict=True)]
        start_all(queue)
        queue.close()
        for stream, buffer, read in zip(streams, buffers, reads, strict=True):
            stream.send(b"data")
            if read in queue.not_hurried:  # abandoned: it lives on, and takes them into a buffer that is kept for it
                assert eventually(lambda buffer=buffer: buffer == b"data")
            else:
                assert select.select([stream.fd], [], [], PATIENCE_S)[0]
                assert os.read(stream.fd, 10) == b"data"
                assert buffer == bytes(4)


def test_nothing_can_be_asked_of_a_queue_that_is_closed(back_end):
    with open_stream("socketpair") as stream:
        queue = Queue(back_end.processor())
        operation = queue.read(stream.fd, bytearray(1), 0)
        stream.send(b"x")
        last(queue, 0)
        queue.close()
        for attempt in (
            lambda: queue.wait(0),
            lambda: queue.read(stream.fd, bytearray(1), 0),
            lambda: queue.receive(stream.fd, 0),
            lambda: queue.send(stream.fd, b"1", 0),
            lambda: queue.cancel(operation),
            lambda: queue.close_connection(stream.fd, 0),
            lambda: queue.post(0),
        ):
            with pytest.raises(ValueError, match="closed"):
                attempt()


def test_a_connection_that_nobody_has_been_told_of_is_closed_with_the_queue(back_end):
    with tcp_listener() as listener, nothing_left(False):
        for _ in range(20):
            queue = Queue(back_end.processor())
            queue.accept(listener.fileno(), "token")
            start_all(queue)
            client = connected(listener)
            queue.close()
            listener.setblocking(False)
            with suppress(BlockingIOError):  # it may wait in the backlog still
                listener.accept()[0].close()
            listener.setblocking(True)
            assert seen_to_end(client.fileno())
            client.close()


def test_a_connection_that_is_being_closed_is_closed_with_the_queue(back_end):
    with open_stream("tcp") as stream:
        fd = given_away(stream)
        others = {each for each in descriptors() if not each.startswith(f"{fd} ")}
        queue = Queue(back_end.processor())
        queue.receive(fd, "token")
        start_all(queue)
        queue.close_connection(fd, "closed")
        queue.close()
        assert descriptors() == others
        assert seen_to_end(stream.peer)


def test_fifty_queues_leave_nothing(back_end):
    with open_stream("socketpair") as stream:
        Queue(back_end.processor()).close()
        with nothing_left():
            for number in range(50):
                with Queue(back_end.processor()) as queue:
                    stream.send(b"data")
                    queue.read(stream.fd, bytearray(4), number)
                    assert last(queue, number).result == 4
                    receive = queue.receive(stream.fd, "receive")
                    start_all(queue)
                    queue.cancel(receive)
                    stream.send(b"x")
                    found = to_the_last(queue, "receive")
                    if not data_of(found, "receive"):
                        os.read(stream.fd, 1)


def test_a_queue_that_is_used_in_a_with_statement_is_closed_by_an_error(back_end):
    with open_stream("socketpair") as stream, nothing_left(False):
        queue = Queue(back_end.processor())
        queue.read(stream.fd, bytearray(1), 0)
        start_all(queue)
        with pytest.raises(ZeroDivisionError), queue:
            raise ZeroDivisionError
        with pytest.raises(ValueError, match="closed"):
            queue.wait(0)


class Interrupted(Exception):
    """What a signal handler raises, as Ctrl-C raises KeyboardInterrupt."""


@needs_alarm
def test_a_handler_that_raises_while_wait_sleeps_leaves_a_queue_that_can_be_closed_at_once(back_end):
    def interrupt(*_):
        raise Interrupted

    def wait_until_the_alarm(queue, after_s):
        signal.setitimer(signal.ITIMER_REAL, after_s)  # on a busy machine it may ring before the wait has begun
        queue.wait()

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        with open_stream("socketpair") as stream, tcp_listener() as listener, nothing_left(False):
            for number in range(20):
                queue = Queue(back_end.processor())
                queue.receive(stream.fd, 0)
                queue.accept(listener.fileno(), 1)
                start_all(queue)
                with pytest.raises(Interrupted):
                    wait_until_the_alarm(queue, 0.002 + 0.001 * number)
                start = time.monotonic()
                queue.close()
                assert time.monotonic() - start < CLOSES_WITHIN_S
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_a_wake_that_comes_before_the_wait_ends_it(back_end):
    processor = back_end.processor()
    try:
        for _ in range(3):
            processor.wake()
            start = time.monotonic()
            assert processor.wait(PATIENCE_S) == []
            assert time.monotonic() - start < CLOSES_WITHIN_S
    finally:
        processor.close()


def test_a_handler_that_raises_in_close_does_not_keep_it_from_closing(back_end):
    class BrokenOff:
        def __init__(self, wait):
            self.wait, self.left = wait, 1

        def __call__(self, timeout):
            self.left -= 1
            if self.left == 0:
                raise Interrupted
            return self.wait(timeout)

    with open_stream("tcp") as stream, tcp_listener() as listener:
        before = descriptors()
        queue = Queue(back_end.processor())
        queue.receive(stream.fd, 0)
        queue.accept(listener.fileno(), 1)
        start_all(queue)
        queue.watched.wait = BrokenOff(queue.watched.wait)
        with pytest.raises(Interrupted):
            queue.close()
        queue.close()
        assert eventually(lambda: descriptors() == before)


# Many


@pytest.mark.parametrize("kind", KINDS[:2])
def test_ten_thousand_reads_leave_memory_and_threads_as_they_were(queue, kind):
    with open_stream(kind) as stream:

        def read(times):
            for number in range(times):
                stream.send(b"data")
                queue.read(stream.fd, bytearray(4), number)
                assert last(queue, number).result == 4

        read(2000)
        before = resident_bytes(), helpers(), descriptors()
        read(10_000)
        assert resident_bytes() - before[0] < 1 << 20
        assert helpers() <= before[1]
        assert descriptors() == before[2]


def test_more_operations_than_a_pool_has_threads_are_all_carried_out(queue):
    with open_streams(*["socketpair"] * 60) as streams:
        buffers = [bytearray(4) for _ in streams]
        for number, (stream, buffer) in enumerate(zip(streams, buffers, strict=True)):
            queue.read(stream.fd, buffer, number)
        start_all(queue)
        for number, stream in enumerate(streams):
            stream.send(b"%04d" % number)
        found = to_the_last(queue, *range(60))
        assert sorted(each.token for each in found) == list(range(60))
    assert buffers == [b"%04d" % number for number in range(60)]


def test_what_waits_for_a_thread_can_be_cancelled(queue):
    with open_streams(*["socketpair"] * 60) as streams:
        reads = [queue.read(stream.fd, bytearray(4), number) for number, stream in enumerate(streams)]
        start_all(queue)
        for read in reads[40:]:
            queue.cancel(read)
        for stream, read in zip(streams, reads, strict=True):
            if read in queue.not_hurried:
                stream.end()
        assert {each.result for each in to_the_last(queue, *range(40, 60))} <= {-errno.ECANCELED, 0}
        for stream in streams:
            stream.end()
        assert {each.result for each in to_the_last(queue, *range(40))} <= {0}


# What only some have


@pytest.mark.parametrize("back_end", parameters("threads"), indirect=True)
def test_two_threads_serve_many_streams_in_turn(back_end):
    before = threading.active_count()
    with open_streams(*["socketpair"] * 10) as streams, Queue(back_end.processor(most_threads=2)) as queue:
        for number, stream in enumerate(streams):
            queue.read(stream.fd, bytearray(4), number)
        start_all(queue)
        for stream in reversed(streams):
            stream.send(b"data")
        assert [each.result for each in to_the_last(queue, *range(10))] == [4] * 10
        assert threading.active_count() == before + 1 + 2  # the streams' own watchdog


@pytest.mark.parametrize("back_end", parameters("threads"), indirect=True)
def test_a_handler_that_raises_anywhere_in_a_wait_loses_no_event_of_the_helpers(back_end):
    from iolab.models import asynchronous_threads

    def interrupted(moment) -> bool:
        processor, found = back_end.processor(), []
        try:
            with open_streams(*["pipe"] * 3) as streams:
                for stream in streams:
                    stream.send(b"data")
                    processor.start(Operation(READ, stream.fd, None, memoryview(bytearray(4)), None))
                assert eventually(lambda: processor._events.qsize() == 3)
                interrupted = interrupted_at(moment, lambda: found.extend(processor.wait(0)), asynchronous_threads)
                found += processor.wait(0)
                assert [event.result for event in found] == [4, 4, 4]
                assert len({event.operation for event in found}) == 3
        finally:
            processor.close()
        return interrupted

    assert moments(interrupted) >= 3


@pytest.mark.parametrize("back_end", parameters("threads"), indirect=True)
@pytest.mark.parametrize("wrong", [0, -1, 1001])
def test_a_wrong_number_of_threads_is_named(back_end, wrong):
    with pytest.raises(ValueError, match="most_threads"):
        back_end.processor(most_threads=wrong)


RINGS = parameters("io-uring-default", "io-uring-defer-taskrun")


@pytest.mark.parametrize("back_end", RINGS, indirect=True)
def test_a_pool_of_two_tiny_buffers_loses_nothing(back_end):
    """ENOBUFS ends a multishot receive; it is begun again when the program has given the buffers back."""
    data = [bytes([number]) * 5000 for number in range(6)]
    with open_streams(*["socketpair"] * 6) as streams, Queue(back_end.processor(pool=(2, 64))) as queue:
        for number, stream in enumerate(streams):
            queue.receive(stream.fd, number)
        start_all(queue)
        for stream, piece in zip(streams, data, strict=True):
            stream.send(piece)
            stream.end()
        found = to_the_last(queue, *range(6))
        assert [data_of(found, number) for number in range(6)] == data
        assert [each.result for each in found if not each.more] == [0] * 6


@pytest.mark.parametrize("back_end", RINGS, indirect=True)
def test_a_completion_queue_of_two_places_loses_nothing(back_end):
    with (
        open_streams(*["socketpair"] * 40) as streams,
        tcp_listener() as listener,
        Queue(back_end.processor(entries=2, cq_entries=2)) as queue,
    ):
        buffers = [bytearray(4) for _ in streams]
        queue.accept(listener.fileno(), "accept")
        for number, (stream, buffer) in enumerate(zip(streams, buffers, strict=True)):
            queue.read(stream.fd, buffer, number)
        found = told_now(queue)
        clients = [connected(listener) for _ in range(10)]
        for stream in streams:
            stream.send(b"data")
        found += told(queue, lambda more: len(found) + len(more) == 50)
        assert sorted(each.token for each in found if each.token != "accept") == list(range(40))
        assert buffers == [b"data"] * 40
        accepted = [socket.socket(fileno=each.result) for each in found if each.token == "accept"]
        assert {sock.getpeername() for sock in accepted} == {client.getsockname() for client in clients}
        for sock in (*accepted, *clients):
            sock.close()


@pytest.mark.parametrize("back_end", RINGS, indirect=True)
def test_a_multishot_that_an_overflow_has_ended_goes_on_by_itself(back_end):
    pieces = [b"%04d" % number for number in range(200)]
    with open_stream("socketpair") as stream, Queue(back_end.processor(entries=1, cq_entries=2)) as queue:
        queue.receive(stream.fd, "token")
        start_all(queue)
        arrived = b""
        for first in range(0, 200, 20):
            for piece in pieces[first : first + 20]:
                stream.send(piece)
            arrived += received(queue, "token", 80)
        assert arrived == b"".join(pieces)
        stream.end()
        assert last(queue, "token").result == 0
