"""What the C library's POSIX AIO does for one request: results, errors, waits, ends, memory."""

import errno
import gc
import os
import signal
import socket
import threading
import time
import weakref

import pytest

from iolab.kernel import posix_aio
from iolab.kernel.posix_aio import (
    aio_cancel,
    aio_error,
    aio_fsync,
    aio_init,
    aio_read,
    aio_return,
    aio_suspend,
    aio_write,
    error_once_over,
)
from iolab.kernel.posix_aio_block import ControlBlock, in_progress
from iolab.kernel.posix_aio_layout import AIO_ALLDONE, AIO_CANCELED, AIO_NOTCANCELED, LIO_NOP, LIO_READ, LIO_WRITE
from iolab.kernel.posix_aio_list import lio_listio
from iolab.kernel.posix_aio_notification import BySignal
from tests.posix_aio import PATIENCE_S, is_over, sleeps_in_read, until
from tests.streams import meanwhile, open_stream, open_streams, pattern

pytestmark = pytest.mark.skipif(bool(posix_aio.unavailable()), reason=str(posix_aio.unavailable()))
NOT_SO_SOON_S = 0.2  # long for a thread that could go on; that a thing does not happen cannot be awaited


@pytest.fixture
def file(tmp_path):
    """A descriptor of a file with 100,000 bytes, for reading and writing."""
    (tmp_path / "file").write_bytes(pattern(100_000))
    fd = os.open(tmp_path / "file", os.O_RDWR)
    yield fd
    os.close(fd)


@pytest.fixture(autouse=True)
def nothing_in_progress_afterwards():
    yield
    until(lambda: not in_progress())


def over(block):
    assert aio_suspend([block], PATIENCE_S)
    return block


# Results


def test_a_read_brings_the_bytes_at_its_offset_and_leaves_the_files_position(file):
    buffer = bytearray(1000)
    block = ControlBlock(file, buffer, 70_000)
    aio_read(block)
    assert aio_return(over(block)) == 1000
    assert buffer == pattern(100_000)[70_000:71_000]
    assert os.lseek(file, 0, os.SEEK_CUR) == 0


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_write_puts_the_bytes_at_its_offset(file, kind):
    block = ControlBlock(file, kind(b"here"), 99_998)
    aio_write(block)
    assert aio_return(over(block)) == 4
    assert os.pread(file, 100, 99_996) == pattern(100_000)[99_996:99_998] + b"here"


def test_a_read_at_the_end_of_the_file_brings_0_bytes_and_across_it_what_is_there(file):
    blocks = [ControlBlock(file, bytearray(10), offset) for offset in (100_000, 99_997)]
    for block in blocks:
        aio_read(block)
    assert [aio_return(over(block)) for block in blocks] == [0, 3]


def test_a_part_of_a_buffer_is_filled_and_no_byte_beside_it(file):
    buffer = bytearray(30)
    block = ControlBlock(file, memoryview(buffer)[10:20])
    aio_read(block)
    assert aio_return(over(block)) == 10
    assert buffer == bytes(10) + pattern(10) + bytes(10)


def test_a_write_past_2_gib_arrives_there(tmp_path):
    with open(tmp_path / "sparse", "wb+") as sparse:
        block = ControlBlock(sparse.fileno(), b"far", 3 << 30)
        aio_write(block)
        assert aio_return(over(block)) == 3
        assert os.pread(sparse.fileno(), 10, 3 << 30) == b"far"


@pytest.mark.parametrize("operation", [None, os.O_SYNC, os.O_DSYNC])
def test_fsync_succeeds_on_a_file(file, operation):
    block = ControlBlock(file)
    aio_fsync(block, operation)
    assert aio_return(over(block)) == 0


def test_fsync_of_a_descriptor_that_is_not_open_is_refused_at_once_and_by_name(file):
    block = ControlBlock(os.dup(file))
    os.close(block.structure.aio_fildes)
    with pytest.raises(OSError, match="aio_fsync") as refused:
        aio_fsync(block)
    assert refused.value.errno == errno.EBADF
    assert in_progress() == ()


def test_a_read_of_a_descriptor_for_writing_fails_with_the_kernels_errno(tmp_path):
    with open(tmp_path / "file", "wb") as file:
        block = ControlBlock(file.fileno(), bytearray(1))
        aio_read(block)
        assert aio_error(over(block)) == errno.EBADF
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            aio_return(block)


