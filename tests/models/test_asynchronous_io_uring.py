"""What only the model over io_uring promises: manners, few calls, and that small queues lose nothing."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, contextmanager
from random import Random
from time import monotonic

import pytest

from iolab.calls import COMPLETION
from iolab.models.asynchronous_io_uring import POOL, IoUringProcessor, read_into, read_many, unavailable
from iolab.models.completion import READ, RECEIVE, SEND, Operation
from iolab.models.completion_queue import CompletionQueue
from iolab.models.io_uring_requests import PLACES
from iolab.recorder import Recorder
from tests.left_behind import nothing_left_behind
from tests.models.completion_back_ends import connected, data_of, is_open, last, tcp_listener, told
from tests.streams import KINDS, meanwhile, open_stream, open_streams, pattern

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=str(unavailable()))
LIMIT_S = 10  # nothing here takes so long, unless it never ends
MANNERS = ("default", "defer-taskrun", "async", "sqpoll")
every_manner = pytest.mark.parametrize("manner", MANNERS)


def calls_of(recorder) -> list[str]:
    return [call.name for call in recorder.calls()]


@every_manner
@pytest.mark.parametrize("kind", KINDS)
def test_a_buffer_is_filled_from_pieces_that_come_later(manner, kind):
    data, buffer = pattern(600), bytearray(600)
    with nothing_left_behind(), open_stream(kind) as stream:
        pieces = [lambda piece=piece: stream.send(piece) for piece in (data[:1], data[1:300], data[300:])]
        with meanwhile(*pieces):
            assert read_into(stream.fd, buffer, manner=manner) == 600
    assert buffer == data


@every_manner
def test_all_reads_are_submitted_by_one_call(manner):
    recorder, buffers = Recorder(), [bytearray(4) for _ in range(3)]
    with open_streams(*KINDS) as streams:
        for stream in streams:
            stream.send(b"data")
        reads = list(zip([stream.fd for stream in streams], buffers, strict=True))
        assert read_many(reads, recorder, manner=manner) == [4, 4, 4]
    assert buffers == [b"data"] * 3
    assert calls_of(recorder)[:2] == ["io_uring_setup", "io_uring_enter"]
    found = [each for call in recorder.calls() for each in call.completed]
    assert sorted(found) == sorted((stream.fd, 4) for stream in streams)
    if manner == "default":  # all was there: the one call brought it all
        assert len(calls_of(recorder)) == 2


def test_a_wrong_manner_is_named_and_nothing_is_opened():
    words = "manner must be one of default, defer-taskrun, async, sqpoll, not 'fast'"
    with nothing_left_behind(), open_stream("pipe") as stream, pytest.raises(ValueError, match=re.escape(words)):
        read_into(stream.fd, bytearray(1), manner="fast")


@pytest.mark.parametrize("manner", ["default", "async"])
def test_who_has_other_work_learns_of_the_completion_without_a_call(manner):
    recorder, slices = Recorder(), []
    with open_stream("socketpair") as stream:

        def work():
            slices.append(None)
            if len(slices) == 50:
                stream.send(b"data")

        assert read_into(stream.fd, bytearray(4), recorder, work, manner) == 4
        assert len(slices) >= 50
        assert calls_of(recorder) == ["io_uring_setup", "io_uring_enter", COMPLETION]
        assert [call.completed for call in recorder.calls()] == [(), (), ((stream.fd, 4),)]


def test_with_sqpoll_a_look_takes_a_call_only_until_the_poller_has_what_was_put():
    recorder = Recorder()
    with nothing_left_behind(), open_stream("socketpair") as stream, ExitStack() as stack:
        processor = IoUringProcessor(recorder, "sqpoll")
        stack.callback(processor.close)
        processor.start(Operation(READ, stream.fd, None, memoryview(bytearray(4)), None))
        deadline = monotonic() + LIMIT_S
        while processor._ring.queues.unsubmitted and monotonic() < deadline:
            assert processor.wait(0) == []
        before = calls_of(recorder).count("io_uring_enter")
        for _ in range(100):
            assert processor.wait(0) == []
        stream.send(b"data")
        while not (events := processor.wait(0)) and monotonic() < deadline:
            pass
        assert [event.result for event in events] == [4]
        assert calls_of(recorder).count("io_uring_enter") == before


PROGRAM = """
import os, socket, sys
from iolab.models.asynchronous_io_uring import read_into
ours, peer = socket.socketpair()
slices = []
def work():
    slices.append(None)
    if len(slices) == 1000:
        peer.send(b"data")
