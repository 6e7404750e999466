"""Check of the chapter on io_uring: sixteen bytes are decoded, as a kernel writes them.

check       16 bytes ──> learner's function: whose is it, how did it go, was it the last, where are the bytes?
            the same with completions of a real ring, where this machine has one
"""

import errno
import socket
from collections.abc import Callable
from contextlib import closing

from iolab.exercises.attempting import attempt, is_open, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.kernel import io_uring_layout as layout
from iolab.kernel import io_uring_operations as op
from iolab.kernel.io_uring import Cqe, Ring, unavailable
from iolab.kernel.io_uring_buffers import BufferRing

BUFFER, MORE, SHIFT = layout.CQE_F_BUFFER, layout.CQE_F_MORE, layout.CQE_BUFFER_SHIFT
SAMPLES = (
    (Cqe(7, 6, 0), "a read of 6 bytes"),
    (Cqe(8, 4, 3 << SHIFT | MORE | BUFFER), "4 bytes in buffer 3, and more will come"),
    (Cqe(8, 4, BUFFER), "4 bytes in buffer 0, the last completion of its operation"),
    (Cqe(8, -errno.ENOBUFS, 0), "a receive that found no buffer"),
    (Cqe(8, 2, 1 << SHIFT | layout.CQE_F_SOCK_NONEMPTY | MORE | BUFFER), "2 bytes in buffer 1, more lie in the socket"),
    (Cqe(1 << 40, 0, 0), "a user_data of more than 32 bits"),
)
LIVE_S = 1


def fields(cqe: Cqe) -> tuple:
    """user_data, result, whether more will come, the buffer's number or None."""
    return cqe.user_data, cqe.res, bool(cqe.flags & MORE), cqe.flags >> SHIFT if cqe.flags & BUFFER else None


def check_decode(decode: Callable) -> None:
    """Does decode(sixteen_bytes) give (user_data, res, more, buffer)? `buffer` is None where there is none."""
    if is_open(decode, "Which bit says that more will come, and where is the number of the buffer?"):
        return None
    live = [] if unavailable() else [(cqe, "a completion of this kernel, made just now") for cqe in _messages()]
    for cqe, what in (*SAMPLES, *live):
        got, error = attempt(decode, layout.CQE.pack(*cqe))
        if error:
            return raised(error)
        if got is None:
            return unanswered("Your function returned None.")
        right_one = fields(cqe)
        if not isinstance(got, tuple) or len(got) != 4:
            return wrong(f"Four values are wanted: user_data, res, more, buffer. You returned {got!r}.")
        if got[0] != right_one[0]:
            return wrong(
                f"{what}: user_data is {right_one[0]}, its 64 bits come back as they went; you say {got[0]!r}."
            )
        if got[1] != right_one[1]:
            return wrong(f"{what}: res is {right_one[1]}, with a sign: below zero it is -errno; you say {got[1]!r}.")
        if bool(got[2]) != right_one[2]:
            return wrong(f"{what}: more is {right_one[2]}, CQE_F_MORE alone says so; you say {got[2]!r}.")
        if got[3] != right_one[3] or isinstance(got[3], bool):
            why = f"the number is in the upper 16 bits, from bit {SHIFT} on"
            if right_one[3] is None:
                why = "without CQE_F_BUFFER there is none, and the upper bits mean nothing"
            elif right_one[3] == 0:
                why = "number 0 is a buffer like any other; CQE_F_BUFFER says whether there is one"
            return wrong(f"{what}: buffer is {right_one[3]}, {why}; you say {got[3]!r}.")
    return right("Whose it is, how it went, whether it was the last, and where the bytes are: all of it in 16 bytes.")


def _messages() -> list[Cqe]:
    ours, peer = socket.socketpair()
    with ours, peer, closing(Ring(4)) as ring:
        ring.put(op.recv_multishot(ours.fileno(), BufferRing(ring, 2, 8).buf_group))
        ring.submit()
        peer.send(b"hello")
        found = ring.wait(1, LIVE_S)
        peer.shutdown(socket.SHUT_WR)
        return found + ring.wait(1, LIVE_S)
