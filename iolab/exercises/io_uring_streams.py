"""Check of the chapter on io_uring: a multishot receive that ends before its stream does is armed anew, and only then.

check       a script: messages, few buffers, ends without "more" ──> learner's loop: arm, wait, give_back, arm
            the same with a real ring and a buffer ring, where this machine has them

The rehearsal needs no io_uring: it ends a receive wherever a kernel may end it.
"""

import errno
import socket
from collections.abc import Callable
from contextlib import closing

from iolab.exercises.attempting import TooLong, attempt, is_open, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.exercises.io_uring import fields
from iolab.kernel import io_uring_operations as op
from iolab.kernel.io_uring import Ring, unavailable
from iolab.kernel.io_uring_buffers import BufferRing

WAITS = 100
MESSAGES = tuple(b"message %d. " % number for number in range(7))


class Rehearsal:
    """A receive as a kernel may carry it out: so many `buffers` in all, and it ends with completion number `last`."""

    def __init__(self, buffers: int, last: int = 0, ending: int = 0) -> None:
        self.messages, self.buffers, self.last, self.ending = list(MESSAGES), buffers, last, ending
        self.armed = self.twice = self.empty_handed = False
        self.lent: list[memoryview] = []
        self.waits = 0

    def arm(self) -> None:
        self.twice, self.armed = self.twice or self.armed, True

    def give_back(self) -> None:
        for view in self.lent:
            view.release()
        self.lent.clear()

    def wait(self) -> list[tuple[int, bool, memoryview | None]]:
        self.waits += 1
        if not self.armed or self.waits > WAITS:
            raise TooLong("waits for ever")
        found = []
        while self.armed and len(found) < 3:
            if not self.messages or len(self.lent) == self.buffers:
                self.empty_handed, self.armed = bool(self.messages), False
                found.append((-errno.ENOBUFS if self.messages else self.ending, False, None))
            else:
                self.last -= 1
                self.armed = self.last != 0
                self.lent.append(memoryview(bytearray(self.messages.pop(0))))
                found.append((len(self.lent[-1]), self.armed, self.lent[-1]))
        return found


class Live:
    """The same with the kernel's own ring: messages that are there already, and the end."""

    def __init__(self, ring: Ring, fd: int) -> None:
        self._ring, self._fd, self._buffers = ring, fd, BufferRing(ring, 2, 8)

    def arm(self) -> None:
        self._ring.put(op.recv_multishot(self._fd, self._buffers.buf_group))
        self._ring.submit()

    def give_back(self) -> None:
        self._buffers.take_back()

    def wait(self) -> list[tuple[int, bool, memoryview | None]]:
        found = self._ring.wait(1)
        return [(cqe.res, fields(cqe)[2], None if fields(cqe)[3] is None else self._buffers.lend(cqe)) for cqe in found]


def check_receive_all(receive_all: Callable) -> None:
    """Does receive_all(arm, wait, give_back) return all bytes of the stream, and raise OSError where it broke?"""
    if is_open(receive_all, "When is the receive over, and when is the stream?"):
        return None
    cases = (
        ("the stream ends, all went well", Rehearsal(100)),
        ("two buffers for seven messages", Rehearsal(2)),
        ("the receive ends with a message, as when the CQ is full", Rehearsal(100, last=4)),
        ("the peer resets the connection", Rehearsal(100, ending=-errno.ECONNRESET)),
    )
    for case, world in cases:
        got, error = attempt(receive_all, world.arm, world.wait, world.give_back)
        if world.waits == 0 and error is None:
            return unanswered("Your function never waited.")
        if verdict := _mistake(got, error, world):
            return wrong(f"The case: {case}. {verdict}")
        if error and not world.ending:
            return raised(error)
    return _on_a_ring(receive_all)


def _mistake(got, error, world: Rehearsal) -> str | None:
    sent = b"".join(MESSAGES)
    if world.twice:
        return "You armed it while it was armed: two receives share one stream, and who gets which bytes is left to chance."
    if isinstance(error, TooLong) and not world.armed and world.waits <= WAITS:
        return "You wait, and nothing is armed: the last completion came without `more`. Nobody will wake you."
    if isinstance(error, TooLong) and world.waits > WAITS:
        return f"{WAITS} times ENOBUFS: the receive is armed, and has no buffer. Give them back before you arm."
    if isinstance(error, ValueError | TypeError) and "memoryview" in str(error):  # a released one
        return "You read a view after give_back(): there lie other bytes by now. Copy what you keep."
    gave_up = getattr(error, "errno", None) == errno.ENOBUFS or (error is None and got != sent)
    if world.empty_handed and gave_up:
        return "ENOBUFS ends the receive, not the stream: the bytes lie in the socket. Give back, arm anew."
    if world.ending:
        ended_well = isinstance(error, OSError) and error.errno == -world.ending
        return None if ended_well else f"It was no end, it was -ECONNRESET: an OSError is wanted; you returned {got!r}."
    if error is None and got != sent:
        return f"The peer sent {len(sent)} bytes, {sent[:20]!r}...; you returned {got!r}."
    return None


def _on_a_ring(receive_all: Callable) -> None:
    because = (
        "Ended by the peer, by want of buffers or for no good reason: you arm when, and only when, `more` is missing."
    )
    if unavailable():
        return right(because)
    ours, peer = socket.socketpair()
    with ours, peer, closing(Ring(8)) as ring:
        peer.sendall(b"".join(MESSAGES))
        peer.shutdown(socket.SHUT_WR)
        world = Live(ring, ours.fileno())
        got, error = attempt(receive_all, world.arm, world.wait, world.give_back)
    if error:
        return raised(error)
    if got != b"".join(MESSAGES):
        return wrong(f"On this machine's own ring you returned {got!r}; sent were {b''.join(MESSAGES)!r}.")
    return right(because)
