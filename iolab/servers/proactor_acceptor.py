"""Accepting on a proactor: one operation is started, and completes again and again, with a new descriptor each time.

    accept started ──> handle_accept: 8 ──> handle_accept: 9 ──> ...
                       └─ EMFILE: the queue rests 100 ms by itself, and starts it anew

Two facts that surprise:
* The connections that the program has not asked for yet have been accepted already: to slow down it must cancel, and
  some may still come. In a reactor, not to call accept is enough.
* A listener whose accept is under way cannot be closed: the kernel keeps the socket, and the port, until the operation
  is over. So it is cancelled, and its last completion closes the listener.

POSA2, Acceptor-Connector. Lay reactor_acceptor.py beside it. io_uring_prep_multishot_accept(3).
"""

from collections.abc import Callable
from contextlib import suppress

from iolab.models.at_once import MOST_ACCEPTS
from iolab.models.completion import Completion, Operation
from iolab.models.completion_rules import PAUSE_S
from iolab.servers.http_server import HttpServer


class Acceptor:
    """Makes a handler for each connection: new_handler(server, descriptor)."""

    def __init__(self, server: HttpServer, new_handler: Callable) -> None:
        self._server, self._proactor, self._listener = server, server.loop, server.listener
        self._new_handler = new_handler
        self._accepting: Operation | None = None
        self._closed = False
        self._go_on()

    def handle_accept(self, completion: Completion) -> None:
        """One has been accepted; or it is over."""
        if not completion.more:
            self._accepting = None
            if self._closed:
                self._close_listener()
            else:  # cancelled because it was too crowded, or an error that the queue does not mend
                self._rest()
        elif self._server.overcrowded:
            self._proactor.cancel(self._accepting)
        if completion.result >= 0:
            self._new_handler(self._server, completion.result)

    def handle_error(self, error: Exception) -> None:
        """The next one may go well."""

    def close(self) -> None:
        """Accept no more."""
        if not self._closed:
            self._closed = True
            if self._accepting is not None:
                self._proactor.cancel(self._accepting)
            else:
                self._close_listener()

    def _close_listener(self) -> None:
        """Nothing is under way on it any more. Who is connected already may have asked already: a few, without waiting."""
        with suppress(OSError):  # EAGAIN: nobody is
            for _ in range(MOST_ACCEPTS):
                sock, _ = self._listener.accept()
                self._new_handler(self._server, sock.detach())
        self._listener.close()

    def _rest(self) -> None:
        self._proactor.call_after(PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        if self._closed:
            return
        if self._server.overcrowded:
            self._rest()
        else:
            self._accepting = self._proactor.accept(self._listener.fileno(), self)
