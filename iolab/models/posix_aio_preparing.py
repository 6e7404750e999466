"""What POSIX AIO needs before the first request: threads enough, and a descriptor that blocks.

    O_NONBLOCK ── first operation: cleared ── operations in flight ── last one over: set again ──

Two facts that surprise:
* A helper thread is an ordinary reader: with O_NONBLOCK its read(2) returns EAGAIN at once, and the request is over.
* glibc reads aio_init(3) once, before the first request of the process: whoever comes later has twenty threads.

aio_init(3), fcntl(2).
"""

import os
from contextlib import suppress

from iolab.kernel.posix_aio import aio_init

MOST_THREADS = 1024  # one for each descriptor that is silent; they are started when needed, and end when idle


def provide_threads() -> None:
    """Room for MOST_THREADS helpers; without effect once this process has made a request, or where there is no limit.

    With twenty, twenty silent reads keep all that is begun after them waiting; a wake-up needs none of them.
    """
    with suppress(OSError):  # ENOSYS: musl, a thread for each request
        aio_init(threads=MOST_THREADS)


class Flags:
    """O_NONBLOCK as operations need it, counted by descriptor, and put back after the last one."""

    def __init__(self) -> None:
        self._held: dict[int, list] = {}  # descriptor: how many hold it, how it was before

    def hold(self, fd: int, blocking: bool) -> None:
        """From now on `fd` is so. OSError if it is not open."""
        if fd not in self._held:
            self._held[fd] = [0, os.get_blocking(fd)]
            os.set_blocking(fd, blocking)
        self._held[fd][0] += 1

    def release(self, fd: int) -> None:
        """One operation less; after the last one `fd` is as it was."""
        if fd in self._held:
            self._held[fd][0] -= 1
            if self._held[fd][0] <= 0:
                before = self._held.pop(fd)[1]
                with suppress(OSError):  # closed meanwhile by its owner
                    os.set_blocking(fd, before)

    def close(self) -> None:
        """All are as they were."""
        for fd in list(self._held):
            self._held[fd][0] = 1
            self.release(fd)
