"""One read of many bytes through io_uring, in each of the manners in which it can be carried out.

    default flags      the application's thread, asleep in io_uring_enter, or interrupted in its own code
    DEFER_TASKRUN      the application's thread, and only inside io_uring_enter
    IOSQE_ASYNC        a worker of the kernel, iou-wrk-PID
    SQPOLL             the kernel's thread that also watches the submission queue, iou-sqp-PID

Two facts that surprise:
* With default flags a program that only spins on the completion queue, in its own memory, without any system call,
  is interrupted, and copies. It finds its data "already there".
* Of a file that is in the page cache the copy is made before the submission returns.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from iolab.kernel import io_uring_layout as layout
from iolab.kernel.io_uring import Ring, unavailable
from iolab.kernel.io_uring_operations import MSG_WAITALL, read, recv
from iolab.kernel.io_uring_sqe import by_worker
from iolab.recording.way_to_read import DIRECT, HIT, MISS, SOCKET, Mark, Read, Way, filled

LIMIT_S = 30
DEFERRED = layout.SETUP_SINGLE_ISSUER | layout.SETUP_DEFER_TASKRUN


@contextmanager
def _in_ring(source: str, required: int = 0, worker: bool = False, spin: bool = False) -> Iterator[Read]:
    ring = Ring(8, required=required, sq_thread_idle_ms=1)

    def fill(fd: int, buffer: memoryview, mark: Mark) -> None:
        def read_piece(done: int) -> int:
            rest = buffer[done:]
            sqe = recv(fd, rest, MSG_WAITALL) if source == SOCKET else read(fd, rest, done)
            ring.put(by_worker(sqe) if worker else sqe)
            ring.submit()
            mark("inside io_uring_enter, submitting")
            if spin:
                _spin(ring)
                mark("in its own code, interrupted")
            (cqe,) = ring.wait(1)
            mark("inside io_uring_enter, waiting")
            return cqe.res

        filled(read_piece, len(buffer))

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


def _ring(name: str, source: str = SOCKET, **options) -> Way:
    return Way(f"io_uring, {name}", source, lambda: _in_ring(source, **options), unavailable)


RING_WAYS = (
    _ring("default flags, asleep"),
    _ring("default flags, spinning", spin=True),
    _ring("DEFER_TASKRUN", required=DEFERRED),
    _ring("IOSQE_ASYNC", worker=True),
    _ring("SQPOLL", required=layout.SETUP_SQPOLL),
    _ring("default flags", HIT),
    _ring("default flags", MISS),
    _ring("default flags", DIRECT),
)
