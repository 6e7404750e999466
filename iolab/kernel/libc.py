"""The C library, loaded once, and system calls by their numbers: the one door to what Python has no function for.

    python ── libc().aio_read(...) ──> C library ──> system calls
    python ── system_call("io_submit", number, ...) ─────────┘

Two facts that surprise:
* A number means another call on another machine: io_setup is 206 on x86-64 and 0 on arm64. New calls, from 424 on,
  have the same number everywhere.
* ctypes passes a bare Python int as a C int of 32 bits; where the callee reads 64, the upper half is what happened to
  be there. Hence every argument of `system_call` is widened.

syscall(2), errno(3). The interpreter's lock is released during each call, so other Python threads run meanwhile.
"""

import ctypes
import errno
import os
import sys
from functools import cache
from itertools import starmap

X86_64 = hasattr(os, "uname") and os.uname().machine == "x86_64"  # asked once: some numbers are needed in every wait


@cache
def libc() -> ctypes.CDLL:
    """The C library of this process. OSError or TypeError where there is none to be had by this way (Windows)."""
    return ctypes.CDLL(None, use_errno=True)


@cache
def _syscall():
    function = libc()["syscall"]  # not libc().syscall, which others may find with other types
    function.restype = ctypes.c_long
    function.argtypes = (ctypes.c_long,) + (ctypes.c_void_p,) * 6  # 64 bits each; an integer, or None
    return function


_NONE = (None,) * 6  # a call that has fewer arguments does not look at the others


def failed(name: str) -> OSError:
    """The error of the call that has just failed: errno, its words, and the call's name in place of a file's."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), name)


def system_call(name: str, number: int, *arguments: int | None, returned: list[int] | None = None) -> int:
    """What the call returns; integers and addresses in, None is a null pointer. OSError, named `name`, where it fails.

    EINTR is an InterruptedError: whether the call may be repeated, the caller knows. On another system than Linux
    the numbers mean other calls (1 ends the process on macOS): there it is OSError with ENOSYS, and nothing is called.
    `returned` gets the result, or -1, even where a signal handler raises as soon as the call is over.
    """
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, f"{sys.platform} is not Linux", name)
    call = (number, *arguments, *_NONE[len(arguments) :])
    if returned is None:
        result = _syscall()(*call)
    else:  # call and append are one step: Python runs handlers between two
        returned.extend(starmap(_syscall(), (call,)))
        result = returned[-1]
    if result < 0:
        raise failed(name)
    return result


def number_on_this_machine(x86_64: int, aarch64: int) -> int:
    """Of a call's numbers the one that counts here; every other machine of Linux is said to be like arm64, the newest."""
    return x86_64 if X86_64 else aarch64
