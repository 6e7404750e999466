"""A buffer in memory that another process may watch: what the kernel copies into it, that one sees at the same moment.

    reader     read(fd, buffer) ──> kernel copies ──> ┐
                                                      ├ the same pages of memory
    witness    looks at the first byte, the last byte ┘

Two facts that surprise:
* memfd_create(2) makes a file that has no name and lives in memory. Its descriptor is all that the other process
  needs, and the last one who closes it frees the pages.
* mmap(2) only promises pages; the first write to each brings it in. A copy into pages that are not there yet would
  measure page faults. So the buffer is filled beforehand, with a byte that nobody ever sends.
"""

import mmap
import os

NEVER_SENT = 0xFF


class SharedBuffer(mmap.mmap):
    """`nbytes` writable bytes, all of them NEVER_SENT; slices are bytes. A context manager: to be closed by its owner.

    It is a mapping itself, not an object that has one: only so it is a buffer to readv(2) and to memoryview, and
    while one of these holds it, close() is refused (BufferError). `fd` is -1 where the system has no memfd_create.
    OSError as the kernel says.
    """

    fd: int

    def __new__(cls, nbytes: int) -> "SharedBuffer":
        if nbytes < 1:
            raise ValueError(f"nbytes must be at least 1, not {nbytes!r}")
        fd = os.memfd_create("iolab-buffer") if hasattr(os, "memfd_create") else -1
        try:
            if fd >= 0:
                os.ftruncate(fd, nbytes)
            self = super().__new__(cls, fd, nbytes)  # MAP_SHARED
        except BaseException:
            if fd >= 0:
                os.close(fd)
            raise
        self.fd = fd
        self[:] = bytes([NEVER_SENT]) * nbytes
        return self

    def count(self, byte: bytes) -> int:
        """How often `byte` is in it, as bytearray.count."""
        return self[:].count(byte)

    def close(self) -> None:
        """Give the memory back; again is harmless. BufferError while somebody holds a view of it."""
        super().close()
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __exit__(self, kind, error, traceback) -> None:
        self.close()  # mmap's own would not come by here
