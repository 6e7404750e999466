"""What a CompletionQueue promises of streams, over every mechanism: lent data, whole sends, cancelling, backpressure."""

import errno
import random
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

from tests.models.completion_back_ends import (
    PATIENCE_S,
    data_of,
    ended,
    eventually,
    last,
    start_all,
    tcp_listener,
    to_the_last,
    told,
    told_now,
)
from tests.portable import WINDOWS, needs_pipes, os
from tests.streams import KINDS, meanwhile, open_stream, open_streams, pattern

ROUNDS, CROWD = 200, 40
FAR_TOO_MUCH = 32 << 20  # more bytes than the buffers of both sides hold (tcp_rmem, tcp_wmem: some 10 MB)
ENDS = (-errno.ECANCELED, 0)  # of what was cancelled in time; 0 where only the end of the stream could end it


@contextmanager
def another_thread(function):
    """`function` is carried out by another thread, which is over in the end."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    yield thread
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def end_for_whom_it_cannot_be_hurried(queue, operation, stream) -> None:
    """A processor may say that it cannot end an operation: then the end of the stream does."""
    if operation in queue.not_hurried:
        stream.end()


def everything_in(fd: int) -> bytes:
    """What lies in a stream now."""
    os.set_blocking(fd, False)
    pieces = []
    try:
        while piece := os.read(fd, 1 << 20):
            pieces.append(piece)
    except BlockingIOError:
        pass
    finally:
        os.set_blocking(fd, True)
    return b"".join(pieces)


# 4. What a receive brought is lent until the next wait()


def test_lent_data_is_released_or_unchanged_after_the_next_wait_and_never_another_clients(queue):
    with open_streams(*["socketpair"] * 8) as streams:
        for number, stream in enumerate(streams):
            queue.receive(stream.fd, number)
        kept = []
        for turn in range(40):
            for number, stream in enumerate(streams):
                stream.send(bytes([number + 1]) * (1000 + turn))
            seen = 0
            while seen < len(streams):
                for token, result, more, data in queue.wait(PATIENCE_S):
                    assert more
                    assert result == data.nbytes
                    assert set(bytes(data)) == {token + 1}
                    kept.append((token, data))
                    seen += data.nbytes == 1000 + turn
        for stream in streams:
            stream.end()
        to_the_last(queue, *range(8))
        for token, data in kept:
            try:
                found = set(bytes(data))
            except ValueError:  # released
                continue
            assert found == {token + 1}


def test_lent_data_can_be_read_until_the_next_wait_while_more_arrives(queue):
    with open_streams("tcp", "tcp") as (one, two):
        queue.receive(one.fd, 1)
        queue.receive(two.fd, 2)
        one.send(b"1" * 5000)
        (first,) = queue.wait(PATIENCE_S)
        copy = bytes(first.data)
        for _ in range(20):
            two.send(b"2" * 5000)
            one.send(b"3" * 5000)
        assert bytes(first.data) == copy == b"1" * len(copy)
        found = told(queue, lambda found: len(data_of(found, 1)) + len(copy) == 105_000)
        assert copy + data_of(found, 1) == b"1" * 5000 + b"3" * 100_000
        one.end()
        two.end()


class BrokenOff(list):
    """Events after the last of which a signal handler raises."""

    def __iter__(self):
        yield from super().__iter__()
        raise InterruptedError


def test_what_a_broken_off_wait_had_found_is_told_unchanged_by_the_next_one(queue):
    with open_stream("socketpair") as stream:
        queue.receive(stream.fd, "token")
        stream.send(b"1" * 1000)
        wait = queue.watched.wait

        def broken_off(timeout):
            events = BrokenOff(wait(timeout))
            queue.watched.wait = wait if events else broken_off
            return events if events else []

        queue.watched.wait = broken_off
        with pytest.raises(InterruptedError):
            queue.wait(PATIENCE_S)
        stream.send(b"2" * 1000)
        (first,) = queue.wait(0)
        assert bytes(first.data) == b"1" * 1000
        assert data_of(told(queue, bool), "token") == b"2" * 1000
        stream.end()


# 5. A send goes out whole, in order, one at a time


@pytest.mark.parametrize("kind", ["tcp", "socketpair"])
@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "nonblocking"])
def test_eight_megabytes_to_a_slow_reader_arrive_whole(queue, kind, blocking):
    data = pattern(8 << 20)
    arrived = bytearray()
    with open_stream(kind) as stream:
        os.set_blocking(stream.fd, blocking)

        def read_slowly():
            while len(arrived) < len(data) and (piece := os.read(stream.peer, 100_000)):
                arrived.extend(piece)

        queue.send(stream.fd, data, "token")
        start_all(queue)
        with another_thread(read_slowly):
            assert last(queue, "token") == ("token", len(data), False, b"")
        assert os.get_blocking(stream.fd) == blocking
    assert arrived == data


def test_what_waits_behind_a_send_arrives_in_order_and_goes_out_together(queue):
    sizes = [1 << 20, *range(1, 400)]
    data = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    begun = []
    with open_stream("tcp") as stream:
        inner = queue.watched.start
        queue.watched.start = lambda operation: (begun.append(len(operation.buffer)), inner(operation))
        for number, piece in enumerate(data):
            queue.send(stream.fd, piece, number)
        arrived = bytearray()

        def read():
            while len(arrived) < sum(sizes):
                arrived.extend(os.read(stream.peer, 65536))

        with another_thread(read):
            found = to_the_last(queue, *range(len(data)))
    assert arrived == b"".join(data)
    assert [each.token for each in found] == list(range(len(data)))
    assert [each.result for each in found] == sizes
    assert begun[0] == sizes[0]
    assert sum(sizes[1:]) in begun  # the rest in one go


def test_one_send_is_in_flight_for_each_descriptor(queue):
    in_flight, most = set(), []
    inner_start, inner_wait = queue.watched.start, queue.watched.wait

    def start(operation):
        in_flight.add(operation)
        most.append(max(sum(each.fd == operation.fd for each in in_flight) for operation in in_flight))
        inner_start(operation)

    def wait(timeout):
        events = inner_wait(timeout)
        in_flight.difference_update(event.operation for event in events if not event.more)
        return events

    queue.watched.start, queue.watched.wait = start, wait
    with open_streams("tcp", "socketpair") as streams:
        found = []
        for number in range(100):
            for stream in streams:
                queue.send(stream.fd, b"x" * 100, (stream.fd, number))
            found += queue.wait(0)
        found += told(queue, lambda more: len(found) + len(more) == 200)
        assert {each.result for each in found} == {100}
        assert max(most) == 1
        assert [everything_in(stream.peer) for stream in streams] == [b"x" * 10_000] * 2


def test_sends_to_several_do_not_wait_for_each_other(queue):
    with open_streams("tcp", "tcp") as (full, free):
        queue.send(full.fd, bytes(16 << 20), "full")
        queue.send(free.fd, b"data", "free")
        assert last(queue, "free").result == 4
        assert os.read(free.peer, 10) == b"data"
        full.reset()
        assert last(queue, "full").result in (-errno.ECONNRESET, -errno.EPIPE)


@needs_pipes
def test_a_write_into_a_pipe_that_is_full_waits_for_its_reader(queue):
    with open_stream("pipe") as stream:
        data = pattern(1 << 20)
        queue.write(stream.peer, data, "token")
        start_all(queue)
        with os.fdopen(os.dup(stream.fd), "rb") as reader:
            arrived = []
            with another_thread(lambda: arrived.append(reader.read(len(data)))):
                assert last(queue, "token").result == len(data)
        assert arrived == [data]


# 6. Cancel


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["read", "receive"])
@pytest.mark.parametrize("started", [True, False], ids=["started", "not-started"])
def test_an_idle_operation_is_cancelled(queue, kind, what, started):
    with open_stream(kind) as stream:
        operation = queue.read(stream.fd, bytearray(9), "t") if what == "read" else queue.receive(stream.fd, "t")
        if started:
            start_all(queue)
        queue.cancel(operation)
        end_for_whom_it_cannot_be_hurried(queue, operation, stream)
        assert last(queue, "t").result in (ENDS if operation in queue.not_hurried else ENDS[:1])
        assert queue.wait(0.02) == []


def test_an_idle_accept_is_cancelled_and_leaves_the_listener_listening(queue):
    with tcp_listener() as listener:
        for _ in range(3):
            accept = queue.accept(listener.fileno(), "token")
            start_all(queue)
            queue.cancel(accept)
            assert last(queue, "token").result == -errno.ECANCELED
        queue.accept(listener.fileno(), "again")
        with socket.create_connection(listener.getsockname()) as client:
            (only,) = told(queue, bool)
            with socket.socket(fileno=only.result) as accepted:
                assert accepted.getpeername() == client.getsockname()


@pytest.mark.skipif(WINDOWS, reason="AcceptEx takes one connection for each request")
def test_all_who_wait_are_accepted_and_not_one_for_each_turn_of_a_busy_loop(queue):
    """Each turn of a loop with 500 clients takes 30 ms: one accept a turn, and the last of them waits for 15 s."""
    with tcp_listener() as listener, ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(CROWD)]
        accept = queue.accept(listener.fileno(), "accept")
        peers, turns = [], 0
        while len(peers) < CROWD and turns < CROWD:
            for completion in queue.wait(PATIENCE_S):
                peers.append(stack.enter_context(socket.socket(fileno=completion.result)).getpeername())
            time.sleep(0.1)  # the loop is busy
            turns += 1
        assert sorted(peers) == sorted(client.getsockname() for client in clients)
        assert turns <= 3
        queue.cancel(accept)
        assert last(queue, "accept").result == -errno.ECANCELED


def test_cancelling_twice_is_told_once(queue):
    with open_stream("socketpair") as stream:
        operation = queue.receive(stream.fd, "token")
        start_all(queue)
        queue.cancel(operation)
        queue.cancel(operation)
        end_for_whom_it_cannot_be_hurried(queue, operation, stream)
        assert last(queue, "token").result in ENDS
        queue.cancel(operation)
        assert queue.wait(0.02) == []


def test_cancelling_what_is_over_changes_nothing(queue):
    buffer = bytearray(4)
    with open_stream("socketpair") as stream:
        stream.send(b"data")
        operation = queue.read(stream.fd, buffer, "token")
        assert last(queue, "token").result == 4
        queue.cancel(operation)
        other = queue.read(stream.fd, buffer, "other")
        queue.cancel(operation)
        stream.send(b"more")
        assert last(queue, "other").result == 4
        queue.cancel(other)
        assert queue.wait(0.02) == []
    assert buffer == b"more"


def test_cancelling_too_late_brings_the_result(queue):
    buffer = bytearray(4)
    with open_stream("socketpair") as stream:
        for _ in range(50):
            stream.send(b"data")
            operation = queue.read(stream.fd, buffer, "token")
            start = queue.wait(0)  # perhaps it is over and told, perhaps not
            queue.cancel(operation)
            found = [(each.token, each.result) for each in start] or [last(queue, "token")[:2]]
            assert found in ([("token", 4)], [("token", -errno.ECANCELED)])
            rest = everything_in(stream.fd)
            assert rest == (b"" if found[0][1] == 4 else b"data")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["read", "receive"])
def test_data_that_comes_at_the_moment_of_cancelling_is_neither_lost_nor_doubled(queue, kind, what):
    chance = random.Random(30)
    outcomes = set()
    with open_stream(kind) as stream:
        go, sent = threading.Semaphore(0), threading.Semaphore(0)

        def send():
            for number in range(ROUNDS):
                go.acquire()
                for _ in range(chance.randrange(300)):
                    pass
                stream.send(number.to_bytes(4, "big") * 4)
                sent.release()

        with another_thread(send):
            for number in range(ROUNDS):
                buffer = bytearray(16)
                read = queue.read(stream.fd, buffer, number) if what == "read" else queue.receive(stream.fd, number)
                start_all(queue)
                go.release()
                for _ in range(chance.randrange(600)):
                    pass
                queue.cancel(read)
                found = to_the_last(queue, number)
                assert sent.acquire(timeout=PATIENCE_S)
                assert [(each.token, each.more) for each in found[-1:]] == [(number, False)]
                assert sum(not each.more for each in found) == 1
                if what == "read":
                    assert len(found) == 1
                    taken = bytes(buffer[: max(0, found[0].result)])
                else:
                    taken = data_of(found, number)
                assert found[-1].result in (-errno.ECANCELED, 16)
                assert taken + everything_in(stream.fd) == number.to_bytes(4, "big") * 4
                outcomes.add(len(taken))
    assert outcomes <= {0, 16}


def test_a_connection_that_comes_at_the_moment_of_cancelling_is_not_lost(queue):
    with tcp_listener() as listener:
        for number in range(60):
            accept = queue.accept(listener.fileno(), number)
            start_all(queue)
            clients = []
            thread = threading.Thread(
                target=lambda clients=clients: clients.append(socket.create_connection(listener.getsockname()))
            )
            thread.start()
            for _ in range(number * 20):
                pass
            queue.cancel(accept)
            found = to_the_last(queue, number)
            thread.join(PATIENCE_S)
            accepted = [each.result for each in found if each.result >= 0]
            assert len(accepted) <= 1
            if not accepted:
                listener.settimeout(PATIENCE_S)
                accepted = [listener.accept()[0].detach()]
                listener.setblocking(True)
            with socket.socket(fileno=accepted[0]) as sock, clients[0] as client:
                assert sock.getpeername() == client.getsockname()


def test_a_send_that_waits_for_another_one_is_cancelled_and_never_sent(queue):
    with open_stream("tcp") as stream:
        queue.send(stream.fd, bytes(FAR_TOO_MUCH), "first")
        start_all(queue)
        second = queue.send(stream.fd, b"2" * 1000, "second")
        queue.send(stream.fd, b"3" * 1000, "third")
        queue.cancel(second)
        assert last(queue, "second").result == -errno.ECANCELED
        arrived = bytearray()

        def read():
            while len(arrived) < FAR_TOO_MUCH + 1000:
                arrived.extend(os.read(stream.peer, 1 << 20))

        with another_thread(read):
            found = to_the_last(queue, "first", "third")
        assert [(each.token, each.result) for each in found] == [("first", FAR_TOO_MUCH), ("third", 1000)]
        assert arrived == bytes(FAR_TOO_MUCH) + b"3" * 1000


def test_a_send_that_its_peer_does_not_take_is_cancelled(queue):
    with open_stream("tcp") as stream:
        send = queue.send(stream.fd, bytes(FAR_TOO_MUCH), "token")
        start_all(queue)
        queue.cancel(send)
        if queue.not_hurried:
            stream.reset()
        assert last(queue, "token").result < 0
        assert queue.wait(0.02) == []


# 9. Backpressure


def test_a_program_that_is_slower_than_its_peer_loses_nothing(queue):
    data = pattern(32 << 20)
    with open_stream("tcp") as stream:
        # Small windows: the peer is full soon.
        for fd, option in ((stream.fd, socket.SO_RCVBUF), (stream.peer, socket.SO_SNDBUF)):
            with socket.socket(fileno=os.dup(fd)) as sock:
                sock.setsockopt(socket.SOL_SOCKET, option, 65536)
        progress = [0]

        def send():
            while progress[0] < len(data):
                progress[0] += os.write(stream.peer, data[progress[0] : progress[0] + 65536])
            stream.end()

        with another_thread(send):
            taken = b""
            for turn in range(3):
                receive = queue.receive(stream.fd, turn)
                taken += data_of(told(queue, lambda found, turn=turn: data_of(found, turn)), turn)
                queue.cancel(receive)
                taken += data_of(to_the_last(queue, turn), turn)

                def stuck():
                    before = progress[0]
                    threading.Event().wait(0.1)
                    return progress[0] == before

                assert eventually(stuck)
                assert queue.wait(0.02) == []
                assert progress[0] < len(data)
            queue.receive(stream.fd, "all")
            found = told(queue, lambda found: ended(found, "all"), 3 * PATIENCE_S)
    assert taken + data_of(found, "all") == data


def test_what_was_there_before_a_receive_was_cancelled_is_there_for_the_next_one(queue):
    with open_stream("socketpair") as stream:
        sent = b""
        taken = b""
        for number in range(100):
            receive = queue.receive(stream.fd, number)
            found = told_now(queue)
            queue.cancel(receive)
            stream.send(b"%03d," % number)
            sent += b"%03d," % number
            taken += data_of(found + to_the_last(queue, number), number)
        taken += everything_in(stream.fd)
        assert taken == sent


@pytest.mark.skipif(WINDOWS, reason="no fcntl on Windows: a socket cannot be asked whether it blocks")
def test_a_descriptor_gets_its_flags_back(queue):
    import fcntl

    for blocking in (True, False):
        with open_stream("tcp") as stream:
            os.set_blocking(stream.fd, blocking)
            before = fcntl.fcntl(stream.fd, fcntl.F_GETFL)
            receive = queue.receive(stream.fd, "receive")
            stream.send(b"data")
            told(queue, bool)
            queue.send(stream.fd, b"data", "send")
            assert last(queue, "send").result == 4
            queue.cancel(receive)
            end_for_whom_it_cannot_be_hurried(queue, receive, stream)
            to_the_last(queue, "receive")
            assert fcntl.fcntl(stream.fd, fcntl.F_GETFL) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_descriptor_that_says_not_yet_is_waited_for_all_the_same(queue, kind):
    buffer = bytearray(4)
    with open_stream(kind) as stream:
        os.set_blocking(stream.fd, False)
        queue.read(stream.fd, buffer, "token")
        with meanwhile(lambda: stream.send(b"data")):
            assert last(queue, "token").result == 4
        assert not os.get_blocking(stream.fd)
    assert buffer == b"data"
