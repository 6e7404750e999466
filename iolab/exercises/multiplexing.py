"""Checks of the chapter on multiplexing: a learner's loop on real sockets, with a limit for one that never ends.

check       socketpair, send ─────────> learner's function: wait, recv, ...
            what lies unread now? <──── returned, raised, or not back in time: each has its explanation
"""

import select
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing

from iolab.exercises.attempting import TooLong, attempt
from iolab.exercises.checking import right, unanswered, wrong
from iolab.kernel.socket_queue import unread
from iolab.models.multiplexing_epoll import EpollDemultiplexer
from iolab.models.readiness import READ

IN_VAIN, OFTEN = 100, 1000  # so many wake-ups with nothing to read, or at all, and a loop is said to spin


def check_drain(drain: Callable) -> None:
    """Does drain(sock) take all that is there, from a nonblocking socket under edge-triggered epoll?"""
    sent = bytes(range(250)) * 12
    for ending in (False, True):
        ours, peer = socket.socketpair()
        with ours, peer, select.epoll() as epoll:
            ours.setblocking(False)
            epoll.register(ours, select.EPOLLIN | select.EPOLLET)
            peer.sendall(sent)
            if ending:
                peer.close()
            epoll.poll(0)
            got, error = attempt(drain, ours)
            left, told = unread(ours), len(epoll.poll(0))
        if isinstance(error, TooLong):
            sign = "The peer had closed: recv returns b''," if ending else "All was taken: recv refuses with EAGAIN,"
            return wrong(f"You went on asking. {sign} each time anew. Take it as the sign to return.")
        if isinstance(error, BlockingIOError):
            return wrong("You let BlockingIOError out. EAGAIN is no failure: it says that you have taken all.")
        if error:
            return wrong(f"Your function did not come to its end: {error!r}.")
        if got is None and left == len(sent):
            return unanswered("Your function returned None, and all bytes still lie in the kernel.")
        if left:
            return wrong(
                f"{left:,} of {len(sent):,} bytes lie in the kernel. EPOLLET, asked again, told of {told} events."
            )
        if got != sent:
            return wrong(f"The queue is empty now; it held {len(sent):,} bytes, and you returned {str(got)[:60]} ...")
    return right("Nothing is left in the kernel: the next edge is the next arrival. And the end of a stream ends you.")


class Rehearsal:
    """A readiness.Demultiplexer over epoll, in a world that goes on only while the loop sleeps: no clock, no thread."""

    def __init__(self, acts: list[Callable]) -> None:
        self.waits, self.in_vain, self._acts, self._epoll = 0, 0, acts, EpollDemultiplexer()
        self.watch, self.forget, self.close = self._epoll.watch, self._epoll.forget, self._epoll.close

    def wait(self, timeout: float | None = None) -> list[tuple[int, int]]:
        ready = self._epoll.wait(0)
        while not ready and self._acts:  # here the thread would sleep, until the peer does something
            self._acts.pop(0)()
            ready = self._epoll.wait(0)
        self.waits += 1
        self.in_vain += not any(events & READ for _, events in ready)
        if self.in_vain > IN_VAIN or self.waits > OFTEN or (not ready and timeout is None):
            raise TooLong("it spins" if ready else "it would sleep for ever")
        return ready


def check_no_spinning(read_to_end: Callable) -> None:
    """Does read_to_end(sock, demultiplexer) return all bytes at the end of the stream, woken only for cause?"""
    ours, peer = socket.socketpair()
    pieces = (b"the first, ", b"the second, ", b"the third")
    world = Rehearsal([*(lambda piece=piece: peer.sendall(piece) for piece in pieces), peer.close])
    with ours, peer, closing(world):
        got, error = attempt(read_to_end, ours, world)
    if world.in_vain > IN_VAIN:
        return wrong(f"Woken {world.in_vain} times with nothing to read. The send buffer of an idle socket has room: WRITE is "
                     "true at once, always. Watch for it only while something would not go out.")  # fmt: skip
    if isinstance(error, TooLong):
        woken = f"woken {world.waits:,} times: the end stays readable" if world.waits > OFTEN else "still not back"
        return wrong(f"The peer has closed, and your loop was {woken}. At the end recv returns b'': return then.")
    if error:
        return wrong(f"Your function did not come to its end: {error!r}.")
    if got is None and not world.waits:
        return unanswered("Your function returned None and never waited.")
    if got != b"".join(pieces):
        return wrong(f"You returned {got!r}; the peer sent {b''.join(pieces)!r} in three pieces, and then closed.")
    return right(f"{world.waits} wake-ups, for three pieces and the end. In between your thread sleeps.")


def check_first_come(first_come: Callable) -> None:
    """Does first_come(socks, demultiplexer) return (number, message) of each socket in the order of arrival?"""
    order, messages = (2, 0, 1), (b"poems", b"a novel", b"an atlas")
    with ExitStack() as stack:
        pairs = [tuple(map(stack.enter_context, socket.socketpair())) for _ in order]
        acts = [lambda number=number: pairs[number][1].sendall(messages[number]) for number in order]
        acts.pop(0)()  # one shop has delivered already
        world = stack.enter_context(closing(Rehearsal(acts)))
        got, error = attempt(first_come, [ours for ours, _ in pairs], world)
        lying = [number for number, (ours, _) in enumerate(pairs) if unread(ours)]
    if isinstance(error, TooLong):
        lay = f"the message in socket {lying[0]} lay unread" if lying else "nothing was left to read"
        return wrong(f"Your thread slept for ever while {lay}. Wait for all in one call; read where it points.")
    if error:
        return wrong(f"Your function did not come to its end: {error!r}.")
    if not got:
        return unanswered(f"Your function returned {got!r}.")
    if got != [(number, messages[number]) for number in order]:
        return wrong(f"(number, message) came from the sockets 2, 0, 1, in this order; you returned {got!r}.")
    return right("One thread, three sockets, and nobody stood in anybody's way: the order is the order of arrival.")
