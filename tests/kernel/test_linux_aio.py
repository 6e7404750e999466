"""Linux native AIO, against the C compiler's layout, /proc, the file's own content and the kernel's counts of sleeps."""

import ctypes
import errno
import gc
import mmap
import os
import platform
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref

import pytest

from iolab.kernel import libc
from iolab.kernel import linux_aio as aio
from iolab.kernel import linux_aio_abi as abi
from iolab.kernel.linux_aio import Context, Event, Request
from tests.interrupting import Interrupted, interrupted_at, moments
from tests.left_behind import nothing_left_behind
from tests.streams import meanwhile, open_stream

pytestmark = pytest.mark.skipif(bool(aio.unavailable()), reason=str(aio.unavailable()))
PATIENCE_S = 10
DATA = bytes(range(256)) * 64


@pytest.fixture
def context():
    with Context(16) as context:
        yield context


@pytest.fixture
def file(tmp_path):
    """A regular file that holds DATA, opened to be read and written."""
    (tmp_path / "file").write_bytes(DATA)
    fd = os.open(tmp_path / "file", os.O_RDWR)
    yield fd
    os.close(fd)


def sleeps() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def eventually(condition) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def compiled(program: str, folder) -> list[int]:
    """The integers that a C program prints."""
    (folder / "asks.c").write_text(program)
    subprocess.run(["gcc", "-o", folder / "asks", folder / "asks.c"], check=True, capture_output=True, timeout=60)
    printed = subprocess.run([folder / "asks"], check=True, capture_output=True, text=True, timeout=60)
    return [int(word) for word in printed.stdout.split()]


# Against <linux/aio_abi.h>

needs_gcc = pytest.mark.skipif(
    not shutil.which("gcc") or not os.path.exists("/usr/include/linux/aio_abi.h"), reason="no gcc, or no kernel headers"
)


@needs_gcc
def test_the_structures_lie_in_memory_as_the_kernels_header_says(tmp_path):
    structures, wanted, asked = (("iocb", abi.Iocb), ("io_event", abi.IoEvent)), [], []
    for name, structure in structures:
        wanted.append(ctypes.sizeof(structure))
        asked.append(f"sizeof(struct {name})")
        for field, *_ in structure._fields_:
            wanted += [getattr(structure, field).offset, getattr(structure, field).size]
            asked += [f"offsetof(struct {name}, {field})", f"sizeof(((struct {name} *)0)->{field})"]
    printing = "".join(f'printf("%zu ", (size_t)({each}));' for each in asked)
    headers = "#include <linux/aio_abi.h>\n#include <stddef.h>\n#include <stdio.h>\n"
    assert compiled(f"{headers}int main(void) {{ {printing} return 0; }}", tmp_path) == wanted


@needs_gcc
def test_the_numbers_are_those_of_the_headers(tmp_path):
    commands = ("PREAD", "PWRITE", "FSYNC", "FDSYNC", "POLL", "PREADV", "PWRITEV")
    asked = [*(f"IOCB_CMD_{each}" for each in commands), "IOCB_FLAG_RESFD"]
    printing = "".join(f'printf("%d ", (int){each});' for each in asked)
    # IOCB_CMD_POLL is in the enumeration of headers since 4.19, in a comment before.
    headers = "#include <linux/aio_abi.h>\n#include <stdio.h>\n"
    wanted = [*(getattr(abi, each) for each in commands), abi.FLAG_RESFD]
    assert compiled(f"{headers}int main(void) {{ {printing} return 0; }}", tmp_path) == wanted


@needs_gcc
@pytest.mark.parametrize(
    ("header", "machine"), [("sys/syscall.h", platform.machine()), ("asm-generic/unistd.h", "aarch64")]
)
def test_the_system_calls_have_the_numbers_of_the_header(header, machine, tmp_path, monkeypatch):
    if header.startswith("asm-generic") and not os.path.exists(f"/usr/include/{header}"):
        pytest.skip(f"no <{header}>, which arm64 uses")
    asked = {}

    def noted(name, number, *arguments, returned=None):
        asked[name] = number
        return 0

    monkeypatch.setattr(abi, "system_call", noted)
    monkeypatch.setattr(libc, "X86_64", machine == "x86_64")
    abi.io_setup(1)
    abi.io_submit(0, [abi.Iocb()])
    abi.io_getevents(0, 0, (abi.IoEvent * 1)())
    abi.io_getevents(0, 0, (abi.IoEvent * 1)(), sigmask=())
    abi.io_cancel(0, abi.Iocb())
    abi.io_destroy(0)
    printing = "".join(f'printf("%d ", __NR_{name});' for name in asked)
    program = f"#include <{header}>\n#include <stdio.h>\nint main(void) {{ {printing} return 0; }}"
    assert len(asked) == 6
    assert compiled(program, tmp_path) == list(asked.values())


