"""The structures of aio.h and signal.h, byte by byte as the C library reads them.

    aiocb   0 fildes · 4 opcode · 8 priority · 16 buffer · 24 count · 32 sigevent (64 bytes) · 96 the library's own
            ... · 128 offset · 136 reserved · 168
    sigevent   0 value · 8 signal · 12 notify · 16 function or thread id · 24 attributes · 64

Two facts that surprise:
* The control block is the library's notebook too: queue links, error and result stand in it, between count and offset.
  So it must not move, nor be used again, before the request is over.
* It holds no pointer to the kernel's world: Linux never sees an aiocb. The C library reads it, in user space.

The same on x86-64 and arm64 (glibc; musl keeps the same places). aio(7), sigevent(3type), aio_init(3).
"""

import ctypes
import sys
from functools import cache

from iolab.kernel.libc import libc

LIO_READ, LIO_WRITE, LIO_NOP = 0, 1, 2  # aio_lio_opcode
LIO_WAIT, LIO_NOWAIT = 0, 1  # mode of lio_listio(3)
AIO_CANCELED, AIO_NOTCANCELED, AIO_ALLDONE = 0, 1, 2  # what aio_cancel(3) returns
SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD = 0, 1, 2
NOTIFY_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)  # void (*)(union sigval)


class Sigval(ctypes.Union):
    """union sigval: what comes with a notification."""

    _fields_ = [("sival_int", ctypes.c_int), ("sival_ptr", ctypes.c_void_p)]


class Sigevent(ctypes.Structure):
    """struct sigevent: how somebody is told. Zeroed, it is SIGEV_SIGNAL with signal 0, not SIGEV_NONE."""

    _fields_ = [
        ("sigev_value", Sigval),
        ("sigev_signo", ctypes.c_int),
        ("sigev_notify", ctypes.c_int),
        ("sigev_notify_function", ctypes.c_void_p),
        ("sigev_notify_attributes", ctypes.c_void_p),
        ("_padding", ctypes.c_char * 32),
    ]


class Aiocb(ctypes.Structure):
    """struct aiocb: one request. Names with an underscore are the library's own."""

    _fields_ = [
        ("aio_fildes", ctypes.c_int),
        ("aio_lio_opcode", ctypes.c_int),
        ("aio_reqprio", ctypes.c_int),
        ("aio_buf", ctypes.c_void_p),
        ("aio_nbytes", ctypes.c_size_t),
        ("aio_sigevent", Sigevent),
        ("_next_prio", ctypes.c_void_p),
        ("_abs_prio", ctypes.c_int),
        ("_policy", ctypes.c_int),
        ("_error_code", ctypes.c_int),
        ("_return_value", ctypes.c_ssize_t),
        ("aio_offset", ctypes.c_int64),
        ("_reserved", ctypes.c_char * 32),
    ]


class Aioinit(ctypes.Structure):
    """struct aioinit of glibc: how the pool of helper threads is to be."""

    _fields_ = [
        ("aio_threads", ctypes.c_int),
        ("aio_num", ctypes.c_int),
        ("aio_locks", ctypes.c_int),
        ("aio_usedba", ctypes.c_int),
        ("aio_debug", ctypes.c_int),
        ("aio_numusers", ctypes.c_int),
        ("aio_idle_time", ctypes.c_int),
        ("aio_reserved", ctypes.c_int),
    ]


class Timespec(ctypes.Structure):
    """struct timespec of 64-bit systems."""

    _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


@cache
def library() -> ctypes.CDLL:
    """The library that has aio_read: the C library, or librt.so.1 with glibc before 2.34. OSError without either.

    Its functions release the interpreter's lock, so that the other Python threads run while one waits.
    """
    try:
        found = libc()
    except TypeError:  # Windows: there is no library without a name
        raise OSError(f"{sys.platform} has no POSIX AIO in its C library") from None
    if not hasattr(found, "aio_read"):
        found = ctypes.CDLL("librt.so.1", use_errno=True)
    pointer = ctypes.c_void_p
    for name, result, arguments in (
        ("aio_read", ctypes.c_int, [pointer]),
        ("aio_write", ctypes.c_int, [pointer]),
        ("aio_fsync", ctypes.c_int, [ctypes.c_int, pointer]),
        ("aio_error", ctypes.c_int, [pointer]),
        ("aio_return", ctypes.c_ssize_t, [pointer]),
        ("aio_suspend", ctypes.c_int, [pointer, ctypes.c_int, pointer]),
        ("aio_cancel", ctypes.c_int, [ctypes.c_int, pointer]),
        ("lio_listio", ctypes.c_int, [ctypes.c_int, pointer, ctypes.c_int, pointer]),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


def unavailable() -> str | None:
    """Why this system has no POSIX AIO of this layout; None when it has."""
    if not sys.platform.startswith("linux"):
        return f"{sys.platform}: the control block of its aio.h, if it has one, is laid out in another way"
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        return "a 32-bit Python: the control block is laid out in another way"
    try:
        library()
    except (OSError, AttributeError) as error:
        return f"aio_read: {error}"
    return None
