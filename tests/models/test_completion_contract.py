"""What a CompletionQueue promises of operations, buffers and errors, over every mechanism."""

import errno
import gc
import math
import signal
import socket
import threading
import time
import weakref

import pytest

from iolab.models.completion import Completion
from iolab.recorder import Recorder
from tests.left_behind import descriptors
from tests.models.completion_back_ends import (
    PATIENCE_S,
    Queue,
    connected,
    data_of,
    eventually,
    last,
    received,
    start_all,
    tcp_listener,
    to_the_last,
    told,
)
from tests.portable import WINDOWS, needs_alarm, needs_pipes, os
from tests.streams import KINDS, meanwhile, open_stream, open_streams, pattern

every_kind = pytest.mark.parametrize("kind", KINDS)
SOCKETS = ("socketpair", "tcp")


class Buffer(bytearray):
    """A bytearray of which one can ask whether it is still there."""


class Token:
    """Known by identity, and of it, too, one can ask whether it is still there."""


class Interrupted(Exception):
    """What a signal handler raises, as Ctrl-C raises KeyboardInterrupt."""


def _interrupt(*_):
    raise Interrupted


@pytest.fixture
def alarm():
    """SIGALRM raises Interrupted; the value sets the timer."""
    old = signal.signal(signal.SIGALRM, _interrupt)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


# 1. Each operation has exactly one last completion


@every_kind
def test_a_read_is_told_once_with_what_was_there(queue, kind):
    buffer = bytearray(1000)
    with open_stream(kind) as stream:
        queue.read(stream.fd, buffer, "token")
        with meanwhile(lambda: stream.send(pattern(300))):
            assert last(queue, "token") == ("token", 300, False, b"")
        stream.send(b"for whoever asks next")
        assert queue.wait(0.02) == []
    assert buffer == pattern(300) + bytes(700)


@every_kind
def test_a_read_leaves_what_its_buffer_cannot_hold(queue, kind):
    buffer = bytearray(4)
    with open_stream(kind) as stream:
        stream.send(b"12345678")
        for expected in b"1234", b"5678":
            queue.read(stream.fd, buffer, "token")
            assert last(queue, "token").result == 4
            assert buffer == expected


@every_kind
def test_a_read_at_the_end_of_the_stream_is_zero(queue, kind):
    with open_stream(kind) as stream:
        queue.read(stream.fd, bytearray(10), "token")
        with meanwhile(stream.end):
            assert last(queue, "token") == ("token", 0, False, b"")


@every_kind
def test_a_receive_brings_every_piece_and_ends_with_the_stream(queue, kind):
    with open_stream(kind) as stream:
        queue.receive(stream.fd, "token")
        found = []
        for piece in (b"one", b"two", b"three"):
            stream.send(piece)
            found += told(queue, lambda found, piece=piece: data_of(found, "token") == piece)
        stream.end()
        found += to_the_last(queue, "token")
        assert [each.more for each in found] == [True] * (len(found) - 1) + [False]
        assert [each.result for each in found] == [len(each.data) for each in found]
        assert found[-1].result == 0
        assert data_of(found, "token") == b"onetwothree"
        assert queue.wait(0.02) == []


def test_a_receive_takes_more_than_any_buffer_holds(queue):
    data = pattern(3_000_000)
    with open_stream("tcp") as stream:
        queue.receive(stream.fd, "token")

        def send():
            stream.send(data)  # a blocking descriptor: all of it
            stream.end()

        with meanwhile(send):
            assert data_of(to_the_last(queue, "token"), "token") == data


def test_an_accept_brings_every_connection_and_ends_when_cancelled(queue):
    with tcp_listener() as listener:
        accept = queue.accept(listener.fileno(), "token")
        clients = [connected(listener) for _ in range(10)]
        found = told(queue, lambda found: len(found) >= 10)
        queue.cancel(accept)
        end = last(queue, "token")
        accepted = [socket.socket(fileno=each.result) for each in found]
        assert all(each.more for each in found)
        assert end.result < 0
        assert {sock.getpeername() for sock in accepted} == {client.getsockname() for client in clients}
        for sock in (*accepted, *clients):
            sock.close()
        assert queue.wait(0.02) == []


