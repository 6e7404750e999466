"""Blocking I/O: one call, and the thread sleeps in it until data is there.

    application ── read() ┐                              ┌─ returns n ──>
    kernel                └── waits for data ── copies ──┘

Two facts that surprise:
* The thread costs nothing while it waits: the kernel takes it off the CPU and counts one voluntary switch.
* "Blocking" means "until there is something", not "until all is there": a read of 1 MiB returns with the first
  piece that comes, unless the socket's low-water mark (SO_RCVLOWAT) asks for more.

Therefore a loop, even here; and therefore several descriptors one after the other: whoever stands at the first
counter cannot look at the second (head-of-line blocking). `work` is never called: a sleeping thread has no time.

read(2), socket(7); UNP 6.2.
"""

import os

from iolab.calls import CallNamer, unrecorded
from iolab.models.reads import Work, prepared

NAME = "blocking"


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None) -> list[int]:
    """Fill each (fd, buffer) of `reads`, in their order, one after the other; the counts in the same order."""
    counts = []
    for fd, buffer in prepared(reads):
        filled = 0
        while filled < len(buffer):
            # readv(2) is read(2) into a buffer that already exists: the kernel copies once, to its final place.
            with call("read", fd):
                nbytes = call.returned(os.readv(fd, [buffer[filled:]]))
            if nbytes == 0:  # the peer has closed: end of the stream
                break
            filled += nbytes
        counts.append(filled)
    return counts


def unavailable() -> str | None:
    """None: every Unix has it. Elsewhere, why not."""
    return None if hasattr(os, "readv") else "this Python has no os.readv"