def test_the_context_is_the_address_of_a_mapping_that_the_kernel_calls_aio(context):
    def mapped():
        with open("/proc/self/maps") as maps:
            return [line for line in maps if line.startswith(f"{context._context:x}-") and "[aio]" in line]

    if context.peek() is None:
        pytest.skip("no ring at the context's address")
    assert len(mapped()) == 1
    assert abi.Ring.from_address(context._context).header_length == ctypes.sizeof(abi.Ring)


def test_the_ring_is_read_in_its_order_where_it_wraps_around(file):
    """Against io_getevents, which takes the same events."""
    read = Request(aio.PREAD, file, bytearray(1))
    with Context(1) as context:
        places = abi.Ring.from_address(context._context).nr
        for _ in range(places):
            serials = context.submit([read] * 3)
            assert [event.serial for event in context.peek()] == serials
            assert context.peek() == context.wait(PATIENCE_S, least=3)


# What the kernel does


def test_a_read_of_a_blocking_socket_sleeps_inside_io_submit(context):
    with open_stream("socketpair") as stream:
        buffer, sent = bytearray(100), []
        assert os.get_blocking(stream.fd)

        def send():
            sent.append(time.monotonic())
            stream.send(b"late")

        before = sleeps()
        with meanwhile(send):
            (serial,) = context.submit([Request(aio.PREAD, stream.fd, buffer)])
            returned, slept = time.monotonic(), sleeps() - before
        assert returned > sent[0]  # not before the peer had sent
        assert slept >= 1
        assert context.wait(0) == [Event(serial, 4)]
        assert buffer[:4] == b"late"


@pytest.mark.parametrize("kind", ["pipe", "socketpair", "tcp"])
def test_a_read_of_a_nonblocking_stream_is_over_at_once_with_eagain(context, kind):
    with open_stream(kind) as stream:
        os.set_blocking(stream.fd, False)
        (serial,) = context.submit([Request(aio.PREAD, stream.fd, bytearray(100))])
        assert context.wait(0) == [Event(serial, -errno.EAGAIN)]


def test_a_read_through_the_page_cache_has_been_copied_when_io_submit_returns(context, file):
    os.pread(file, len(DATA), 0)  # it lies in memory now
    buffer = bytearray(1000)
    (serial,) = context.submit([Request(aio.PREAD, file, buffer, 5)])
    seen, copied = context.peek(), bytes(buffer)
    assert copied == DATA[5:1005]
    assert seen in ([Event(serial, 1000)], None)
    assert context.wait(0) == [Event(serial, 1000)]
    assert len(context) == 0


@pytest.mark.parametrize("kind", ["pipe", "socketpair", "tcp"])
def test_a_poll_tells_once_and_more_than_was_asked(context, kind):
    with open_stream(kind) as stream:
        (serial,) = context.submit([Request(aio.POLL, stream.fd, events=select.POLLIN)])
        assert context.wait(0) == []
        with meanwhile(lambda: stream.send(b"hi")):
            ((told, result),) = context.wait(PATIENCE_S)
        assert told == serial
        assert result & select.POLLIN
        os.read(stream.fd, 10)
        stream.send(b"again")
        assert select.select([stream.fd], [], [], PATIENCE_S)[0]  # it is there, and nobody is told
        assert context.wait(0) == []
        (again,) = context.submit([Request(aio.POLL, stream.fd, events=select.POLLIN)])
        assert [event.serial for event in context.wait(PATIENCE_S)] == [again]


def test_the_mask_of_a_poll_has_bits_that_nobody_asked_for(context):
    with open_stream("socketpair") as stream:
        context.submit([Request(aio.POLL, stream.fd, events=select.POLLIN)])
        stream.send(b"x")
        ((_, result),) = context.wait(PATIENCE_S)
        assert result & select.POLLIN
        assert result & ~select.POLLIN


