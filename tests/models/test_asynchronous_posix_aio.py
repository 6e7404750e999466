"""What sets POSIX AIO apart as a processor: flags that it borrows, duplicates, numbers that are haunted, threads."""

import errno
import fcntl
import os
import socket
import threading

import pytest

from iolab.models import asynchronous_posix_aio
from iolab.models.asynchronous_posix_aio import PosixAioProcessor, read_into
from iolab.models.completion_queue import CompletionQueue
from iolab.models.posix_aio_numbers import haunted
from iolab.recorder import Recorder
from tests.left_behind import nothing_left_behind
from tests.posix_aio import in_a_process, is_over, sleeps_in_read, until
from tests.streams import meanwhile, open_stream, open_streams, pattern

pytestmark = pytest.mark.skipif(
    bool(asynchronous_posix_aio.unavailable()), reason=str(asynchronous_posix_aio.unavailable())
)
PATIENCE_S = 20


def completions(queue, count):
    found = []
    while len(found) < count:
        told = queue.wait(PATIENCE_S)
        assert told, f"only {found} after {PATIENCE_S} s"
        found += told
    return found


@pytest.mark.parametrize("kind", ["pipe", "socketpair", "tcp"])
def test_a_nonblocking_descriptor_is_waited_for_and_is_nonblocking_again_afterwards(kind):
    with open_stream(kind) as stream, nothing_left_behind():
        os.set_blocking(stream.fd, False)
        buffer = bytearray(4)
        with meanwhile(lambda: stream.send(b"data")):
            assert read_into(stream.fd, buffer) == 4
        assert buffer == b"data"
        assert not os.get_blocking(stream.fd)


def test_a_thread_with_other_work_is_told_not_yet_as_by_a_nonblocking_call():
    recorder, slices = Recorder(), []
    with open_stream("socketpair") as stream:

        def work():
            slices.append(1)
            if len(slices) == 5:
                stream.send(b"data")

        assert read_into(stream.fd, bytearray(4), recorder, work) == 4
        calls = [call for call in recorder.calls() if call.name == "aio_error"]
        assert [call.errno for call in calls[:4]] == [errno.EINPROGRESS] * 4
        assert calls[-1].completed == ((stream.fd, 4),)


def test_a_thread_without_work_sleeps_in_one_aio_suspend_and_hears_there_of_the_bytes():
    recorder = Recorder()
    with open_stream("socketpair") as stream:
        with meanwhile(lambda: stream.send(b"data")):
            assert read_into(stream.fd, bytearray(4), recorder) == 4
        calls = recorder.calls()
        assert [call.name for call in calls] == ["aio_read", "aio_suspend"]
        assert calls[1].completed == ((stream.fd, 4),)


def test_a_send_does_not_wait_behind_a_receive_of_the_same_socket():
    with open_stream("tcp") as stream, CompletionQueue(PosixAioProcessor()) as queue:
        queue.receive(stream.fd, "receive")
        queue.wait(0)
        until(lambda: sleeps_in_read(stream.fd))
        queue.send(stream.fd, b"data", "send")
        assert completions(queue, 1) == [("send", 4, False, None)]
        assert os.read(stream.peer, 10) == b"data"


def test_a_descriptor_that_gets_the_number_of_a_dead_read_is_read_at_once():
    ours, peer = socket.socketpair()
    with peer:
        number = ours.detach()
        queue = CompletionQueue(PosixAioProcessor())
        queue.read(number, bytearray(10), "dead")
        queue.wait(0)
        until(lambda: sleeps_in_read(number))
        queue.close()  # the read cannot be cancelled: it is abandoned
        with open_stream("socketpair") as stream, CompletionQueue(PosixAioProcessor()) as queue:
            os.dup2(stream.fd, number)  # closes the old one
            stream.send(b"data")
            queue.read(number, bytearray(10), "living")
            assert completions(queue, 1) == [("living", 4, False, None)]
            os.close(number)
        peer.sendall(b"x")
        until(lambda: not sleeps_in_read(number))


def test_a_queue_hears_of_a_post_although_a_dead_read_has_the_number_that_is_free():
    ours, peer = socket.socketpair()
    with peer:
        number = ours.detach()
        until(lambda: not haunted(number))  # by the test before
        queue = CompletionQueue(PosixAioProcessor())
        queue.read(number, bytearray(10), "dead")
        queue.wait(0)
        until(lambda: sleeps_in_read(number))
        queue.close()
        os.close(number)  # the lowest free one: it is what the next queue is given for its notes
        queue = CompletionQueue(PosixAioProcessor())
        with meanwhile(lambda: queue.post("posted")):
            assert completions(queue, 1) == [("posted", 0, False, None)]
        queue.close()
        peer.sendall(b"x")
        until(lambda: not sleeps_in_read(number))


