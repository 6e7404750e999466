"""Who brought the pages of a buffer into being: page faults and CPU time of each thread of this process.

    mmap ──> 4,096 pages reserved, none there      thread A writes to 3 of them: 3 faults
                                                   the kernel, in thread B's call, to 4,093: 4,093 faults of B

Two facts that surprise:
* A buffer from mmap or malloc is a promise. The page comes with the first write, by a fault of the thread that runs
  then; inside a system call, too.
* Huge pages would hide it: one fault brings 2 MiB. So they are declined for such a buffer (madvise(2)).

proc_pid_stat(5): field 10, minflt; proc_pid_schedstat(5). The count is exact at any moment, CPU time of a thread that
runs just now may lack a tick.
"""

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import get_native_id
from typing import NamedTuple

from iolab.kernel.tasks import made_by_io_uring, tasks

APPLICATION = "application"


class Share(NamedTuple):
    """What one thread had in a time: page faults, and nanoseconds of CPU time."""

    thread: str
    pages: int
    cpu_ns: int


@contextmanager
def fresh(nbytes: int) -> Iterator[memoryview]:
    """A buffer of the smallest pages, none of which is there before somebody writes to it."""
    with mmap.mmap(-1, nbytes) as mapping:
        with suppress(OSError):  # EINVAL: this kernel has no huge pages
            mapping.madvise(mmap.MADV_NOHUGEPAGE)
        with memoryview(mapping) as view:
            yield view


def memcpy_ns_into_fresh(data: bytes) -> int:
    """CPU time of this thread for copying `data` into a fresh buffer, page faults included."""
    with fresh(len(data)) as buffer:
        start = time.thread_time_ns()
        buffer[:] = data
        return time.thread_time_ns() - start


def _faults(thread_id: int) -> int:
    """Minor page faults of a thread so far; 0 when it has ended."""
    try:
        with open(f"/proc/self/task/{thread_id}/stat", "rb") as file:
            return int(file.read().rpartition(b") ")[2].split()[7])  # field 10; the first of these is field 3
    except OSError:
        return 0


def own_faults() -> int:
    """Minor page faults of this thread so far."""
    return _faults(get_native_id())


def threads() -> dict[int, Share]:
    """Of each thread of this process, by its id, what it has had so far; this thread is APPLICATION."""
    found = {}
    for thread_id, task in tasks(os.getpid()).items():
        name = task.comm if made_by_io_uring(task.comm) else f"helper thread {thread_id}"
        found[thread_id] = Share(name, _faults(thread_id), task.run_ns)
    own = get_native_id()
    return found | {own: Share(APPLICATION, own_faults(), time.thread_time_ns())}


def shares_since(before: dict[int, Share]) -> tuple[Share, ...]:
    """What each thread has had since threads(): this thread first, others if they ran."""
    none = Share("", 0, 0)
    found = [
        Share(name, pages - before.get(thread_id, none).pages, cpu_ns - before.get(thread_id, none).cpu_ns)
        for thread_id, (name, pages, cpu_ns) in threads().items()
    ]
    return tuple(sorted((each for each in found if each.cpu_ns > 0), key=lambda each: each.thread != APPLICATION))
