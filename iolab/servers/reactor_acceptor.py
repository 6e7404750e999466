"""Accepting on a reactor: the handler is told that somebody waits, and calls accept itself.

    readable ──> handle_input: accept, accept, accept: EAGAIN
                               └─ EMFILE: rest 100 ms, the reserve is given back ── try again

Two facts that surprise:
* One "readable" may stand for a thousand connections. Who accepts one and asks again pays for the question a thousand
  times; who accepts until EAGAIN keeps everybody else waiting in a burst. So: at most MOST_ACCEPTS at a time.
* That the server has no descriptor left is no reason for the listener to be quiet: it stays readable, and a loop that
  only skips the error spins. So the acceptor rests, and gives a descriptor that it held in reserve to the program.

POSA2, Acceptor-Connector. Lay proactor_acceptor.py beside it. accept(2).
"""

from collections.abc import Callable
from contextlib import suppress
from errno import ECONNABORTED

from iolab.models.at_once import MOST_ACCEPTS
from iolab.models.completion_rules import NO_ROOM, PAUSE_S, AcceptPause
from iolab.models.readiness import READ
from iolab.servers.http_server import HttpServer


class Acceptor:
    """Makes a handler for each connection: new_handler(server, socket)."""

    def __init__(self, server: HttpServer, new_handler: Callable) -> None:
        self._server, self._reactor, self._listener = server, server.loop, server.listener
        self._new_handler = new_handler
        self.fd = self._listener.fileno()
        self._pause, self._closed = AcceptPause(), False
        self._pause.reserve()
        self._reactor.register_handler(self, READ)

    def handle_input(self) -> None:
        """Accept those who wait, but not more than others can bear."""
        for _ in range(MOST_ACCEPTS):
            if self._server.overcrowded:
                return self._rest()
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:  # EAGAIN: nobody waits any more
                return None
            except OSError as error:
                if -error.errno in NO_ROOM:
                    return self._rest()
                if error.errno == ECONNABORTED:  # the client has gone before we came
                    continue
                raise
            self._new_handler(self._server, sock)
        return None

    def handle_output(self) -> None:
        """Never asked for."""

    def handle_error(self, error: Exception) -> None:
        """The next one may go well."""

    def close(self) -> None:
        """Accept no more; but who is connected already may have asked already."""
        if not self._closed:
            with suppress(OSError, ValueError):  # ValueError: a number that is too high for select
                self.handle_input()
            self._closed = True
            self._reactor.remove_handler(self)
            self._listener.close()
            self._pause.close()

    def _rest(self) -> None:
        self._reactor.remove_handler(self)
        self._pause.rest(self)
        self._reactor.call_after(PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        if self._closed:
            return
        if self._pause.over():
            self._reactor.register_handler(self, READ)
        else:  # there is not even a descriptor for the reserve
            self._reactor.call_after(PAUSE_S, self._go_on)
