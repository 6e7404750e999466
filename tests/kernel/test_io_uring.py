"""The ring itself: set-up, queues, waiting, and that what the kernel may write to is still there when it does."""

import errno
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque

import pytest

from iolab.kernel import io_uring_closing, io_uring_setup
from iolab.kernel import io_uring_layout as layout
from iolab.kernel import io_uring_operations as op
from iolab.kernel.io_uring import NEWEST, Ring, unavailable
from iolab.kernel.io_uring_queues import Queues
from iolab.kernel.io_uring_sqe import by_worker, linked, silent
from iolab.kernel.io_uring_wake_up import WakeUp
from iolab.kernel.libc import system_call
from tests.kernel.rings import (
    LIMIT_S,
    SET_UPS,
    by_user_data,
    completed,
    every_set_up,
    needs_io_uring,
    open_ring,
    result_of,
    unix_pair,
)
from tests.left_behind import nothing_left_behind
from tests.streams import in_another_thread, meanwhile

pytestmark = needs_io_uring


def own_calls(program: str) -> list[str]:
    """The io_uring calls that `program` makes between its lines "begin" and "end", as strace saw them."""
    run = subprocess.run(
        [
            "strace",
            "-f",
            "-e",
            "trace=io_uring_setup,io_uring_enter,io_uring_register,write",
            sys.executable,
            "-c",
            program,
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if run.returncode and "ptrace" in run.stderr:
        pytest.skip(run.stderr.splitlines()[-1])
    assert run.returncode == 0, run.stderr
    traced = run.stderr.partition('"begin')[2].partition('"end')[0]
    return [line for line in traced.splitlines() if "io_uring" in line]


# Set-up


@every_set_up
def test_a_nop_completes_with_zero(set_up):
    with open_ring(set_up) as ring:
        assert result_of(ring, ring.put(op.nop())) == 0


def test_the_default_set_up_has_no_flags():
    with open_ring() as ring:
        assert (ring.flags, ring.queues.sq_entries, ring.queues.cq_entries) == (0, 64, 128)


def test_entries_are_rounded_up_to_a_power_of_two_and_the_cq_is_as_large_as_asked():
    with open_ring(entries=5, cq_entries=100) as ring:
        assert (ring.queues.sq_entries, ring.queues.cq_entries) == (8, 128)


def test_each_wish_is_given_up_in_its_turn_when_the_kernel_knows_less(monkeypatch):
    asked = []

    def old_kernel(name, number, entries, address):
        params = (layout.PARAMS.size * io_uring_setup.ctypes.c_char).from_address(address)
        flags = layout.PARAMS.unpack(params)[2]
        asked.append(flags)
        if flags & ~(layout.SETUP_CLAMP | layout.SETUP_SUBMIT_ALL):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
        return system_call(name, number, entries, address)

    monkeypatch.setattr(io_uring_setup, "system_call", old_kernel)
    with open_ring("newest") as ring:
        assert ring.flags == layout.SETUP_CLAMP | layout.SETUP_SUBMIT_ALL
        assert result_of(ring, ring.put(op.nop())) == 0
    without_array = NEWEST & ~layout.SETUP_NO_SQARRAY
    not_deferred = without_array & ~layout.SETUP_DEFER_TASKRUN
    assert asked == [NEWEST, without_array, not_deferred, not_deferred & ~layout.SETUP_SINGLE_ISSUER]


def test_what_is_required_is_not_given_up():
    with nothing_left_behind(), pytest.raises(OSError, match="Invalid argument"):
        Ring(required=1 << 31)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"entries": 0}, "entries must be from 1 to 32,768, not 0"),
        ({"entries": 32769}, "not 32769"),
        ({"entries": 8, "cq_entries": 4}, "cq_entries must be from entries, 8, to 65,536, not 4"),
    ],
)
def test_a_wrong_number_of_entries_is_named(arguments, named):
    with nothing_left_behind(), pytest.raises(ValueError, match=named):
        Ring(**arguments)


