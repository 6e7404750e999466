"""Rules that a CompletionQueue keeps over every mechanism: whose it is, what waits behind a send, when an accept rests.

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
import threading
import time
from contextlib import suppress

from iolab.models.completion import ACCEPT, RECEIVE, SEND, Operation

PAUSE_S = 0.1
CANCELED = -errno.ECANCELED
NO_ROOM = (-errno.EMFILE, -errno.ENFILE, -errno.ENOBUFS, -errno.ENOMEM)
TRIED_AGAIN = {ACCEPT: (-errno.ECONNABORTED,), RECEIVE: (-errno.ENOBUFS,)}  # nobody is told


class Owner:
    """The thread and the process that something belongs to; the checks raise RuntimeError for any other."""

    def __init__(self) -> None:
        self._process, self._thread = os.getpid(), threading.get_ident()

    def check_process(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError(f"the completion queue belongs to process {self._process}: a fork does not inherit it")

    def check(self) -> None:
        self.check_process()
        if threading.get_ident() != self._thread:
            raise RuntimeError("the completion queue belongs to the thread that made it: others may only post")


class Sends:
    """One descriptor's sends: the carrier is in flight for one or several of them, the others wait."""

    def __init__(self) -> None:
        self.carrier: Operation | None = None
        self.carried: list[Operation] = []
        self.waiting: list[Operation] = []

    def next(self) -> Operation | None:
        """The carrier of all that waits, to be started now; None while another is in flight."""
        if self.carrier or not self.waiting:
            return None
        self.carried, self.waiting = self.waiting, []
        whole = b"".join(each.buffer for each in self.carried) if len(self.carried) > 1 else self.carried[0].buffer
        self.carrier = Operation(SEND, self.carried[0].fd, self, memoryview(whole), None)
        return self.carrier

    def over(self) -> list[Operation]:
        """Nothing is in flight any more: what was."""
        carried, self.carried, self.carrier = self.carried, [], None
        return carried


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


def shut_down(fd: int) -> None:
    """shutdown(2), both directions: whoever sleeps in a call on this socket wakes up. Nothing for other descriptors."""
    with suppress(OSError):  # ENOTSOCK: a pipe, a file; ENOTCONN: a listener on other systems
        sock = socket.socket(fileno=fd)
        try:
            sock.shutdown(socket.SHUT_RDWR)
        finally:
            sock.detach()


def closed(fd: int) -> int:
    """close(2), and 0 or -errno. On Windows a socket has a close of its own."""
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
