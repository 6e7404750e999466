"""Signal-driven I/O: the thread does what it likes, and the kernel interrupts it when data has come.

    application ── F_SETOWN, F_SETSIG, O_ASYNC ── its own work ──╮ signal ── read() ┐        ┌─ returns n ──>
    kernel                        waits for data ────────────────╯                  └ copies ┘

Two facts that surprise:
* O_ASYNC is not asynchronous I/O. The signal says "you may read"; the read that follows copies in this thread.
* A signal sent while the same one is pending is dropped if it is SIGIO, queued if it is a real-time signal: ten
  arrivals may be one SIGIO. And a signal tells of an arrival, not of a state: read until EAGAIN.

Therefore a real-time signal, directed at this very thread (F_SETOWN_EX), nonblocking descriptors, and one look at
each descriptor before the first wait: what came before O_ASYNC was set has sent no signal. With nothing else to
do, the thread sleeps in sigtimedwait, which names the descriptor (si_fd). With `work`, a handler interrupts it;
Python tells a handler no descriptor, so each is asked. Handler, mask, flags and owner are put back at the end.

signal(7), fcntl(2) "Signal-driven I/O", sigtimedwait(2); UNP 6.2, 25.
"""

import os
import signal
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from iolab.calls import CallNamer, unrecorded
from iolab.kernel import realtime_signals as rt
from iolab.models.readiness import nonblocking, read_until_refused
from iolab.models.reads import Work, prepared

try:
    import fcntl
except ImportError:  # Windows: unavailable() says so
    fcntl = None

NAME = "signal-driven"
# Not SIGIO, which may get lost, and not the very first, which other libraries may have chosen too.
SIGNAL_OFFSET = 9


@contextmanager
def _signals(fd: int, number: int, call: CallNamer) -> Iterator[None]:
    """The kernel signals each arrival on `fd` to this thread, while the body of the with statement runs."""
    flags, sent = fcntl.fcntl(fd, fcntl.F_GETFL), fcntl.fcntl(fd, rt.F_GETSIG)
    owner = fcntl.fcntl(fd, rt.F_GETOWN_EX, struct.pack(rt.F_OWNER_EX, 0, 0))
    try:
        with call("fcntl", fd):
            this_thread = struct.pack(rt.F_OWNER_EX, rt.F_OWNER_TID, threading.get_native_id())
            fcntl.fcntl(fd, rt.F_SETOWN_EX, this_thread)
        with call("fcntl", fd):
            fcntl.fcntl(fd, rt.F_SETSIG, number)
        with call("fcntl", fd):  # F_SETFL sets all flags, it does not add one
            fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_ASYNC)
        yield
    finally:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)
        fcntl.fcntl(fd, rt.F_SETSIG, sent)
        fcntl.fcntl(fd, rt.F_SETOWN_EX, owner)


@contextmanager
def _handlers(signals: set[int], arrived: list[int], call: CallNamer) -> Iterator[None]:
    """`arrived` grows with each signal. Outside this block they are blocked, and what is left is taken."""

    def handler(number: int, frame) -> None:
        with call("signal handler"):  # the one call in the other direction: the kernel calls the program
            arrived.append(number)

    main = threading.current_thread() is threading.main_thread()  # only there may Python set a handler
    old_mask, old = signal.pthread_sigmask(signal.SIG_BLOCK, ()), {}
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        for number in signals if main else ():
            old[number] = signal.signal(number, handler)
        yield
    finally:
        while rt.sigtimedwait(signals, 0):  # still queued: they would end the process once unblocked
            pass
        for number, before in old.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)


def _work_until_interrupted(signals: set[int], arrived: list[int], work: Work) -> None:
    arrived.clear()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    try:
        while not arrived:
            work()
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None) -> list[int]:
    """Fill each (fd, buffer) of `reads` in the order in which data arrives; the counts in the order given.

    With `work` only in the main thread: Python runs signal handlers nowhere else (RuntimeError).
    """
    reads = prepared(reads)
    if work is not None and threading.current_thread() is not threading.main_thread():
        raise RuntimeError("work: Python runs signal handlers in the main thread only; without work any thread will do")
    pending, counts, arrived = dict(reads), {fd: 0 for fd, _ in reads}, []
    number = signal.SIGRTMIN + SIGNAL_OFFSET
    signals = {number, signal.SIGIO}  # SIGIO is what the kernel sends when its queue is full: ask each then
    with ExitStack() as put_back:
        put_back.enter_context(_handlers(signals, arrived, call))
        put_back.enter_context(nonblocking(list(pending)))
        for fd in pending:
            put_back.enter_context(_signals(fd, number, call))
        told = list(pending)  # all of them: data may have come before O_ASYNC
        while pending:
            for fd in told:
                if fd in pending:
                    nbytes, ended = read_until_refused(fd, pending[fd][counts[fd] :], call)
                    counts[fd] += nbytes
                    if ended or counts[fd] == len(pending[fd]):
                        del pending[fd]
            if pending and work is None:
                with call("sigtimedwait"):
                    info = rt.sigtimedwait(signals)
                told = [info.fd] if info.signal == number else list(pending)
            elif pending:
                _work_until_interrupted(signals, arrived, work)
                told = list(pending)
    return [counts[fd] for fd, _ in reads]


def unavailable() -> str | None:
    """Why this system cannot send signals for I/O; None when it can."""
    return rt.unavailable()
