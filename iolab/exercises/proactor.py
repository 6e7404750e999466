"""Checks of the chapter on the proactor: a learner's handlers on a real Proactor, over threads, which every machine has.

check   socketpair, Proactor ──completion──> learner's function: send, close_connection
        what does the peer hear? when was the descriptor closed?
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import ECONNRESET

from iolab.exercises.attempting import attempt, is_open, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.models.asynchronous_threads import ThreadsProcessor
from iolab.models.completion import Completion
from iolab.models.completion_queue import CompletionQueue
from iolab.servers.proactor import Proactor

TURN_S, PATIENCE_S = 0.02, 1.0
PAGES = tuple(bytes([letter]) * (1 << 20) for letter in b"ABC")  # more than a socket's buffer holds


class Guest:
    """A CompletionHandler; what a learner's function raises is kept, and the loop goes on."""

    def __init__(self, proactor: Proactor, fd: int, on_receive: Callable | None = None) -> None:
        self.proactor, self.fd, self._on_receive = proactor, fd, on_receive
        self.started, self.closing, self.closed, self.error = 0, False, False, None
        self.results, self.too_early = [], False

    def close_when_sent(self) -> None:
        """Close the connection once all that was started has been sent."""
        self.closing = True
        self._close_if_sent()

    def handle_receive(self, completion: Completion) -> None:
        try:
            self._on_receive(self, self.proactor, completion)
        except Exception as error:
            self.error = self.error or error

    def handle_send(self, completion: Completion) -> None:
        self.results.append(completion.result)
        self._close_if_sent()

    def handle_close(self, completion: Completion) -> None:
        self.closed = True

    def handle_error(self, error: Exception) -> None:
        self.error = self.error or error

    def _close_if_sent(self) -> None:
        if self.closing and len(self.results) == self.started:
            self.closing = False
            self.proactor.close_connection(self.fd, self)


class Counted(Proactor):
    """Counts what is started, and sees who closes before it is complete."""

    def send(self, fd: int, data, handler: Guest):
        operation = super().send(fd, data, handler)
        handler.started += 1
        return operation

    def close_connection(self, fd: int, handler: Guest) -> None:
        handler.too_early = len(handler.results) < handler.started
        super().close_connection(fd, handler)


@contextmanager
def _one_guest(on_receive: Callable | None = None) -> Iterator[tuple[Counted, Guest, socket.socket]]:
    ours, peer = socket.socketpair()
    fd = ours.detach()
    with peer:
        peer.setblocking(False)
        proactor = Counted(CompletionQueue(ThreadsProcessor()))
        guest = Guest(proactor, fd, on_receive)
        try:
            yield proactor, guest, peer
        finally:
            proactor.close()
            if not guest.closed:
                with suppress(OSError):
                    os.close(fd)


def _turn_until(proactor: Proactor, peer: socket.socket, enough: Callable[[bytes], object]) -> bytes:
    """Turns of the loop, while the peer reads: until it is enough, or nothing has come for a while."""
    heard, deadline = b"", time.monotonic() + PATIENCE_S
    while not enough(heard) and time.monotonic() < deadline:
        proactor.handle_events(TURN_S)
        with suppress(BlockingIOError, ConnectionError):
            while piece := peer.recv(1 << 18):
                heard += piece
                deadline = time.monotonic() + PATIENCE_S
    return heard


def check_handle_receive(handle_receive: Callable) -> None:
    """Does handle_receive(handler, proactor, completion) send back what came, and close at the end and after an error?"""
    if is_open(handle_receive, "What does a result of 0 say, what one below zero? And who owns completion.data?"):
        return None
    with _one_guest(handle_receive) as (proactor, guest, peer):
        proactor.receive(guest.fd, guest)
        for word in (b"a book", b"an atlas"):
            peer.send(word)
            heard, _ = attempt(_turn_until, proactor, peer, lambda heard, word=word: heard == word)
            if guest.error:
                return raised(guest.error)
            if heard != word:
                return (wrong if guest.started else unanswered)(
                    f"The peer sent {word!r} and heard {heard or b''!r}; operations started: {guest.started}."
                )
        peer.shutdown(socket.SHUT_WR)
        attempt(_turn_until, proactor, peer, lambda _: guest.closed or guest.error)
        if guest.error:
            return wrong(f"The peer sends no more: result 0. Your function: {guest.error}. Start no empty send; close.")
        if not guest.closed:
            return wrong("The peer sends no more, result 0, and the connection stays open. Who closes it if not you?")
    with _one_guest(handle_receive) as (proactor, guest, peer):
        guest.handle_receive(Completion(None, -ECONNRESET))
        attempt(_turn_until, proactor, peer, lambda _: guest.closed or guest.error)
        if not guest.closed:
            return wrong(f"The result was {-ECONNRESET}, -ECONNRESET: an error is a result here, nobody raises it. "
                         f"The connection stays open{f'; your function: {guest.error}' if guest.error else ''}.")  # fmt: skip
    return right("What came went back, the end and the error closed: three cases of one completion.")


def check_send_pages(send_pages: Callable) -> None:
    """Does send_pages(proactor, handler, pages) bring every page to a peer that reads slowly, and close then?"""
    if is_open(send_pages, "Whose is the buffer while it is being sent?"):
        return None
    with _one_guest() as (proactor, guest, peer):
        _, error = attempt(send_pages, proactor, guest, PAGES)
        if error or not guest.started:
            return raised(error) if error else unanswered("No send was started.")
        heard, _ = attempt(_turn_until, proactor, peer, lambda _: guest.closed or guest.error)
    expected = b"".join(PAGES)
    if guest.too_early:
        return wrong("You closed with sends in flight, and the peer got a part of the pages, or nothing: a send that is "
                     "started is not sent. handler.close_when_sent() waits for the completions.")  # fmt: skip
    if heard != expected:
        return wrong("The peer got other bytes than those of the pages: you wrote into a buffer whose send was not "
                     "complete. Until then it belongs to the operation.")  # fmt: skip
    if not guest.closed:
        return wrong("All came, and the connection stays open.")
    return right("Each operation had bytes of its own until it was complete, and the close came last.")
