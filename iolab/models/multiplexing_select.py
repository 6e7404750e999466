"""Multiplexing with select: one call waits for many descriptors, given as three sets of bits.

    select({3, 7, 9}) ┐                           ┌─ {7} ──> read(7)
    kernel            └─ looks at 0, 1, ... 9; waits ─┘

Two facts that surprise:
* The sets are bit fields of FD_SETSIZE = 1024 bits, says the C library. Descriptor 1024 does not fit, however few are watched and
  whatever `ulimit -n` says: Python raises ValueError, C writes past the end of the array.
* The kernel keeps nothing between two calls: the sets travel in and out each time, and it runs
  through all bits up to the highest number, and asks each file whose bit is set.

So this demultiplexer keeps the sets itself. select(2); POSIX.1-2001; UNP 6.3.
"""

import select

from iolab.calls import CallNamer, unrecorded
from iolab.models.readiness import READ, WRITE, read_when_ready
from iolab.models.reads import Work

NAME = "select"
FD_SETSIZE = 1024


class SelectDemultiplexer:
    """readiness.Demultiplexer by select(2)."""

    def __init__(self, call: CallNamer = unrecorded) -> None:
        self._call = call
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    def watch(self, fd: int, events: int) -> None:
        if not 0 <= fd < FD_SETSIZE:
            raise ValueError(f"fd must be from 0 to {FD_SETSIZE - 1} for select, not {fd}")
        self.forget(fd)
        if events & READ:
            self._readers.add(fd)
        if events & WRITE:
            self._writers.add(fd)

    def forget(self, fd: int) -> None:
        self._readers.discard(fd)
        self._writers.discard(fd)

    def wait(self, timeout: float | None = None) -> list[tuple[int, int]]:
        with self._call("select"):
            readable, writable, _ = select.select(self._readers, self._writers, (), timeout)
        events = dict.fromkeys(readable, READ)
        for fd in writable:
            events[fd] = events.get(fd, 0) | WRITE
        return list(events.items())

    def close(self) -> None:
        self._readers.clear()
        self._writers.clear()


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None) -> list[int]:
    """Fill each (fd, buffer) of `reads` in the order in which data arrives; the counts in the order given."""
    return read_when_ready(SelectDemultiplexer(call), reads, call, work)


def unavailable() -> str | None:
    """None: every system has it for sockets."""
    return None
