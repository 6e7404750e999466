"""A file in the state that an experiment needs: in memory, not in memory, or read past the memory.

    hit      write(2) ─> page cache                                    a read copies from memory
    miss     fsync(2), posix_fadvise(2) DONTNEED ─> nothing there      a read waits for the device, then copies
    direct   the same, and O_DIRECT                                    the device writes into the buffer itself

Two facts that surprise:
* The advice is advice. On tmpfs the pages *are* the file, and nothing can be dropped. So mincore is asked whether it
  happened, and where it did not there is no experiment, whatever the folder is called.
* O_DIRECT may be set on an open file (fcntl(2), F_SETFL). Buffer, length and offset must be multiples of the device's
  block; 4,096 bytes suit nearly all of them (open(2), NOTES).
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iolab.kernel import page_cache

try:
    import fcntl
except ImportError:  # Windows: page_cache.unavailable() says why no experiment starts
    fcntl = None

HIT, MISS, DIRECT = STATES = "hit", "miss", "direct"
MAX_BYTES, ALIGNED, ATTEMPTS = 1 << 30, 4096, 3
BLOCK = 512  # the unit of ru_inblock, getrusage(2)


def check(nbytes: int, folder: str, state: str = HIT) -> None:
    """ValueError for a wrong argument, RuntimeError where nobody can say what is in memory."""
    if state not in STATES:
        raise ValueError(f"state must be one of {', '.join(STATES)}, not {state!r}")
    if isinstance(nbytes, bool) or not isinstance(nbytes, int) or not 1 <= nbytes <= MAX_BYTES:
        raise ValueError(f"nbytes must be from 1 to {MAX_BYTES:,}, not {nbytes!r}")
    if state == DIRECT and nbytes % ALIGNED:
        raise ValueError(f"nbytes must be a multiple of {ALIGNED:,} for a direct read, not {nbytes!r}")
    if not os.path.isdir(folder):
        raise ValueError(f"folder must be a folder, not {folder!r}")
    if reason := page_cache.unavailable():
        raise RuntimeError(f"no evidence of the page cache on this machine: {reason}")


@contextmanager
def file_with(data: bytes, folder: str) -> Iterator[int]:
    """The descriptor of a new file that holds `data`. It has no name, or loses it at once: nothing is left behind."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(data)
        file.flush()  # out of the program; the device has nothing yet
        yield file.fileno()


def bring_to(state: str, fd: int, nbytes: int, folder: str) -> int:
    """Bring the file to that state, its position to 0; how many of its pages are in memory now.

    RuntimeError, naming the file system, where that cannot be had.
    """
    flags = fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT
    fcntl.fcntl(fd, fcntl.F_SETFL, flags)
    if state == HIT:
        os.pread(fd, nbytes, 0)
        resident, pages = page_cache.resident_pages(fd, nbytes), page_cache.pages(nbytes)
        if resident < pages:
            raise RuntimeError(f"{filesystem_of(folder)} keeps {resident} of {pages} pages in memory, not all")
    elif not dropped(fd, nbytes):
        raise RuntimeError(f"{filesystem_of(folder)} does not let go of a file's pages: no read of it is a {state} one")
    if state == DIRECT:
        try:
            fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT)
        except OSError as error:
            raise RuntimeError(f"{filesystem_of(folder)} has no O_DIRECT: {error.strerror}") from None
    os.lseek(fd, 0, os.SEEK_SET)
    return page_cache.resident_pages(fd, nbytes)


def dropped(fd: int, nbytes: int) -> bool:
    """Make the file cold; whether that happened: its pages were in memory, or could be, and then none of them was."""
    if not page_cache.resident_pages(fd, nbytes):
        os.pread(fd, 1, 0)
        if not page_cache.resident_pages(fd, nbytes):  # a file system that keeps its files elsewhere: NFS, 9p, ZFS
            return False
    os.fsync(fd)  # the kernel drops no page that the device has not got yet
    for _ in range(ATTEMPTS):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if not page_cache.resident_pages(fd, nbytes):
            return True
    return False


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