def test_an_accepted_descriptor_waits_in_its_calls_and_is_not_inherited(queue):
    with tcp_listener() as listener:
        queue.accept(listener.fileno(), "token")
        with connected(listener):
            (only,) = told(queue, bool)
        assert (os.get_inheritable(only.result), os.get_blocking(only.result)) == (False, True)
        os.close(only.result)


@pytest.mark.skipif(not hasattr(socket, "SOCK_NONBLOCK"), reason="no SOCK_NONBLOCK: a default time-out is taken over")
def test_a_default_time_out_of_sockets_changes_neither_what_is_told_nor_a_flag(queue):
    with tcp_listener() as listener, open_stream("socketpair") as stream, open_stream("tcp") as closed:
        socket.setdefaulttimeout(60)
        try:
            queue.accept(listener.fileno(), "accept")
            queue.receive(stream.fd, "receive")
            queue.send(stream.fd, b"sent", "send")
            with connected(listener):
                (accepted,) = [each for each in told(queue, lambda found: len(found) == 2) if each.token == "accept"]
                stream.send(b"brought")
                assert received(queue, "receive", 7) == b"brought"
                assert os.get_blocking(accepted.result)
                os.close(accepted.result)
            assert os.read(stream.peer, 10) == b"sent"
            queue.close_connection(os.dup(closed.fd), "closed")
            assert last(queue, "closed").result == 0
            assert os.get_blocking(closed.fd)  # the same description
        finally:
            socket.setdefaulttimeout(None)
        stream.end()
        to_the_last(queue, "receive")
        queue.close()
        assert os.get_blocking(stream.fd)
        assert os.get_blocking(listener.fileno())


def test_a_file_that_was_closed_before_its_position_is_set_raises_nothing(queue, tmp_path, monkeypatch):
    lseek = os.lseek

    def closed_meanwhile(fd, offset, whence):
        if whence == os.SEEK_SET:
            raise OSError(errno.EBADF, "closed")
        return lseek(fd, offset, whence)

    (tmp_path / "file").write_bytes(b"0123456789")
    monkeypatch.setattr("os.lseek", closed_meanwhile)
    with open(tmp_path / "file", "rb", buffering=0) as file:
        for wanted in (b"0123", b"4567"):
            buffer = bytearray(4)
            queue.read(file.fileno(), buffer, "token")
            assert last(queue, "token").result == 4
            assert buffer in (wanted, b"0123")  # whose position the kernel moves, or nobody


def test_several_operations_are_told_in_one_list(queue):
    with open_streams(*KINDS) as streams:
        for number, stream in enumerate(streams):
            queue.read(stream.fd, bytearray(5), number)
        for stream in streams:
            stream.send(b"hello")
        found = to_the_last(queue, *range(len(KINDS)))
        assert sorted(found) == [(number, 5, False, b"") for number in range(len(KINDS))]


def test_wait_returns_a_list_of_completions(queue):
    with open_stream(KINDS[0]) as stream:
        stream.send(b"x")
        queue.read(stream.fd, bytearray(1), "token")
        answer = queue.wait(PATIENCE_S)
    assert type(answer) is list
    assert answer == [Completion("token", 1)]


def test_two_reads_of_one_descriptor_share_what_comes(queue):
    with open_stream("socketpair") as stream:
        buffers = [bytearray(3), bytearray(3)]
        for number, buffer in enumerate(buffers):
            queue.read(stream.fd, buffer, number)
        with meanwhile(lambda: stream.send(b"abcdef")):
            found = to_the_last(queue, 0, 1)
    assert sorted(each.result for each in found) == [3, 3]
    assert sorted(buffers) == [b"abc", b"def"]