@pytest.mark.parametrize("kind", ["pipe", "socketpair", "tcp"])
def test_a_stream_has_no_positions_and_is_read_all_the_same(kind):
    with open_stream(kind) as stream:
        buffer = bytearray(100)
        block = ControlBlock(stream.fd, buffer, 7)
        aio_read(block)
        with meanwhile(lambda: stream.send(b"data")):
            over(block)
        assert (aio_return(block), buffer[:4]) == (4, b"data")


def test_a_read_of_an_empty_nonblocking_socket_is_over_with_eagain_it_does_not_wait():
    with open_stream("socketpair") as stream:
        os.set_blocking(stream.fd, False)
        block = ControlBlock(stream.fd, bytearray(10))
        aio_read(block)
        assert aio_error(over(block)) == errno.EAGAIN


# The state of a request


def test_a_request_is_in_progress_until_it_is_over_and_polling_says_so_as_a_nonblocking_call():
    with open_stream("pipe") as stream:
        block = ControlBlock(stream.fd, bytearray(10))
        aio_read(block)
        assert aio_error(block) == errno.EINPROGRESS
        for ask in (error_once_over, aio_return):
            with pytest.raises(BlockingIOError) as refused:
                ask(block)
            assert refused.value.errno == errno.EINPROGRESS
        stream.send(b"x")
        assert error_once_over(over(block)) == 0
        assert aio_return(block) == 1


def test_a_result_is_collected_once(file):
    block = ControlBlock(file, bytearray(5))
    aio_read(block)
    assert aio_return(over(block)) == 5
    with pytest.raises(ValueError, match="already"):
        aio_return(block)


def test_a_control_block_is_used_once(file):
    block = ControlBlock(file, bytearray(5))
    aio_read(block)
    over(block)
    for begin in (aio_read, aio_write, aio_fsync):
        with pytest.raises(ValueError, match="once"):
            begin(block)
    with pytest.raises(ValueError, match="once"):
        lio_listio([(LIO_READ, block)])


def test_wrong_arguments_are_refused_by_name_and_before_any_call(file):
    with pytest.raises(ValueError, match="fd.*-1"):
        ControlBlock(-1, bytearray(1))
    with pytest.raises(ValueError, match="offset.*-5"):
        ControlBlock(file, bytearray(1), -5)
    with pytest.raises(ValueError, match="writable"):
        aio_read(ControlBlock(file, b"bytes"))
    fresh = ControlBlock(file, bytearray(1))
    for ask in (aio_error, error_once_over, aio_return, lambda block: aio_suspend([block])):
        with pytest.raises(ValueError, match="begun"):
            ask(fresh)
    with pytest.raises(ValueError, match="at least one"):
        aio_suspend([])
    with pytest.raises(ValueError, match="threads.*0"):
        aio_init(threads=0)
    with pytest.raises(ValueError, match="operations"):
        lio_listio([(3, fresh)])
    with pytest.raises(ValueError, match="writable"):
        lio_listio([(LIO_READ, ControlBlock(file, b"bytes"))])
    with pytest.raises(ValueError, match="once"):
        lio_listio([(LIO_READ, fresh), (LIO_READ, fresh)])
    assert not fresh.begun
    assert in_progress() == ()


# aio_suspend


@pytest.mark.parametrize("timeout", [0, 0.02])
def test_suspend_returns_false_when_the_time_is_over_and_not_before(timeout):
    with open_stream("pipe") as stream:
        block = ControlBlock(stream.fd, bytearray(1))
        aio_read(block)
        start = time.monotonic()
        assert aio_suspend([block], timeout) is False
        assert timeout <= time.monotonic() - start < timeout + PATIENCE_S
        stream.send(b"x")
        over(block)


def test_suspend_ends_when_one_of_several_is_over():
    with open_streams("pipe", "pipe", "pipe") as streams:
        blocks = [ControlBlock(stream.fd, bytearray(1)) for stream in streams]
        for block in blocks:
            aio_read(block)
        with meanwhile(lambda: streams[1].send(b"x")):
            assert aio_suspend(blocks, PATIENCE_S)
        assert [is_over(block) for block in blocks] == [False, True, False]
        for stream in streams[::2]:
            stream.send(b"x")


def test_suspend_lets_other_python_threads_run():
    with open_stream("pipe") as stream:
        block = ControlBlock(stream.fd, bytearray(1))
        aio_read(block)
        sender = threading.Thread(target=stream.send, args=(b"x",))  # cannot run while this thread keeps the lock
        sender.start()
        assert aio_suspend([block], PATIENCE_S)
        sender.join()


