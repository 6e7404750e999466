"""sigtimedwait(2) with the whole siginfo: which descriptor the kernel speaks of.

    fcntl(fd, F_SETSIG, signal)        data arrives                 sigtimedwait
    ───────────────────────────────────────┼── queued: signal, fd, band ──┤ SignalInfo(signal, fd, band)

Two facts that surprise:
* F_SETSIG is what fills `si_fd`; a plain SIGIO says only that *something* happened *somewhere*.
* Python's signal.sigtimedwait() calls the same function and drops si_fd: hence this file.

A signal that is waited for must be blocked (pthread_sigmask) in the waiting thread, or its handler, or the
default action, which for a real-time signal ends the process, comes first. signal(7), fcntl(2).
"""

import ctypes
import errno
import os
import signal
import sys
from functools import cache
from typing import NamedTuple

F_SETSIG, F_GETSIG, F_SETOWN_EX, F_GETOWN_EX, F_OWNER_TID = 10, 11, 15, 16, 0  # asm-generic/fcntl.h
F_OWNER_EX = "@ii"  # struct f_owner_ex: kind of owner, its number
_SIGSET_BYTES = 128  # sizeof(sigset_t) in glibc and musl
POLL_IN, POLL_HUP = 1, 6  # si_code of such a signal: from the one to the other


class _SigInfo(ctypes.Structure):
    """The SIGPOLL member of siginfo_t on 64-bit Linux: 128 bytes, the union at offset 16."""

    _fields_ = [
        ("si_signo", ctypes.c_int),
        ("si_errno", ctypes.c_int),
        ("si_code", ctypes.c_int),
        ("_padding", ctypes.c_int),
        ("si_band", ctypes.c_long),
        ("si_fd", ctypes.c_int),
        ("_rest", ctypes.c_char * 100),
    ]


class _Timespec(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


class SignalInfo(NamedTuple):
    """What came with one signal. One that F_SETSIG chose has a `code` from POLL_IN to POLL_HUP, a descriptor, and in
    `band` the events of poll(2); a plain SIGIO names no descriptor: `fd` is None."""

    signal: int
    code: int
    fd: int | None
    band: int


def _sigset(signals) -> ctypes.Array:
    bits = bytearray(_SIGSET_BYTES)
    for number in signals:
        bits[(number - 1) // 8] |= 1 << (number - 1) % 8
    return (ctypes.c_char * _SIGSET_BYTES).from_buffer(bits)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def sigtimedwait(signals, timeout_s: float | None = None) -> SignalInfo | None:
    """Wait for one of `signals`, which the caller has blocked; None when the time is over.

    A handler that ran meanwhile (Ctrl-C) may raise; if it does not, the wait starts anew, with the whole time.
    """
    wanted, info, limit = _sigset(signals), _SigInfo(), None
    if timeout_s is not None:
        limit = ctypes.byref(_Timespec(int(timeout_s), int(timeout_s % 1 * 1e9)))
    while _libc().sigtimedwait(wanted, ctypes.byref(info), limit) < 0:
        number = ctypes.get_errno()
        if number == errno.EAGAIN:
            return None
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), "sigtimedwait")
        # Between two bytecodes, that is here, the interpreter runs the handlers of signals that came.
    named = POLL_IN <= info.si_code <= POLL_HUP
    return SignalInfo(info.si_signo, info.si_code, info.si_fd if named else None, info.si_band if named else 0)


def unavailable() -> str | None:
    """Why this system has no such signals; None when it has."""
    if not hasattr(signal, "SIGRTMIN") or not hasattr(signal, "pthread_sigmask"):
        return f"{sys.platform} has no real-time signals"
    if not sys.platform.startswith("linux"):
        return f"{sys.platform} has no F_SETSIG"
    return None