def test_a_poll_of_a_listener_tells_of_a_connection(context):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (serial,) = context.submit([Request(aio.POLL, listener.fileno(), events=select.POLLIN)])
        with socket.create_connection(listener.getsockname()):
            assert [event.serial for event in context.wait(PATIENCE_S)] == [serial]
            listener.accept()[0].close()


def test_a_regular_file_is_always_readable_even_where_a_read_would_wait_for_the_disk(context, file):
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    (serial,) = context.submit([Request(aio.POLL, file, events=select.POLLIN)])
    assert context.wait(0) == [Event(serial, select.POLLIN)]  # epoll_ctl(2) would refuse it: EPERM


def test_what_has_two_wait_queues_cannot_be_polled(context, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    both = os.open(tmp_path / "fifo", os.O_RDWR)  # its reader waits on one queue, its writer on another
    try:
        with pytest.raises(OSError, match="io_submit") as refused:
            context.submit([Request(aio.POLL, both, events=select.POLLIN)])
        assert refused.value.errno == errno.EINVAL
        assert len(context) == 0
    finally:
        os.close(both)


def test_io_cancel_of_a_poll_says_einprogress_and_the_event_comes_through_the_ring(context):
    with open_stream("pipe") as stream:
        (serial,) = context.submit([Request(aio.POLL, stream.fd, events=select.POLLIN)])
        with pytest.raises(OSError, match="io_cancel") as refused:
            abi.io_cancel(context._context, context.in_flight[serial][0])
        assert refused.value.errno == errno.EINPROGRESS
        assert context.wait(PATIENCE_S) == [Event(serial, 0)]


def test_cancel_says_whether_the_request_could_be_stopped(context, file):
    with open_stream("pipe") as stream:
        poll, read = context.submit(
            [Request(aio.POLL, stream.fd, events=select.POLLIN), Request(aio.PREAD, file, bytearray(10))]
        )
        assert context.cancel(read) is False
        assert context.cancel(poll) is True
        assert context.cancel(poll) is False
        assert {event.serial for event in context.wait(PATIENCE_S, least=2)} == {poll, read}
        assert context.cancel(poll) is False


def test_an_eventfd_counts_the_requests_that_are_over(context, file):
    eventfd = os.eventfd(0)
    try:
        requests = [Request(aio.PREAD, file, bytearray(10), eventfd=eventfd) for _ in range(3)]
        context.submit(requests)
        assert select.select([eventfd], [], [], PATIENCE_S)[0]
        assert len(context.wait(PATIENCE_S, least=3)) == 3
        assert os.eventfd_read(eventfd) == 3
    finally:
        os.close(eventfd)


def test_where_the_numbers_mean_other_calls_none_is_made(monkeypatch):
    def made(*_):
        raise AssertionError("a system call was made")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(abi, "system_call", made)
    assert aio.unavailable() == "io_setup: Function not implemented"


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.EPERM, "seccomp"), (errno.EAGAIN, "aio-max-nr"), (errno.ENOSYS, "")]
)
def test_a_refusal_is_told_in_the_kernels_words(number, hint, monkeypatch):
    def refuse(name, *_):
        raise OSError(number, os.strerror(number), name)

    monkeypatch.setattr(abi, "system_call", refuse)
    assert aio.unavailable().startswith(f"io_setup: {os.strerror(number)}")
    assert hint in aio.unavailable()


def test_fs_aio_max_nr_limits_all_contexts_together():
    def asked_for() -> int:
        with open("/proc/sys/fs/aio-nr") as file:
            return int(file.read())

    with open("/proc/sys/fs/aio-max-nr") as file:
        most = int(file.read())
    before = asked_for()
    with Context(100):
        assert asked_for() >= before + 100
        with pytest.raises(BlockingIOError, match="io_setup"):
            Context(most + 1)
    assert eventually(lambda: asked_for() <= before)


def test_vectors_are_read_and_written_and_a_file_is_synchronised(context, file):
    context.submit([Request(aio.PWRITEV, file, [b"left", memoryview(b"-right")], 3)])
    context.submit([Request(aio.FSYNC, file), Request(aio.FDSYNC, file)])
    first, second = bytearray(2), bytearray(8)
    events = context.wait(PATIENCE_S, least=3)
    assert sorted(event.result for event in events) == [0, 0, 10]
    (serial,) = context.submit([Request(aio.PREADV, file, [first, second], 3)])
    assert context.wait(PATIENCE_S) == [Event(serial, 10)]
    assert bytes(first + second) == b"left-right" == os.pread(file, 10, 3)


