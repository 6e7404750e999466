"""HTTP with a thread for each client: the baseline, in which waiting is what a call does.

    acceptor's thread   accept ── a thread of its own for the client ── accept ──
    client's thread     recv ┐                    ┌─ answer ── send ┐                 ┌─ recv ┐
    kernel                   └─ waits for bytes ──┘                 └─ takes the lot ─┘       └─

Two facts that surprise:
* The program reads from top to bottom, and no callback knows less than the line above it. The price is a thread for
  each client that only waits: a stack, a place in the scheduler, and, in Python, a turn at the interpreter lock.
* A thread asleep in recv(2) cannot be told to stop. But shutdown(SHUT_RD) by another thread ends its call, as if the
  client had closed; and it leaves the other direction open, so that an answer that is just being made still goes out.

A time-out makes Python's socket ask poll(2) before each call; with SO_RCVTIMEO the kernel would do without.
Accepting, the number of threads, and stopping are as in the other servers.
"""

import socket
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from iolab.models.multiplexing_poll import PollDemultiplexer
from iolab.models.multiplexing_poll import unavailable as no_poll
from iolab.models.multiplexing_select import SelectDemultiplexer
from iolab.servers.acknowledged import acknowledged
from iolab.servers.http_conversation import Conversation
from iolab.servers.http_server import REFUSED_AT_ONCE, HttpServer
from iolab.servers.lingering import shut_down_sending
from iolab.servers.reactor import Reactor
from iolab.servers.reactor_acceptor import Acceptor
from iolab.servers.server_limits import ServerLimits
from iolab.servers.steps import StepNoter, unnoted

RECEIVED_AT_ONCE = 1 << 16
BOUNDED = ServerLimits(connections=640)


def threaded_http_server(
    listener: socket.socket, application, limits: ServerLimits = BOUNDED, step: StepNoter = unnoted
) -> HttpServer:
    """A server to be run; it closes all that it is given. As many threads as connections, no others for slow work."""
    limits = replace(limits, threads=limits.connections + REFUSED_AT_ONCE)
    loop = Reactor(SelectDemultiplexer() if no_poll() else PollDemultiplexer())  # for the listener alone
    return HttpServer(loop, lambda server: Acceptor(server, HttpHandler), listener, application, limits, step)


class HttpHandler:
    """One connection, from accept to close, and the thread that serves it."""

    __slots__ = ("_server", "_sock", "_waiting", "_until", "fd", "conversation")

    def __init__(self, server: HttpServer, sock: socket.socket) -> None:
        self._server, self._sock, self.fd = server, sock, sock.fileno()
        self._waiting, self._until = None, 0.0
        self.conversation = Conversation(server.limits)
        if server.crowded:
            self.conversation.refuse(503, "too many connections")
        server.handlers.add(self)
        try:
            server.pool.submit(self._serve)
        except RuntimeError:  # no thread can be started
            self._gone()

    def close(self) -> None:
        """End the thread's call; the thread then closes the connection."""
        self._end(socket.SHUT_RDWR)

    def close_if_silent(self) -> None:
        """The server stops, and nobody is asking for anything here."""
        if self.conversation.silent:
            self._end(socket.SHUT_RD)

    def _serve(self) -> None:
        try:
            while not self.conversation.over:
                self._go_on()
        except OSError:  # ECONNRESET, EPIPE: the client has gone
            pass
        finally:
            try:  # the loop's thread closes it: else it might be shutting down a number that is somebody else's by now
                self._server.loop.post(self._gone)
            except ValueError:  # that thread has left already
                self._sock.close()

    def _go_on(self) -> None:
        """Answer one request, or send, or wait for more: whatever comes next."""
        conversation = self.conversation
        conversation.ending = self._server.stopping
        if not conversation.unsent and (request := conversation.next_request()) is not None:
            if step := self._server.step:
                step(4, self.fd)
            conversation.answer(self._server.respond(self, request))
        try:
            if data := conversation.output():
                self._set_timeout()
                if step := self._server.step:
                    step(6, self.fd)
                conversation.sent(self._sock.send(data))
                if step := self._server.step:
                    step(7, self.fd)
                    step(8, self.fd)
            elif conversation.finished and not conversation.lingering:
                conversation.lingering = not conversation.ended
                shut_down_sending(self.fd)
            elif conversation.wants_input:
                self._set_timeout()
                data = self._sock.recv(RECEIVED_AT_ONCE)
                if step := self._server.step:
                    step(2, self.fd)
                    step(3, self.fd)
                conversation.received(data)
        except TimeoutError:
            if not conversation.timed_out(acknowledged(self.fd)):
                raise

    def _gone(self) -> None:
        self._sock.close()
        self._server.gone(self)

    def _set_timeout(self) -> None:
        what = self.conversation.waiting_for()
        if what != self._waiting:
            self._waiting, self._until = what, monotonic() + self._server.limits.patience_s[what[0]]
        left_s = self._until - monotonic()
        if left_s <= 0:  # bytes came all the time, and never enough
            raise TimeoutError
        self._sock.settimeout(left_s)

    def _end(self, direction: int) -> None:
        with suppress(OSError):  # it has ended by itself
            self._sock.shutdown(direction)
