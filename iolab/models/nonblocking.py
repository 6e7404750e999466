"""Nonblocking I/O: the call never waits; "not yet" comes back at once, and the thread asks again.

    application ── read() ─ EAGAIN ── read() ─ EAGAIN ── ... ── read() ┐        ┌─ returns n ──>
    kernel           nothing yet        nothing yet                    └ copies ┘

Two facts that surprise:
* Nonblocking is not asynchronous: the last read, the one that succeeds, copies in the calling thread like any
  other. Only the wait has changed hands.
* O_NONBLOCK belongs to the open file description, not to this program's number for it (fcntl(2)): whoever shares
  it, a parent or a child, finds it changed. So it is put back here.

Asking without a pause burns a CPU to learn nothing; sleeping between two questions saves the CPU and pays with
latency, up to the whole pause. `pause_s` is that choice. `work` fills the time between two questions instead.

read(2), fcntl(2); UNP 6.2, 16.
"""

import os
import time

from iolab.calls import CallNamer, unrecorded
from iolab.models.readiness import nonblocking
from iolab.models.reads import Work, prepared

NAME = "nonblocking"


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None, pause_s: float = 0) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work, pause_s)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None, pause_s: float = 0) -> list[int]:
    """Fill each (fd, buffer) of `reads`, asking them in turn, round and round; the counts in the order given.

    `pause_s` is slept after each round that found something missing; 0 asks again at once.
    """
    if not 0 <= pause_s <= 60:
        raise ValueError(f"pause_s must be from 0 to 60 seconds, not {pause_s!r}")
    reads = prepared(reads)
    pending, counts = dict(reads), {fd: 0 for fd, _ in reads}
    with nonblocking(list(pending)):
        while pending:
            refused = 0
            for fd, buffer in list(pending.items()):
                try:
                    with call("read", fd):
                        nbytes = call.returned(os.readv(fd, [buffer[counts[fd] :]]))
                except BlockingIOError:  # EAGAIN: nothing has arrived yet
                    refused += 1
                    continue
                counts[fd] += nbytes
                if nbytes == 0 or counts[fd] == len(buffer):
                    del pending[fd]
            if refused and work is not None:
                work()
            if refused and pause_s:
                with call("clock_nanosleep"):
                    time.sleep(pause_s)
    return [counts[fd] for fd, _ in reads]


def unavailable() -> str | None:
    """None: every Unix has it. Elsewhere, why not."""
    return None if hasattr(os, "readv") else "this Python has no os.readv"