@pytest.mark.parametrize(
    ("number", "switch", "words"),
    [
        (errno.EPERM, "0", "io_uring_setup: Operation not permitted: a container's seccomp profile may forbid it"),
        (errno.EPERM, "1", "kernel.io_uring_group"),
        (errno.EPERM, "2", "io_uring_setup: Operation not permitted: kernel.io_uring_disabled is 2"),
        (errno.ENOSYS, "0", "io_uring_setup: Function not implemented"),
        (errno.ENOMEM, "0", "io_uring_setup: Cannot allocate memory: `ulimit -l`"),
    ],
)
def test_unavailable_says_why_in_the_kernels_words(monkeypatch, tmp_path, number, switch, words):
    def refused(name, *_):
        raise OSError(number, os.strerror(number), name)

    file = tmp_path / "io_uring_disabled"
    file.write_text(switch + "\n")
    monkeypatch.setattr(io_uring_setup, "system_call", refused)
    monkeypatch.setattr(io_uring_setup, "SWITCH", str(file))
    assert words in unavailable()


SECCOMP = """
import ctypes, struct, sys
from iolab.kernel.io_uring import unavailable
from iolab.models import asynchronous_io_uring

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2  # seccomp(2)
LOAD, EQUALS, RETURN, ALLOW, ERRNO = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000
filters = [(LOAD, 0, 0, 0), (EQUALS, 0, 1, 425), (RETURN, 0, 0, ERRNO | int(sys.argv[1])), (RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in filters))
program = struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program) == 0, ctypes.get_errno()
print(unavailable())
try:
    asynchronous_io_uring.read_into(0, bytearray(1))
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPERM, "Operation not permitted: a container's seccomp profile may forbid it"),
        (errno.ENOSYS, "Function not implemented"),
    ],
    ids=["EPERM", "ENOSYS"],
)
def test_a_seccomp_profile_as_containers_have_it_is_told_in_the_kernels_words(number, words):
    run = subprocess.run([sys.executable, "-c", SECCOMP, str(number)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    said, raised = run.stdout.splitlines()
    assert said == f"io_uring_setup: {words}"
    assert raised == str(OSError(number, os.strerror(number), "io_uring_setup"))


def test_unavailable_leaves_nothing_behind():
    with nothing_left_behind():
        assert unavailable() is None


# Who completes, and when it can be seen


def test_with_default_flags_a_completion_appears_without_any_call():
    program = """
import os, socket, time
from iolab.kernel.io_uring import Ring
from iolab.kernel.io_uring_operations import recv
ours, peer = socket.socketpair()
ring, buffer = Ring(), bytearray(4)
ring.put(recv(ours.fileno(), buffer))
ring.submit()
assert ring.completions() == []
os.write(2, b"begin")
peer.send(b"data")
deadline = time.monotonic() + 10
while not (found := ring.completions()) and time.monotonic() < deadline:
    pass