def test_a_helper_that_comes_late_steals_nothing_from_who_has_the_number_next():
    program = """
import os, socket, time
from iolab.models.asynchronous_posix_aio import PosixAioProcessor
from iolab.models.completion_queue import CompletionQueue
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the helper runs when this thread rests
heard, peers = [], []
for _ in range(30):
    ours, peer = socket.socketpair()
    peers.append(peer)
    number = ours.detach()
    queue = CompletionQueue(PosixAioProcessor())
    queue.read(number, bytearray(10), "dead")
    queue.wait(0)
    queue.close()
    os.close(number)
    next_ours, next_peer = socket.socketpair()
    assert number in (next_ours.fileno(), next_peer.fileno())
    next_peer.sendall(b"mine")
    next_ours.sendall(b"mine")
    time.sleep(0.005)  # a late helper has its turn
    for each in (next_ours, next_peer):
        each.settimeout(1)
        try:
            heard.append(each.recv(10).decode())
        except TimeoutError:
            heard.append("stolen")
    next_ours.close(), next_peer.close()
for peer in peers:
    peer.close()
tell(sorted(set(heard)))
"""
    assert in_a_process(program) == ["mine"]


def test_thirty_silent_streams_do_not_keep_a_file_from_being_read():
    program = """
from iolab.models.asynchronous_posix_aio import PosixAioProcessor
from iolab.models.completion_queue import CompletionQueue
queue, pipes = CompletionQueue(PosixAioProcessor()), [os.pipe() for _ in range(30)]
for r, w in pipes:
    queue.read(r, bytearray(1), r)
queue.read(os.open(sys.executable, os.O_RDONLY), bytearray(4), "file", 0)
found = queue.wait(20)
tell([[each.token, each.result] for each in found])
for r, w in pipes:
    os.close(w)
queue.close()
"""
    assert in_a_process(program) == [["file", 4]]


def test_posts_and_close_are_heard_although_silent_reads_have_all_the_helpers_there_are():
    program = """
from iolab.models.asynchronous_posix_aio import PosixAioProcessor
from iolab.models.completion_queue import CompletionQueue
signal.alarm(30)
first = ControlBlock(os.open(sys.executable, os.O_RDONLY), bytearray(1))
aio_read(first)  # aio_init comes too late
until(lambda: is_over(first))
queue, pipes, heard = CompletionQueue(PosixAioProcessor()), [os.pipe() for _ in range(25)], []
for r, w in pipes:
    queue.read(r, bytearray(1), r)
for number in range(4):
    poster = threading.Timer(0.05, queue.post, [number])
    poster.start()
    heard += [each.token for each in queue.wait(5)]
    poster.join()
start = time.monotonic()
queue.close()
tell([heard, time.monotonic() - start < 4])
"""
    assert in_a_process(program) == [[0, 1, 2, 3], True]


def test_reads_of_several_streams_at_once_each_get_their_own_bytes():
    with open_streams("pipe", "socketpair", "tcp") as streams, nothing_left_behind():
        buffers = [bytearray(100) for _ in streams]
        with meanwhile(*(lambda each=each, at=at: each.send(pattern(300)[at : at + 100]) for at, each in
                         zip((0, 100, 200), streams, strict=True))):  # fmt: skip
            reads = [(stream.fd, buffer) for stream, buffer in zip(streams, buffers, strict=True)]
            assert asynchronous_posix_aio.read_many(reads) == [100] * 3
        assert b"".join(buffers) == pattern(300)


def test_a_listener_has_its_own_flags_again_after_an_accept():
    with socket.create_server(("127.0.0.1", 0)) as listener, CompletionQueue(PosixAioProcessor()) as queue:
        before = fcntl.fcntl(listener.fileno(), fcntl.F_GETFL)
        accept = queue.accept(listener.fileno(), "accept")
        with socket.create_connection(listener.getsockname()):
            [told] = completions(queue, 1)
            os.close(told.result)
        queue.cancel(accept)
        assert completions(queue, 1)[-1].result == -errno.ECANCELED
        assert fcntl.fcntl(listener.fileno(), fcntl.F_GETFL) == before


def test_an_accept_whose_thread_does_not_start_is_refused_and_the_next_one_is_carried_out(monkeypatch):
    def refused(thread):
        raise RuntimeError("can't start new thread")  # as at pids.max

    with socket.create_server(("127.0.0.1", 0)) as listener, nothing_left_behind():
        with CompletionQueue(PosixAioProcessor()) as queue:
            monkeypatch.setattr(threading.Thread, "start", refused)
            queue.accept(listener.fileno(), "refused")
            assert completions(queue, 1) == [("refused", -errno.EAGAIN, False, None)]
        with CompletionQueue(PosixAioProcessor()) as queue:
            queue.accept(listener.fileno(), "refused")
            monkeypatch.undo()
            assert completions(queue, 1) == [("refused", -errno.EAGAIN, False, None)]
            queue.accept(listener.fileno(), "accepted")
            with socket.create_connection(listener.getsockname()):
                [told] = completions(queue, 1)
                os.close(told.result)


def test_a_file_that_is_closed_before_the_wait_was_read_and_the_queue_lives_on(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    with nothing_left_behind(), CompletionQueue(PosixAioProcessor()) as queue:
        with open(tmp_path / "file", "rb") as file:
            read = queue.read(file.fileno(), bytearray(4), "closed")
            until(lambda: is_over(read.state.block))
        assert completions(queue, 1) == [("closed", 4, False, None)]
        queue.post("posted")
        assert completions(queue, 1) == [("posted", 0, False, None)]
