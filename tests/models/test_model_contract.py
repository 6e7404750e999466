"""What every I/O model promises, whatever it does inside. The kernel's own books say what was put back."""

import fcntl
import gc
import os
import signal
import struct
from contextlib import contextmanager

import pytest

from iolab.calls import unrecorded
from iolab.models import (
    asynchronous_io_uring,
    asynchronous_posix_aio,
    blocking,
    multiplexing_epoll,
    nonblocking,
    signal_driven,
)
from iolab.recorder import Recorder
from tests.models.completion_back_ends import eventually
from tests.streams import (
    KINDS,
    every_variant,
    in_another_thread,
    kernel_state,
    meanwhile,
    open_stream,
    open_streams,
    pattern,
)

every_kind = pytest.mark.parametrize("kind", KINDS)
F_SETSIG, F_SETOWN_EX, F_OWNER_TID = 10, 15, 0  # asm-generic/fcntl.h


class Interrupted(Exception):
    """What a signal handler raises, as Ctrl-C raises KeyboardInterrupt."""


def _interrupt(*_):
    raise Interrupted


class InterruptsTheWait:
    """A CallNamer that lets SIGALRM come once, soon after the model's latest call, or its eighth if it never rests."""

    left = 8

    def __call__(self, name, fd=-1):
        if self.left and not name.endswith(("setup", "create1")):  # to set up a ring may take long
            self.left -= 1
            signal.setitimer(signal.ITIMER_REAL, 0.015, 3)  # again if it met a destructor, which swallows errors
        return unrecorded

    def rings(self, *_):
        self.left = 0  # what puts all back is not interrupted again
        raise Interrupted

    returned, completed = unrecorded.returned, unrecorded.completed
    in_this_thread = unrecorded.in_this_thread


@contextmanager
def interruptible():
    call = InterruptsTheWait()
    old = signal.signal(signal.SIGALRM, call.rings)
    try:
        yield call
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


# What comes, and what is returned


@every_variant
@every_kind
def test_read_fills_the_buffer_with_data_that_comes_later(variant, kind):
    buffer = bytearray(1000)
    with open_stream(kind) as stream, meanwhile(lambda: stream.send(pattern(1000))):
        assert variant.read_into(stream.fd, buffer) == 1000
    assert buffer == pattern(1000)


@every_variant
@every_kind
def test_read_fills_the_buffer_from_several_pieces_in_their_order(variant, kind):
    data, buffer = pattern(600), bytearray(600)
    with open_stream(kind) as stream:
        pieces = [data[:1], data[1:300], data[300:]]
        with meanwhile(*(lambda piece=piece: stream.send(piece) for piece in pieces)):
            assert variant.read_into(stream.fd, buffer) == 600
    assert buffer == data


@every_variant
@every_kind
def test_read_returns_what_came_when_the_stream_ends_early(variant, kind):
    buffer = bytearray(100)
    with open_stream(kind) as stream, meanwhile(lambda: stream.send(b"early"), stream.end):
        assert variant.read_into(stream.fd, buffer) == 5
    assert buffer == b"early" + bytes(95)


@every_variant
@every_kind
def test_read_returns_zero_at_end_of_stream(variant, kind):
    with open_stream(kind) as stream:
        stream.end()
        assert variant.read_into(stream.fd, bytearray(1)) == 0


@every_variant
@every_kind
def test_read_finds_what_was_sent_before_the_call(variant, kind):
    buffer = bytearray(8)
    with open_stream(kind) as stream:
        stream.send(b"one ")
        stream.send(b"two ")
        assert variant.read_into(stream.fd, buffer) == 8
    assert buffer == b"one two "


@every_variant
def test_read_leaves_what_the_buffer_cannot_hold(variant):
    with open_stream("tcp") as stream:
        stream.send(b"12345")
        assert variant.read_into(stream.fd, bytearray(3)) == 3
        assert os.read(stream.fd, 10) == b"45"


@every_variant
def test_read_takes_any_writable_buffer(variant):
    target = bytearray(b"........")
    with open_stream("pipe") as stream:
        stream.send(b"abcd")
        assert variant.read_into(stream.fd, memoryview(target)[2:6].cast("I")) == 4
    assert target == b"..abcd.."


