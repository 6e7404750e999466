"""signalfd(2): signals that are read from a descriptor, with the value that was sent along.

    signal is sent ── queued, because blocked ──> descriptor readable ──> read: QueuedSignal(signal, code, value)

Two facts that surprise:
* The signal must be blocked. Where some thread has not blocked it, that thread takes it, and the descriptor stays
  silent.
* Python's signal.sigtimedwait() drops the value; `ssi_ptr`, at byte 48, has it. So one descriptor, in any event loop,
  can tell which of many requests is over.

The descriptor shows the signals that are pending for the thread that *reads*. signalfd(2), signal(7).
"""

import ctypes
import errno
import os
import signal
import struct
import sys
from typing import NamedTuple

from iolab.kernel.libc import failed, libc

SI_ASYNCIO = -4  # code of a signal that tells of an end of POSIX AIO; bits/siginfo-consts.h
_SFD_CLOEXEC, _SFD_NONBLOCK = 0o2000000, 0o4000  # as O_CLOEXEC and O_NONBLOCK
_SIGNALFD_SIGINFO = struct.Struct("@Iii I 28x iQ 72x")  # signo, errno, code, pid; ssi_int at 44, ssi_ptr at 48; 128
_AT_ONCE = 32


class QueuedSignal(NamedTuple):
    """What came with one signal: `value` is ssi_ptr, 0 where the sender sent none; `sender` a process id."""

    signal: int
    code: int
    sender: int
    value: int


def open_signals(signals) -> int:
    """A descriptor, nonblocking, from which `signals` are read; ValueError unless this thread has blocked them."""
    wanted = set(signals)
    free = wanted - signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if not wanted or free:
        raise ValueError(f"signals must be some that this thread has blocked, not {sorted(free) or 'none'}")
    bits = bytearray(128)  # sigset_t of glibc and musl
    for number in wanted:
        bits[(number - 1) // 8] |= 1 << (number - 1) % 8
    fd = libc().signalfd(-1, (ctypes.c_char * len(bits)).from_buffer(bits), _SFD_CLOEXEC | _SFD_NONBLOCK)
    if fd < 0:
        raise failed("signalfd")
    return fd


def read_signals(fd: int) -> list[QueuedSignal]:
    """All that are pending now, in the order in which the kernel hands them out; [] if there are none."""
    found: list[QueuedSignal] = []
    while True:
        try:
            data = os.read(fd, _AT_ONCE * _SIGNALFD_SIGINFO.size)
        except BlockingIOError:  # EAGAIN: no more at this moment
            return found
        for number, _, code, sender, _, value in _SIGNALFD_SIGINFO.iter_unpack(data):
            found.append(QueuedSignal(number, code, sender, value))


def unavailable() -> str | None:
    """Why this system has no signalfd; None when it has."""
    if not hasattr(signal, "pthread_sigmask"):
        return f"{sys.platform} has no signals that can be blocked"
    if not sys.platform.startswith("linux") or not hasattr(libc(), "signalfd"):
        return f"{sys.platform} has no signalfd"
    empty = (ctypes.c_char * 128)()
    fd = libc().signalfd(-1, empty, _SFD_CLOEXEC)
    if fd < 0:
        return f"signalfd: {os.strerror(ctypes.get_errno() or errno.ENOSYS)}"
    os.close(fd)
    return None
