"""Descriptors that stay somebody else's: O_NONBLOCK while operations are under way, a socket object for one call.

    borrow(7) ── O_NONBLOCK ── borrow(7) ── give_back(7) ── give_back(7): as before
                                            one is still there

Two facts that surprise:
* The flag belongs to the open file description, not to the number (fcntl(2)): whoever shares it, a child or the other
  end of a dup, finds it changed meanwhile.
* Put back too late it would hit a stranger: once a descriptor is closed, its number is given to the next one opened.
  So it is put back with the last operation's end, not when everything is.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# An object for a descriptor takes socket.setdefaulttimeout() over and sets O_NONBLOCK for it; not if its type says that
# it is so already (CPython, init_sockobject). Nothing else of the type counts here. Windows has no SOCK_NONBLOCK.
_AS_IT_IS = {"type": socket.SOCK_STREAM | socket.SOCK_NONBLOCK} if hasattr(socket, "SOCK_NONBLOCK") else {}


class Borrowed:
    """Counts, for each descriptor, who needs it to be nonblocking."""

    def __init__(self) -> None:
        self._users: dict[int, int] = {}
        self._blocking: set[int] = set()  # as they were

    def __contains__(self, fd: int) -> bool:
        return fd in self._users

    def borrow(self, fd: int) -> None:
        """OSError as the kernel says, and then nothing has changed."""
        if fd not in self._users and os.get_blocking(fd):
            os.set_blocking(fd, False)
            self._blocking.add(fd)
        self._users[fd] = self._users.get(fd, 0) + 1

    def give_back(self, fd: int) -> None:
        """One user fewer; nothing where nobody had borrowed it."""
        self._users[fd] = self._users.get(fd, 1) - 1
        if not self._users[fd]:
            del self._users[fd]
            if fd in self._blocking:
                self._blocking.remove(fd)
                with suppress(OSError):  # closed too early
                    os.set_blocking(fd, True)

    def give_all_back(self) -> None:
        """Whoever had it."""
        for fd in list(self._users):
            self._users[fd] = 1
            self.give_back(fd)


@contextmanager
def borrowed_socket(fd: int) -> Iterator[socket.socket]:
    """Python's object for a socket: it has no time-out, and changes no flag. OSError where it is none."""
    sock = socket.socket(fileno=fd, **_AS_IT_IS)
    try:
        yield sock
    finally:
        sock.detach()


def accepted_from(listener: socket.socket) -> int:
    """One accept4(2): the descriptor, which blocks whatever the default time-out is. OSError as the kernel says."""
    sock, _ = listener.accept()
    if sock.gettimeout() is not None:  # taken over, and O_NONBLOCK with it
        sock.setblocking(True)
    return sock.detach()