def test_read_only_bytes_are_written_from_where_they_lie(context, file):
    (serial,) = context.submit([Request(aio.PWRITE, file, b"bytes", 1)])
    assert context.wait(PATIENCE_S) == [Event(serial, 5)]
    assert os.pread(file, 5, 1) == b"bytes"


# What this package adds


def test_requests_before_a_bad_one_are_taken_and_the_bad_one_is_refused_by_name(context, file):
    good, bad = Request(aio.PREAD, file, bytearray(10)), Request(aio.PREAD, -1, bytearray(10))
    first = context.submit([good, good, bad, good])
    assert len(first) == 2
    with pytest.raises(OSError, match="io_submit") as refused:
        context.submit([bad, good])
    assert refused.value.errno == errno.EBADF
    assert {event.serial for event in context.wait(PATIENCE_S, least=2)} == set(first)
    assert (len(context), context.wait(0), context.submit([])) == (0, [], [])


def test_serial_numbers_are_never_used_again(context, file):
    seen = []
    for _ in range(50):
        seen += context.submit([Request(aio.PREAD, file, bytearray(1))] * 4)
        context.wait(PATIENCE_S, least=4)
    assert len(set(seen)) == len(seen) == 200


def test_a_full_context_says_eagain_and_has_room_again_when_events_were_taken(file):
    read = Request(aio.PREAD, file, bytearray(1))
    with Context(1) as context:

        def submit_without_end():
            for _ in range(1_000_000):
                context.submit([read])

        with pytest.raises(BlockingIOError, match="io_submit"):
            submit_without_end()
        taken = 0
        while taken_now := len(context.wait(0)):
            taken += taken_now
        assert taken >= 1
        assert len(context.submit([read])) == 1


def test_a_buffer_is_neither_freed_nor_moved_until_its_event_was_taken(context):
    class Buffer(bytearray):
        pass

    with open_stream("pipe") as stream:
        buffer = Buffer(100)
        alive = weakref.ref(buffer)
        os.set_blocking(stream.fd, False)
        stream.send(b"data")
        context.submit([Request(aio.PREAD, stream.fd, buffer)])
        with pytest.raises(BufferError):
            buffer.extend(b"more")
        del buffer
        gc.collect()
        assert alive() is not None
        context.wait(PATIENCE_S)
        gc.collect()
        assert alive() is None


def test_a_context_that_is_forgotten_waits_for_its_requests_and_unmaps_its_ring():
    with open_stream("pipe") as stream:
        context = Context()
        context.submit([Request(aio.POLL, stream.fd, events=select.POLLIN)])
        address = f"{context._context:x}-"
        del context
        gc.collect()
        with open("/proc/self/maps") as maps:
            assert not any(line.startswith(address) and "[aio]" in line for line in maps)


@pytest.mark.parametrize("refused", [b"read-only", memoryview(bytearray(8))[::2], "text", None])
def test_a_buffer_that_cannot_be_filled_is_refused_before_any_call(context, file, refused):
    with pytest.raises(ValueError, match="buffer must be"):
        context.submit([Request(aio.PREAD, file, refused)])
    assert len(context) == 0


@pytest.mark.parametrize("entries", [0, -1, True, 1.5, 1 << 31])
def test_a_senseless_number_of_entries_is_named(entries):
    with pytest.raises(ValueError, match="entries must be"):
        Context(entries)


@pytest.mark.parametrize("timeout_s", [0, 0.02])
def test_a_wait_is_over_when_the_time_is_and_not_before(context, timeout_s):
    start = time.monotonic()
    assert context.wait(timeout_s) == []
    assert timeout_s <= time.monotonic() - start < timeout_s + PATIENCE_S


