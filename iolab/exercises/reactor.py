"""Check of the chapter on the reactor: a large answer is sent on a real socket, part by part.

check       socketpair, epoll ──> learner's function: send, register_handler ── the peer reads only when nobody can write
"""

import socket
from collections.abc import Callable
from contextlib import closing

from iolab.exercises.attempting import TooLong, attempt, is_open, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.kernel.socket_queue import unread
from iolab.models.multiplexing_epoll import EpollDemultiplexer
from iolab.models.readiness import READ, WRITE

IN_VAIN, TURNS = 100, 100_000


class Outgoing:
    """A handler with bytes to send; `send_on(handler, reactor)` is the learner's."""

    def __init__(self, reactor: "OneHandlerReactor", sock: socket.socket, data: bytes, send_on: Callable) -> None:
        self.reactor, self.sock, self.fd, self.left, self._send_on = reactor, sock, sock.fileno(), data, send_on

    def handle_output(self) -> None:
        self._send_on(self, self.reactor)


class OneHandlerReactor:
    """register_handler and remove_handler as servers.reactor.Reactor has them, for output alone; errors come out."""

    def __init__(self) -> None:
        self.events, self._handler, self._epoll = 0, None, EpollDemultiplexer()
        self.close = self._epoll.close

    def register_handler(self, handler: Outgoing, events: int) -> None:
        if type(events) is not int or events & ~(READ | WRITE):
            raise ValueError(f"events must be READ, WRITE, both or 0, not {events!r}")
        if not events:
            return self.remove_handler(handler)
        self._handler, self.events = handler, events
        return self._epoll.watch(handler.fd, events)

    def remove_handler(self, handler: Outgoing) -> None:
        self.events = 0
        self._epoll.forget(handler.fd)

    def turn(self) -> bool:
        """Ask without waiting; whether there was room that somebody had asked for."""
        room = any(events & WRITE for _, events in self._epoll.wait(0))
        if room:
            self._handler.handle_output()
        return room


def check_send_on(send_on: Callable) -> None:
    """Does send_on(handler, reactor) send all of handler.left, told of WRITE only while something would not go?"""
    if is_open(send_on, "How much went? And who tells you when the rest can go?"):
        return None
    data = bytes(range(251)) * 8192
    ours, peer = socket.socketpair()
    with ours, peer, closing(OneHandlerReactor()) as reactor:
        for sock in (ours, peer):
            sock.setblocking(False)
        got, error = attempt(_until_all_has_come, Outgoing(reactor, ours, data, send_on), reactor, peer, len(data))
    if isinstance(error, BlockingIOError):
        return wrong("You let BlockingIOError out. EAGAIN says: no room at this moment. Keep the rest, ask for WRITE.")
    if isinstance(error, TooLong) and "room" in str(error):
        return wrong(f"{error} Ask for WRITE while something is left, and for 0 as soon as nothing is.")
    if error:
        return raised(error)
    if got == data:
        return right("All bytes came, each once; the loop was told of room only while you had something for it.")
    if not got:
        return unanswered("Nothing was sent.")
    if data.startswith(got):
        asked = (
            "You had asked for WRITE." if reactor.events & WRITE else "Nobody had asked for WRITE, so nobody is told."
        )
        return wrong(f"The peer has only a part of the bytes: send takes what there is room for. {asked}")
    return wrong("The peer got other bytes than yours, or some of them twice: what went is what send returned.")


def _until_all_has_come(handler: Outgoing, reactor: OneHandlerReactor, peer: socket.socket, nbytes: int) -> bytes:
    """The peer reads only when nobody can write; TooLong where room is told and told, and nothing comes of it."""
    got, in_vain = bytearray(), 0
    handler.handle_output()
    for _ in range(TURNS):
        lay = unread(peer)
        if reactor.turn():
            in_vain = 0 if unread(peer) != lay else in_vain + 1
            if in_vain >= IN_VAIN:
                raise TooLong(f"Told {in_vain} times in a row that there is room, with nothing sent.")
            continue
        try:
            got += peer.recv(1 << 16)
        except BlockingIOError:  # neither side goes on
            break
        if len(got) > nbytes:
            break
    return bytes(got)