def test_suspend_goes_on_after_a_handler_ran_and_lets_one_raise():
    class Interrupted(Exception):
        pass

    with open_stream("pipe") as stream:
        block, times = ControlBlock(stream.fd, bytearray(1)), []
        aio_read(block)

        def handler(*_):
            times.append(time.monotonic())
            if len(times) == 3:
                raise Interrupted

        old = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            with pytest.raises(Interrupted):
                aio_suspend([block], PATIENCE_S)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        assert len(times) == 3
        assert aio_error(block) == errno.EINPROGRESS
        stream.send(b"x")
        assert aio_return(over(block)) == 1


# aio_cancel, fact 6


def test_what_a_thread_is_at_cannot_be_cancelled_what_waits_behind_it_can(file):
    with open_stream("pipe") as stream:
        first, second = (ControlBlock(stream.fd, bytearray(1)) for _ in range(2))
        aio_read(first)
        aio_read(second)
        until(lambda: sleeps_in_read(stream.fd))
        assert aio_cancel(stream.fd, first) == AIO_NOTCANCELED
        assert aio_cancel(stream.fd, second) == AIO_CANCELED
        assert aio_error(second) == errno.ECANCELED
        assert aio_error(first) == errno.EINPROGRESS
        stream.send(b"x")
        assert aio_return(over(first)) == 1
        assert aio_cancel(stream.fd, first) == AIO_ALLDONE
        assert aio_cancel(stream.fd) == AIO_ALLDONE


def test_cancel_of_a_descriptor_that_is_not_open_is_the_kernels_error(file):
    closed = os.dup(file)
    os.close(closed)
    with pytest.raises(OSError, match="aio_cancel") as refused:
        aio_cancel(closed)
    assert refused.value.errno == errno.EBADF


# Memory


def test_a_buffer_cannot_be_resized_while_a_thread_may_write_to_it_and_can_afterwards():
    with open_stream("pipe") as stream:
        buffer = bytearray(10)
        block = ControlBlock(stream.fd, buffer)
        aio_read(block)
        with pytest.raises(BufferError):
            buffer.extend(b"more")
        stream.send(b"0123456789")
        over(block)
        assert aio_error(block) == 0
        buffer.extend(b"more")
        assert buffer == b"0123456789more"


def test_a_request_whose_last_reference_is_dropped_is_held_until_it_is_over():
    with open_stream("pipe") as stream:
        block = ControlBlock(stream.fd, bytearray(10))
        alive = weakref.ref(block)
        aio_read(block)
        del block
        gc.collect()
        assert alive() in in_progress()
        stream.send(b"0123456789")
        until(lambda: not in_progress())
        gc.collect()
        assert alive() is None


def test_none_of_a_hundred_dropped_requests_is_let_go_before_its_end():
    # Looking for requests that are over, which beginning one does now and then, must not take a new one for such.
    with open_stream("socketpair") as stream:
        buffers = [bytearray(1) for _ in range(100)]
        for buffer in buffers:
            aio_read(ControlBlock(stream.fd, buffer))
        for buffer in buffers:
            with pytest.raises(BufferError):
                buffer.extend(b"more")
        assert len(in_progress()) == 100
        stream.send(b"x" * 100)
        until(lambda: not in_progress())
        assert b"".join(buffers) == b"x" * 100


def test_what_a_request_keeps_lives_as_long_as_it_and_no_longer():
    class Kept:
        pass

    with open_stream("pipe") as stream:
        kept = Kept()
        alive = weakref.ref(kept)
        block = ControlBlock(stream.fd, bytearray(10), keep=kept)
        del kept
        aio_read(block)
        gc.collect()
        assert alive() is not None
        stream.send(b"x")
        assert aio_return(over(block)) == 1
        assert alive() is None


# Facts 3, 4, 10: one descriptor, one request at a time; close ends nothing


def test_a_write_behind_a_read_of_the_same_socket_is_not_begun_through_a_duplicate_it_is():
    ours, peer = socket.socketpair()
    with ours, peer, socket.socket(fileno=os.dup(ours.fileno())) as duplicate:
        peer.settimeout(PATIENCE_S)
        read = ControlBlock(ours.fileno(), bytearray(10))
        behind = ControlBlock(ours.fileno(), b"behind")
        beside = ControlBlock(duplicate.fileno(), b"beside")
        for begin, block in ((aio_read, read), (aio_write, behind), (aio_write, beside)):
            begin(block)
        assert aio_return(over(beside)) == 6
        assert peer.recv(100) == b"beside"
        assert aio_suspend([behind], NOT_SO_SOON_S) is False
        peer.sendall(b"x")
        assert aio_return(over(read)) == 1
        assert aio_return(over(behind)) == 6
        assert peer.recv(100) == b"behind"


