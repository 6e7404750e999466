"""What is native AIO's own: what io_submit carries out, the flags on loan, the ring that is looked at, the context's limit."""

import errno
import os
import socket
import threading
import time

import pytest

from iolab.kernel import linux_aio_abi
from iolab.models import asynchronous_linux_aio as model
from iolab.models.asynchronous_linux_aio import LinuxAioProcessor
from iolab.models.completion_queue import CompletionQueue
from iolab.recorder import Recorder
from tests.interrupting import Interrupted
from tests.left_behind import nothing_left_behind
from tests.models.completion_back_ends import PATIENCE_S, connected, last, start_all, tcp_listener, to_the_last, told
from tests.streams import meanwhile, open_stream

CLOSES_WITHIN_S = 4  # less than the time after which a queue abandons what it cannot end
pytestmark = pytest.mark.skipif(bool(model.unavailable()), reason=str(model.unavailable()))


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def queue(recorder):
    with nothing_left_behind(), CompletionQueue(LinuxAioProcessor(recorder)) as queue:
        yield queue


def names(recorder, fd=None):
    return [call.name for call in recorder.calls() if fd in (None, call.fd)]


# Who copies


@pytest.mark.parametrize("kind", ["pipe", "socketpair", "tcp"])
def test_io_submit_itself_has_copied_the_bytes_of_a_stream(queue, recorder, kind):
    with open_stream(kind) as stream:
        queue.read(stream.fd, bytearray(100), "token")
        with meanwhile(lambda: stream.send(b"12345")):
            assert last(queue, "token").result == 5
        told_in = [(call.name, call.completed) for call in recorder.calls() if call.completed]
        assert told_in == [("io_submit", ((stream.fd, 5),))]
        asked = [call.name for call in recorder.calls() if call.fd == stream.fd]
        assert asked == ["io_submit", "io_submit"]  # POLL, then PREAD


