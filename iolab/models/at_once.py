"""The calls of a nonblocking descriptor that either happen now or not at all, with errors as numbers.

    written(operation)      ── write ──> 1,000, or -EPIPE, or None: not yet, its buffer in the kernel is full
    accepted(operation)     ── accept4, accept4, accept4: EAGAIN ──> [8, 9], 0

Two facts that surprise:
* A write that happens now needs no asynchronous interface: the kernel takes the bytes over, and sends them later by
  itself. Only when it has no room left is there anything to wait for.
* One "readable" of a listening socket may stand for a hundred connections. Who accepts one and asks again pays for
  the question a hundred times.

write(2), send(2), accept4(2).
"""

import os
import stat

from iolab.calls import CallNamer
from iolab.models.borrowed import accepted_from, borrowed_socket
from iolab.models.completion import SEND, Operation

MOST_ACCEPTS = 64  # in one go: others wait, too


def on_a_device(fd: int) -> bool:
    """Whether a read of it waits for a disk at most, whatever O_NONBLOCK says. OSError as the kernel says."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        os.read(fd, 1)  # raises EISDIR, where an asynchronous interface has less to say
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)


def written(operation: Operation, call: CallNamer) -> int | None:
    """One write(2), or send(2); a count, -errno, or None for "not yet"."""
    fd, data = operation.fd, operation.buffer
    try:
        if operation.kind == SEND:
            with borrowed_socket(fd) as sock, call("sendto", fd):
                return sock.send(data)
        with call("write", fd):
            return os.write(fd, data)
    except BlockingIOError:
        return None
    except OSError as error:
        return -error.errno


def is_crowded(fd: int) -> bool:
    """Whether the lower half of this process's descriptors is taken, by the number that it was given just now.

    Then one connection at a time, for whoever needs a second descriptor for each: it may need it first. getrlimit(2)
    """
    return 0 <= os.sysconf("SC_OPEN_MAX") // 2 <= fd  # -1: no limit


def accepted(operation: Operation, call: CallNamer, need_more: bool = False) -> tuple[list[int], int]:
    """The descriptors of the connections that wait, and 0, or the -errno that ended it. `need_more`: see is_crowded."""
    found = []
    try:
        with borrowed_socket(operation.fd) as listener:
            while len(found) < MOST_ACCEPTS and not (need_more and found and is_crowded(found[-1])):
                with call("accept4", operation.fd):
                    found.append(accepted_from(listener))
    except BlockingIOError:
        pass
    except OSError as error:
        return found, -error.errno
    return found, 0
