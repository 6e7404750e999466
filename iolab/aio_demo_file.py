"""The demo's file: created exclusively, written to the device, removed whatever happens.

    open(O_CREAT | O_EXCL) ── the demo ──┬── over ─────────┐
                                         └── Ctrl-C ───────┴── close, unlink

Two facts that surprise:
* Ctrl-C may come when the file is there and its descriptor is not yet in any variable: so whether the file is this
  program's is known before, not from the descriptor.
* O_DSYNC makes each write(2) wait for the device; without it a write ends when the bytes are in memory. open(2)
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def new_file(path: str) -> Iterator[int]:
    """A descriptor for reading and writing; FileExistsError if something is there, which is left alone."""
    ours, fd = not os.path.lexists(path), None
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC, 0o600)
        yield fd
    except FileExistsError:
        ours = ours and fd is not None  # somebody was faster
        raise
    finally:
        if fd is not None:
            os.close(fd)
        if ours:
            with suppress(FileNotFoundError):
                os.unlink(path)
