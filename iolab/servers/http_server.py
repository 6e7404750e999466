"""What a server is apart from its loop: who is connected, who answers, what belongs to it, and is given back.

    listener ── Acceptor ── HttpHandler, HttpHandler, ...      of a reactor, or of a proactor
                            └─ answer(handler) ── application.handle(request)
                                               └─ slow ── worker ── post ── handle_answer(response)
    stop() ── post ── graceful_end ── close()

Two facts that surprise:
* Nothing here depends on which of the two patterns turns the loop: run, stop, post, call_after and close have the same
  meaning in both. The pattern shows where bytes are moved, and nowhere else.
* An application that raises is the server's everyday life, not its end: the client is told 500, the log is told why.
"""

import logging
import socket
from contextlib import suppress

from iolab.servers.graceful_end import GracefulEnd
from iolab.servers.http_responses import Response, plain
from iolab.servers.server_limits import USUAL, ServerLimits
from iolab.servers.steps import StepNoter, unnoted
from iolab.servers.worker_pool import WorkerPool

log = logging.getLogger("iolab.servers")
LAST_WORK_S = 0.5  # for work whose client is not there any more
REFUSED_AT_ONCE = 64  # beyond limits.connections: so many are told 503; the next ones wait in the listener's queue


class HttpServer:
    """`application` has handle(request) -> Response and slow(request) -> bool; `new_acceptor(server)` starts to accept.

    It closes listener and loop with itself. All but stop() is for the thread that runs it.
    """

    def __init__(self, loop, new_acceptor, listener: socket.socket, application, limits=USUAL, step=unnoted) -> None:
        self.loop, self.listener, self.application = loop, listener, application
        self.limits: ServerLimits = limits
        self.step: StepNoter | None = step
        self.handlers: set = set()  # one for each connection, from accept to close
        self.cut_off = 0  # clients whose requests were not answered when it was closed
        self._end = GracefulEnd(self)
        self._in_one_turn = range(limits.http.pipelined)  # so many of one client
        self.stopping = self._closed = False
        try:
            self.pool = WorkerPool(limits.threads)
            self.acceptor = new_acceptor(self)
        except BaseException:
            loop.close()
            listener.close()
            raise

    def run(self) -> None:
        """Serve until stop(); closes everything, also after Ctrl-C."""
        try:
            self.loop.run()
        finally:
            self.close()

    def stop(self) -> None:
        """Finish what is under way, then run() returns; called again, at once. Any thread may call it, at any time."""
        with suppress(ValueError):  # it is closed already
            self.loop.post(self._end.begin)

    def close(self) -> None:
        """Cut everything off, and give it back; again is harmless."""
        if not self._closed:
            self._closed = True
            talks = [handler.conversation for handler in self.handlers]
            self.cut_off = sum(not (talk.finished or talk.silent) for talk in talks)
            try:
                self.acceptor.close()
                self._close_handlers()
                self.pool.close(LAST_WORK_S)
                self.loop.handle_events(0)  # what has been posted last; and who had been accepted, but not announced
                self._close_handlers()
            finally:
                self.loop.close()
                self.listener.close()

    def _close_handlers(self) -> None:
        for handler in list(self.handlers):
            handler.close()

    # For Acceptor and HttpHandler

    @property
    def crowded(self) -> bool:
        """Whether one more connection is to be told 503."""
        return len(self.handlers) >= self.limits.connections

    @property
    def overcrowded(self) -> bool:
        """Whether one more is too many even to be told so."""
        return len(self.handlers) >= self.limits.connections + REFUSED_AT_ONCE

    def answer(self, handler) -> None:
        """Let the application answer what `handler`'s client has asked, in order; a few, for others wait, too."""
        conversation, step = handler.conversation, self.step
        conversation.ending = self.stopping
        for _ in self._in_one_turn:
            if (request := conversation.next_request()) is None:
                return
            if step:
                step(4, handler.fd)
            if self.application.slow(request):
                self.pool.submit(self._answer_in_worker, handler, request)
                return
            conversation.answer(self.respond(handler, request))
            if not conversation.asked:
                return

    def gone(self, handler) -> None:
        """`handler` has closed its connection."""
        self.handlers.discard(handler)
        if self.stopping and not self.handlers:
            self.loop.stop()

    def respond(self, handler, request) -> Response:
        """The application's answer, or 500. Any thread may call it."""
        if self.step:
            self.step(5, handler.fd)
        try:
            return self.application.handle(request)
        except Exception:
            log.exception("%s %s: the application has raised", request.method, request.target)
            return plain(500, "the server could not do this")

    def _answer_in_worker(self, handler, request) -> None:
        response = self.respond(handler, request)
        with suppress(ValueError):  # the loop was closed meanwhile, and the client is gone
            self.loop.post(self._hand_over, handler, response)

    def _hand_over(self, handler, response: Response) -> None:
        try:
            handler.handle_answer(response)
        except Exception as error:  # a response that cannot be written
            log.exception("%r", response)
            handler.handle_error(error)