def test_io_submit_itself_has_copied_the_bytes_of_a_file_in_memory(queue, recorder, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb") as file:
        queue.read(file.fileno(), bytearray(4), "token", 3)
        assert last(queue, "token").result == 4
    assert [(call.name, call.completed) for call in recorder.calls() if call.completed] == [
        ("io_submit", ((file_of(recorder), 4),))
    ]


def file_of(recorder):
    return next(call.fd for call in recorder.calls() if call.completed)


def test_several_reads_are_submitted_by_one_call_and_each_is_told_of_once(queue, recorder):
    with open_stream("pipe") as first, open_stream("pipe") as second:
        first.send(b"1")
        second.send(b"22")
        queue.read(first.fd, bytearray(10), "first")
        queue.read(second.fd, bytearray(10), "second")
        to_the_last(queue, "first", "second")
        completed = [each for call in recorder.calls() for each in call.completed]
        assert sorted(completed) == sorted([(first.fd, 1), (second.fd, 2)])
        polls_and_reads = [call for call in recorder.calls() if call.name == "io_submit" and call.fd == -1]
        assert len(polls_and_reads) == 2


def test_with_nothing_to_wait_for_a_look_at_the_ring_replaces_the_call(queue, recorder):
    with open_stream("pipe") as stream:
        queue.read(stream.fd, bytearray(10), "token")
        start_all(queue)
        before = len(recorder.calls())
        for _ in range(100):
            assert queue.wait(0) == []
        assert len(recorder.calls()) == before
        stream.send(b"x")
        assert last(queue, "token").result == 1


def test_where_the_ring_cannot_be_read_io_getevents_tells_of_the_bytes(queue, recorder, monkeypatch):
    monkeypatch.setattr(linux_aio_abi, "events_in_ring", lambda context: None)  # as in gVisor
    with open_stream("pipe") as stream:
        queue.read(stream.fd, bytearray(10), "token")
        start_all(queue)
        stream.send(b"12345")
        assert last(queue, "token").result == 5
        assert [(call.name, call.completed) for call in recorder.calls() if call.completed] == [
            ("io_getevents", ((stream.fd, 5),))
        ]


# What is tried at once


def test_a_send_that_finds_room_needs_no_asynchronous_call(queue, recorder):
    with open_stream("socketpair") as stream:
        queue.send(stream.fd, b"data", "token")
        assert last(queue, "token").result == 4
        assert os.read(stream.peer, 10) == b"data"
        assert names(recorder, stream.fd) == ["sendto"]


def test_a_connection_that_waits_already_is_accepted_without_a_question(queue, recorder):
    with tcp_listener() as listener, connected(listener), connected(listener):
        queue.accept(listener.fileno(), "token")
        found = told(queue, lambda found: len(found) == 2)
        for each in found:
            os.close(each.result)
        assert names(recorder, listener.fileno())[:2] == ["accept4", "accept4"]


# Flags on loan


def test_a_descriptor_is_nonblocking_only_while_an_operation_is_under_way(queue):
    with open_stream("socketpair") as stream:
        assert os.get_blocking(stream.fd)
        first = queue.receive(stream.fd, "first")
        second = queue.read(stream.fd, bytearray(1), "second")
        start_all(queue)
        assert not os.get_blocking(stream.fd)
        queue.cancel(first)
        to_the_last(queue, "first")
        assert not os.get_blocking(stream.fd)  # one is still there
        queue.cancel(second)
        to_the_last(queue, "second")
        assert os.get_blocking(stream.fd)


def test_a_descriptor_that_was_nonblocking_stays_so(queue):
    with open_stream("pipe") as stream:
        os.set_blocking(stream.fd, False)
        stream.send(b"x")
        queue.read(stream.fd, bytearray(1), "token")
        to_the_last(queue, "token")
        assert not os.get_blocking(stream.fd)


def test_an_accepted_descriptor_is_blocking_and_closed_in_children(queue):
    with tcp_listener() as listener, connected(listener):
        queue.accept(listener.fileno(), "token")
        (accepted,) = told(queue, lambda found: len(found) == 1)
        try:
            assert os.get_blocking(accepted.result)
            assert not os.get_inheritable(accepted.result)
        finally:
            os.close(accepted.result)


def test_a_read_at_no_offset_moves_a_files_position_as_read_does(queue, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    fd = os.open(tmp_path / "file", os.O_RDWR)
    buffer = bytearray(3)
    try:
        for wanted in (b"012", b"345"):
            queue.read(fd, buffer, "token")
            assert last(queue, "token").result == 3
            assert buffer == wanted
        assert os.lseek(fd, 0, os.SEEK_CUR) == 6
        queue.write(fd, b"xy", "token")
        assert last(queue, "token").result == 2
        assert os.pread(fd, 10, 0) == b"012345xy89"
        assert os.lseek(fd, 0, os.SEEK_CUR) == 8
    finally:
        os.close(fd)


# Signals


@pytest.fixture
def interrupt(monkeypatch):
    """interrupt("io_submit", before=False): the next such system call raises Interrupted, once it was made or before."""
    made, to_come = linux_aio_abi.system_call, []

    def system_call(name, *arguments, **returned):
        if to_come and to_come[0][0] == name:
            _, before = to_come.pop()
            if not before:
                made(name, *arguments, **returned)
            raise Interrupted
        return made(name, *arguments, **returned)

    monkeypatch.setattr(linux_aio_abi, "system_call", system_call)
    return lambda name, before: to_come.append((name, before))


@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
@pytest.mark.parametrize("name", ["io_submit", "io_getevents"])
def test_a_handler_that_raises_at_a_call_loses_no_read_and_has_none_made_twice(
    queue, interrupt, tmp_path, name, before
):
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb") as file, open_stream("pipe") as stream:
        stream.send(b"abcdef")
        reads = {number: bytearray(3) for number in range(4)}
        for number, buffer in reads.items():
            queue.read(stream.fd if number < 2 else file.fileno(), buffer, number, None if number < 2 else number)
        interrupt(name, before)
        with pytest.raises(Interrupted):
            queue.wait(PATIENCE_S)
        found = to_the_last(queue, *reads)
        assert sorted((each.token, each.result) for each in found) == [(number, 3) for number in reads]
        assert reads == {0: b"abc", 1: b"def", 2: b"234", 3: b"345"}
        assert queue.wait(0) == []


def test_a_handler_that_raises_while_events_are_looked_at_loses_none(monkeypatch, tmp_path):
    class InterruptedOnce(Recorder):
        armed = True

        def completed(self, fd, nbytes):
            if self.armed:
                InterruptedOnce.armed = False
                raise Interrupted

    monkeypatch.setattr(linux_aio_abi, "events_in_ring", lambda context: None)  # so io_getevents tells
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb") as file, CompletionQueue(LinuxAioProcessor(InterruptedOnce())) as queue:
        for number in range(3):
            queue.read(file.fileno(), bytearray(4), number, number)
        with pytest.raises(Interrupted):
            queue.wait(PATIENCE_S)
        assert {each.result for each in to_the_last(queue, 0, 1, 2)} == {4}


@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
@pytest.mark.parametrize("name", ["io_submit", "io_getevents"])
def test_a_handler_that_raises_at_a_call_leaves_a_queue_that_can_be_closed_at_once(interrupt, name, before):
    with open_stream("pipe") as stream, nothing_left_behind():
        queue = CompletionQueue(LinuxAioProcessor())
        queue.read(stream.fd, bytearray(3), "silent")
        queue.post("woken")
        interrupt(name, before)
        with pytest.raises(Interrupted):
            queue.wait(PATIENCE_S)
        start = time.monotonic()
        queue.close()
        assert time.monotonic() - start < CLOSES_WITHIN_S
        assert os.get_blocking(stream.fd)


@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
@pytest.mark.parametrize("name", ["io_submit", "io_getevents"])
def test_a_handler_that_raises_while_a_wake_is_heard_leaves_the_next_one_its_bell(interrupt, name, before):
    processor = LinuxAioProcessor()
    try:
        processor.wake()
        assert processor.wait(PATIENCE_S) == []  # the bell was heard, and is to be submitted again
        processor.wake()
        interrupt(name, before)
        with pytest.raises(Interrupted):
            processor.wait(PATIENCE_S)
        for _ in range(2):
            start = time.monotonic()
            assert processor.wait(PATIENCE_S) == []
            assert time.monotonic() - start < CLOSES_WITHIN_S
            processor.wake()
    finally:
        processor.close()


# Limits


def test_what_has_two_wait_queues_is_refused_with_einval(queue, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    both = os.open(tmp_path / "fifo", os.O_RDWR)
    try:
        queue.read(both, bytearray(1), "token")
        assert last(queue, "token").result == -errno.EINVAL
    finally:
        os.close(both)


def test_more_operations_than_the_context_holds_are_refused_and_the_others_live_on():
    with nothing_left_behind(), CompletionQueue(LinuxAioProcessor(entries=1)) as queue, open_stream("pipe") as stream:
        operations = [queue.read(stream.fd, bytearray(1), number) for number in range(2_000)]
        refused = told(queue, lambda found: len(found) > 0)
        assert {each.result for each in refused} == {-errno.EAGAIN}
        tokens = {each.token for each in refused}
        alive = [operation for operation in operations if operation.token not in tokens]
        assert alive
        stream.send(b"x")
        assert [each.result for each in told(queue, lambda found: len(found) > 0)] == [1]
        queue.post("woken")  # its place was not taken
        assert "woken" in {each.token for each in told(queue, lambda found: len(found) > 0)}


def test_many_ready_at_once_come_through_a_context_that_is_full_of_events():
    """More events than one io_getevents takes, and every place in the ring in use."""
    pairs = [socket.socketpair() for _ in range(300)]
    try:
        with CompletionQueue(LinuxAioProcessor(entries=150)) as queue:
            places = [peer for reader, peer in pairs if queue.read(reader.fileno(), bytearray(8), peer)]
            for number, (_, peer) in enumerate(pairs):
                peer.send(b"%03d" % number)
            found = told(queue, lambda found: len(found) == len(places))
            assert {each.result for each in found} <= {3, -errno.EAGAIN}
            assert sum(each.result == 3 for each in found) >= 150
    finally:
        for reader, peer in pairs:
            reader.close()
            peer.close()


# Waking


def test_wake_ends_the_wait_that_sleeps_and_the_next_one_and_again():
    processor = LinuxAioProcessor()
    try:
        for _ in range(3):
            processor.wake()
            assert processor.wait(PATIENCE_S) == []
            thread = threading.Timer(0.02, processor.wake)
            thread.start()
            assert processor.wait(None) == []
            thread.join()
    finally:
        processor.close()


def test_several_wakes_are_one():
    processor = LinuxAioProcessor()
    try:
        for _ in range(5):
            processor.wake()
        assert processor.wait(PATIENCE_S) == []
        start = time.monotonic()
        assert processor.wait(0.05) == []
        assert time.monotonic() - start >= 0.05  # nothing ended it
    finally:
        processor.close()


@pytest.mark.parametrize("entries", [0, -1, True, 1.5])
def test_a_senseless_number_of_entries_is_named_and_nothing_stays_open(entries):
    with nothing_left_behind(), pytest.raises(ValueError, match="entries"):
        LinuxAioProcessor(entries=entries)


def test_a_machine_whose_contexts_are_used_up_says_so_in_the_kernels_words():
    with open("/proc/sys/fs/aio-max-nr") as file:
        most = int(file.read())
    with nothing_left_behind(), pytest.raises(BlockingIOError, match="io_setup"):
        LinuxAioProcessor(entries=most + 1)
