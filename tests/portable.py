"""The module `os` for tests that run on Windows, too, and what is open there.

On Windows a socket's number is no descriptor: os.read, os.write, os.close know files alone. The `os` of here takes
both there, and is the real one everywhere else. The package never sees it.
"""

import os as _os
import signal
import socket

import pytest

WINDOWS = _os.name == "nt"
needs_pipes = pytest.mark.skipif(WINDOWS, reason="a pipe of os.pipe() knows no overlapped I/O on Windows")
needs_alarm = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no setitimer: Windows has no such signals")
needs_fork = pytest.mark.skipif(not hasattr(_os, "fork"), reason="no fork on Windows")
needs_limits = pytest.mark.skipif(WINDOWS, reason="no RLIMIT_NOFILE on Windows")
MOST_NUMBERS, MOST_FILES = 4096, 128  # looked at: handles are small multiples of 4


def is_socket(number: int) -> bool:
    try:
        socket.socket(fileno=number).detach()
    except OSError:
        return False
    return True


def open_numbers() -> set[str]:
    """The sockets and the files of this process, on Windows; there nobody lists them, so each number is tried."""
    found = {f"{number} -> socket" for number in range(4, MOST_NUMBERS, 4) if is_socket(number)}
    for number in range(MOST_FILES):
        try:
            _os.fstat(number)
            found.add(f"{number} -> file")
        except OSError:
            continue
    return found


class _Borrowed:
    """A socket by its number, which stays open."""

    def __init__(self, number: int) -> None:
        self._socket = socket.socket(fileno=number)

    def __enter__(self) -> socket.socket:
        return self._socket

    def __exit__(self, *_) -> None:
        self._socket.detach()


class _OfSocketsToo:
    """`os`, and its functions of descriptors for sockets as well."""

    def __init__(self) -> None:
        self._blocking: dict[int, bool] = {}  # Windows cannot be asked

    def __getattr__(self, name: str):
        return getattr(_os, name)

    def read(self, fd: int, nbytes: int) -> bytes:
        if not is_socket(fd):
            return _os.read(fd, nbytes)
        with _Borrowed(fd) as sock:
            return sock.recv(nbytes)

    def write(self, fd: int, data) -> int:
        if not is_socket(fd):
            return _os.write(fd, data)
        with _Borrowed(fd) as sock:
            sock.sendall(data)
            return len(data)

    def close(self, fd: int) -> None:
        self._blocking.pop(fd, None)
        (socket.close if is_socket(fd) else _os.close)(fd)

    def dup(self, fd: int) -> int:
        return socket.dup(fd) if is_socket(fd) else _os.dup(fd)

    def fdopen(self, fd: int, mode: str = "r"):
        if not is_socket(fd):
            return _os.fdopen(fd, mode)
        with socket.socket(fileno=fd) as sock:  # which the file holds open
            return sock.makefile(mode)

    def get_inheritable(self, fd: int) -> bool:
        if not is_socket(fd):
            return _os.get_inheritable(fd)
        with _Borrowed(fd) as sock:
            return sock.get_inheritable()

    def get_blocking(self, fd: int) -> bool:
        return self._blocking.get(fd, True)

    def set_blocking(self, fd: int, blocking: bool) -> None:
        with _Borrowed(fd) as sock:
            sock.setblocking(blocking)
        self._blocking[fd] = blocking


os = _OfSocketsToo() if WINDOWS else _os
