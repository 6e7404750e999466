"""Multiplexing with epoll: the kernel keeps the list, and a wait returns only what is ready.

    epoll_ctl(ADD, 7)        interest list in the kernel: {3, 7, 9}
    epoll_wait() ┐                                      ┌─ [(7, IN)] ──> read(7)
    kernel       └─ waits; data moves 7 to the ready list ─┘

Two facts that surprise:
* "Edge-triggered" tells of an arrival, not of a state. Read half of what came and wait again: silence, although
  the other half lies there. Level-triggered would tell again. So with EDGE one reads until EAGAIN.
* An entry is a pair of number and open file description (epoll(7), Q1): after close(7) events for 7 may still come
  if a duplicate of the description is alive (Q6). And a regular file has no readiness at all: epoll_ctl says EPERM.

ONE_SHOT tells once and is silent until armed again (EPOLL_CTL_MOD): for several threads on one list.

epoll(7), epoll_ctl(2), epoll_wait(2); Linux only. In UNP's terms it is I/O multiplexing (6.2).
"""

import select

from iolab.calls import CallNamer, unrecorded
from iolab.models.readiness import READ, WRITE, read_when_ready
from iolab.models.reads import Work, prepared

NAME = "epoll"
LEVEL, EDGE, ONE_SHOT = "level", "edge", "one-shot"
_AS_THEY_ARE = {READ, WRITE, READ | WRITE}  # EPOLLIN and EPOLLOUT are poll's numbers, too
_FLAGS = {LEVEL: 0, EDGE: 1 << 31, ONE_SHOT: 1 << 30}  # EPOLLET, EPOLLONESHOT


class EpollDemultiplexer:
    """readiness.Demultiplexer by epoll(7); `trigger` is LEVEL, EDGE or ONE_SHOT."""

    def __init__(self, call: CallNamer = unrecorded, trigger: str = LEVEL) -> None:
        if trigger not in _FLAGS:
            raise ValueError(f"trigger must be one of {', '.join(_FLAGS)}, not {trigger!r}")
        self._call = call
        self._flags = _FLAGS[trigger]
        self._rearm = trigger == ONE_SHOT
        self._watched: dict[int, int] = {}
        self._used: list[int] = []  # with ONE_SHOT: told of, and silent since
        with call("epoll_create1"):
            self._epoll = select.epoll()

    def watch(self, fd: int, events: int) -> None:
        asked = (select.EPOLLIN if events & READ else 0) | (select.EPOLLOUT if events & WRITE else 0)
        change = self._epoll.modify if fd in self._watched else self._epoll.register
        with self._call("epoll_ctl", fd):
            change(fd, asked | self._flags)
        self._watched[fd] = events

    def forget(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            with self._call("epoll_ctl", fd):
                self._epoll.unregister(fd)

    def wait(self, timeout: float | None = None) -> list[tuple[int, int]]:
        for fd in self._used:
            if fd in self._watched:
                self.watch(fd, self._watched[fd])
        with self._call("epoll_wait"):
            ready = self._epoll.poll(timeout)
        if self._rearm:
            self._used = [fd for fd, _ in ready]
        if _AS_THEY_ARE.issuperset([got for _, got in ready]):  # the usual case
            return ready
        return [(fd, _events(got)) for fd, got in ready]

    def close(self) -> None:
        self._epoll.close()


def _events(got: int) -> int:
    """An error, a hang-up, urgent data: to read tells."""
    return (READ if got & ~select.EPOLLOUT else 0) | (WRITE if got & select.EPOLLOUT else 0)


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None, trigger: str = LEVEL) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work, trigger)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None, trigger: str = LEVEL) -> list[int]:
    """Fill each (fd, buffer) of `reads` in the order in which data arrives; the counts in the order given."""
    reads = prepared(reads)  # wrong ones are refused before the kernel lends anything
    return read_when_ready(EpollDemultiplexer(call, trigger), reads, call, work)


def unavailable() -> str | None:
    """Why this system has no epoll; None when it has."""
    if not hasattr(select, "epoll"):
        return "this Python has no select.epoll: it is Linux's"
    try:
        select.epoll().close()
    except OSError as error:
        return f"epoll_create1: {error.strerror}"
    return None
