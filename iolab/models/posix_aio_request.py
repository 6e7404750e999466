"""One operation as a request of POSIX AIO: which call, which descriptor, which buffer, and what follows its end.

    READ, RECEIVE ── aio_read(fd) ──┐ helper thread: pread(2), or read(2) where there are no positions
    WRITE, SEND ─── aio_write(dup) ─┘

Two facts that surprise:
* aio_read has an offset and no "where the file stands": the file's own position is neither used nor moved. Whoever
  wants what read(2) does asks for it before, and sets it behind the bytes afterwards.
* send(2) on a pipe is an error (ENOTSOCK), but a helper thread writes: so it is asked for here.

aio_read(3), aio_write(3), lseek(2).
"""

import errno
import os
import stat
from contextlib import suppress

from iolab.kernel.posix_aio import aio_read, aio_return, aio_write
from iolab.kernel.posix_aio_block import ControlBlock
from iolab.models.completion import READ, RECEIVE, SEND, Operation, position
from iolab.models.posix_aio_numbers import Duplicate, haunted

RECEIVED_AT_ONCE = 1 << 16


class Request:
    """The control block of an operation; `call` is the name of the function that begins it. OSError as the kernel says."""

    __slots__ = ("block", "call", "_fd", "_data", "_position")

    def __init__(self, operation: Operation) -> None:
        self._fd, buffer, duplicate = operation.fd, operation.buffer, None
        if operation.kind == SEND and not stat.S_ISSOCK(os.fstat(self._fd).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
        self._position = position(self._fd) if operation.offset is None else None
        offset = self._position if operation.offset is None else operation.offset
        self._data = None
        if operation.kind == RECEIVE:
            buffer = self._data = memoryview(bytearray(RECEIVED_AT_ONCE))
        self.call = "aio_read" if operation.kind in (READ, RECEIVE) else "aio_write"
        # A write must not wait behind a read of the same stream, nor anything behind a dead request.
        if (self.call == "aio_write" and offset is None) or haunted(self._fd):
            duplicate = Duplicate(self._fd)
        self.block = ControlBlock(duplicate.fd if duplicate else self._fd, buffer, offset or 0, keep=duplicate)

    def begin(self) -> None:
        """Hand it to the C library. OSError (EAGAIN) when that has no memory for it."""
        (aio_read if self.call == "aio_read" else aio_write)(self.block)

    def result(self) -> int:
        """The byte count, once it is over without an error; the file's own position is behind these bytes."""
        nbytes = aio_return(self.block)
        if self._position is not None:
            with suppress(OSError):  # closed meanwhile
                os.lseek(self._fd, self._position + nbytes, os.SEEK_SET)
        return nbytes

    def received(self, nbytes: int) -> memoryview | None:
        """What a receive brought, to be lent; None if it was no receive, or brought nothing."""
        return self._data[:nbytes] if self._data is not None and nbytes > 0 else None
