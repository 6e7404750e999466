"""The end of a server beside connections that end by themselves at that moment."""

import os
import socket
from types import SimpleNamespace

import pytest

from iolab.servers.acknowledged import acknowledged
from iolab.servers.graceful_end import GracefulEnd
from iolab.servers.lingering import shut_down_sending


class Loop:
    """Timers that ring when they are told to."""

    def __init__(self) -> None:
        self.timers, self.stopped = [], False

    def call_after(self, delay_s: float, callback) -> None:
        self.timers.append((delay_s, callback))

    def stop(self) -> None:
        self.stopped = True


class Handler:
    """Of a client who says nothing."""

    def __init__(self, fd: int) -> None:
        self.fd, self.conversation, self.closed = fd, SimpleNamespace(silent=True, ending=False), False

    def close_if_silent(self) -> None:
        self.closed = True


def test_a_descriptor_that_is_closed_already_does_not_keep_the_others_open():
    """A proactor's handler hears of its close a turn after the descriptor was closed."""
    here, there = socket.socketpair()
    with here, there:
        gone, stays, loop = Handler(os.dup(here.fileno())), Handler(here.fileno()), Loop()
        os.close(gone.fd)
        acceptor, limits = SimpleNamespace(close=lambda: None), SimpleNamespace(stop_s=60.0)
        server = SimpleNamespace(stopping=False, acceptor=acceptor, handlers={gone, stays}, loop=loop, limits=limits)
        GracefulEnd(server).begin()
        for _ in range(2):  # silent now, and 50 ms later
            delay_s, callback = loop.timers.pop()
            assert delay_s < 1
            callback()
    assert stays.closed


@pytest.mark.skipif(not hasattr(socket, "SOCK_NONBLOCK"), reason="no SOCK_NONBLOCK: a default time-out is taken over")
@pytest.mark.parametrize("ask", [acknowledged, shut_down_sending])
def test_a_default_time_out_of_sockets_makes_no_connection_nonblocking(ask):
    here, there = socket.socketpair()
    with here, there:
        socket.setdefaulttimeout(60)
        try:
            ask(here.fileno())
        finally:
            socket.setdefaulttimeout(None)
        assert os.get_blocking(here.fileno())
