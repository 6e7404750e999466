"""What can be asked of io_uring: each function describes one operation, as one SQE.

    read(fd, buffer)                ──> Sqe ──> Ring.put ──> 64 bytes in the SQ ──> ... ──> CQE: res = read's result
    linked(send(...)), close(fd)    ──> the second starts when the first has succeeded

Two facts that surprise:
* An operation is a system call that runs later: its result is what the call would have returned, errors as -errno.
  But where read(2) on a nonblocking socket says EAGAIN, the operation waits, as it was asked to complete.
* "Multishot" operations complete many times from one submission: accept for each connection, recv for each arrival.
  A CQE without CQE_F_MORE ends them, whatever the reason, and who wants more asks anew.

An Sqe holds what the kernel will read or write (`pins`), Ring keeps it until the last CQE. io_uring_enter(2).
"""

from iolab.kernel import io_uring_layout as layout
from iolab.kernel.io_uring_sqe import Sqe
from iolab.kernel.pinned import Pinned

SOCK_CLOEXEC, MSG_WAITALL, MSG_DONTWAIT = 0o2000000, 0x100, 0x40  # asm-generic/fcntl.h, linux/socket.h
POLLIN, POLLOUT = 1, 4


def nop() -> Sqe:
    return Sqe(layout.OP_NOP)  # completes with 0


def read(fd: int, buffer, offset: int | None = None) -> Sqe:
    """read(2), or pread(2) where an offset is given; `buffer` is writable and is filled as far as one call would."""
    pin = Pinned(buffer, writable=True)
    return Sqe(
        layout.OP_READ,
        fd,
        pin.address,
        pin.nbytes,
        offset,
        pins=(pin,),
    )


def write(fd: int, data, offset: int | None = None) -> Sqe:
    """write(2), or pwrite(2) where an offset is given."""
    pin = Pinned(data)
    return Sqe(
        layout.OP_WRITE,
        fd,
        pin.address,
        pin.nbytes,
        offset,
        pins=(pin,),
    )


def recv(fd: int, buffer, msg_flags: int = 0) -> Sqe:
    """recv(2). With MSG_WAITALL the kernel goes on until the buffer is full or the stream ends."""
    pin = Pinned(buffer, writable=True)
    return Sqe(layout.OP_RECV, fd, pin.address, pin.nbytes, op_flags=msg_flags, pins=(pin,))


def recv_multishot(fd: int, buf_group: int) -> Sqe:
    """A CQE for each arrival, in a buffer that the kernel takes from the ring `buf_group` (CQE_F_BUFFER).

    ENOBUFS ends it when the ring is empty: the data stays in the socket. 0 without a buffer is the stream's end.
    """
    flags = layout.IOSQE_BUFFER_SELECT
    return Sqe(layout.OP_RECV, fd, flags=flags, ioprio=layout.RECV_MULTISHOT, buf_group=buf_group)


def read_selected(fd: int, buf_group: int, nbytes: int) -> Sqe:
    """read(2) of at most `nbytes` into a buffer that the kernel takes from the ring `buf_group`; once."""
    flags = layout.IOSQE_BUFFER_SELECT
    return Sqe(layout.OP_READ, fd, length=nbytes, offset=None, flags=flags, buf_group=buf_group)


def send(fd: int, data, msg_flags: int = MSG_WAITALL) -> Sqe:
    """send(2). With MSG_WAITALL the kernel goes on until all is sent; without, a full socket makes it short."""
    pin = Pinned(data)
    return Sqe(layout.OP_SEND, fd, pin.address, pin.nbytes, op_flags=msg_flags, pins=(pin,))


def send_at(fd: int, address: int, nbytes: int) -> Sqe:
    """The same from an address where the bytes stay by themselves (Outbox)."""
    return Sqe(layout.OP_SEND, fd, address, nbytes, 0, 0, 0, MSG_WAITALL)


def accept(fd: int, flags: int = SOCK_CLOEXEC) -> Sqe:
    """accept4(2) without the peer's address; completes with the new descriptor."""
    return Sqe(layout.OP_ACCEPT, fd, op_flags=flags)


def accept_multishot(fd: int, flags: int = SOCK_CLOEXEC) -> Sqe:
    """A CQE with a new descriptor for each connection; EMFILE or a full CQ ends it, and loses none."""
    return Sqe(layout.OP_ACCEPT, fd, ioprio=layout.ACCEPT_MULTISHOT, op_flags=flags)


def poll_add(fd: int, events: int, multishot: bool = False) -> Sqe:
    """poll(2) for one descriptor; completes with the events that are there."""
    return Sqe(layout.OP_POLL_ADD, fd, length=layout.POLL_ADD_MULTI if multishot else 0, op_flags=events)


def timeout(seconds: float, count: int = 0, opcode: int = layout.OP_TIMEOUT) -> Sqe:
    """Completes with -ETIME after `seconds`; with 0 as soon as `count` other operations have completed."""
    if seconds < 0:
        raise ValueError(f"seconds must be at least 0, not {seconds!r}")
    pin = Pinned(layout.TIMESPEC.pack(int(seconds), int(seconds % 1 * 1e9)))
    return Sqe(opcode, address=pin.address, length=1, offset=count, pins=(pin,))


def link_timeout(seconds: float) -> Sqe:
    """To follow a linked operation, which it cancels after `seconds`; completes with -ETIME, else -ECANCELED."""
    return timeout(seconds, opcode=layout.OP_LINK_TIMEOUT)


def cancel(user_data: int) -> Sqe:
    """End that operation: 0; -ENOENT where none is found (over, or with a device), -EALREADY where a worker has it."""
    return Sqe(layout.OP_ASYNC_CANCEL, address=user_data)


def cancel_all(fd: int | None = None) -> Sqe:
    """End every operation of the ring, or all on one descriptor; completes with their number."""
    key = layout.ASYNC_CANCEL_ANY if fd is None else layout.ASYNC_CANCEL_FD
    return Sqe(layout.OP_ASYNC_CANCEL, -1 if fd is None else fd, op_flags=key | layout.ASYNC_CANCEL_ALL)


def close(fd: int) -> Sqe:
    """close(2). What is in flight on that descriptor is neither ended nor told."""
    return Sqe(layout.OP_CLOSE, fd)


def shutdown(fd: int, how: int) -> Sqe:
    return Sqe(layout.OP_SHUTDOWN, fd, length=how)
