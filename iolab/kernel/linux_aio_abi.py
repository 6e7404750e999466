"""Linux native AIO as the kernel defines it: the control block, the event, the ring in memory, the six system calls.

    iocb: which command, fd, buffer, offset ── io_submit ──> kernel ──> ring ── io_getevents ──> io_event: data, result

Two facts that surprise:
* The C library has no io_submit: its aio_read(3) is something else, threads in user space. These calls are made by
  their numbers, which differ from machine to machine.
* What io_setup hands out as "context" is an address in this very program: there lies the ring into which the kernel
  writes its events. Whoever looks there needs no system call; no manual page promises it, hence the magic number.

Names and layout: <linux/aio_abi.h>; of the ring: fs/aio.c. io_setup(2), io_submit(2), io_getevents(2), io_cancel(2).
linux_aio.py is what a program uses.
"""

import ctypes
import errno
import os
import sys

from iolab.kernel.libc import number_on_this_machine, system_call

PREAD, PWRITE, FSYNC, FDSYNC, POLL, PREADV, PWRITEV = 0, 1, 2, 3, 5, 7, 8  # IOCB_CMD_*; 4 and 6 are nothing
FLAG_RESFD = 1  # IOCB_FLAG_RESFD: add 1 to the eventfd aio_resfd when it is over
RING_MAGIC = 0xA10A10A1
_SIGSET_BYTES = 8  # the kernel's sigset_t; the C library's has 128


class Iocb(ctypes.Structure):
    """struct iocb, 64 bytes, on a little-endian machine; a big-endian one has aio_key and aio_rw_flags swapped."""

    _fields_ = [
        ("aio_data", ctypes.c_uint64),  # comes back in the event
        ("aio_key", ctypes.c_uint32),  # the kernel writes here
        ("aio_rw_flags", ctypes.c_int32),
        ("aio_lio_opcode", ctypes.c_uint16),
        ("aio_reqprio", ctypes.c_int16),
        ("aio_fildes", ctypes.c_uint32),
        ("aio_buf", ctypes.c_uint64),  # an address; of POLL the events
        ("aio_nbytes", ctypes.c_uint64),
        ("aio_offset", ctypes.c_int64),
        ("aio_reserved2", ctypes.c_uint64),
        ("aio_flags", ctypes.c_uint32),
        ("aio_resfd", ctypes.c_uint32),
    ]


class IoEvent(ctypes.Structure):
    """struct io_event, 32 bytes."""

    _fields_ = [
        ("data", ctypes.c_uint64),
        ("obj", ctypes.c_uint64),  # the address of the control block
        ("res", ctypes.c_int64),  # what read(2) would have returned, or -errno
        ("res2", ctypes.c_int64),
    ]


class Ring(ctypes.Structure):
    """struct aio_ring: its events follow, `nr` of them, from `header_length` on."""

    _fields_ = [
        (name, ctypes.c_uint32)
        for name in ("id", "nr", "head", "tail", "magic", "compat_features", "incompat_features", "header_length")
    ]


class Iovec(ctypes.Structure):
    """struct iovec, for PREADV and PWRITEV: aio_buf is the address of an array of them, aio_nbytes how many."""

    _fields_ = [("iov_base", ctypes.c_void_p), ("iov_len", ctypes.c_size_t)]


class _Timespec(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


class _AioSigset(ctypes.Structure):
    _fields_ = [("sigmask", ctypes.c_void_p), ("sigsetsize", ctypes.c_size_t)]


def io_setup(entries: int) -> int:
    """A context for `entries` operations at once. EAGAIN when all contexts together pass fs.aio-max-nr."""
    if not sys.platform.startswith("linux"):  # elsewhere these numbers are other calls: on macOS 1 is exit(2)
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "io_setup")
    context = ctypes.c_ulong(0)  # must be 0, or the call says EINVAL
    system_call("io_setup", number_on_this_machine(206, 0), entries, ctypes.addressof(context))
    return context.value


def io_destroy(context: int) -> None:
    """Cancel what can be cancelled, wait for the rest, give the context back: afterwards no buffer is written to."""
    system_call("io_destroy", number_on_this_machine(207, 1), context)


def io_submit(context: int, blocks: list[Iocb], returned: list[int] | None = None) -> int:
    """How many of the blocks, from the first on, the kernel took; OSError when it refuses the very first.
    `returned` is system_call's."""
    addresses = (ctypes.c_void_p * len(blocks))(*map(ctypes.addressof, blocks))
    what = (context, len(blocks), ctypes.addressof(addresses))
    return system_call("io_submit", number_on_this_machine(209, 2), *what, returned=returned)


def io_getevents(context: int, least: int, events: ctypes.Array, timeout_s: float | None = None, sigmask=None) -> int:
    """Sleep until `least` events are there or the time is over (None: never); how many are now in `events`.

    With `sigmask`, a set of signals, these alone are blocked meanwhile (io_pgetevents). InterruptedError when a
    signal came first.
    """
    limit = None if timeout_s is None else _Timespec(int(timeout_s), int(timeout_s % 1 * 1e9))
    where = (context, least, len(events), ctypes.addressof(events), limit and ctypes.addressof(limit))
    if sigmask is None:
        return system_call("io_getevents", number_on_this_machine(208, 4), *where)
    mask = ctypes.c_uint64(sum(1 << number - 1 for number in sigmask))
    signals = _AioSigset(ctypes.addressof(mask), _SIGSET_BYTES)
    return system_call("io_pgetevents", number_on_this_machine(333, 292), *where, ctypes.addressof(signals))


def io_cancel(context: int, block: Iocb) -> None:
    """Never returns: BlockingIOError (EINPROGRESS) says "yes, the event will come", EINVAL "there is no such, or it
    cannot be". A kernel before 4.19 might return, and have the event in the third argument."""
    unused = IoEvent()
    system_call("io_cancel", number_on_this_machine(210, 3), context, ctypes.addressof(block), ctypes.addressof(unused))


def events_in_ring(context: int) -> list[IoEvent] | None:
    """The events that lie in the ring, left there; None where no ring lies at the context's address (gVisor)."""
    ring = Ring.from_address(context)
    if ring.magic != RING_MAGIC or ring.incompat_features:
        return None
    first, size, head, tail, nr = context + ring.header_length, ctypes.sizeof(IoEvent), ring.head, ring.tail, ring.nr
    return [IoEvent.from_address(first + (head + each) % nr * size) for each in range((tail - head) % nr)]


def why(error: OSError) -> str:
    """The kernel's refusal in its words, and where to look."""
    words = f"{error.filename or 'eventfd2'}: {error.strerror}"
    hints = {errno.EPERM: "a container's seccomp profile may forbid it", errno.EAGAIN: "see /proc/sys/fs/aio-max-nr"}
    return f"{words}: {hints[error.errno]}" if error.errno in hints else words


def unavailable() -> str | None:
    """Why this system has no native AIO, in the kernel's words; None when it has."""
    try:
        io_destroy(io_setup(1))
    except (AttributeError, TypeError):  # no syscall(2) in the C library, or no C library to be had this way
        return "the C library has no syscall"
    except OSError as error:
        return why(error)
    return None
