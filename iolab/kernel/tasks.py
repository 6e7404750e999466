"""All threads of a process, its own and those that the C library or the kernel made for it: names and CPU time.

    /proc/PID/task/TID/comm        "python3", "iou-wrk-1234"; 15 characters at most         proc_pid_comm(5)
    /proc/PID/task/TID/schedstat   nanoseconds on a CPU, nanoseconds waiting for one, time slices

Two facts that surprise:
* Python's threading.enumerate() does not know them all. A thread that glibc starts for aio_read(3), or the kernel for
  io_uring, is a task like any other here.
* CPU time in schedstat is exact to the nanosecond for a thread that sleeps; of one that runs the last part may be
  missing, up to a tick.
"""

import os
from typing import NamedTuple

from iolab.kernel.thread_state import ThreadState, thread_state

_READS = {"x86_64": {0, 17, 19, 295}, "aarch64": {63, 67, 65, 69}}  # read, pread64, readv, preadv


class Task(NamedTuple):
    """One thread; CPU time so far and bytes that its read(2)s have got, each 0 where the kernel does not say."""

    thread_id: int
    comm: str
    run_ns: int
    read_bytes: int = 0


class TaskLook(NamedTuple):
    """One look at a thread that works for another one."""

    task: Task
    seen: ThreadState


def tasks(process_id: int) -> dict[int, Task]:
    """The threads of a process by their ids; {} without /proc."""
    try:
        ids = os.listdir(f"/proc/{process_id}/task")
    except OSError:
        return {}
    return {int(each): task for each in ids if (task := _task(process_id, int(each)))}


def _task(process_id: int, thread_id: int) -> Task | None:
    folder = f"/proc/{process_id}/task/{thread_id}"
    try:
        with open(f"{folder}/comm", errors="replace") as file:
            comm = file.read().strip()
    except OSError:  # it ended meanwhile
        return None
    try:
        with open(f"{folder}/schedstat") as file:
            run_ns = int(file.read().split()[0])
    except (OSError, ValueError, IndexError):  # a kernel without CONFIG_SCHED_INFO
        run_ns = 0
    return Task(thread_id, comm, run_ns, bytes_read(process_id, thread_id))


def bytes_read(process_id: int, thread_id: int) -> int:
    """What a thread has got from read(2) and its kin so far, files and sockets alike; 0 where the kernel does not say.

    proc_pid_io(5), rchar.
    """
    try:
        with open(f"/proc/{process_id}/task/{thread_id}/io") as file:
            return int(file.readline().split()[1])
    except (OSError, ValueError, IndexError):  # it has ended; or a kernel without CONFIG_TASK_IO_ACCOUNTING
        return 0


def look_at(process_id: int, task: Task) -> TaskLook | None:
    """What it does at this moment; None when it has ended."""
    try:
        return TaskLook(task, thread_state(process_id, task.thread_id))
    except OSError:
        return None


def made_by_io_uring(comm: str) -> bool:
    """Whether a thread is one of io_uring's: a worker (iou-wrk-PID) or the poller of a submission queue (iou-sqp-PID)."""
    return comm.startswith(("iou-wrk-", "iou-sqp-"))


def descriptor_read(syscall: str, machine: str) -> int | None:
    """The descriptor that a thread is reading, by its line in /proc/PID/task/TID/syscall; None if it is not."""
    words = syscall.split()
    if len(words) < 2 or not words[0].isdigit() or int(words[0]) not in _READS.get(machine, ()):
        return None
    return int(words[1], 16)