@every_variant
def test_a_reset_by_the_peer_is_a_connection_reset_error(variant):
    with open_stream("tcp") as stream, meanwhile(stream.reset), pytest.raises(ConnectionResetError):
        variant.read_into(stream.fd, bytearray(10))


@every_variant
@pytest.mark.parametrize("arrival", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids="{0[0]}-{0[1]}-{0[2]}".format)
def test_read_many_returns_the_counts_in_the_order_given(variant, arrival):
    sizes = (10, 20, 30)
    with open_streams(*KINDS) as streams:
        buffers = [bytearray(size) for size in sizes]
        reads = [(stream.fd, buffer) for stream, buffer in zip(streams, buffers, strict=True)]
        acts = [lambda number=number: streams[number].send(pattern(sizes[number])) for number in arrival]
        with meanwhile(*acts):
            assert variant.read_many(reads) == [10, 20, 30]
    assert buffers == [pattern(size) for size in sizes]


@every_variant
def test_read_many_takes_what_ends_early_among_what_does_not(variant):
    with open_streams(*KINDS) as streams:
        streams[0].send(b"123")
        streams[0].end()
        streams[1].end()
        with meanwhile(lambda: streams[2].send(b"12345")):
            assert variant.read_many([(stream.fd, bytearray(5)) for stream in streams]) == [3, 0, 5]


@every_variant
def test_read_many_of_nothing_returns_nothing(variant):
    assert variant.read_many([]) == []


# Wrong arguments


@every_variant
@pytest.mark.parametrize(
    ("reads", "named"),
    [
        pytest.param(lambda fd: [(-1, bytearray(1))], r"reads\[0\].*descriptor", id="negative-descriptor"),
        pytest.param(lambda fd: [(fd, bytearray(1)), (fd, bytearray(1))], r"reads\[1\].*descriptor", id="twice"),
        pytest.param(lambda fd: [(fd, b"read-only")], r"reads\[0\].*buffer", id="read-only-buffer"),
        pytest.param(lambda fd: [(fd, bytearray())], r"reads\[0\].*buffer", id="empty-buffer"),
    ],
)
def test_wrong_reads_are_named_before_any_call(variant, reads, named):
    recorder = Recorder()
    with open_stream("socketpair") as stream:
        stream.send(b"data")
        before = kernel_state(stream.fd)
        with pytest.raises(ValueError, match=named):
            variant.read_many(reads(stream.fd), call=recorder)
        assert kernel_state(stream.fd) == before
    assert recorder.calls() == []


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        pytest.param(nonblocking, {"pause_s": -1}, id="pause_s"),
        pytest.param(nonblocking, {"pause_s": float("nan")}, id="pause_s-nan"),
        pytest.param(multiplexing_epoll, {"trigger": "sometimes"}, id="trigger"),
        pytest.param(asynchronous_io_uring, {"manner": "sometimes"}, id="manner"),
    ],
)
def test_wrong_options_are_named_before_any_call(model, wrong):
    recorder = Recorder()
    with open_stream("socketpair") as stream, pytest.raises(ValueError, match=next(iter(wrong))):
        model.read_into(stream.fd, bytearray(1), call=recorder, **wrong)
    assert recorder.calls() == []


# Afterwards all is as it was, even while somebody keeps the error, and with its traceback the model's frames: what is
# given back only when the last reference goes is not given back in time.


@every_variant
@every_kind
def test_all_is_as_before_after_success(variant, kind):
    with open_stream(kind) as stream:
        before = kernel_state(stream.fd)
        with meanwhile(lambda: stream.send(b"12"), lambda: stream.send(b"345")):
            variant.read_into(stream.fd, bytearray(5))
        assert kernel_state(stream.fd) == before


@every_variant
def test_all_is_as_before_after_an_error(variant):
    with open_stream("tcp") as stream:
        before = kernel_state(stream.fd)
        with meanwhile(stream.reset), pytest.raises(ConnectionResetError) as kept_alive:
            variant.read_into(stream.fd, bytearray(10))
        one_less = before["open descriptors"] - 1  # the peer's end, which the peer closed
        assert kernel_state(stream.fd) == {**before, "open descriptors": one_less}
        assert kept_alive.tb