buffer = bytearray(4)
os.write(2, b"begin")
assert read_into(ours.fileno(), buffer, work=work, manner=sys.argv[1]) == 4 and buffer == b"data"
os.write(2, b"end")
"""


@pytest.mark.parametrize(("manner", "fewest", "most"), [("default", 1, 1), ("defer-taskrun", 1000, 10**9)])
def test_strace_sees_as_many_calls_as_are_named(manner, fewest, most):
    command = ["strace", "-e", "trace=io_uring_enter,sendto,write", sys.executable, "-c", PROGRAM, manner]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=100)
    except FileNotFoundError:
        pytest.skip("no strace here")
    if "ptrace" in run.stderr:
        pytest.skip(run.stderr.splitlines()[-1])
    assert run.returncode == 0, run.stderr[-1000:]
    traced = run.stderr.partition('"begin"')[2].partition('"end"')[0]
    reading = traced.partition("close(")[0]
    # close() cancels what waits for other threads' wake-ups: one more.
    entered = reading.count("io_uring_enter(")
    assert fewest <= entered - 1 <= most


@pytest.mark.parametrize("manner", ["default", "defer-taskrun", "sqpoll"])
def test_two_buffers_and_a_completion_queue_of_four_lose_no_byte(manner):
    data = pattern(4_000)
    small = {"entries": 2, "cq_entries": 4, "pool": (2, 100)}
    with (
        nothing_left_behind(),
        tcp_listener() as listener,
        CompletionQueue(IoUringProcessor(manner=manner, **small)) as queue,
    ):
        queue.accept(listener.fileno(), "accept")
        clients = [connected(listener) for _ in range(12)]
        accepted = [each.result for each in told(queue, lambda found: len(found) == 12)]
        for number, fd in enumerate(accepted):
            queue.receive(fd, number)
        for client in clients:
            client.sendall(data)
        found = told(queue, lambda found: sum(each.result for each in found) == 12 * len(data))
        assert [data_of(found, number) == data for number in range(12)] == [True] * 12
        for fd in accepted:
            queue.close_connection(fd, ("closed", fd))
        told(queue, lambda found: sum(each.token in {("closed", fd) for fd in accepted} for each in found) == 12)
        for client in clients:
            client.close()
        assert not any(is_open(fd) for fd in accepted)


@every_manner
def test_a_file_is_read_and_its_position_moves_on(manner, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(pattern(100_000))
    with open(path, "rb", buffering=0) as file:
        file.seek(10)
        buffer = bytearray(50_000)
        assert read_into(file.fileno(), buffer, manner=manner) == 50_000
        assert (buffer, file.tell()) == (pattern(100_000)[10:50_010], 50_010)
        assert read_into(file.fileno(), bytearray(100_000), manner=manner) == 49_990


def test_a_pipe_can_be_received_from():
    reader, writer = os.pipe()
    with CompletionQueue(IoUringProcessor()) as queue, open(reader, "rb"), open(writer, "wb", buffering=0) as pipe:
        queue.receive(reader, "pipe")
        for piece in (b"one", b"two"):
            pipe.write(piece)
            assert told(queue, lambda found: found)[0].data == piece
        pipe.close()
        assert last(queue, "pipe").result == 0


@every_manner
def test_more_small_sends_than_there_are_places_for_bring_each_peer_its_own_bytes_again_and_again(manner):
    nsends = PLACES + 44
    with nothing_left_behind(), ExitStack() as stack:
        queue = stack.enter_context(CompletionQueue(IoUringProcessor(manner=manner)))
        pairs = [[stack.enter_context(sock) for sock in socket.socketpair()] for _ in range(nsends)]
        for turn in range(3):
            messages = [b"%d of turn %d;" % (number, turn) * (1 + number % 3 * 100) for number in range(nsends)]
            for number, (sock, _) in enumerate(pairs):
                queue.send(sock.fileno(), messages[number], number)
            found = told(queue, lambda found: len(found) == nsends)
            assert {each.token: each.result for each in found} == dict(enumerate(map(len, messages)))
            for message, (_, peer) in zip(messages, pairs, strict=True):
                assert peer.recv(1 << 16) == message


class Interrupted(Exception):
    """What a signal handler raises, as Ctrl-C raises KeyboardInterrupt."""


@contextmanager
def raising_alarm():
    def interrupt(*_):
        raise Interrupted

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def broken_off(wait, after_s: float) -> list:
    """What wait() brings, if the handler does not raise before that."""
    found = []
    try:
        signal.setitimer(signal.ITIMER_REAL, after_s)
        found += wait(LIMIT_S)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupted:
        pass
    return found


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # where it comes in a __del__
@every_manner
def test_a_handler_that_raises_anywhere_in_a_wait_neither_loses_a_completion_nor_doubles_one(manner):
    nstreams, moments = 24, Random(1)
    with nothing_left_behind(), ExitStack() as stack, raising_alarm():
        processor = IoUringProcessor(manner=manner)
        stack.callback(processor.close)
        pairs = [[stack.enter_context(sock) for sock in socket.socketpair()] for _ in range(nstreams)]
        for number, (ours, _) in enumerate(pairs):
            processor.start(Operation(RECEIVE, ours.fileno(), number, None, None))
        for turn in range(200):
            byte, sent, got = bytes([turn]), Counter(), dict.fromkeys(range(nstreams), b"")
            for number, (_, peer) in enumerate(pairs):
                processor.start(Operation(SEND, peer.fileno(), number, byte, None))
            processor.wake()
            deadline = monotonic() + LIMIT_S
            while (sent.total(), len(b"".join(got.values()))) < (nstreams, nstreams) and monotonic() < deadline:
                for operation, result, more, data in broken_off(processor.wait, moments.uniform(1e-6, 600e-6)):
                    assert result == 1, f"{operation.kind}: {result}"
                    if operation.kind == SEND:
                        sent[operation.token] += 1
                    else:
                        got[operation.token] += data
                        assert more
            assert (set(sent.values()), set(got.values())) == ({1}, {byte})
        while processor.wait(0):
            pass
        processor.wake()
        start = monotonic()
        assert processor.wait(LIMIT_S) == []
        assert monotonic() - start < LIMIT_S / 2  # it still listens
        assert processor._requests.received.free() in (POOL[0], None)  # all buffers are back
        assert len(processor._requests._outbox._free) == PLACES


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # where it comes in a __del__
@every_manner
def test_after_a_handler_has_raised_the_queue_still_tells_what_came_and_what_was_posted_once(manner):
    nstreams, moments = 8, Random(1)
    with nothing_left_behind(), ExitStack() as stack, raising_alarm():
        listener = stack.enter_context(tcp_listener())
        queue = stack.enter_context(CompletionQueue(IoUringProcessor(manner=manner)))
        pairs = [[stack.enter_context(sock) for sock in socket.socketpair()] for _ in range(nstreams)]
        for number, (ours, _) in enumerate(pairs):
            queue.receive(ours.fileno(), number)
        queue.accept(listener.fileno(), "accepted")
        expected = {"posted": 1, "accepted": 1, **dict.fromkeys(range(nstreams), 1)}
        for turn in range(200):
            client = stack.enter_context(connected(listener))
            for _, peer in pairs:
                peer.send(bytes([turn]))
            queue.post("posted")
            told, deadline = Counter(), monotonic() + LIMIT_S
            while told.total() < len(expected) and monotonic() < deadline:
                for token, result, _, data in broken_off(queue.wait, moments.uniform(1e-6, 600e-6)):
                    told[token] += 1
                    assert data is None or data == bytes([turn])
                    if token == "accepted":
                        os.close(result)
            assert told == expected
            client.close()
