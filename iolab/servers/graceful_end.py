"""How a server ends: nobody new, what was asked is answered, the silent are closed, and nobody is waited for for ever.

    stop() ── the listener is closed ── silent, and silent 50 ms earlier: closed ── the last answer: "Connection: close" ── end
                                                                                    stop_s are over, or stop() again ── end

Two facts that surprise:
* A server that stops must not close a silent connection at once: a request may lie in the kernel, or be in a helper
  thread's hands, sent before anybody knew. So the kernel is asked (FIONREAD), and the loop turns meanwhile.
* What an end must never wait for is the clients: one that reads nothing would keep the server up for ever. Hence the
  deadline, after which what is left is cut off.

RFC 9112, 9.6; socket_queue.
"""

from functools import partial

from iolab.kernel import socket_queue

GRACE_S = 0.05


class GracefulEnd:
    """Of one HttpServer."""

    def __init__(self, server) -> None:
        self._server = server

    def begin(self) -> None:
        """The first time; the second time, end at once. In the loop's thread."""
        server = self._server
        if server.stopping:
            server.loop.stop()
            return
        server.stopping = True
        server.acceptor.close()
        for handler in server.handlers:
            handler.conversation.ending = True
        server.loop.call_after(server.limits.stop_s, server.loop.stop)
        server.loop.call_after(GRACE_S, partial(self._close_the_silent, set()))

    def _close_the_silent(self, before: set) -> None:
        """Who was silent `before`, too: what the kernel had for us then, or a helper thread, has been handed over."""
        server = self._server
        silent = {handler for handler in server.handlers if handler.conversation.silent and not _unread(handler.fd)}
        for handler in silent & before:
            handler.close_if_silent()
        if server.handlers:
            server.loop.call_after(GRACE_S, partial(self._close_the_silent, silent))
        else:
            server.loop.stop()


def _unread(fd: int) -> int:
    try:
        return socket_queue.unread(fd) if socket_queue.ioctl else 0
    except OSError:  # EBADF: a proactor has closed it, and the completion that says so is on its way
        return 0
