"""The family of readiness: the kernel tells *that* something can be read, and the thread reads it itself.

    watch(fd) ──> wait() ┐                     ┌─ [fd, ...] ──> read() ┐        ┌─ returns n
    kernel               └─ waits for data ────┘                       └ copies ┘

Two facts that surprise:
* "Ready" is a statement about a moment that is over. Somebody else may have read the data since, or a checksum
  may have failed: the read can still have to wait (select(2), BUGS). So descriptors are nonblocking here.
* A wait is one call for any number of descriptors, and it copies not one byte of their data.

Demultiplexer is POSA2's Synchronous Event Demultiplexer. select, poll and epoll are three of them, and
`read_when_ready` is the same loop over each: what differs between the models is in their own files.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from iolab.calls import CallNamer, unrecorded
from iolab.models.reads import Work, prepared

READ = 1  # events, as poll(2) has them: POLLIN
WRITE = 4  # POLLOUT


class Demultiplexer(Protocol):
    """Waits for events on many descriptors at once. `call` names the system calls that it makes."""

    def watch(self, fd: int, events: int) -> None:
        """From now on `wait` reports these events, READ or WRITE or both, of `fd`; again to change them."""

    def forget(self, fd: int) -> None:
        """No longer."""

    def wait(self, timeout: float | None = None) -> list[tuple[int, int]]:
        """Sleep until something is ready or `timeout` seconds are over; pairs (fd, events), [] on time-out.

        None waits for ever, 0 not at all. An error or a hang-up makes a watched descriptor ready: the call will tell.
        """

    def close(self) -> None:
        """Give back what the kernel lent."""


@contextmanager
def nonblocking(fds: list[int]) -> Iterator[None]:
    """O_NONBLOCK for the body of the with statement; afterwards each descriptor is as it was."""
    blocking = [fd for fd in fds if os.get_blocking(fd)]
    try:
        for fd in blocking:
            os.set_blocking(fd, False)
        yield
    finally:
        for fd in blocking:
            os.set_blocking(fd, True)


def read_until_refused(fd: int, buffer: memoryview, call: CallNamer) -> tuple[int, bool]:
    """Read what is there now: how many bytes, and whether this stream is at its end."""
    filled = 0
    while filled < len(buffer):
        try:
            with call("read", fd):
                nbytes = call.returned(os.readv(fd, [buffer[filled:]]))
        except BlockingIOError:  # EAGAIN: nothing more at this moment
            return filled, False
        if nbytes == 0:
            return filled, True
        filled += nbytes
    return filled, False


def read_when_ready(
    demultiplexer: Demultiplexer, reads, call: CallNamer = unrecorded, work: Work | None = None
) -> list[int]:
    """Fill each (fd, buffer) of `reads` in the order in which data arrives; closes the demultiplexer.

    A thread that has other `work` does not sleep: it asks without waiting between two slices, as an event loop
    with ready callbacks does.
    """
    reads = prepared(reads)
    pending, counts = dict(reads), {fd: 0 for fd, _ in reads}
    try:
        with nonblocking(list(pending)):
            for fd in pending:
                demultiplexer.watch(fd, READ)
            while pending:
                ready = demultiplexer.wait(None if work is None else 0)
                if not ready and work is not None:
                    work()
                for fd, _ in ready:
                    nbytes, ended = read_until_refused(fd, pending[fd][counts[fd] :], call)
                    counts[fd] += nbytes
                    if ended or counts[fd] == len(pending[fd]):
                        demultiplexer.forget(fd)
                        del pending[fd]
    finally:
        demultiplexer.close()
    return [counts[fd] for fd, _ in reads]
