"""Multiplexing with poll: one call waits for many descriptors, given as an array of pairs.

    poll([(3, IN), (1100, IN)]) ┐                  ┌─ [(1100, IN)] ──> read(1100)
    kernel                      └─ looks at each; waits ─┘

Two facts that surprise:
* There is no limit of 1024: the array holds numbers, not bits. It is an array that the caller owns and passes
  each time, not a list that the kernel keeps, so a wait costs as much as there are descriptors in it.
* POLLHUP and POLLERR come unasked (poll(2)). Whoever ignores them is woken again at once, for ever.

So hang-ups and errors are reported as READ here: the read will tell what they were. poll(2); UNP 6.10.
"""

import math
import select

from iolab.calls import CallNamer, unrecorded
from iolab.models.readiness import READ, WRITE, read_when_ready
from iolab.models.reads import Work

NAME = "poll"


class PollDemultiplexer:
    """readiness.Demultiplexer by poll(2)."""

    def __init__(self, call: CallNamer = unrecorded) -> None:
        self._call = call
        self._array = select.poll()  # Python keeps the array of struct pollfd; the kernel keeps nothing
        self._watched: set[int] = set()

    def watch(self, fd: int, events: int) -> None:
        asked = (select.POLLIN if events & READ else 0) | (select.POLLOUT if events & WRITE else 0)
        self._array.register(fd, asked)
        self._watched.add(fd)

    def forget(self, fd: int) -> None:
        if fd in self._watched:
            self._watched.remove(fd)
            self._array.unregister(fd)

    def wait(self, timeout: float | None = None) -> list[tuple[int, int]]:
        # Rounded up: a time-out of 0.4 ms that became 0 would turn a wait into a spin.
        milliseconds = None if timeout is None else math.ceil(timeout * 1000)
        with self._call("poll"):
            ready = self._array.poll(milliseconds)
        return [
            (fd, (READ if got & ~select.POLLOUT else 0) | (WRITE if got & select.POLLOUT else 0)) for fd, got in ready
        ]

    def close(self) -> None:
        for fd in list(self._watched):
            self.forget(fd)


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None) -> list[int]:
    """Fill each (fd, buffer) of `reads` in the order in which data arrives; the counts in the order given."""
    return read_when_ready(PollDemultiplexer(call), reads, call, work)


def unavailable() -> str | None:
    """Why this system has no poll(2); None when it has."""
    return None if hasattr(select, "poll") else "this Python has no select.poll"
