"""A way in which somebody may carry one read of many bytes out, and where the bytes may come from.

    with way.opened() as read:   a ring, its threads: prepared, and not what is looked at
        read(fd, buffer, mark)   ── submits ── mark("submitting") ── spins ── mark("in its own code") ── ...

Two facts that surprise:
* A stream does not bring 16 MiB at once, and each piece wakes somebody up. A low-water mark (SO_RCVLOWAT) makes the
  pieces large: up to half of the largest receive buffer.
* A read may always return less than it was asked for: whoever wants all of it asks again, for the rest.

`mark` says what the application's thread has been at since the mark before.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

SOCKET, HIT, MISS, DIRECT = "socket", "file, in the page cache", "file, not in the page cache", "file, O_DIRECT"
Mark = Callable[[str], None]
Read = Callable[[int, memoryview, Mark], None]


class Way(NamedTuple):
    """`opened()` gives read(fd, buffer, mark), which fills the buffer. OSError as the kernel says."""

    name: str
    source: str
    opened: Callable[[], AbstractContextManager[Read]]
    unavailable: Callable[[], str | None]


def filled(read_piece: Callable[[int], int], nbytes: int) -> None:
    """read_piece(from) until all has come. RuntimeError when the end comes first, OSError for a result below zero."""
    done = 0
    while done < nbytes:
        result = read_piece(done)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        if result == 0:
            raise RuntimeError(f"the end came after {done:,} of {nbytes:,} bytes")
        done += result
