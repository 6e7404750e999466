"""ReadFile and WriteFile under a completion port, on a file that Python has opened for calls that wait.

    read(port, fd, buffer, 4096) ── ReOpenFile(FILE_FLAG_OVERLAPPED) ── ReadFile ── packet ── CloseHandle

Two facts that surprise:
* Whether a handle knows overlapped I/O is settled when it is opened. A socket of Python's does; a file of Python's
  does not. So a file is opened a second time, by its handle, and not by its name: somebody may have renamed it.
* That it has been opened so does not promise that the call returns before the bytes are there: what lies in the cache
  is copied within the call. The packet comes all the same.

A pipe of os.pipe() cannot be opened a second time, and is refused. learn.microsoft.com: ReOpenFile, ReadFile,
"Asynchronous Disk I/O Appears as Synchronous on Windows".
"""

import ctypes
import errno
import os

from iolab.kernel.iocp import Port
from iolab.kernel.iocp_abi import DWORD, FILE_TYPE_DISK, INVALID_HANDLE, MOST_NBYTES, failed, function
from iolab.kernel.iocp_request import Request
from iolab.kernel.pinned import Pinned

if os.name == "nt":
    import msvcrt
GENERIC_READ, GENERIC_WRITE, FILE_SHARE_ALL, FILE_FLAG_OVERLAPPED = 0x80000000, 0x40000000, 7, 0x40000000


class Reopened:
    """A second handle of an open file, for overlapped I/O. OSError as Windows says."""

    def __init__(self, original: int, access: int) -> None:
        self.handle = function("ReOpenFile")(original, access, FILE_SHARE_ALL, FILE_FLAG_OVERLAPPED)
        if self.handle in (None, INVALID_HANDLE):
            raise failed("ReOpenFile")

    def close(self) -> None:
        """Once its packet has come; again is harmless."""
        handle, self.handle = self.handle, None
        if handle is not None:
            function("CloseHandle")(handle)


def read(port: Port, fd: int, buffer, offset: int) -> Request:
    """ReadFile at `offset`; ERROR_HANDLE_EOF behind the end, from here or in the packet. OSError: nothing is started.

    When its packet has come, request.give_back() closes what was opened for it.
    """
    return _start(port, "ReadFile", fd, GENERIC_READ, Pinned(buffer, writable=True), offset)


def write(port: Port, fd: int, data, offset: int) -> Request:
    """WriteFile at `offset`."""
    return _start(port, "WriteFile", fd, GENERIC_WRITE, Pinned(data), offset)


def _start(port: Port, name: str, fd: int, access: int, pinned: Pinned, offset: int) -> Request:
    original = msvcrt.get_osfhandle(fd)
    if function("GetFileType")(original) != FILE_TYPE_DISK:
        raise OSError(errno.EINVAL, "neither a socket nor a file: it knows no overlapped I/O", name)
    # May `fd` do that at all? ReOpenFile would not ask: it opens with any access that the file itself grants.
    if not function(name)(original, None, 0, ctypes.addressof(DWORD()), None):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), name)  # as read(2) and write(2) say
    opened = Reopened(original, access)
    request = Request(name, opened.handle, (pinned,), opened, offset)
    try:
        port.associate(opened.handle, fd)
        port.start(request, _read_or_write)
    except BaseException:
        if request.address not in port.in_flight:  # else the kernel has it, and its packet comes
            request.give_back()
        raise
    return request


def _read_or_write(request: Request) -> bool:
    """Whether it has failed."""
    (pinned,) = request.kept
    nbytes = min(pinned.nbytes, MOST_NBYTES)
    return not function(request.name)(request.handle, pinned.address, nbytes, None, request.address)
