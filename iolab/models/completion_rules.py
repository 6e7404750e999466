"""Rules that a CompletionQueue keeps over every mechanism: what waits behind a send, and when an accept rests.

    send a ── in flight ──────────┐ over          accept ── EMFILE ── rests 100 ms ── again
    send b ── waits ── send c ────┴─ b + c in flight                  the reserve is given back for that time

Two facts that surprise:
* Two sends in flight on one stream may interleave: nobody promises that the kernel, or two helper threads, finish the
  first before they begin the second. So there is one at a time, and joining what waits costs less than two calls.
* An accept that is refused for want of a descriptor leaves its connection in the backlog: the listener stays ready,
  and a loop that asks again at once burns a CPU. And the very last descriptor is better left to the program, for the
  file that it needs to serve those who are already there.
"""

import errno
import os
import socket
import time
from contextlib import suppress
from typing import NamedTuple

from iolab.models import iocp_ports
from iolab.models.borrowed import borrowed_socket
from iolab.models.completion import ACCEPT, RECEIVE, SEND, Operation

PAUSE_S = 0.1
CANCELED = -errno.ECANCELED
NO_ROOM = (-errno.EMFILE, -errno.ENFILE, -errno.ENOBUFS, -errno.ENOMEM)
TRIED_AGAIN = {ACCEPT: (-errno.ECONNABORTED,), RECEIVE: (-errno.ENOBUFS,)}  # nobody is told


class Owed:
    """What a program is owed of one descriptor. Of its sends one is in flight; those behind it wait, and go together."""

    __slots__ = ("operations", "carrier", "waiting")

    def __init__(self) -> None:
        self.operations: list[Operation] = []  # all, until their last Completion
        self.carrier: Operation | None = None  # the send in flight, or what carries several
        self.waiting: list[Operation] = []  # the sends behind it

    def next_carrier(self) -> Operation | None:
        """The one before is not in flight any more: what is to be started now."""
        waiting, self.waiting = self.waiting, []
        self.carrier = waiting[0] if waiting else None
        if len(waiting) > 1:
            together = b"".join(each.buffer for each in waiting)
            self.carrier = Operation(SEND, waiting[0].fd, Together(waiting), together, None)
        return self.carrier


class Together(NamedTuple):
    """The token of a send that carries several."""

    sends: list[Operation]


class AcceptPause:
    """Accepts that were refused for want of a descriptor: they rest, and with them a descriptor held in reserve."""

    def __init__(self) -> None:
        self.resting: dict[Operation, float] = {}  # and when it is to be tried again, time.monotonic()
        self._reserve: int | None = None

    def reserve(self) -> bool:
        """Hold a descriptor in reserve; False when there is none to be had."""
        if self._reserve is None:
            try:
                self._reserve = os.open(os.devnull, os.O_RDONLY)
            except OSError:  # EMFILE, ENFILE, ENOMEM: just what it is for
                return False
        return True

    def rest(self, accept: Operation) -> None:
        """Until PAUSE_S from now; the reserve is free for whoever needs it."""
        self.resting[accept] = time.monotonic() + PAUSE_S
        self.close()

    def left_s(self) -> float | None:
        """Seconds until the first one is to be tried again; None when none rests."""
        return max(0, min(self.resting.values()) - time.monotonic()) if self.resting else None

    def over(self) -> list[Operation]:
        """The accepts to be tried again now. While even the reserve cannot be had again, they rest on."""
        now = time.monotonic()
        due = [accept for accept, until in self.resting.items() if until <= now]
        if due and not self.reserve():
            self.resting.update(dict.fromkeys(due, now + PAUSE_S))
            return []
        for accept in due:
            del self.resting[accept]
        return due

    def close(self) -> None:
        """Give the reserve back."""
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None


def end_all(in_flight: set[Operation], processor, limit_s: float, accepted: list[int]) -> None:
    """Cancel all and wait for the last events. What cannot be cancelled, or takes longer, is abandoned.

    What was `accepted` meanwhile is added to the descriptors there.
    """
    deadline = time.monotonic() + limit_s
    try:
        for operation in list(in_flight):
            operation.cancelled = True
            if not processor.cancel(operation):
                in_flight.discard(operation)
                processor.abandon(operation)
        while in_flight and (left_s := deadline - time.monotonic()) > 0:
            for operation, result, more, _ in processor.wait(left_s):
                accepted += [result] if operation.kind == ACCEPT and result >= 0 else []
                in_flight -= set() if more else {operation}
    finally:  # Ctrl-C, too: what is still in flight may write to its buffer at any time
        while in_flight:
            processor.abandon(in_flight.pop())


def shut_down(fd: int) -> None:
    """shutdown(2), both directions: whoever sleeps in a call on this socket wakes up. Nothing for other descriptors."""
    # ENOTSOCK: a pipe, a file; ENOTCONN: a listener on other systems
    with suppress(OSError), borrowed_socket(fd) as sock:
        sock.shutdown(socket.SHUT_RDWR)


def closed(fd: int) -> int:
    """close(2), and 0 or -errno. On Windows a socket has a close of its own."""
    iocp_ports.forget(fd)
    try:
        try:
            socket.close(fd)  # close(2), too, but on Windows
        except OSError as error:
            if error.errno != errno.ENOTSOCK:
                raise
            os.close(fd)
    except OSError as error:  # EBADF: it was none
        return -error.errno
    return 0
