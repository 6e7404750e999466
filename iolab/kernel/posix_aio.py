"""POSIX asynchronous I/O: aio_read(3) and its family, which Python has no functions for.

    aio_read(block) ┐                 aio_error(block): EINPROGRESS ... 0 ─> aio_return(block): bytes
    helper thread   └─ pread(2): waits, copies ─┘  or aio_suspend, a signal, a new thread: they say when to ask

Two facts that surprise:
* With glibc all this is a pool of threads in the process itself, 20 at most unless aio_init(3) says otherwise. Twenty
  reads that wait for silent peers, and the twenty-first request, of a file, is not even begun.
* Requests on one descriptor *number* are carried out one after the other: a write behind a read of the same socket
  waits for the peer; through dup(2) it does not. close(2) ends none of them, shutdown(2) does.

So: aio_init before the first request, a duplicate for writing, shutdown before close. aio(7) and the pages it names.
"""

import ctypes
import os
import time
from collections.abc import Iterable
from errno import EAGAIN, EINPROGRESS, EINTR, ENOSYS

from iolab.kernel.libc import failed
from iolab.kernel.posix_aio_block import ControlBlock, begun, refuse_after_fork
from iolab.kernel.posix_aio_layout import Aioinit, Timespec, library
from iolab.kernel.posix_aio_layout import unavailable as unavailable  # why there is none here


def aio_init(threads: int, idle_s: int = 0) -> bool:
    """At most so many helper threads, which end when idle for `idle_s` seconds (0: glibc's 1). aio_init(3)

    False when it comes too late for that: glibc reads the number before the first request only; the idle time counts
    at any time. OSError (ENOSYS) where the C library has no such function: musl, which has a thread for each request.
    """
    if threads < 1 or idle_s < 0:
        raise ValueError(f"threads must be at least 1 and idle_s at least 0, not {threads} and {idle_s}")
    refuse_after_fork()
    if not hasattr(library(), "aio_init"):
        raise OSError(ENOSYS, os.strerror(ENOSYS), "aio_init")
    library().aio_init.restype = None
    library().aio_init(ctypes.byref(Aioinit(aio_threads=threads, aio_idle_time=idle_s)))
    return not begun()


def _begin(name: str, block: ControlBlock, *arguments: int) -> None:
    block.begin()
    if getattr(library(), name)(*arguments, block.address) < 0:
        block.refused()
        raise failed(name)


def aio_read(block: ControlBlock) -> None:
    """Begin to read into the block's buffer, at its offset where there are positions. aio_read(3)"""
    if not block.writable:
        raise ValueError("block: aio_read needs a writable buffer, such as a bytearray")
    _begin("aio_read", block)


def aio_write(block: ControlBlock) -> None:
    """Begin to write the block's buffer. aio_write(3)"""
    _begin("aio_write", block)


def aio_fsync(block: ControlBlock, operation: int | None = None) -> None:
    """Begin fsync(2), or with os.O_DSYNC fdatasync(2), behind what was begun on the descriptor. aio_fsync(3)"""
    _begin("aio_fsync", block, os.O_SYNC if operation is None else operation)


def aio_error(block: ControlBlock) -> int:
    """EINPROGRESS, ECANCELED, the errno with which it failed, or 0; ValueError if it was not begun. aio_error(3)"""
    refuse_after_fork()
    if not block.begun:
        raise ValueError("block: this request was not begun")
    return block.error()


def error_once_over(block: ControlBlock) -> int:
    """aio_error as a nonblocking call: BlockingIOError (EINPROGRESS) until it is over."""
    number = aio_error(block)
    if number == EINPROGRESS:
        raise BlockingIOError(number, os.strerror(number), "aio_error")
    return number


def aio_return(block: ControlBlock) -> int:
    """The byte count, collected once; the OSError with which the request failed; BlockingIOError before its end.

    ValueError for a second time, which aio_return(3) leaves undefined.
    """
    number = error_once_over(block)
    if block.collected:
        raise ValueError("block: aio_return has collected its result already")
    block.collected = True
    result = library().aio_return(block.address)
    if number:
        raise OSError(number, os.strerror(number), "aio_return")
    return result


def aio_suspend(blocks: Iterable[ControlBlock], timeout_s: float | None = None) -> bool:
    """Sleep until at least one of `blocks` is over; False when `timeout_s` seconds are over first. aio_suspend(3)

    A handler that ran meanwhile (Ctrl-C) may raise; if it does not, the wait goes on for the rest of the time.
    """
    refuse_after_fork()
    blocks = tuple(blocks)
    if not blocks or not all(block.begun for block in blocks):
        raise ValueError("blocks must be requests that were begun, at least one")
    if timeout_s is not None and timeout_s < 0:
        raise ValueError(f"timeout_s must be at least 0 or None, not {timeout_s}")
    addresses = (ctypes.c_void_p * len(blocks))(*(block.address for block in blocks))
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    limit = None
    while True:
        if deadline is not None:
            left = max(0.0, deadline - time.monotonic())
            limit = ctypes.byref(Timespec(int(left), int(left % 1 * 1e9)))
        if library().aio_suspend(addresses, len(blocks), limit) == 0:
            return True
        if ctypes.get_errno() == EAGAIN:
            return False
        if ctypes.get_errno() != EINTR:
            raise failed("aio_suspend")


def aio_cancel(fd: int, block: ControlBlock | None = None) -> int:
    """AIO_CANCELED: it ends with ECANCELED; AIO_NOTCANCELED: a thread is at it already; AIO_ALLDONE: it was over.

    Without a block, all requests on `fd`. aio_cancel(3)
    """
    refuse_after_fork()
    result = library().aio_cancel(fd, block.address if block else None)
    if result < 0:
        raise failed("aio_cancel")
    return result