def test_close_ends_no_request_and_the_next_owner_of_the_number_waits_behind_it():
    old_ours, old_peer = socket.socketpair()
    new_ours, new_peer = socket.socketpair()
    with old_peer, new_peer:
        number = old_ours.detach()
        dead = ControlBlock(number, bytearray(10))
        aio_read(dead)
        until(lambda: sleeps_in_read(number))
        os.close(number)
        os.dup2(new_ours.detach(), number)
        new_peer.sendall(b"here already")
        living = ControlBlock(number, bytearray(20))
        aio_read(living)
        assert aio_suspend([living, dead], NOT_SO_SOON_S) is False
        old_peer.sendall(b"x")
        assert aio_return(over(dead)) == 1
        assert aio_return(over(living)) == len(b"here already")
        os.close(number)


def test_shutdown_ends_a_read_that_waits():
    ours, peer = socket.socketpair()
    with ours, peer:
        block = ControlBlock(ours.fileno(), bytearray(10))
        aio_read(block)
        assert aio_suspend([block], 0) is False
        ours.shutdown(socket.SHUT_RDWR)
        assert aio_return(over(block)) == 0


# lio_listio


def test_a_batch_that_is_waited_for_is_over_when_the_call_returns(file):
    buffers = [bytearray(100) for _ in range(5)]
    blocks = [ControlBlock(file, buffer, 1000 * number) for number, buffer in enumerate(buffers)]
    write, idle = ControlBlock(file, b"end", 100_000), ControlBlock(file, bytearray(1))
    lio_listio([*((LIO_READ, block) for block in blocks), (LIO_WRITE, write), (LIO_NOP, idle)])
    assert [aio_return(block) for block in blocks] == [100] * 5
    assert buffers == [pattern(100_000)[at : at + 100] for at in range(0, 5000, 1000)]
    assert aio_return(write) == 3
    assert os.pread(file, 10, 100_000) == b"end"
    assert not idle.begun


def test_a_batch_that_is_not_waited_for_is_begun_when_the_call_returns():
    with open_streams("pipe", "pipe") as streams:
        blocks = [ControlBlock(stream.fd, bytearray(10)) for stream in streams]
        lio_listio([(LIO_READ, block) for block in blocks], wait=False)
        assert [aio_error(block) for block in blocks] == [errno.EINPROGRESS] * 2
        for stream in streams:
            stream.send(b"data")
        assert [aio_return(over(block)) for block in blocks] == [4, 4]


def test_a_batch_with_a_failure_says_eio_and_each_block_what_it_was(tmp_path, file):
    with open(tmp_path / "other", "wb") as other:
        good, bad = ControlBlock(file, bytearray(5)), ControlBlock(other.fileno(), bytearray(5))
        with pytest.raises(OSError, match="lio_listio") as failure:
            lio_listio([(LIO_READ, good), (LIO_READ, bad)])
        assert failure.value.errno == errno.EIO
        assert (aio_return(good), aio_error(bad)) == (5, errno.EBADF)


def test_a_signal_during_a_batch_comes_after_it_and_the_mask_is_as_before(file):
    with open_stream("pipe") as stream:
        times, block = [], ControlBlock(stream.fd, bytearray(10))
        old = signal.signal(signal.SIGALRM, lambda *_: times.append(time.monotonic()))
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            sent = []

            def send():
                sent.append(time.monotonic())
                stream.send(b"x")

            with meanwhile(lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM), send):
                lio_listio([(LIO_READ, block)])
                assert aio_return(block) == 1
            until(lambda: times)
        finally:
            signal.signal(signal.SIGALRM, old)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
        assert len(times) == 1


def test_a_batch_with_a_signal_that_is_not_blocked_is_refused_and_nothing_is_begun(file):
    good, bad = ControlBlock(file, bytearray(5)), ControlBlock(file, bytearray(5), notify=BySignal(signal.SIGRTMIN + 7))
    with pytest.raises(ValueError, match="blocked"):
        lio_listio([(LIO_READ, good), (LIO_READ, bad)])
    assert in_progress() == ()
