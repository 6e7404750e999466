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
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from iolab.kernel import page_cache
from iolab.recording.evidence import clock

try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:
    RUSAGE_THREAD = getrusage = None

MAX_BYTES, WARM_READS, ATTEMPTS = 1 << 30, 7, 3
BLOCK = 512  # the unit of ru_inblock, getrusage(2)


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
    if isinstance(nbytes, bool) or not isinstance(nbytes, int) or not 1 <= nbytes <= MAX_BYTES:
        raise ValueError(f"nbytes must be from 1 to {MAX_BYTES:,}, not {nbytes!r}")
    if not os.path.isdir(folder):
        raise ValueError(f"folder must be a folder, not {folder!r}")
    if reason := page_cache.unavailable() or clock.unavailable():
        raise RuntimeError(f"no evidence of the page cache on this machine: {reason}")
    data = os.urandom(nbytes)  # no file system can compress it
    # The buffer begins at a page: recording.copy_cost says why. Written to, so that its own pages exist.
    with tempfile.TemporaryFile(dir=folder) as file, mmap.mmap(-1, nbytes) as buffer:
        buffer[:] = b"\xff" * nbytes
        file.write(data)
        file.flush()  # out of the program; the device has nothing yet
        dropped = _dropped(file.fileno(), nbytes)
        before_cold = page_cache.resident_pages(file.fileno(), nbytes)
        first = _read(file.fileno(), buffer)
        same = buffer[:] == data
        before_warm = page_cache.resident_pages(file.fileno(), nbytes)
        reads = [_read(file.fileno(), buffer) for _ in range(WARM_READS)]
        same = same and buffer[:] == data
    return FileReads(
        nbytes, filesystem_of(folder), page_cache.pages(nbytes), before_cold, before_warm,
        first if dropped else None, min(reads), same,
    )  # fmt: skip


def _dropped(fd: int, nbytes: int) -> bool:
    """Make the file cold; whether that happened: its pages were in memory, and then none of them was."""
    if not page_cache.resident_pages(fd, nbytes):  # a file system that keeps its files elsewhere: NFS, 9p, ZFS
        return False
    os.fsync(fd)
    for _ in range(ATTEMPTS):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if not page_cache.resident_pages(fd, nbytes):
            return True
    return False


def _read(fd: int, buffer) -> FileRead:
    usage, start_ns, cpu_ns = getrusage(RUSAGE_THREAD), time.monotonic_ns(), time.thread_time_ns()
    nbytes = os.preadv(fd, [buffer], 0)  # a regular file is never read in part, except at its end
    cpu_end_ns, end_ns, after = time.thread_time_ns(), time.monotonic_ns(), getrusage(RUSAGE_THREAD)
    if nbytes != len(buffer):
        raise RuntimeError(f"the file system returned {nbytes:,} of {len(buffer):,} bytes")
    blocks = after.ru_inblock - usage.ru_inblock
    return FileRead(end_ns - start_ns, cpu_end_ns - cpu_ns, after.ru_nvcsw - usage.ru_nvcsw, blocks * BLOCK)


def filesystem_of(folder: str) -> str:
    """The type of the file system that `folder` is on: ext4, overlay, tmpfs; "unknown" when /proc does not say."""
    wanted, best = Path(folder).resolve(), (-1, "unknown")
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.split() for line in file]
    except OSError:
        return best[1]
    for words in lines:
        # Field 5 is the mount point, spaces in it as \040; the type follows a lone "-" (proc_pid_mountinfo(5)).
        point = Path(words[4].replace("\\040", " "))
        if wanted.is_relative_to(point) and len(point.parts) >= best[0]:  # a later mount hides an earlier one
            best = len(point.parts), words[words.index("-") + 1]
    return best[1]
