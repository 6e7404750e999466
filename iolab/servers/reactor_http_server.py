"""HTTP on a reactor: the handlers are told that they *can* accept, read, write; and do it themselves.

    readable ──> handle_input: recv ──> conversation ──> go_on: answer, send ┐ all of it went: the usual case
    writable ──> handle_output <──────────── send: a part, or EAGAIN ────────┘ only then is there WRITE to ask for

Two facts that surprise:
* Nearly every socket can be written to at nearly every moment. Who always asks for WRITE is told so at every turn, and
  burns a CPU. So it is asked for while something is left to be sent, and no longer than that.
* "Readable" is not a promise of bytes: it is also the end of the stream, or a reset. One recv tells them apart.

Lay proactor_http_server.py beside it: the same methods, the same steps.
"""

import socket

from iolab.models.readiness import READ, WRITE, Demultiplexer
from iolab.servers.acknowledged import acknowledged
from iolab.servers.http_conversation import Conversation
from iolab.servers.http_responses import Response
from iolab.servers.http_server import HttpServer
from iolab.servers.lingering import shut_down_sending
from iolab.servers.reactor import Reactor
from iolab.servers.reactor_acceptor import Acceptor
from iolab.servers.server_limits import IDLE, USUAL, ServerLimits
from iolab.servers.steps import unnoted
from iolab.servers.timers import Deadline

RECEIVED_AT_ONCE = 1 << 16


def reactor_http_server(
    listener: socket.socket, application, demultiplexer: Demultiplexer, limits: ServerLimits = USUAL, step=unnoted
) -> HttpServer:
    """A server to be run; it closes all that it is given."""
    return HttpServer(
        Reactor(demultiplexer), lambda server: Acceptor(server, HttpHandler), listener, application, limits, step
    )


class HttpHandler:
    """One connection, from accept to close."""

    __slots__ = ("_server", "_reactor", "_sock", "_deadline", "_events", "_closed", "fd", "conversation")

    def __init__(self, server: HttpServer, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._server, self._reactor, self._sock, self.fd = server, server.loop, sock, sock.fileno()
        self._deadline = Deadline(self._reactor.call_after, self.handle_timeout)
        self._events, self._closed = 0, False
        self.conversation = Conversation(server.limits)
        if server.crowded:
            self.conversation.refuse(503, "too many connections")
        server.handlers.add(self)
        try:
            self.go_on()
        except BaseException:
            self.close()
            raise

    def handle_input(self) -> None:
        """There are bytes, or the end: read them."""
        if step := self._server.step:
            step(2, self.fd, self._reactor.woken_ns)
            step(3, self.fd)
        try:
            data = self._sock.recv(RECEIVED_AT_ONCE)
        except BlockingIOError:  # somebody has looked at a moment that was over
            return
        except OSError:  # ECONNRESET: the client has gone
            self.close()
            return
        self.conversation.received(data)
        self.go_on()

    def handle_output(self) -> None:
        """There is room again."""
        if step := self._server.step:
            step(7, self.fd, self._reactor.woken_ns)
            step(8, self.fd)
        self.go_on()

    def handle_answer(self, response: Response) -> None:
        """A worker has the answer; it was posted."""
        if not self._closed:  # else the client has not waited for it
            self.conversation.answer(response)
            self.go_on()

    def handle_timeout(self) -> None:
        """Too long in one state."""
        (self.go_on if self.conversation.timed_out(acknowledged(self.fd)) else self.close)()

    def handle_error(self, error: Exception) -> None:
        """A mistake of ours: this client has lost."""
        self.close()

    def close_if_silent(self) -> None:
        """The server stops, and nobody is asking for anything here."""
        if self.conversation.silent:
            self.close()

    def go_on(self) -> None:
        """Answer what was asked, send what can be sent, close if all is said; else say what to be told of next."""
        conversation = self.conversation
        if conversation.asked:
            self._server.answer(self)
        if conversation.unsent:
            data = conversation.output()
            if step := self._server.step:
                step(6, self.fd)
            try:
                conversation.sent(self._sock.send(data))
            except BlockingIOError:  # EAGAIN: the client reads more slowly than we write
                pass
            except OSError:  # EPIPE, ECONNRESET
                self.close()
                return
        what = conversation.waiting_for()
        if what[0] != IDLE or self._events != READ:  # else all is as it was: the usual case
            if conversation.over:
                self.close()
                return
            if conversation.finished and not conversation.lingering:
                conversation.lingering = True
                shut_down_sending(self.fd)
            events = READ * conversation.wants_input | WRITE * conversation.wants_output
            if events != self._events:
                self._reactor.register_handler(self, events)
                self._events = events
            what = conversation.waiting_for()
        self._deadline.wait_for(what, self._server.limits.patience_s[what[0]])

    def close(self) -> None:
        """Give everything back; again is harmless."""
        if not self._closed:
            self._closed = True
            self._reactor.remove_handler(self)
            self._deadline.lift()
            self._sock.close()
            self._server.gone(self)