os.write(2, b"end")
assert [cqe.res for cqe in found] == [4] and buffer == b"data", found
ring.close()
"""
    assert own_calls(program) == []


def test_with_sqpoll_a_completion_wakes_the_poller_that_sleeps_and_appears_without_any_call():
    with open_ring("sqpoll", sq_thread_idle_ms=1) as ring, unix_pair() as (ours, peer):
        buffer = bytearray(4)
        ring.put(op.recv(ours.fileno(), buffer))
        ring.submit()
        assert eventually(lambda: not ring.queues.unsubmitted and asleep(ring))
        peer.send(b"data")
        assert eventually(lambda: ring.queues.ready)
        assert buffer == b"data"


def asleep(ring) -> bool:
    """The poller: the kernel says so, where a new SQE would have to wake it."""
    return bool(ring.queues._words[ring.queues._sq_flags] & layout.SQ_NEED_WAKEUP)


def eventually(happens, limit_s=LIMIT_S) -> bool:
    """Looked at again and again, without a call on the ring."""
    deadline = time.monotonic() + limit_s
    while not happens():
        if time.monotonic() > deadline:
            return False
    return True


def test_with_defer_taskrun_a_completion_appears_only_by_enter_with_getevents():
    with open_ring("newest") as ring, unix_pair() as (ours, peer):
        if not ring.flags & layout.SETUP_DEFER_TASKRUN:
            pytest.skip("this kernel has no IORING_SETUP_DEFER_TASKRUN")
        buffer = bytearray(4)
        read = ring.put(op.recv(ours.fileno(), buffer))
        ring.submit()
        peer.send(b"data")
        # poll(2) on the ring says that it is over; nothing is in the queue, and nothing in the buffer.
        assert select.select([ring.fd], [], [], LIMIT_S)[0]
        ring.submit()
        assert (ring.completions(), buffer) == ([], bytes(4))
        ring.enter()
        (cqe,) = ring.completions()
        assert (cqe.user_data, cqe.res, buffer) == (read, 4, b"data")


# Queues


@every_set_up
def test_more_operations_than_the_sq_holds_are_all_submitted(set_up):
    with open_ring(set_up, entries=4, cq_entries=64) as ring:
        asked = [ring.put(op.nop()) for _ in range(50)]
        assert sorted(cqe.user_data for cqe in completed(ring, 50)) == asked


@every_set_up
def test_one_shot_operations_are_not_lost_when_the_cq_is_full(set_up):
    with open_ring(set_up, entries=4, cq_entries=4) as ring:
        asked = [ring.put(op.nop()) for _ in range(30)]
        found = completed(ring, 30)
        assert sorted(cqe.user_data for cqe in found) == asked
        assert ring.in_flight == {}


def test_a_poller_that_makes_room_meanwhile_is_no_full_queue(monkeypatch):
    with open_ring("sqpoll", entries=4) as ring:
        unsubmitted = Queues.unsubmitted.fget

        def looked_at_late(queues):
            deadline = time.monotonic() + LIMIT_S
            while unsubmitted(queues) and time.monotonic() < deadline:
                ring._enter.submit(0)  # and so wake it
            return unsubmitted(queues)

        monkeypatch.setattr(Queues, "unsubmitted", property(looked_at_late))
        asked = [ring.put(op.nop()) for _ in range(50)]
        assert sorted(cqe.user_data for cqe in completed(ring, 50)) == asked


def test_serial_numbers_are_never_used_again():
    with open_ring(entries=8) as ring:
        seen = []
        for _ in range(100):
            seen += [ring.put(op.nop()), ring.put(op.nop())]
            completed(ring, 2)
    assert seen == sorted(set(seen))


def test_heads_and_tails_go_round_past_2_to_the_32():
    queues = Queues.__new__(Queues)  # without a kernel: nobody lives to see its counters do that
    queues.cq_entries, queues._order = 8, threading.Lock()
    queues._order.acquire()
    queues._cqes = memoryview(b"".join(layout.CQE.pack(number, 0, 0) for number in range(8)))
    queues._sq_tail, queues._sq_head, queues._cq_tail, queues._cq_head = range(4)
    queues._words = [1, 0xFFFF_FFFF, 2, 0xFFFF_FFFD]
    assert (queues.unsubmitted, queues.ready) == (2, 5)
    queues.take_all(taken := deque())
    assert [user_data for user_data, _, _ in taken] == [5, 6, 7, 0, 1]
    assert queues._words[3] == 2


def test_a_wrong_operation_is_a_completion_and_those_behind_it_are_carried_out():
    with open_ring() as ring:
        wrong = ring.put(op.nop()._replace(opcode=255))
        right = ring.put(op.nop())
        assert by_user_data(ring.wait(2, LIMIT_S)) == {wrong: -errno.EINVAL, right: 0}


def test_an_operation_that_does_not_fit_into_an_sqe_is_not_booked():
    with open_ring() as ring:
        with pytest.raises(Exception, match="format requires"):
            ring.put(op.nop()._replace(fd=1 << 40))
        assert ring.in_flight == {}


# Waiting


@every_set_up
@pytest.mark.parametrize("timeout", [0, 0.02])
def test_wait_returns_an_empty_list_when_the_time_is_over_and_not_before(set_up, timeout):
    with open_ring(set_up) as ring, unix_pair() as (ours, _):
        ring.put(op.read(ours.fileno(), bytearray(1)))
        start = time.monotonic()
        assert ring.wait(1, timeout) == []
        assert timeout <= time.monotonic() - start < timeout + LIMIT_S


@every_set_up
def test_wait_goes_on_after_a_handler_ran(set_up):
    with open_ring(set_up) as ring, unix_pair() as (ours, peer):
        times = []

        def send_the_second_time(*_):
            times.append(time.monotonic())
            if len(times) == 2:
                peer.send(b"data")

        old = signal.signal(signal.SIGALRM, send_the_second_time)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            assert result_of(ring, ring.put(op.read(ours.fileno(), bytearray(4)))) == 4
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
    assert len(times) >= 2


@every_set_up
def test_wait_lets_a_handler_raise_and_the_operation_is_still_in_flight(set_up):
    class Interrupted(Exception):
        pass

    def interrupt(*_):
        raise Interrupted

    old = signal.signal(signal.SIGALRM, interrupt)
    with open_ring(set_up) as ring, unix_pair() as (ours, peer):
        read = ring.put(op.read(ours.fileno(), bytearray(4)))
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(Interrupted):
                ring.wait(1, LIMIT_S)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        peer.send(b"data")
        assert result_of(ring, read) == 4


def test_a_signal_handler_may_wake_a_ring_while_its_thread_does(monkeypatch):
    with open_ring() as ring:
        wake_up, write = WakeUp(ring), os.eventfd_write

        def interrupted(fd, number):
            monkeypatch.setattr(os, "eventfd_write", write)
            wake_up.wake()  # as a handler that runs here would
            write(fd, number)

        monkeypatch.setattr(os, "eventfd_write", interrupted)
        waking = threading.Thread(target=wake_up.wake, daemon=True)
        waking.start()
        waking.join(5)
        assert not waking.is_alive()
        ring.close()
        wake_up.close()


def test_another_thread_ends_a_wait_by_the_eventfd():
    with open_ring() as ring:
        wake_up = WakeUp(ring)
        for _ in range(3):
            with meanwhile(wake_up.wake):
                (cqe,) = completed(ring)
            assert wake_up.heard(cqe.user_data)
        ring.close()
        wake_up.close()
        wake_up.wake()


# Whose it is


@every_set_up
def test_another_thread_is_refused(set_up):
    with open_ring(set_up) as ring:
        for attempt in (lambda: ring.put(op.nop()), ring.enter, ring.submit, ring.completions, ring.wait, ring.close):
            with pytest.raises(RuntimeError, match=rf"belongs to thread {threading.get_ident()}, this is thread \d+"):
                in_another_thread(attempt)
        assert result_of(ring, ring.put(op.nop())) == 0


def in_a_child(function) -> str:
    """What `function` raises or returns in a forked child, in words."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            words = repr(function())
        except BaseException as error:
            words = f"{type(error).__name__}: {error}"
        os.write(writer, words.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        words = file.read().decode()
    os.waitpid(child, 0)
    return words


@every_set_up
def test_a_forked_child_is_refused_and_its_close_leaves_the_parents_ring_alone(set_up):
    with open_ring(set_up) as ring, unix_pair() as (ours, peer):
        read = ring.put(op.read(ours.fileno(), bytearray(4)))
        ring.enter()
        assert in_a_child(lambda: ring.put(op.nop())).startswith(
            f"RuntimeError: the ring belongs to process {os.getpid()}"
        )
        assert in_a_child(ring.wait).startswith("RuntimeError: the ring belongs to process")
        assert in_a_child(ring.close) == "None"
        peer.send(b"data")
        assert result_of(ring, read) == 4


def test_with_single_issuer_the_kernel_itself_refuses_a_forked_child():
    with open_ring("newest") as ring:
        if not ring.flags & layout.SETUP_SINGLE_ISSUER:
            pytest.skip("this kernel has no IORING_SETUP_SINGLE_ISSUER")

        def enter():
            return system_call(
                "io_uring_enter", layout.NR_IO_URING_ENTER, ring.fd, 0, 0, layout.ENTER_GETEVENTS, None, 8
            )

        assert enter() == 0
        assert in_a_child(enter) == f"FileExistsError: {FileExistsError(errno.EEXIST, 'File exists', 'io_uring_enter')}"


# Closing


@every_set_up
def test_close_ends_what_is_in_flight_and_closes_every_descriptor(set_up):
    with unix_pair() as (ours, peer), nothing_left_behind():
        ring = Ring(entries=4, **SET_UPS[set_up])
        for _ in range(20):
            ring.put(op.read(ours.fileno(), bytearray(4)))
        ring.enter()
        ring.close()
        ring.close()
        assert ring.in_flight == {}
        with pytest.raises(ValueError, match="the ring is closed"):
            ring.put(op.nop())
        peer.send(b"data")
        assert ours.recv(4) == b"data"  # nobody took it


@pytest.mark.parametrize("manner", [by_worker, silent])
def test_close_ends_what_a_worker_sleeps_in_and_what_would_never_tell(manner):
    reader, writer = os.pipe()
    with open(reader, "rb"), open(writer, "wb", buffering=0) as pipe:
        with open_ring() as ring:
            for _ in range(3):
                ring.put(manner(op.read(reader, bytearray(4))))
            ring.enter()
        assert ring.in_flight == ring.silent == {}
        pipe.write(b"data")
        assert os.read(reader, 4) == b"data"


def test_after_close_no_device_writes_to_the_buffer_any_more(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * (128 << 20))
    try:
        fd = os.open(tmp_path / "file", os.O_RDONLY | os.O_DIRECT)
    except OSError as error:  # EINVAL: a file system in memory
        pytest.skip(str(error))
    try:
        for _ in range(8):
            os.fsync(fd)
            buffer = mmap.mmap(-1, 128 << 20)
            ring = Ring()
            ring.put(op.read(fd, buffer, 0))  # submitted to the device by this thread: a cancel does not find it
            ring.enter()
            ring.close()
            at_close = buffer[:: 1 << 20]
            assert result_of_reading_it_again(fd) == b"x" * 4096  # the device does one thing after the other, as a rule
            assert buffer[:: 1 << 20] == at_close
    finally:
        os.close(fd)


def result_of_reading_it_again(fd):
    buffer = mmap.mmap(-1, 4096)
    os.preadv(fd, [buffer], (128 << 20) - 4096)
    return buffer[:]


def test_what_cannot_be_cancelled_in_time_keeps_its_buffer_and_the_ring_is_closed(monkeypatch):
    monkeypatch.setattr(io_uring_closing, "LAST_S", 0)
    with unix_pair() as (ours, _), nothing_left_behind():
        ring, buffer = Ring(), bytearray(4)
        ring.put(op.read(ours.fileno(), buffer))
        ring.enter()
        ring.close()
        with pytest.raises(BufferError):
            buffer.extend(b"more")


def test_a_silent_operation_keeps_its_buffer_since_nobody_knows_when_it_is_over():
    with unix_pair() as (ours, peer), nothing_left_behind():
        ring, buffer = Ring(), bytearray(b"data")
        ring.put(silent(op.send(ours.fileno(), buffer)))
        ring.enter()
        ring.close()
        assert peer.recv(4) == b"data"
        with pytest.raises(BufferError):
            buffer.extend(b"more")


def test_what_is_linked_behind_a_silent_one_that_fails_does_not_keep_close_waiting():
    with unix_pair() as (ours, peer):
        peer.close()
        ring = Ring()
        ring.put(linked(silent(op.send(ours.fileno(), b"data"))))
        ring.put(linked(op.nop()))
        ring.put(op.nop())
        assert [cqe.res for cqe in ring.wait(3, 0.05)] == [-errno.EPIPE]  # and no more
        start = time.monotonic()
        ring.close()
        assert time.monotonic() - start < io_uring_closing.LAST_S


def test_closing_the_rings_descriptor_alone_leaves_its_operations_alive():
    with unix_pair() as (ours, peer):
        ring, buffer = Ring(), bytearray(4)
        ring.put(op.recv(ours.fileno(), buffer))
        ring.enter()
        os.close(ring.fd)
        try:
            peer.send(b"data")
            (cqe,) = ring.completions() or [None]  # the mappings hold duplicates of the descriptor
            assert (cqe.res, buffer) == (4, b"data")
        finally:
            ring.queues._fd = -1
            ring.close()


def test_close_closes_connections_that_were_accepted_and_never_told():
    with socket.create_server(("127.0.0.1", 0)) as listener, nothing_left_behind():
        ring = Ring()
        ring.put(op.accept_multishot(listener.fileno()))
        ring.enter()
        clients = [socket.create_connection(listener.getsockname(), timeout=LIMIT_S) for _ in range(3)]
        ring.enter(3, LIMIT_S)
        assert ring.queues.ready == 3
        ring.close()
        assert [client.recv(1) for client in clients] == [b"", b"", b""]
        for client in clients:
            client.close()


def test_a_buffer_in_flight_cannot_be_resized_and_is_free_afterwards():
    with open_ring() as ring, unix_pair() as (ours, peer):
        buffer = bytearray(4)
        read = ring.put(op.read(ours.fileno(), buffer))
        with pytest.raises(BufferError):
            buffer.extend(b"more")
        peer.send(b"data")
        assert result_of(ring, read) == 4
        buffer.extend(b"more")
        assert buffer == b"datamore"


POISON = """
import gc, os, socket, sys
from iolab.kernel import io_uring_operations as op
from iolab.kernel.io_uring import NEWEST, Ring

ring, (ours, peer) = Ring(wished=NEWEST if sys.argv[1] == "newest" else 0), socket.socketpair()
SIZE = 1 << 16
reads = [ring.put(op.recv(ours.fileno(), bytearray(SIZE))) for _ in range(50)]
ring.enter()
addresses = [sqe.address for sqe in ring.in_flight.values()]
assert len(addresses) == 50
if sys.argv[2] == "ring":
    del ring  # and nobody closes it
gc.collect()
poison = [bytearray(b"\\xaa" * size) for size in [SIZE, SIZE - 64, 4096, 64, 1000] for _ in range(300)]
peer.setblocking(False)
for _ in range(50):
    try:
        peer.send(b"\\x55" * SIZE)
    except BlockingIOError:  # with DEFER_TASKRUN nobody receives any more
        break
    if sys.argv[2] == "buffers":
        (cqe,) = ring.wait(1, 10)
        assert cqe.res > 0, cqe
assert all(piece.count(b"\\xaa") == len(piece) for piece in poison), "the kernel wrote into foreign memory"
if sys.argv[2] == "buffers":
    ring.close()
print("nothing else changed")
"""


@pytest.mark.parametrize("set_up", ["default", "newest"])
@pytest.mark.parametrize("dropped", ["buffers", "ring"])
def test_memory_that_the_program_has_forgotten_is_still_the_kernels(set_up, dropped):
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-c", POISON, set_up, dropped], capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout) == (0, "nothing else changed\n"), run.stderr
    assert ("ResourceWarning: a ring was never closed" in run.stderr) == (dropped == "ring")


FORGOTTEN = """
import os, socket
from iolab.kernel import io_uring_operations as op
from iolab.kernel.io_uring import Ring

class Buffer(bytearray):
    def __del__(self, write=os.write):
        write(1, b"freed")

ours, peer = socket.socketpair()
ring = Ring()
ring.put(op.recv(ours.fileno(), Buffer(4)))
ring.enter()
"""


@pytest.mark.parametrize("ending", ["", "del ring"], ids=["at-the-end", "before"])
@pytest.mark.parametrize("warning", ["default", "error"])
def test_a_buffer_in_flight_of_a_forgotten_ring_outlives_the_interpreter(warning, ending):
    run = subprocess.run(
        [sys.executable, "-W", warning, "-c", FORGOTTEN + ending], capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout) == (0, "")
    if ending:  # at its end the interpreter warns no more
        assert "ResourceWarning: a ring was never closed" in run.stderr


def test_a_ring_that_is_dropped_idle_gives_its_descriptors_back_and_warns():
    with nothing_left_behind():
        rings = [Ring()]
        assert result_of(rings[0], rings[0].put(op.nop())) == 0
        with pytest.warns(ResourceWarning, match="never closed"):
            rings.clear()


def test_a_ring_whose_operation_was_never_submitted_can_be_closed():
    with nothing_left_behind(), unix_pair() as (ours, _):
        ring = Ring()
        ring.put(op.read(ours.fileno(), bytearray(1)))
        ring.close()
        assert ring.in_flight == {}
