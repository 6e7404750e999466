"""A request to Linux native AIO in Python's terms, and the control block that the kernel reads.

    Request(PREAD, fd, buffer, offset) ──> struct iocb ── aio_buf ──> the buffer's own memory
                                                          aio_data ──> a serial number, comes back in the event

Two facts that surprise:
* The kernel copies the block when it is submitted. What it needs afterwards is its address: that is the operation's
  name for io_cancel. Two in flight at one address could not be told apart, so the block is kept.
* The buffer has to stay where it is until the event was taken, although nothing in the program refers to it: it is
  pinned (pinned.py), and an attempt to resize it is a BufferError.
"""

import ctypes
from typing import NamedTuple

from iolab.kernel.linux_aio_abi import FLAG_RESFD, PREAD, PREADV, PWRITE, PWRITEV, Iocb, Iovec
from iolab.kernel.pinned import Pinned


class Request(NamedTuple):
    """What the kernel is asked to do. `buffer` is a buffer, of PREADV and PWRITEV a list of them.

    POLL has `events` as in poll(2). `eventfd` is a descriptor that is added 1 to when the request is over.
    """

    command: int
    fd: int
    buffer: object = None
    offset: int = 0
    events: int = 0
    eventfd: int | None = None


class Event(NamedTuple):
    """What became of a request: a count of bytes, of POLL the events that are, below zero -errno."""

    serial: int
    result: int


def block_of(request: Request, serial: int) -> tuple[Iocb, object]:
    """The control block, and what must be kept until it is over. ValueError for a buffer that will not do."""
    command, fd, buffer, offset, events, eventfd = request
    address, nbytes, kept = events, 0, None
    if command in (PREAD, PWRITE):
        kept = _pinned(buffer, command == PREAD)
        address, nbytes = kept.address, kept.nbytes
    elif command in (PREADV, PWRITEV):
        pins = [_pinned(each, command == PREADV) for each in buffer]
        vector = (Iovec * len(pins))(*((pin.address, pin.nbytes) for pin in pins))
        address, nbytes, kept = ctypes.addressof(vector), len(pins), (vector, pins)
    # The kernel's descriptor is unsigned: -1 becomes one that is never open, and is refused with EBADF.
    block = Iocb(serial, 0, 0, command, 0, fd, address, nbytes, offset)
    if eventfd is not None:
        block.aio_flags, block.aio_resfd = FLAG_RESFD, eventfd
    return block, kept


def _pinned(buffer, filled: bool) -> Pinned:
    try:
        return Pinned(buffer, writable=filled)
    except (BufferError, TypeError) as error:
        raise ValueError(f"buffer must be contiguous bytes{', writable' * filled}: {error}") from None