@every_variant
@every_kind
def test_all_is_as_before_after_an_interrupted_wait(variant, kind):
    with open_stream(kind) as stream, interruptible() as call:
        before = kernel_state(stream.fd)
        with pytest.raises(Interrupted) as kept_alive:
            variant.read_into(stream.fd, bytearray(10), call=call)
        assert kernel_state(stream.fd) == before
        assert kept_alive.tb


@every_variant
@every_kind
def test_after_an_interrupted_wait_what_comes_stays_in_the_stream_or_is_not_written_where_it_harms(variant, kind):
    """A helper thread of the C library cannot be called back: it takes what comes, into a buffer that is kept for it."""
    buffer = bytearray(10)
    with open_stream(kind) as stream:
        with interruptible() as call, pytest.raises(Interrupted):
            variant.read_into(stream.fd, buffer, call=call)
        gc.collect()  # the error, and with it the model's frames
        try:
            buffer.append(0)
            kept = False
        except BufferError:
            kept = True
        assert kept == (variant.model is asynchronous_posix_aio)
        stream.send(b"late")
        if kept:
            assert eventually(lambda: buffer[:4] == b"late")
        else:
            assert os.read(stream.fd, 10) == b"late"
            assert buffer == bytes(11)


@every_variant
def test_all_is_as_before_after_work_that_raises(variant):
    if variant.model is blocking:
        pytest.skip("blocking never calls work")
    with open_stream("socketpair") as stream:
        before = kernel_state(stream.fd)
        with pytest.raises(Interrupted) as kept_alive:
            variant.read_into(stream.fd, bytearray(10), work=_interrupt)
        assert kernel_state(stream.fd) == before
        assert kept_alive.tb


@every_variant
def test_a_descriptor_with_unusual_settings_keeps_them(variant):
    number = signal.SIGRTMIN + signal_driven.SIGNAL_OFFSET
    handler = signal.signal(signal.SIGIO, _interrupt)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, number})
    try:
        with open_stream("tcp") as stream:
            fcntl.fcntl(stream.fd, F_SETSIG, signal.SIGUSR1)
            fcntl.fcntl(stream.fd, F_SETOWN_EX, struct.pack("ii", F_OWNER_TID, os.getpid()))
            if variant.model is not blocking:
                os.set_blocking(stream.fd, False)
            before = kernel_state(stream.fd)
            with meanwhile(lambda: stream.send(b"12345")):
                assert variant.read_into(stream.fd, bytearray(5)) == 5
            assert kernel_state(stream.fd) == before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGIO, handler)


# Other work, other threads


@every_variant
def test_work_is_called_again_and_again_while_the_model_waits(variant):
    if variant.model is blocking:
        pytest.skip("blocking never calls work")
    with open_stream("tcp") as stream:
        called = 0

        def work():
            nonlocal called
            called += 1
            if called in (10, 20):
                stream.send(b"12345")

        before = kernel_state(stream.fd)
        assert variant.read_into(stream.fd, bytearray(10), work=work) == 10
        assert kernel_state(stream.fd) == before
    assert called >= 20


def test_blocking_never_calls_work():
    with open_stream("tcp") as stream, meanwhile(lambda: stream.send(b"12345")):
        assert blocking.read_into(stream.fd, bytearray(5), work=_interrupt) == 5


@every_variant
@every_kind
def test_any_thread_may_read(variant, kind):
    with open_stream(kind) as stream:

        def read():
            before = kernel_state(stream.fd)
            with meanwhile(lambda: stream.send(b"12"), lambda: stream.send(b"345")):
                count = variant.read_into(stream.fd, bytearray(5))
            assert kernel_state(stream.fd) == before
            return count

        assert in_another_thread(read) == 5


@every_variant
def test_any_thread_may_work_meanwhile_unless_work_needs_signal_handlers(variant):
    with open_stream("socketpair") as stream:
        before = kernel_state(stream.fd)

        def read():
            todo = [lambda: stream.send(b"1")]
            return variant.read_into(stream.fd, bytearray(1), work=lambda: todo and todo.pop()())

        if variant.model is signal_driven:
            with pytest.raises(RuntimeError, match="main thread"):
                in_another_thread(read)
        elif variant.model is not blocking:
            assert in_another_thread(read) == 1
        assert kernel_state(stream.fd) == before
