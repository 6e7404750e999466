"""Which thread copies: the one whose page faults bring the buffer's pages, while the kernel writes to them.

    a fresh buffer: 4,096 pages, none of them there yet
    application  ├─ asleep in io_uring_enter ─────────────────┤        5 pages    0.1 ms
    iou-wrk-812             ├ copy ┤   ├ copy ┤   ├ copy ┤          4,096 pages    4.0 ms    ─> the worker copies

Two facts that surprise:
* "Asynchronous" is silent about this. With io_uring's default flags the thread that asked copies, as with read(2);
  only with a worker, a poller or POSIX AIO's helper thread does the copy cost it nothing.
* Memory that was only reserved costs nothing until somebody writes there: then that thread, and no other, has a page
  fault, even if it is the kernel that writes on its behalf. The kernel counts them for each thread, for everybody to
  see: so the number of pages names the copier, however loaded the machine is.

CPU time beside a memcpy into a fresh buffer shows what it costs, but proves less: a poller also burns it idle. Where a
device writes (O_DIRECT), pages are brought in for it beforehand, and its work is no thread's: "not known". Page faults
need no privilege; where the kernel may be traced, its own word on the same read stands beside them (traced_copiers).
proc_pid_stat(5): minflt; proc_pid_schedstat.
"""

import mmap
import os
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from iolab.kernel import page_cache
from iolab.recording.bytes_from import BYTE, bytes_from
from iolab.recording.page_faults import (
    APPLICATION,
    Share,
    fresh,
    memcpy_ns_into_fresh,
    own_faults,
    shares_since,
    threads,
)
from iolab.recording.traced_copiers import Tracing
from iolab.recording.way_to_read import DIRECT, Way
from iolab.recording.ways_to_read import WAYS

NBYTES, MIN_BYTES, MAX_BYTES, MEMCPYS = 16 << 20, 1 << 20, 256 << 20, 3
ALIGNED = max(4096, mmap.PAGESIZE)  # for O_DIRECT, and for counting
NEARLY_ALL, HARDLY_ANY = 0.9, 0.1  # of the buffer's pages: what lies between tells nothing


@dataclass(frozen=True, slots=True)
class Copier:
    """Who copied in one way of reading: a thread's name, APPLICATION for the one that asked, None if not known.

    `thread` by page faults, `traced` by trace points: there it may also be DEVICE, where no thread copied.
    `memcpy_ns`: CPU time of a memcpy of as many bytes into a fresh buffer, here and now; 0 where nothing was read.
    """

    way: str
    source: str
    nbytes: int
    memcpy_ns: int
    shares: tuple[Share, ...]
    thread: str | None
    evidence: str
    traced: str | None = None
    trace: str = ""


def who_copies(nbytes: int = NBYTES, folder: str = ".", ways: Iterable[Way] = WAYS) -> list[Copier]:
    """One row for each of `ways`; files are made in `folder`. ValueError for a wrong argument.

    What this machine refuses is a row that is "not known", with the reason in the kernel's words.
    """
    if (
        isinstance(nbytes, bool)
        or not isinstance(nbytes, int)
        or not MIN_BYTES <= nbytes <= MAX_BYTES
        or nbytes % ALIGNED
    ):
        raise ValueError(
            f"nbytes must be a multiple of {ALIGNED:,} from {MIN_BYTES:,} to {MAX_BYTES:,}, not {nbytes!r}"
        )
    if not os.path.isdir(folder):
        raise ValueError(f"folder must be a folder, not {folder!r}")
    return [_row(way, nbytes, folder) for way in ways]


def _row(way: Way, nbytes: int, folder: str) -> Copier:
    data, memcpy_ns = BYTE * nbytes, 0
    try:
        if reason := way.unavailable():
            raise RuntimeError(reason)
        memcpy_ns = min(memcpy_ns_into_fresh(data) for _ in range(MEMCPYS))
        with ExitStack() as stack:
            buffer = stack.enter_context(fresh(nbytes))
            fd, begin = stack.enter_context(bytes_from(way.source, nbytes, folder))
            read = stack.enter_context(way.opened())
            tracing = stack.enter_context(Tracing(fd, nbytes))
            before, marks = threads(), Counter()
            begin()
            marked = [own_faults()]

            def mark(place: str) -> None:
                marked.append(own_faults())
                marks[place] += marked[-1] - marked[-2]

            read(fd, buffer, mark)
            shares = shares_since(before)
            traced = tracing.verdict({thread_id: share.thread for thread_id, share in threads().items()})
            if buffer != data:
                raise AssertionError(f"{way.name}: other bytes came than were sent")
            cached = page_cache.resident_pages(fd, nbytes) if way.source == DIRECT else None
    except (OSError, RuntimeError) as error:
        return Copier(way.name, way.source, nbytes, memcpy_ns, (), None, f"not known: {error}")
    return Copier(way.name, way.source, nbytes, memcpy_ns, shares, *judged(shares, nbytes, marks, cached), *traced)


def judged(shares, nbytes: int, marks: dict[str, int], cached: int | None = None) -> tuple[str | None, str]:
    """Who copied, None if not known; and the reason in words. `marks`: the application's page faults by place."""
    pages = nbytes // mmap.PAGESIZE
    counted = ", ".join(f"{thread} {count:,}" for thread, count, _ in shares)
    numbers = f"of {pages:,} pages of the buffer, page faults: {counted}"
    if cached is not None:
        return None, f"not known by this evidence: {cached:,} pages of the file are in memory afterwards; {numbers}"
    most = [share.thread for share in shares if share.pages >= NEARLY_ALL * pages]
    some = [share.thread for share in shares if HARDLY_ANY * pages < share.pages]
    if len(most) != 1 or some != most:
        return None, f"not known by this evidence: {numbers}"
    place = max(marks, key=marks.get, default="")
    return most[0], f"{place}: {numbers}" if most[0] == APPLICATION else numbers
