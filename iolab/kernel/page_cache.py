"""Which pages of a file lie in memory: mincore(2), through a mapping that touches none of them.

    file       ▓▓▓▓▓▓▓▓░░░░░░░░░░░░      read(2) of the first half: copied from memory
    mincore    1 1 1 1 0 0 0 0 0 0       of the second half: first fetched from the device, the thread asleep meanwhile

Two facts that surprise:
* A file that was just written lies in memory whole: write(2) copies into the page cache, and the device gets the
  bytes later. So a read right after a write measures memory, not the device.
* Mapping a file reads nothing. Only touching a page does (a page fault); mincore looks without touching.

The answer is old when it arrives: the kernel may drop or fetch pages at any time. mincore(2); Python has no name
for it. A file that is not the caller's own is reported as wholly in memory, so that nobody spies with it.
"""

import ctypes
import mmap
import os
from functools import cache


@cache
def _mincore():
    function = ctypes.CDLL(None, use_errno=True).mincore
    # A pointer and a size_t: without these, ctypes would pass them as 32-bit ints.
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    function.restype = ctypes.c_int
    return function


def resident_pages(fd: int, nbytes: int) -> int:
    """How many pages of the first `nbytes` of the regular file `fd` are in the page cache; pages(nbytes) at most.

    ValueError when nbytes is not from 1 to the file's size; OSError as the kernel says.
    """
    size = os.fstat(fd).st_size
    if not 1 <= nbytes <= size:
        raise ValueError(f"nbytes must be from 1 to the file's {size:,} bytes, not {nbytes!r}")
    # Private, so that a descriptor open for reading alone suffices; nothing is ever written here.
    with mmap.mmap(fd, nbytes, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapping:
        present = (ctypes.c_ubyte * pages(nbytes))()
        first = ctypes.c_char.from_buffer(mapping)
        try:
            failed = _mincore()(ctypes.addressof(first), nbytes, present)
            number = ctypes.get_errno()
        finally:
            del first  # a mapping that is still pointed to cannot be closed
    if failed:
        raise OSError(number, os.strerror(number), "mincore")
    return sum(byte & 1 for byte in present)  # the other bits are reserved


def pages(nbytes: int) -> int:
    """How many pages `nbytes` bytes take; a page is 4 KiB on x86-64, up to 64 KiB on arm64."""
    return -(-nbytes // mmap.PAGESIZE)


def unavailable() -> str | None:
    """Why this system cannot say; None when it can."""
    try:
        _mincore()
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no library called None
        return "the C library has no mincore"
    return None
