"""ftrace's binary ring buffer, as per_cpu/cpuN/trace_pipe_raw gives it: one page after the other, nanoseconds inside.

    page    | time of the first event | bytes used | event · event · extend · event ...        header_page
    event   | type or length: 5 bits | nanoseconds since the one before: 27 bits | data ...    header_event

Two facts that surprise:
* The text in `trace` has microseconds only. The nanoseconds are here, as small differences: 27 bits, that is 134 ms.
  A longer pause takes an event of its own, "time extend", without any data.
* A page may end in the middle of nothing: padding of no length. And padding with a length is an event that a filter
  has thrown away after it had been written: its time still counts.

Documentation/trace/ring-buffer-map.rst, ring-buffer-design.rst; linux/ring_buffer.h.
"""

import os
import re
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

_PADDING, _TIME_EXTEND, _TIME_STAMP = 29, 30, 31  # type_len; from 1 to 28 it is the length in words of 4 bytes
_WORD = struct.Struct("=I")
_USED = (1 << 27) - 1  # of `commit`: bits above tell of lost events
_LOST = 1 << 31
_HIGH = ((1 << 5) - 1) << 59  # an absolute stamp has 59 bits; those above are the page's


class PageLayout(NamedTuple):
    """Where things lie in a page; `nbytes` is the size of a page of the buffer, 4096 unless somebody has changed it."""

    commit_offset: int
    commit_bytes: int
    data_offset: int
    nbytes: int


def page_layout(text: str) -> PageLayout:
    """The layout that events/header_page describes. ValueError for a text that does not."""
    found = {
        name: (int(offset), int(nbytes))
        for name, offset, nbytes in re.findall(r"(\w+);\s*offset:(\d+);\s*size:(\d+);", text)
    }
    if not {"timestamp", "commit", "data"} <= found.keys() or found["timestamp"] != (0, 8):
        raise ValueError(f"events/header_page: {text!r} describes no page that is known here")
    data_offset, data_bytes = found["data"]
    return PageLayout(*found["commit"], data_offset, data_offset + data_bytes)


class Losses(NamedTuple):
    """What is missing: events overwritten by younger ones, events dropped, and since when nothing is (0: ever)."""

    overrun: int
    dropped: int
    complete_from_ns: int = 0


def losses(stats: str) -> Losses:
    """What per_cpu/cpuN/stats tells of one CPU. KeyError when it does not."""
    counted = {name: int(value) for name, value in re.findall(r"^(.+): (\d+)", stats, re.MULTILINE)}
    return Losses(counted["overrun"], counted["dropped events"])


def pages(path: str, layout: PageLayout) -> Iterator[bytes]:
    """Take all pages out of a trace_pipe_raw; what is taken is gone from the buffer."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while page := os.read(fd, layout.nbytes):
            yield page
    except BlockingIOError:  # that was the last one
        return
    finally:
        os.close(fd)  # an open one would forbid to remove the instance


def lost_before(page: bytes, layout: PageLayout) -> bool:
    """Whether the kernel says that events are missing between the page that was read before and this one."""
    return bool(_commit(page, layout) & _LOST)


def records(page: bytes, layout: PageLayout) -> Iterator[tuple[int, bytes]]:
    """All (time in ns, data) of one page, in the order of the buffer. The data begins with the event's number."""
    (ns,) = struct.unpack_from("=Q", page)
    high, at = ns & _HIGH, layout.data_offset
    end = min(at + (_commit(page, layout) & _USED), len(page))
    while at + 4 <= end:
        (head,) = _WORD.unpack_from(page, at)
        kind, delta = head & 31, head >> 5
        if 0 < kind < _PADDING:
            ns += delta
            yield ns, page[at + 4 : at + 4 + 4 * kind]
            at += 4 + 4 * kind
            continue
        if kind == _PADDING and delta == 0:
            return
        (word,) = _WORD.unpack_from(page, at + 4)
        if kind == _TIME_STAMP:
            ns = high | (word << 27) + delta
            at += 8
        elif kind == _TIME_EXTEND:
            ns += (word << 27) + delta
            at += 8
        else:  # a long event, or one thrown away: `word` is its length, with itself
            ns += delta
            if kind == 0:
                yield ns, page[at + 8 : at + 4 + word]
            at += 4 + word


def _commit(page: bytes, layout: PageLayout) -> int:
    return int.from_bytes(page[layout.commit_offset : layout.commit_offset + layout.commit_bytes], sys.byteorder)