def test_reading_and_writing_one_socket_go_on_side_by_side(queue):
    with open_stream("tcp") as stream:
        queue.receive(stream.fd, "in")
        start_all(queue)
        queue.send(stream.fd, b"question", "out")
        assert last(queue, "out").result == 8
        assert os.read(stream.peer, 100) == b"question"
        stream.send(b"answer")
        assert received(queue, "in", 6) == b"answer"


# Files


def test_a_file_is_written_and_read_at_offsets(queue, tmp_path):
    with open(tmp_path / "file", "w+b") as file:
        fd = file.fileno()
        queue.write(fd, b"world", 2, offset=5)
        queue.write(fd, b"hello", 1, offset=0)
        assert sorted(to_the_last(queue, 1, 2)) == [(1, 5, False, b""), (2, 5, False, b"")]
        buffers = [bytearray(5), bytearray(5)]
        queue.read(fd, buffers[0], 3, offset=5)
        queue.read(fd, buffers[1], 4, offset=0)
        assert sorted(to_the_last(queue, 3, 4)) == [(3, 5, False, b""), (4, 5, False, b"")]
        assert buffers == [b"world", b"hello"]
    assert (tmp_path / "file").read_bytes() == b"helloworld"


def test_a_read_of_a_short_file_is_short_and_behind_its_end_zero(queue, tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    with open(tmp_path / "file", "rb") as file:
        buffer = bytearray(8)
        queue.read(file.fileno(), buffer, "short", offset=2)
        assert last(queue, "short").result == 3
        assert buffer == b"345" + bytes(5)
        queue.read(file.fileno(), buffer, "behind", offset=5)
        assert last(queue, "behind").result == 0
        queue.read(file.fileno(), buffer, "far", offset=(1 << 40) + 1)
        assert last(queue, "far").result == 0


def test_a_file_of_four_megabytes_is_written_whole(queue, tmp_path):
    data = pattern(4 << 20)
    with open(tmp_path / "file", "w+b") as file:
        queue.write(file.fileno(), data, "token", offset=7)
        assert last(queue, "token").result == len(data)
    assert (tmp_path / "file").read_bytes() == bytes(7) + data


def test_without_an_offset_a_file_is_read_on_where_it_stands(queue, tmp_path):
    (tmp_path / "file").write_bytes(b"12345678")
    with open(tmp_path / "file", "rb", buffering=0) as file:
        file.seek(2)
        buffer = bytearray(3)
        for expected in b"345", b"678":
            queue.read(file.fileno(), buffer, "token")
            assert last(queue, "token").result == 3
            assert buffer == expected


# 2. Buffers


def _fill_memory_with(poison: bytes, times: int = 400) -> list[bytearray]:
    """What has been freed and has this size is likely to be taken again here."""
    return [bytearray(poison) for _ in range(times)]


@every_kind
@pytest.mark.parametrize("nbytes", [100, 5000, 300_000])
def test_a_buffer_that_nobody_else_holds_is_kept_until_the_read_is_over(queue, kind, nbytes):
    with open_stream(kind) as stream:
        buffer, token = Buffer(nbytes), Token()
        gone, known = weakref.ref(buffer), weakref.ref(token)
        queue.read(stream.fd, buffer, token)
        del buffer, token
        start_all(queue)
        gc.collect()
        poison = _fill_memory_with(b"\xa5" * nbytes, 400 if nbytes < 10_000 else 20)
        assert gone() is not None
        with meanwhile(lambda: stream.send(b"\x5a" * 100)):
            (only,) = told(queue, bool)
        assert only.result == 100
        assert only.token is known()
        del only
        gc.collect()
        assert all(each == b"\xa5" * nbytes for each in poison)
        # A helper thread lets go of an operation just after it has put its note.
        assert eventually(lambda: gone() is None and known() is None)


def test_bytes_that_nobody_else_holds_are_sent(queue):
    with open_stream("tcp") as stream:
        for number in range(50):
            queue.send(stream.fd, bytes([number]) * 1000, number)
        del number
        gc.collect()
        poison = _fill_memory_with(b"\xa5" * 1000)
        found = to_the_last(queue, *range(50))
        assert [each.result for each in found] == [1000] * 50
        with os.fdopen(os.dup(stream.peer), "rb") as peer:
            assert peer.read(50_000) == b"".join(bytes([number]) * 1000 for number in range(50))
        assert all(each == b"\xa5" * 1000 for each in poison)


def test_a_buffer_in_flight_cannot_be_resized_and_afterwards_can(queue):
    buffer = bytearray(100)
    with open_stream("socketpair") as stream:
        operation = queue.read(stream.fd, buffer, "token")
        for _ in range(2):
            with pytest.raises(BufferError):
                buffer.extend(bytes(100_000))
            start_all(queue)
        stream.send(b"data")
        assert last(queue, "token").result == 4
        buffer.extend(b"more")  # even while somebody keeps the operation
        assert bytes(buffer[:5]) == b"data\0"
        queue.cancel(operation)
        assert queue.wait(0) == []


def test_only_the_part_of_a_buffer_that_was_given_is_written(queue):
    target = bytearray(b"........")
    with open_stream(KINDS[0]) as stream:
        queue.read(stream.fd, memoryview(target)[2:6].cast("I"), "token")
        stream.send(b"abcdefgh")
        assert last(queue, "token").result == 4
    assert target == b"..abcd.."


# 3. Errors are results


def test_a_reset_by_the_peer_is_a_result_of_read_and_receive(queue):
    for begin in (lambda fd: queue.read(fd, bytearray(10), "token"), lambda fd: queue.receive(fd, "token")):
        with open_stream("tcp") as stream:
            begin(stream.fd)
            with meanwhile(stream.reset):
                assert last(queue, "token") == ("token", -errno.ECONNRESET, False, b"")


@pytest.mark.parametrize("kind", SOCKETS)
def test_a_send_to_whom_has_gone_is_a_broken_pipe(queue, kind):
    with open_stream(kind) as stream:
        stream.end()
        results = set()
        for number in range(200):  # TCP learns of it with the answer to the first one
            queue.send(stream.fd, b"data", number)
            results.add(last(queue, number).result)
        gone = {-errno.ECONNRESET, -errno.ECONNABORTED} if WINDOWS else {-errno.EPIPE}  # Winsock knows no EPIPE
        assert gone & results
        assert results <= {4, -errno.ECONNRESET} | gone


@needs_pipes
def test_a_write_into_a_pipe_that_nobody_reads_is_a_broken_pipe(queue):
    fd, peer = os.pipe()
    os.close(fd)
    queue.write(peer, b"data", "token")
    assert last(queue, "token").result == -errno.EPIPE
    os.close(peer)


def test_a_descriptor_that_is_not_open_is_a_result(queue):
    fd = os.open(os.devnull, os.O_RDONLY)
    os.close(fd)
    queue.read(fd + 500, bytearray(1), "read")
    queue.write(fd + 500, b"1", "write")
    queue.receive(fd + 500, "receive")
    queue.send(fd + 500, b"1", "send")
    queue.accept(fd + 500, "accept")
    found = to_the_last(queue, "read", "write", "receive", "send", "accept")
    assert {each.result for each in found} == {-errno.EBADF}
    assert len(found) == 5
    queue.close_connection(fd + 500, "close")
    assert last(queue, "close").result == -errno.EBADF


@pytest.mark.skipif(WINDOWS, reason="os.open opens no directory on Windows")
def test_a_directory_cannot_be_read(queue, tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    queue.read(fd, bytearray(10), "token", offset=0)
    assert last(queue, "token").result == -errno.EISDIR
    os.close(fd)


def test_what_is_no_socket_neither_accepts_nor_sends(queue):
    fd, peer = os.pipe()
    os.write(peer, b"data")
    queue.accept(fd, "accept")
    queue.send(peer, b"data", "send")
    found = to_the_last(queue, "accept", "send")
    assert sorted(each.result for each in found) == [-errno.ENOTSOCK] * 2
    os.close(fd)
    os.close(peer)


def test_a_file_that_is_open_for_reading_only_is_not_written(queue, tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    with open(tmp_path / "file", "rb") as file:
        queue.write(file.fileno(), b"x", "token", offset=0)
        assert last(queue, "token").result == -errno.EBADF


@pytest.mark.skipif(WINDOWS, reason="no /dev/full on Windows")
def test_a_device_that_is_full_refuses_a_write(queue):
    fd = os.open("/dev/full", os.O_WRONLY)
    queue.write(fd, b"data", "token")
    assert last(queue, "token").result == -errno.ENOSPC
    os.close(fd)


def test_a_socket_that_does_not_listen_does_not_accept(queue):
    with socket.socket() as sock:
        queue.accept(sock.fileno(), "token")
        assert last(queue, "token").result == -errno.EINVAL


# Wrong arguments

WRONG = {
    "negative-descriptor": ("fd", lambda queue, fd: queue.read(-1, bytearray(1), 0)),
    "huge-descriptor": ("fd", lambda queue, fd: queue.read(1 << 31, bytearray(1), 0)),
    "no-descriptor": ("fd", lambda queue, fd: queue.receive("socket", 0)),
    "send-to-no-descriptor": ("fd", lambda queue, fd: queue.send(-1, b"data", 0)),
    "accept-of-no-descriptor": ("fd", lambda queue, fd: queue.accept(None, 0)),
    "close-of-no-descriptor": ("fd", lambda queue, fd: queue.close_connection(-1, 0)),
    "close-of-no-number": ("fd", lambda queue, fd: queue.close_connection("socket", 0)),
    "empty-buffer": ("buffer", lambda queue, fd: queue.read(fd, bytearray(), 0)),
    "read-only-buffer": ("buffer", lambda queue, fd: queue.read(fd, b"data", 0)),
    "scattered-buffer": ("buffer", lambda queue, fd: queue.read(fd, memoryview(bytearray(8))[::2], 0)),
    "nothing-to-send": ("buffer", lambda queue, fd: queue.send(fd, b"", 0)),
    "nothing-to-write": ("buffer", lambda queue, fd: queue.write(fd, b"", 0)),
    "negative-offset": ("offset", lambda queue, fd: queue.read(fd, bytearray(1), 0, -1)),
    "huge-offset": ("offset", lambda queue, fd: queue.write(fd, b"1", 0, 1 << 63)),
    "negative-timeout": ("timeout", lambda queue, fd: queue.wait(-1)),
    "no-time": ("timeout", lambda queue, fd: queue.wait(math.nan)),
    "endless-time": ("timeout", lambda queue, fd: queue.wait(math.inf)),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_argument_is_named_before_anything(back_end, wrong):
    named, attempt = WRONG[wrong]
    recorder = Recorder()
    with open_stream("socketpair") as stream, Queue(back_end.processor(recorder)) as queue:
        stream.send(b"data")
        calls, before = len(recorder.calls()), descriptors()
        with pytest.raises(ValueError, match=named):
            attempt(queue, stream.fd)
        assert (len(recorder.calls()), descriptors()) == (calls, before)
        queue.read(stream.fd, bytearray(10), "token")
        assert last(queue, "token").result == 4


def test_a_buffer_that_is_none_is_a_type_error(queue):
    with open_stream("socketpair") as stream:
        with pytest.raises(TypeError):
            queue.send(stream.fd, "text", 0)
        with pytest.raises(TypeError):
            queue.read(stream.fd, None, 0)
        assert queue.wait(0) == []


# wait


@pytest.mark.parametrize("timeout", [0.0004, 0.03])
@pytest.mark.parametrize("idle", [True, False], ids=["nothing-in-flight", "a-read-in-flight"])
def test_wait_returns_an_empty_list_when_the_time_is_over_and_not_before(queue, timeout, idle):
    with open_stream("socketpair") as stream:
        if not idle:
            queue.read(stream.fd, bytearray(1), "token")
        start, tick_s = time.monotonic(), time.get_clock_info("monotonic").resolution  # Windows': many milliseconds
        assert queue.wait(timeout) == []
        assert timeout <= time.monotonic() - start + tick_s < timeout + PATIENCE_S
        stream.end()


def test_wait_of_no_time_does_not_sleep(queue):
    with open_stream("socketpair") as stream:
        queue.read(stream.fd, bytearray(1), "token")
        start_all(queue)
        start = time.monotonic()
        for _ in range(3000):
            assert queue.wait(0) == []
        assert time.monotonic() - start < 3  # less than a millisecond each
        stream.end()


def test_wait_sleeps_and_burns_no_cpu(queue):
    with open_stream("socketpair") as stream:
        queue.receive(stream.fd, "token")
        start_all(queue)
        before = time.process_time()
        assert queue.wait(0.5) == []
        assert time.process_time() - before < 0.1
        stream.end()


@needs_alarm
def test_a_handler_that_raises_ends_wait_and_the_queue_goes_on(queue, alarm):
    buffer = bytearray(10)
    with open_stream("socketpair") as stream:
        queue.read(stream.fd, buffer, "token")
        for _ in range(5):
            alarm(0.02)
            with pytest.raises(Interrupted):
                queue.wait()
        stream.send(b"data")
        assert last(queue, "token").result == 4
    assert buffer == b"data" + bytes(6)


@needs_alarm
def test_a_handler_that_returns_does_not_end_wait(queue):
    with open_stream("socketpair") as stream:
        queue.read(stream.fd, bytearray(10), "token")
        rang = []

        def ring(*_):
            rang.append(1)
            if len(rang) == 3:
                stream.send(b"data")

        old = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        try:
            assert last(queue, "token").result == 4
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)


# post


def test_post_wakes_a_sleeping_wait(queue):
    with open_stream("socketpair") as stream:
        queue.receive(stream.fd, "token")
        for number in range(20):
            with meanwhile(lambda number=number: queue.post(number)):
                assert queue.wait(PATIENCE_S) == [Completion(number, 0)]
        stream.end()


@needs_alarm
def test_a_handler_that_posts_wakes_a_sleeping_wait(queue):
    old = signal.signal(signal.SIGALRM, lambda *_: queue.post("rang"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert queue.wait(PATIENCE_S) == [Completion("rang", 0)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_each_post_of_many_threads_comes_once_and_in_its_threads_order(queue):
    def post(thread):
        for number in range(500):
            queue.post((thread, number))

    threads = [threading.Thread(target=post, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    found = told(queue, lambda found: len(found) >= 4000, 3 * PATIENCE_S)
    for thread in threads:
        thread.join()
    assert queue.wait(0.02) == []
    for number in range(8):
        assert [each.token[1] for each in found if each.token[0] == number] == list(range(500))


def test_a_post_before_wait_is_not_lost_and_does_not_hold_up_what_is_over(queue):
    with open_stream(KINDS[0]) as stream:
        stream.send(b"data")
        queue.read(stream.fd, bytearray(4), "read")
        queue.post("first")
        queue.post("second")
        found = to_the_last(queue, "read", "first", "second")
        assert sorted(found) == [("first", 0, False, b""), ("read", 4, False, b""), ("second", 0, False, b"")]


def test_a_post_to_a_closed_queue_is_a_value_error(queue):
    queue.close()
    with pytest.raises(ValueError, match="closed"):
        queue.post("late")
