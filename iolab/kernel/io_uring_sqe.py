"""One submission queue entry: 64 bytes that say what is to be done, with what, and what follows it.

    send ── linked ──> shutdown ── linked ──> close      each starts when the one before has succeeded
    read by_worker ──> iou-wrk-PID reads                 whatever else is going on

Two facts that surprise:
* The numbers of an SQE are taken over when it is submitted, and so is a time-out that it points to. A buffer is not:
  it stays the kernel's until the last CQE.
* A chain breaks at a short transfer too: a read of 100 bytes that brings 50 has not succeeded as far as its link goes.
  A recv that brings 50 has, and so has a send: they are short only for who asked for all, with MSG_WAITALL.

io_uring_enter(2).
"""

from typing import NamedTuple

from iolab.kernel import io_uring_layout as layout
from iolab.kernel.pinned import Pinned

CURRENT_POSITION = (1 << 64) - 1  # the offset -1
MOST = 0x7FFF_F000  # bytes that one read or write transfers, read(2) NOTES


_pack = layout.SQE.pack


class Sqe(NamedTuple):
    """One operation, not yet submitted; the fields of struct io_uring_sqe that are used here."""

    opcode: int
    fd: int = -1
    address: int = 0
    length: int = 0
    offset: int | None = 0  # None: the file's own position, and the only one a stream has
    flags: int = 0
    ioprio: int = 0
    op_flags: int = 0
    buf_group: int = 0
    pins: tuple[Pinned, ...] = ()

    def packed(self, user_data: int) -> bytes:
        """As the kernel reads it; struct.error for a number that has no room."""
        opcode, fd, address, length, offset, flags, ioprio, op_flags, buf_group, _ = self
        if offset is None:
            offset = CURRENT_POSITION
        if length > MOST:
            length = MOST
        return _pack(opcode, flags, ioprio, fd, offset, address, length, op_flags, user_data, buf_group, 0, 0, 0, 0)


def linked(sqe: Sqe) -> Sqe:
    """The next one put starts when this one has succeeded, in full; otherwise it ends with -ECANCELED.

    Of a recv or a send, "in full" is asked with MSG_WAITALL only.
    """
    return sqe._replace(flags=sqe.flags | layout.IOSQE_IO_LINK)


def by_worker(sqe: Sqe) -> Sqe:
    """IOSQE_ASYNC: the kernel does not try it here, one of the ring's worker threads carries it out."""
    return sqe._replace(flags=sqe.flags | layout.IOSQE_ASYNC)


def silent(sqe: Sqe) -> Sqe:
    """IOSQE_CQE_SKIP_SUCCESS: only a failure completes. So nobody learns when its buffer is free: it never is."""
    return sqe._replace(flags=sqe.flags | layout.IOSQE_CQE_SKIP_SUCCESS)
