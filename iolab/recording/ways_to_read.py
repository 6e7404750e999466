"""One read of many bytes, in each of the ways in which somebody may carry it out: for recording.who_copies.

    with way.opened() as read:   a ring, its threads: prepared, and not what is looked at
        read(fd, buffer, mark)   ── submits ── mark("submitting") ── spins ── mark("in its own code") ── ...

Two facts that surprise:
* With default flags a program that only spins on the completion queue, in its own memory, without any system call,
  is interrupted, and copies. It finds its data "already there".
* A stream does not bring 16 MiB at once, and each piece wakes somebody up. A low-water mark (SO_RCVLOWAT) makes the
  pieces large: up to half of the largest receive buffer.

`mark` says what the application's thread has been at since the mark before.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from iolab.kernel import io_uring_layout as layout
from iolab.kernel import posix_aio
from iolab.kernel.io_uring import Ring, unavailable
from iolab.kernel.io_uring_operations import MSG_WAITALL, read, recv
from iolab.kernel.io_uring_sqe import by_worker
from iolab.kernel.posix_aio_block import ControlBlock

LIMIT_S = 30
SOCKET, HIT, MISS, DIRECT = "socket", "file, in the page cache", "file, not in the page cache", "file, O_DIRECT"
Mark = Callable[[str], None]
Read = Callable[[int, memoryview, Mark], None]


class Way(NamedTuple):
    """`opened()` gives read(fd, buffer, mark), which fills the buffer. OSError as the kernel says."""

    name: str
    source: str
    opened: Callable[[], AbstractContextManager[Read]]
    unavailable: Callable[[], str | None]


def _filled(read_piece: Callable[[int], int], nbytes: int) -> None:
    """read_piece(from) until all has come. RuntimeError when the end comes first, OSError for a result below zero."""
    filled = 0
    while filled < nbytes:
        result = read_piece(filled)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        if result == 0:
            raise RuntimeError(f"the end came after {filled:,} of {nbytes:,} bytes")
        filled += result


@contextmanager
def _in_ring(source: str, required: int = 0, worker: bool = False, spin: bool = False) -> Iterator[Read]:
    ring = Ring(8, required=required, sq_thread_idle_ms=1)

    def fill(fd: int, buffer: memoryview, mark: Mark) -> None:
        def read_piece(filled: int) -> int:
            rest = buffer[filled:]
            sqe = recv(fd, rest, MSG_WAITALL) if source == SOCKET else read(fd, rest, filled)
            ring.put(by_worker(sqe) if worker else sqe)
            ring.submit()
            mark("inside io_uring_enter, submitting")
            if spin:
                _spin(ring)
                mark("in its own code, interrupted")
            (cqe,) = ring.wait(1)
            mark("inside io_uring_enter, waiting")
            return cqe.res

        _filled(read_piece, len(buffer))

    try:
        yield fill
    finally:
        ring.close()


def _spin(ring: Ring) -> None:
    """Look at the completion queue until something is there: no system call, the clock is in this process, too."""
    deadline = time.monotonic() + LIMIT_S
    while not ring.queues.ready:
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing was completed within {LIMIT_S} s")


@contextmanager
def _by_recv() -> Iterator[Read]:
    def fill(fd: int, buffer: memoryview, mark: Mark) -> None:
        sock = socket.socket(fileno=fd)
        try:
            _filled(lambda filled: sock.recv_into(buffer[filled:], 0, MSG_WAITALL), len(buffer))
        finally:
            sock.detach()
        mark("inside recv")

    yield fill


@contextmanager
def _by_posix_aio() -> Iterator[Read]:
    def fill(fd: int, buffer: memoryview, mark: Mark) -> None:
        def read_piece(filled: int) -> int:
            block = ControlBlock(fd, buffer[filled:])
            posix_aio.aio_read(block)
            mark("inside aio_read")
            posix_aio.aio_suspend([block])
            mark("inside aio_suspend")
            return posix_aio.aio_return(block)

        _filled(read_piece, len(buffer))

    yield fill


def _ring(name: str, source: str = SOCKET, **options) -> Way:
    return Way(f"io_uring, {name}", source, lambda: _in_ring(source, **options), unavailable)


DEFERRED = layout.SETUP_SINGLE_ISSUER | layout.SETUP_DEFER_TASKRUN
WAYS = (
    Way("recv", SOCKET, _by_recv, lambda: None),
    Way("POSIX AIO", SOCKET, _by_posix_aio, posix_aio.unavailable),
    _ring("default flags, asleep"),
    _ring("default flags, spinning", spin=True),
    _ring("DEFER_TASKRUN", required=DEFERRED),
    _ring("IOSQE_ASYNC", worker=True),
    _ring("SQPOLL", required=layout.SETUP_SQPOLL),
    _ring("default flags", HIT),
    _ring("default flags", MISS),
    _ring("default flags", DIRECT),
)
