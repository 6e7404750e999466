"""HTTP on a proactor: the handlers start what they want, and are told that it *has been* accepted, received, sent.

    receive started ──> handle_receive: data ──> conversation ──> go_on: answer, send started ┐ always
                        handle_send <──────────────────────────── completed ──────────────────┘

Two facts that surprise:
* There is no "no": no EAGAIN, nothing half written, no asking for WRITE. In exchange what was started is under way, and
  a handler that no longer wants it must say so, and wait for its end all the same.
* Closing is an operation like the others. Until it completes the descriptor's number is not free, and what was started
  on it may still complete: a handler outlives its connection by a turn or two.

Lay reactor_http_server.py beside it: the same methods, the same steps.
"""

import socket

from iolab.models.completion import Completion
from iolab.models.completion_queue import CompletionQueue
from iolab.models.completion_rules import NO_ROOM, PAUSE_S
from iolab.servers.acknowledged import acknowledged
from iolab.servers.http_conversation import Conversation
from iolab.servers.http_responses import Response
from iolab.servers.http_server import HttpServer
from iolab.servers.lingering import shut_down_sending
from iolab.servers.proactor import Proactor
from iolab.servers.proactor_acceptor import Acceptor
from iolab.servers.server_limits import IDLE, READER, USUAL, ServerLimits
from iolab.servers.steps import unnoted
from iolab.servers.timers import Deadline


def proactor_http_server(
    listener: socket.socket, application, queue: CompletionQueue, limits: ServerLimits = USUAL, step=unnoted
) -> HttpServer:
    """A server to be run by the thread that made `queue`; it closes all that it is given."""
    proactor, new_acceptor = Proactor(queue), lambda server: Acceptor(server, HttpHandler)
    return HttpServer(proactor, new_acceptor, listener, application, limits, step)


class HttpHandler:
    """One connection, from accept to close."""

    __slots__ = (
        "_server", "_proactor", "_receiving", "_sending", "_pausing", "_deadline", "_closed", "fd", "conversation",
    )  # fmt: skip

    def __init__(self, server: HttpServer, fd: int) -> None:
        self._server, self._proactor, self.fd, self._receiving = server, server.loop, fd, None
        self._sending = self._pausing = self._closed = False
        self._deadline = Deadline(self._proactor.call_after, self.handle_timeout)
        self.conversation = Conversation(server.limits)
        if server.crowded:
            self.conversation.refuse(503, "too many connections")
        server.handlers.add(self)
        try:
            self.go_on()
        except BaseException:
            self.close()
            raise

    def handle_receive(self, completion: Completion) -> None:
        """Bytes, or the end, are here."""
        if step := self._server.step:
            step(2, self.fd, self._proactor.woken_ns)
            step(3, self.fd)
        if not completion.more:
            self._receiving = None
        if completion.result in NO_ROOM:
            self._proactor.call_after(PAUSE_S, self._try_again)
        elif completion.result < 0 and not self._pausing:  # ECONNRESET: the client has gone
            self.close()
        elif not self._closed:
            if completion.result >= 0:
                self.conversation.received(completion.data or b"")  # which copies: the data is only lent
            self.go_on()

    def handle_send(self, completion: Completion) -> None:
        """All of it went, or nothing will."""
        if step := self._server.step:
            step(7, self.fd, self._proactor.woken_ns)
            step(8, self.fd)
        self._sending = False
        if completion.result in NO_ROOM:
            self._proactor.call_after(PAUSE_S, self._try_again)
        elif completion.result < 0:  # EPIPE, ECONNRESET, or cancelled
            self.close()
        elif not self._closed:
            self.conversation.sent(completion.result)
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
        """A mistake of ours."""
        self.close()

    def close_if_silent(self) -> None:
        """The server stops, and nobody is asking for anything here."""
        if self.conversation.silent:
            self.close()

    def go_on(self) -> None:
        """Answer what was asked, start to send it, close if all is said; else see that what comes is received."""
        conversation = self.conversation
        if conversation.asked:
            self._server.answer(self)
        if conversation.unsent and not self._sending:
            if step := self._server.step:
                step(6, self.fd)
            self._proactor.send(self.fd, conversation.output(), self)
            self._sending = True
        what = conversation.waiting_for()
        if not (self._receiving and (what[0] == IDLE or what[0] == READER and conversation.wants_input)):
            if conversation.over:
                self.close()
                return
            if conversation.finished and not conversation.lingering:
                conversation.lingering = True
                shut_down_sending(self.fd)
            if self._receiving is None and conversation.wants_input:
                self._receiving, self._pausing = self._proactor.receive(self.fd, self), False
            elif self._receiving and not self._pausing and not conversation.wants_input:
                self._pausing = True
                self._proactor.cancel(self._receiving)
            what = conversation.waiting_for()
        self._deadline.wait_for(what, self._server.limits.patience_s[what[0]])

    def close(self) -> None:
        """Begin to give everything back; again is harmless."""
        if not self._closed:
            self._closed = True
            self._deadline.lift()
            self._proactor.close_connection(self.fd, self)

    def handle_close(self, completion: Completion) -> None:
        """Nothing is under way any more, and the descriptor is closed."""
        self._server.gone(self)

    def _try_again(self) -> None:
        """A mechanism may need a descriptor of its own for an operation, and there was none."""
        if not self._closed:
            self.go_on()