def test_a_wait_goes_on_after_a_handler_ran_and_its_time_is_not_counted_anew(context):
    ran = []
    old = signal.signal(signal.SIGALRM, lambda *_: ran.append(time.monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        start = time.monotonic()
        assert context.wait(0.2) == []
        took = time.monotonic() - start
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(ran) >= 2
    assert 0.2 <= took < PATIENCE_S


def test_a_wait_lets_a_handler_raise_and_the_request_lives_on(context):
    def interrupt(*_):
        raise Interrupted

    old = signal.signal(signal.SIGALRM, interrupt)
    with open_stream("pipe") as stream:
        (serial,) = context.submit([Request(aio.POLL, stream.fd, events=select.POLLIN)])
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            with pytest.raises(Interrupted):
                context.wait(PATIENCE_S)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        stream.send(b"x")
        assert [event.serial for event in context.wait(PATIENCE_S)] == [serial]


def test_a_handler_that_raises_anywhere_in_a_wait_loses_no_event(file):
    def interrupted(moment) -> bool:
        with Context(8) as context:
            serials = context.submit([Request(aio.PREAD, file, bytearray(8))] * 3)
            found = []
            interrupted = interrupted_at(moment, lambda: found.extend(context.wait(0)), aio, abi, libc)
            if interrupted:
                assert context.peek() in (None, [Event(serial, 8) for serial in serials])
                found = context.wait(0)
            assert found == [Event(serial, 8) for serial in serials]
            assert len(context) == 0
        return interrupted

    assert moments(interrupted) >= 5


def test_a_handler_that_raises_anywhere_in_submit_leaves_in_flight_what_the_kernel_took(file):
    def interrupted(moment) -> bool:
        with Context(8) as context:
            serials, bad_one = [next(context.serials) for _ in range(3)], 1 << 20
            requests = [Request(aio.PREAD, fd, bytearray(8)) for fd in (file, file, bad_one)]
            interrupted = interrupted_at(moment, lambda: context.submit(requests, serials), aio, abi, libc)
            in_flight = list(context.in_flight)
            assert in_flight == serials[:2] or (interrupted and in_flight == [])
            assert [event.serial for event in context.wait(0)] == in_flight
        return interrupted

    assert moments(interrupted) >= 5


def test_with_a_signal_mask_a_pending_signal_ends_the_wait(context):
    caught = []
    old = signal.signal(signal.SIGUSR1, lambda *_: caught.append(True))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        assert context.wait(0.02) == []  # blocked: nothing interrupts
        assert context.wait(0.02, sigmask={signal.SIGUSR1}) == []
        assert caught == []
        with pytest.raises(InterruptedError, match="io_pgetevents"):
            context.wait(PATIENCE_S, sigmask=set())
        assert caught == [True]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR1, old)


def test_another_thread_may_submit_and_this_one_take_the_event(context, file):
    serials = []
    thread = threading.Thread(target=lambda: serials.extend(context.submit([Request(aio.PREAD, file, bytearray(7))])))
    thread.start()
    events = context.wait(PATIENCE_S)
    thread.join()
    assert events == [Event(serials[0], 7)]
    assert len(context) == 0


def test_a_forked_child_is_refused_and_the_parents_context_lives_on(context, file):
    child = os.fork()
    if not child:
        status = 1
        try:
            context.submit([Request(aio.PREAD, file, bytearray(1))])
        except RuntimeError:
            status = 0
        finally:
            context.close()  # its own books only
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    (serial,) = context.submit([Request(aio.PREAD, file, bytearray(1))])
    assert context.wait(PATIENCE_S) == [Event(serial, 1)]


def test_close_ends_the_polls_frees_the_buffers_and_leaves_no_mapping():
    def rings() -> int:
        with open("/proc/self/maps") as maps:
            return sum("[aio]" in line for line in maps)

    before = rings()
    with open_stream("pipe") as stream, nothing_left_behind():
        context = Context()
        buffer = bytearray(10)
        os.set_blocking(stream.fd, False)
        context.submit([Request(aio.PREAD, stream.fd, buffer)])
        context.submit([Request(aio.POLL, stream.fd, events=select.POLLIN)] * 20)
        context.close()
        context.close()
        buffer.extend(b"free again")
    assert rings() == before
    for refused in (context.peek, context.wait, lambda: context.submit([]), lambda: context.cancel(1)):
        with pytest.raises(ValueError, match="closed"):
            refused()


def test_nothing_is_written_to_a_buffer_after_close(tmp_path):
    """O_DIRECT: the disk writes into the buffer itself, so close has to wait for it."""
    nbytes, path = 8 << 20, tmp_path / "direct"
    path.write_bytes(os.urandom(nbytes))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError as error:
        pytest.skip(f"open with O_DIRECT: {error.strerror}")
    with mmap.mmap(-1, nbytes) as buffer:
        context = Context()
        try:
            os.fsync(fd)
            context.submit([Request(aio.PREAD, fd, buffer)])
        finally:
            context.close()
            os.close(fd)
        buffer[:] = b"\xff" * nbytes
        time.sleep(0.05)  # long enough for a disk, had it not been waited for
        assert buffer[:].count(b"\xff") == nbytes
