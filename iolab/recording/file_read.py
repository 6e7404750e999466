"""One file, read twice: first from the device, through the page cache; then from the page cache alone.

    cold   ├─ read ─┤ asleep (D): device ─> page cache ├─ copy ─┤ asleep ├─ copy ─┤     wall > CPU
    warm   ├─ read ── copy, copy, copy ─┤                                             wall = CPU, no sleep

Two facts that surprise:
* After a write the file lies in memory whole: the first read of a new file is a warm one. To make it cold, its
  pages must be dropped, and the kernel drops no page that the device has not got yet: fsync(2) first, then
  posix_fadvise(2) with POSIX_FADV_DONTNEED.
* The advice is advice. On tmpfs the pages *are* the file, and nothing can be dropped. So mincore is asked whether
  it happened, and where it did not, there is no cold read.

The two phases overlap here: while the thread copies, the kernel already fetches what follows (read-ahead).
"""

import mmap
import os
import time
from typing import NamedTuple

from iolab.kernel import page_cache
from iolab.recording.evidence import clock
from iolab.recording.files import BLOCK, check, dropped, file_with, filesystem_of

try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:
    RUSAGE_THREAD = getrusage = None

WARM_READS = 7


class FileRead(NamedTuple):
    """One read(2) of the whole file, as the kernel counted it for the reading thread."""

    wall_ns: int
    cpu_ns: int
    switches: int  # voluntary context switches: how often it went to sleep
    device_bytes: int  # what the kernel had to ask the device for on this thread's behalf; 0 where it keeps no count


class FileReads(NamedTuple):
    """`cold` is None when the pages could not be dropped; `warm` is the fastest of several reads."""

    nbytes: int
    filesystem: str  # its type, as in /proc/self/mountinfo; "unknown" without /proc
    pages: int
    pages_before_cold: int  # of them in memory, by mincore: when dropped, and after the first read
    pages_before_warm: int
    cold: FileRead | None
    warm: FileRead
    same_bytes: bool  # every read returned what had been written

    @property
    def evicted(self) -> bool:
        return self.cold is not None


def file_reads(folder: str = ".", nbytes: int = 4 << 20) -> FileReads:
    """Write a temporary file in `folder`, read it cold if that can be had, then warm.

    The file has no name, or loses it at once: however this ends, nothing is left behind. ValueError for a wrong
    argument, RuntimeError for what this machine lacks, OSError as the kernel says.
    """
    check(nbytes, folder)
    if reason := clock.unavailable():
        raise RuntimeError(f"no evidence of the page cache on this machine: {reason}")
    data = os.urandom(nbytes)  # no file system can compress it
    # The buffer begins at a page: recording.copy_cost says why. Written to, so that its own pages exist.
    with file_with(data, folder) as fd, mmap.mmap(-1, nbytes) as buffer:
        buffer[:] = b"\xff" * nbytes
        cold = dropped(fd, nbytes)
        before_cold = page_cache.resident_pages(fd, nbytes)
        first = _read(fd, buffer)
        same = buffer[:] == data
        before_warm = page_cache.resident_pages(fd, nbytes)
        reads = [_read(fd, buffer) for _ in range(WARM_READS)]
        same = same and buffer[:] == data
    return FileReads(
        nbytes, filesystem_of(folder), page_cache.pages(nbytes), before_cold, before_warm,
        first if cold else None, min(reads), same,
    )  # fmt: skip


def _read(fd: int, buffer) -> FileRead:
    usage, start_ns, cpu_ns = getrusage(RUSAGE_THREAD), time.monotonic_ns(), time.thread_time_ns()
    nbytes = os.preadv(fd, [buffer], 0)  # a regular file is never read in part, except at its end
    cpu_end_ns, end_ns, after = time.thread_time_ns(), time.monotonic_ns(), getrusage(RUSAGE_THREAD)
    if nbytes != len(buffer):
        raise RuntimeError(f"the file system returned {nbytes:,} of {len(buffer):,} bytes")
    blocks = after.ru_inblock - usage.ru_inblock
    return FileRead(end_ns - start_ns, cpu_end_ns - cpu_ns, after.ru_nvcsw - usage.ru_nvcsw, blocks * BLOCK)
