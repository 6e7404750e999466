"""Threads of a process: Python's own count, and the thread's own clock, against what /proc says."""

import os
import threading
import time

from iolab.kernel.tasks import Task, descriptor_read, look_at, made_by_io_uring, tasks
from tests.posix_aio import until


def test_every_thread_that_python_knows_is_there():
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        assert {each.native_id for each in threading.enumerate()} <= tasks(os.getpid()).keys()
    finally:
        release.set()
        thread.join()
    until(
        lambda: thread.native_id not in tasks(os.getpid())
    )  # join returns a little before the kernel's thread has ended


def test_cpu_time_is_that_of_the_threads_own_clock():
    spent, asked, release = [], threading.Event(), threading.Event()

    def burn():
        until = time.thread_time_ns() + 20_000_000
        while time.thread_time_ns() < until:
            pass
        spent.append(time.thread_time_ns())
        asked.set()
        release.wait()

    thread = threading.Thread(target=burn)
    thread.start()
    try:
        assert asked.wait(30)
        time_of_its_own = spent[0]
        deadline = time.monotonic() + 10  # until it sleeps: then the kernel's book is complete
        while (
            look_at(os.getpid(), tasks(os.getpid())[thread.native_id]).seen.state != "S" and time.monotonic() < deadline
        ):
            pass
        assert time_of_its_own <= tasks(os.getpid())[thread.native_id].run_ns <= time_of_its_own + 5_000_000
    finally:
        release.set()
        thread.join()


def test_a_thread_that_reads_is_seen_with_its_descriptor():
    read_fd, write_fd = os.pipe()
    thread = threading.Thread(target=os.read, args=(read_fd, 1))
    thread.start()
    try:
        deadline, seen = time.monotonic() + 10, None
        while seen != read_fd and time.monotonic() < deadline:
            look = look_at(os.getpid(), Task(thread.native_id, "", 0))
            seen = descriptor_read(look.seen.syscall, os.uname().machine)
        assert seen == read_fd or "denied" in look.seen.syscall or "permitted" in look.seen.syscall
    finally:
        os.write(write_fd, b"!")
        thread.join()
        os.close(read_fd)
        os.close(write_fd)


def test_lines_of_other_calls_are_no_reads():
    read = "0 0x5 0x7f00 0x100000 0x0 0x0 0x0 0x7ffd 0x7f01"
    assert descriptor_read(read, "x86_64") == 5
    assert descriptor_read("63 0x9 0x7f00 0x10 0x0 0x0 0x0 0x7ffd 0x7f01", "aarch64") == 9
    for line in (
        "running",
        "-1 0x7ffd 0x7f01",
        "202 0x5 0x80 0x0 0x0 0x0 0x0 0x1 0x2",
        "Operation not permitted",
        "",
        read,
    ):
        assert descriptor_read(line, "riscv64" if line == read else "x86_64") is None


def test_a_process_that_is_not_there_has_no_threads():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert tasks(child) == {}
    assert look_at(child, Task(child, "", 0)) is None


def test_the_kernels_threads_are_known_by_their_names():
    assert made_by_io_uring("iou-wrk-4711")
    assert made_by_io_uring("iou-sqp-4711")
    assert not made_by_io_uring("python3")
