"""The mechanisms that a proactor can stand on, each made large enough for a server, and how many clients it bears.

    io-uring     one receive for each client, in the kernel; no thread, no buffer before there are bytes
    linux-aio    one POLL for each client, out of fs.aio-max-nr for the whole machine; this thread reads the bytes itself
    posix-aio    one thread of the C library for each client that is silent, and one more for each that does not read
    threads      the same, with threads of our own
    iocp         one receive for each client, in Windows' kernel; no thread, and 16 KiB that wait with it

Two facts that surprise:
* A pool of threads that is too small does not make a proactor slow, it makes it stand still: twenty silent clients have
  the twenty threads, and the twenty-first cannot even be answered, since a send needs a thread, too.
* By the lecture's question, who fetches the bytes, the two with threads fetch them for the server; with Linux' own two
  its thread copies, inside its wait or its io_submit. The server cannot tell: that is what the interface is for.
"""

from collections.abc import Callable
from typing import NamedTuple

from iolab.models import asynchronous_io_uring as io_uring
from iolab.models import asynchronous_iocp as iocp
from iolab.models import asynchronous_linux_aio as linux_aio
from iolab.models import asynchronous_posix_aio as posix_aio
from iolab.models import asynchronous_threads as threads
from iolab.servers.http_server import REFUSED_AT_ONCE
from iolab.servers.server_limits import USUAL, ServerLimits

BEYOND = REFUSED_AT_ONCE + 2  # clients that are told 503; the listener, and the wake-up
FEW = ServerLimits(connections=640)  # of 1,000 threads: the others are for sends, and for clients that do not read
SOME = ServerLimits(connections=1024)
RING, POOL = {"entries": 256, "cq_entries": 8192}, (256, 1 << 13)


class BackEnd(NamedTuple):
    """`new(limits)` makes the processor; `unavailable()` says why it cannot; `limits` is what it bears."""

    new: Callable
    unavailable: Callable[[], str | None]
    limits: ServerLimits


def _io_uring(limits: ServerLimits):
    return io_uring.IoUringProcessor(manner=io_uring.DEFER_TASKRUN, **RING, pool=POOL)


def _no_io_uring() -> str | None:
    return io_uring.unavailable(io_uring.DEFERRED)  # in whose manner it is used


def _linux_aio(limits: ServerLimits):
    return linux_aio.LinuxAioProcessor(entries=2 * (limits.connections + BEYOND))


def _posix_aio(limits: ServerLimits):
    return posix_aio.PosixAioProcessor()  # glibc's limit is set once for the process, to 1,024


def _threads(limits: ServerLimits):
    return threads.ThreadsProcessor(most_threads=min(1000, 2 * (limits.connections + BEYOND)))


def _iocp(limits: ServerLimits):
    return iocp.IocpProcessor()


PROCESSORS = {
    "io-uring": BackEnd(_io_uring, _no_io_uring, USUAL),
    "linux-aio": BackEnd(_linux_aio, linux_aio.unavailable, SOME),
    "posix-aio": BackEnd(_posix_aio, posix_aio.unavailable, FEW),
    "threads": BackEnd(_threads, threads.unavailable, FEW),
    "iocp": BackEnd(_iocp, iocp.unavailable, USUAL),
}
