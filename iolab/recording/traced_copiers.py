"""Who copies, by the kernel's own trace points: an event for each piece that is copied, and its thread's number on it.

    skb_copy_datagram_iovec   thread 812   65,536 bytes ─┐
    skb_copy_datagram_iovec   thread 812   65,536 bytes  ├─ one thread has nearly all of them: it is the copier
    mm_filemap_get_pages      thread 812   of a file    ─┘
    block_rq_issue, block_rq_complete, none of the above ──> no thread copied: the device wrote into the buffer

Two facts that surprise:
* Page faults find the same thread without any privilege, but they are silent about a device, whose pages are brought
  in beforehand, and about a buffer that has all its pages. A trace point is not.
* Both are asked about the very same read: where they disagree, one of them has been misunderstood, and that is shown.
"""

import os
from collections import Counter
from threading import get_native_id

from iolab.recording.evidence import trace_points
from iolab.recording.moment import Moment

DEVICE = "device"
NEARLY_ALL = 0.9


class Tracing:
    """A context manager around one read from `fd` of `nbytes`; enter it before anything is sent."""

    def __init__(self, fd: int, nbytes: int) -> None:
        self._fd, self._nbytes = fd, nbytes
        self._refusal = trace_points.unavailable()
        self._observer = None

    def __enter__(self) -> "Tracing":
        if not self._refusal:
            self._observer = trace_points.Observer((os.getpid(), get_native_id()), [], [self._fd]).__enter__()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self._observer:
            self._observer.close()

    def verdict(self, names: dict[int, str]) -> tuple[str | None, str]:
        """Who copied, None where that is not known, and the reason in words; `names` are those of the threads.

        Ends the tracing.
        """
        if not self._observer:
            return None, f"not known: {self._refusal}"
        self._observer.close()
        moments = self._observer.moments()
        born = {each.thread_id: each.detail for each in moments if each.kind == "worker"}
        return judged(moments, born | names, self._fd, self._nbytes)


def judged(moments: list[Moment], names: dict[int, str], fd: int, nbytes: int) -> tuple[str | None, str]:
    """Who copied, None if the trace points do not tell, and the reason in words."""
    pieces, copied = Counter(), Counter()
    for each in moments:
        if each.kind == "copy-start" and each.fd in (fd, -1):
            pieces[each.thread_id] += 1
            copied[each.thread_id] += each.nbytes  # of a file it is not told how much
    asked = sum(each.nbytes for each in moments if each.kind == "device-start")
    of_device = f"; the device was asked for {asked:,} bytes" if asked else ""
    if not pieces:
        known = asked >= NEARLY_ALL * nbytes
        return (
            (DEVICE, f"no thread copied{of_device}") if known else (None, f"not known: no copy was traced{of_device}")
        )
    most, count = pieces.most_common(1)[0]
    told = ", ".join(f"{names.get(each, f'thread {each}')} {pieces[each]:,}" for each in pieces)
    said = f"pieces copied: {told}; {sum(copied.values()):,} bytes{of_device}"
    enough = not sum(copied.values()) or sum(copied.values()) >= NEARLY_ALL * nbytes
    alone = count >= NEARLY_ALL * pieces.total()
    if not enough or not alone or most not in names:
        return None, f"not known by this evidence: {said}"
    return names[most], said
