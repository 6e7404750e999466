"""Checks of the chapter on POSIX AIO: a learner's code on real requests that the C library's threads carry out.

check   socket pairs, files ──> learner's function: aio_read, sleep, aio_return
        how often was it asked, what lies in the file, which thread put what? <── returned, raised, or not back in time
"""

import errno
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack

from iolab.exercises import attempting
from iolab.exercises.attempting import TooLong, attempt, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.kernel import posix_aio
from iolab.kernel.posix_aio_block import ControlBlock, in_progress
from iolab.kernel.posix_aio_notification import wait_for_callbacks

MESSAGE, OFTEN = b"the book", 1000


def end_reads(ours, peers) -> None:
    """Whatever an answer has begun is over afterwards, while the descriptors' numbers are still theirs."""
    for peer in peers:
        peer.close()  # the end of the stream: read(2) returns 0
    numbers = {each.fileno() for each in ours}
    for block in in_progress():
        if block.structure.aio_fildes in numbers:
            posix_aio.aio_suspend([block])
    wait_for_callbacks()


class Counted:
    """The four calls on a request; the message comes while the thread sleeps in aio_suspend, and not before."""

    def __init__(self, peer: socket.socket) -> None:
        self.asked = self.slept = self.collected = 0
        self._peer, self._sent = peer, False

    def aio_error(self, block: ControlBlock) -> int:
        self.asked += 1
        if self.asked > OFTEN:
            raise TooLong("it asks in a loop")
        return posix_aio.aio_error(block)

    def aio_suspend(self, blocks, timeout_s: float | None = None) -> bool:
        self.slept += 1
        if self.slept == 1 and timeout_s is not None:
            return False  # the time is over, and nothing has come
        if not self._sent:
            self._sent = bool(self._peer.send(MESSAGE))
        return posix_aio.aio_suspend(blocks, attempting.LIMIT_S)

    def aio_return(self, block: ControlBlock) -> int:
        self.collected += 1
        return posix_aio.aio_return(block)


def check_result_of(result_of: Callable) -> None:
    """Does result_of(aio, block) sleep until the request is over, and return its byte count?"""
    ours, peer = socket.socketpair()
    with ours:
        aio, block = Counted(peer), ControlBlock(ours.fileno(), bytearray(100))
        posix_aio.aio_read(block)
        got, error = attempt(result_of, aio, block)
        end_reads([ours], [peer])
    if aio.asked > OFTEN:
        return wrong(f"Asked {OFTEN:,} times: EINPROGRESS, each time. This burns a CPU; aio_suspend sleeps.")
    if isinstance(error, BlockingIOError):
        return wrong("You collected before the end: aio_return is refused while aio_error says EINPROGRESS. If "
                     "aio_suspend returned False, its time was over, not the read.")  # fmt: skip
    if aio.collected > 1:
        return wrong("aio_return was called twice. It collects once; a second time is undefined (aio_return(3)).")
    if error:
        return raised(error)
    if not aio.slept:
        return unanswered(f"Your function returned {got!r} and did not wait for the request.")
    if not aio.collected or got != len(MESSAGE):
        return wrong(f"{len(MESSAGE)} bytes came, and aio_return says so. You returned {got!r}.")
    return right(f"You slept, asked {aio.asked} times, and collected once.")


def check_write_and_read_back(write_and_read_back: Callable) -> None:
    """True for a file that holds the data, False for one that holds other bytes, OSError where a request failed?"""
    data = bytes([0xFA]) * 512
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:

        def opened(name: str, flags: int) -> int:
            fd = os.open(name, flags | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, fd)
            return fd

        new = opened(os.path.join(folder, "new"), os.O_CREAT | os.O_RDWR)
        said, error = attempt(write_and_read_back, new, data)
        if said is None and error is None:
            return unanswered("Your function returned None.")
        if error:
            return raised(error)
        if said is not True:
            return wrong(f"The file holds exactly the data, and you returned {said!r}.")
        write_only = opened(os.path.join(folder, "write-only"), os.O_CREAT | os.O_WRONLY)
        said, error = attempt(write_and_read_back, write_only, data)
        if not isinstance(error, OSError) or error.errno != errno.EBADF:
            return wrong(f"A file that is open for writing only: aio_read failed with EBADF, and you said {error or said!r}. "
                         "The failure comes out of aio_return: let it out.")  # fmt: skip
        with open(os.path.join(folder, "log"), "wb") as file:
            file.write(b"\0" * 512)
        log = opened(os.path.join(folder, "log"), os.O_RDWR | os.O_APPEND)
        said, error = attempt(write_and_read_back, log, data)
        if error or said is not False:
            return wrong(f"A file with O_APPEND: all was written, at its end, and 512 other bytes were read back. You said "
                         f"{error or said!r}. The counts agree; compare the bytes.")  # fmt: skip
    return right("The good file passes; the failure and the other bytes do not.")
