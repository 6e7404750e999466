"""Checks of the chapter on signal-driven I/O: a learner's code on a real socket that sends real signals.

check       arm, send ──> kernel ── signal ──> learner's function: look, wait, read
            what is pending, which flags, whose handler? <── returned, raised, or not back in time
"""

import os
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from iolab.exercises.attempting import TooLong, attempt
from iolab.exercises.checking import right, unanswered, wrong
from iolab.kernel.realtime_signals import F_OWNER_EX, F_OWNER_TID, F_SETOWN_EX, F_SETSIG, sigtimedwait

try:
    import fcntl

    NUMBER, SIGNALS = signal.SIGRTMIN + 9, {signal.SIGIO, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)}
except (ImportError, AttributeError):  # Windows has no such signals; the file still imports
    fcntl = NUMBER = SIGNALS = None
MESSAGE, ENOUGH = b"the book", 1000


@contextmanager
def caught() -> Iterator[Callable]:
    """SIGIO and the real-time signals end no process here; the handler that sees to it. Main thread only."""
    harmless = lambda *_: None  # noqa: E731
    old = {number: signal.signal(number, harmless) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        yield harmless
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        while sigtimedwait(SIGNALS, 0):  # still pending: they would end the process once unblocked
            pass
        for number, handler in old.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def check_arm(arm: Callable) -> None:
    """Does arm(fd, number) make the kernel signal this thread with `number`, and leave the other flags alone?"""
    ours, peer = socket.socketpair()
    with caught(), ours, peer:
        ours.setblocking(False)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        _, error = attempt(arm, ours.fileno(), NUMBER)
        flags = fcntl.fcntl(ours, fcntl.F_GETFL)
        peer.send(MESSAGE)
        came, fd = sigtimedwait(SIGNALS, 0), ours.fileno()
    if error:
        return wrong(f"Your function did not come to its end: {error!r}.")
    if not flags & os.O_ASYNC:
        return unanswered("O_ASYNC is not set: a message came, and the kernel signalled nobody.")
    if not flags & os.O_NONBLOCK:
        return wrong("O_ASYNC is on, O_NONBLOCK is gone. F_SETFL sets all flags: add yours to those of F_GETFL.")
    if came is None:
        return wrong("O_ASYNC is on, a message came, and no signal: nobody owns this descriptor. F_SETOWN_EX says who.")
    if (came.signal, came.fd) != (NUMBER, fd):
        return wrong(f"Signal {came.signal} came, with descriptor {came.fd}. F_SETSIG chooses one that names it.")
    return right("The signal came, it names the descriptor, and O_NONBLOCK is still there.")


class Letterbox:
    """A socket to which MESSAGE comes at the moment that a race needs, without a clock and without a thread."""

    def __init__(self, when: str, ours: socket.socket, peer: socket.socket) -> None:
        self.when, self.ours, self.peer, self.sent = when, ours, peer, False
        self.send(when == "before")

    def send(self, now: bool) -> None:
        self.sent = self.sent or now and bool(self.peer.send(MESSAGE))

    def arm(self) -> None:
        self.send(self.when == "between")
        owner = struct.pack(F_OWNER_EX, F_OWNER_TID, threading.get_native_id())
        fcntl.fcntl(self.ours, F_SETOWN_EX, owner)
        fcntl.fcntl(self.ours, F_SETSIG, NUMBER)
        fcntl.fcntl(self.ours, fcntl.F_SETFL, fcntl.fcntl(self.ours, fcntl.F_GETFL) | os.O_ASYNC)
        if self.when == "stale":  # a signal whose data is gone already
            self.peer.send(b"?")
            self.ours.recv(1)

    def wait(self) -> None:
        if not sigtimedwait(SIGNALS, 0):
            self.send(not self.sent)  # here the thread would sleep, and the world goes on
            if not sigtimedwait(SIGNALS, 0):
                raise TooLong("asleep for ever")


def check_look_first(read_one: Callable) -> None:
    """Does read_one(sock, arm, wait) return the message, whenever it comes? `sock` is nonblocking."""
    for when in ("before", "between", "after", "stale"):
        ours, peer = socket.socketpair()
        with caught(), ours, peer:
            ours.setblocking(False)
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            box = Letterbox(when, ours, peer)
            got, error = attempt(read_one, ours, box.arm, box.wait)
        if isinstance(error, TooLong):
            came = {"before": "before your look", "between": "before the signals were on"}.get(when, "and was read")
            return wrong(f"The message came {came}. No signal will, and you sleep for ever: arm, look, then wait.")
        if isinstance(error, BlockingIOError):
            return wrong("You let EAGAIN out. A signal tells of an arrival, and its data may be gone: wait again.")
        if error:
            return wrong(f"Your function did not come to its end: {error!r}.")
        if got is None and when == "before":
            return unanswered("Your function returned None.")
        if got != MESSAGE:
            return wrong(f"The message was {MESSAGE!r}; you returned {got!r}.")
    return right(
        "Before arm(), inside it, asleep, and with a signal left over: first arm, then look, and wait only after EAGAIN."
    )


def check_work_until_data(work_until_data: Callable) -> None:
    """Does work_until_data(sock, work) work until SIGIO interrupts it, return the message, put all back?"""
    (ours, peer), armed = socket.socketpair(), []  # for each slice of work, whether signals were on

    def work() -> None:
        armed.append(fcntl.fcntl(ours, fcntl.F_GETFL) & os.O_ASYNC)
        if len(armed) == 5:
            peer.send(MESSAGE)
        if len(armed) > ENOUGH:
            raise TooLong("still at work")

    with caught() as harmless, ours, peer:
        ours.setblocking(False)
        got, error = attempt(work_until_data, ours, work)
        mask, handler = signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGIO)
        on = ours.fileno() >= 0 and fcntl.fcntl(ours, fcntl.F_GETFL) & os.O_ASYNC
    if got is None and error is None and not armed:
        return unanswered("Your function returned None and did no work.")
    if isinstance(error, TooLong):
        why = "your handler did not end the work" if armed[-1:] > [0] else "O_ASYNC was not on, so no signal came"
        return wrong(f"The message came in slice 5; after {len(armed)} slices it lay unread: {why}.")
    if error:
        return wrong(f"Your function did not come to its end: {error!r}.")
    if got != MESSAGE:
        return wrong(f"The message was {MESSAGE!r}, in slice 5; you returned {got!r} after {len(armed)} slices.")
    if not all(armed):
        return wrong("The message is right, but signals were off while you worked: you asked again and again.")
    if on or handler is not harmless or mask & SIGNALS:
        left = "O_ASYNC is still on" if on else "SIGIO is blocked" if mask & SIGNALS else "your handler is still there"
        return wrong(f"The message is right, but {left}: the next signal will surprise somebody.")
    return right(f"{len(armed)} slices of work and not one question. And flags, handler and mask are as they were.")
