"""Receive time stamps: the kernel's, on another clock, and the distance between the clocks."""

import socket
import time

import pytest

from iolab.kernel import socket_timestamps
from iolab.kernel.socket_timestamps import ask_for_timestamps, realtime_offset, receive_with_timestamp
from tests.streams import open_stream

pytestmark = pytest.mark.skipif(bool(socket_timestamps.unavailable()), reason=str(socket_timestamps.unavailable()))


@pytest.fixture
def stream():
    with open_stream("tcp") as stream:
        yield stream


@pytest.fixture
def reader(stream):
    reader = socket.socket(fileno=stream.fd)
    yield reader
    reader.detach()


def send_until_stamped(stream, reader) -> tuple[int, int, int]:
    """A stamp, and CLOCK_MONOTONIC before the send and after the read: the kernel begins to stamp a moment after
    the first socket on the machine has asked for it."""
    for _ in range(100):
        before = time.monotonic_ns()
        stream.send(b"x")
        reader.settimeout(5)
        assert reader.recv(1, socket.MSG_PEEK) == b"x"
        data, stamp = receive_with_timestamp(reader, 10)
        after = time.monotonic_ns()
        assert data == b"x"
        if stamp is not None:
            return before, stamp, after
        time.sleep(0.01)
    pytest.fail("a hundred segments, and not one has a stamp")


def test_the_offset_is_the_distance_of_the_two_clocks():
    realtime, monotonic = time.time_ns(), time.monotonic_ns()
    least = realtime - monotonic
    offset = realtime_offset()
    monotonic, realtime = time.monotonic_ns(), time.time_ns()
    most = realtime - monotonic
    assert least - offset.width_ns <= offset.offset_ns <= most + offset.width_ns
    assert 0 <= offset.width_ns < 1_000_000


def test_of_several_brackets_the_narrowest_is_taken(monkeypatch):
    """Three attempts, 100, 40 and 70 ns wide; CLOCK_REALTIME is 5,000 ns ahead of the middle of each."""
    monotonic, realtime = iter([0, 100, 200, 240, 300, 370]), iter([5050, 5220, 5335])
    monkeypatch.setattr(socket_timestamps, "monotonic_ns", lambda: next(monotonic))
    monkeypatch.setattr(socket_timestamps, "time_ns", lambda: next(realtime))
    assert realtime_offset(3) == (5000, 40)


def test_a_stamp_lies_between_the_send_and_the_read(stream, reader):
    ask_for_timestamps(reader)
    offset = realtime_offset()
    before, stamp, after = send_until_stamped(stream, reader)
    assert before - offset.width_ns <= stamp - offset.offset_ns <= after + offset.width_ns


def test_the_stamp_is_of_the_arrival_and_not_of_the_read(stream, reader):
    ask_for_timestamps(reader)
    send_until_stamped(stream, reader)
    offset = realtime_offset()
    stream.send(b"x")
    reader.settimeout(5)
    reader.recv(1, socket.MSG_PEEK)
    queued = time.monotonic_ns()
    _, stamp = receive_with_timestamp(reader, 1)
    assert stamp - offset.offset_ns <= queued + offset.width_ns


def test_who_did_not_ask_gets_no_stamp(stream, reader):
    stream.send(b"data")
    reader.settimeout(5)
    reader.recv(1, socket.MSG_PEEK)
    assert receive_with_timestamp(reader, 10) == (b"data", None)


def test_nothing_there_is_a_blocking_io_error_even_on_a_blocking_socket(reader):
    ask_for_timestamps(reader)
    assert reader.getblocking()
    with pytest.raises(BlockingIOError):
        receive_with_timestamp(reader, 1)


def test_the_end_of_the_stream_is_no_bytes_and_no_stamp(stream, reader):
    ask_for_timestamps(reader)
    stream.end()
    reader.settimeout(5)
    assert reader.recv(1, socket.MSG_PEEK) == b""
    assert receive_with_timestamp(reader, 1) == (b"", None)
