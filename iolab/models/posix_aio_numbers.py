"""The numbers under which POSIX AIO knows descriptors: one queue for each number, whatever it means by now.

    socket ── 7 ── aio_read ── waits for the peer ──────────┐ 7 closed, and given to a new socket:
           └─ 9 = dup(7) ── aio_write: a queue of its own   └ its first request waits behind the dead one

Two facts that surprise:
* "It makes no sense to start another thread" for a descriptor that is being worked on, says glibc; of a socket, which
  is read and written at once, that is not true. A duplicate has another number, and the same socket behind it.
* close(2) ends no request. A request that was abandoned haunts its number: who gets it next must use a duplicate, too.
  And a helper that was asked and has had no CPU yet reads, when it gets one, from whoever has the number by then.

dup(2), close(2), aio_cancel(3).
"""

import os
import time
from contextlib import suppress
from errno import EINPROGRESS

from iolab.kernel.libc import number_on_this_machine
from iolab.kernel.posix_aio import aio_error
from iolab.kernel.posix_aio_block import ControlBlock

_IN_CALL_S = 1.0  # how long a helper that was asked may take until it sleeps in its call
_abandoned: list[ControlBlock] = []


def haunted(fd: int) -> bool:
    """Whether a request that was abandoned, and is not over, stands before every new one on this number."""
    _abandoned[:] = [block for block in _abandoned if aio_error(block) == EINPROGRESS]
    return any(block.structure.aio_fildes == fd for block in _abandoned)


class Duplicate:
    """dup(2) of `fd`, under a number that is not haunted; closed with the last reference, or before."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd, refused = None, []
        try:
            while haunted(number := os.dup(fd)):
                refused.append(number)
            self.fd = number
        finally:
            for number in refused:
                os.close(number)

    def close(self) -> None:
        number, self.fd = self.fd, None
        if number is not None:
            os.close(number)

    __del__ = close


def new_note() -> Duplicate:
    """An eventfd(2), under a number that is not haunted: else the helper of a dead request would read what is written."""
    note = os.eventfd(0, os.EFD_CLOEXEC)
    try:
        return Duplicate(note)
    finally:
        os.close(note)


def abandon(block: ControlBlock) -> None:
    """Nobody waits for it any more; until it is over, its number is avoided.

    This waits until a helper is seen asleep in read(2) or write(2): then the number may be closed, and is if it is a
    duplicate's. One that has not got there in time keeps its duplicate as long as the request.
    """
    _abandoned.append(block)
    number, deadline = block.structure.aio_fildes, time.monotonic() + _IN_CALL_S
    while aio_error(block) == EINPROGRESS and time.monotonic() < deadline:
        asleep = _in_its_call(number)
        if asleep and block.keep:
            block.keep.close()
        if asleep is not False:
            return
        time.sleep(0.001)


def _in_its_call(fd: int) -> bool | None:
    """Whether a thread of this process sleeps in read(2) or write(2) of this number; None if /proc does not tell."""
    calls, told = {str(number_on_this_machine(*numbers)) for numbers in ((0, 63), (1, 64))}, None
    for thread_id in os.listdir("/proc/self/task"):
        with suppress(OSError), open(f"/proc/self/task/{thread_id}/syscall") as file:  # OSError: it has ended
            call, *arguments = file.read().split()
            told = False
            if call in calls and int(arguments[0], 16) == fd:
                return True
    return told
