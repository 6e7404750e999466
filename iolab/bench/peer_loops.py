"""The loops of others, each with as little around it as its documentation shows: asyncio, uvloop, gevent, tornado.

    asyncio, uvloop      Protocol.data_received(data) ──> transport.write(answers)        a loop, callbacks
    asyncio-streams      await reader.read() ──> writer.write(answers)                    a loop, a coroutine each
    gevent               recv() ──> sendall(answers)                                      a loop, a greenlet each
    tornado              its own HTTP/1.1 in Python ──> callback(request)                 asyncio's loop

Two facts that surprise:
* All four are reactors over epoll here. What looks like waiting in a coroutine or a greenlet is a handler that was
  registered, and a stack that was put aside.
* asyncio's transport asks the loop nothing to send: it calls send(2) at once, and registers for writing only after
  EAGAIN. So a request costs epoll_wait, recv and send in every one of them, as in our reactor.

Each function serves until the process ends. asyncio, uvloop and gevent have no HTTP: that is peer_http's.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache

from iolab.servers.http_requests import Request
from iolab.servers.listening import BACKLOG

RECEIVED_AT_ONCE = 1 << 16


class _Protocol(asyncio.Protocol):
    def __init__(self, http) -> None:
        self._http = http

    def connection_made(self, transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if answers := self._http.received(data):
            self._transport.write(answers)
            if self._http.over:
                self._transport.close()


def asyncio_protocol(
    listener: socket.socket, application, new_http: Callable, new_loop: Callable | None = None
) -> None:
    """asyncio's transports and protocols, on its own loop or on another that keeps to its interface."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Protocol(new_http(application)), sock=listener, backlog=BACKLOG)
        await server.serve_forever()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve())


def uvloop_protocol(listener: socket.socket, application, new_http: Callable) -> None:
    """The same on uvloop: libuv's loop, transports in Cython."""
    import uvloop

    asyncio_protocol(listener, application, new_http, uvloop.new_event_loop)


def asyncio_streams(listener: socket.socket, application, new_http: Callable) -> None:
    """asyncio's streams: a coroutine for each connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = new_http(application)
        while not http.over and (data := await reader.read(RECEIVED_AT_ONCE)):
            if answers := http.received(data):
                writer.write(answers)
                await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(talk, sock=listener, backlog=BACKLOG)
        await server.serve_forever()

    asyncio.run(serve())


def gevent_greenlets(listener: socket.socket, application, new_http: Callable) -> None:
    """gevent: a greenlet for each connection, which reads from top to bottom like a thread."""
    from gevent.server import StreamServer
    from gevent.socket import socket as green_socket

    def talk(sock, address) -> None:
        http = new_http(application)
        while not http.over and (data := sock.recv(RECEIVED_AT_ONCE)):
            if answers := http.received(data):
                sock.sendall(answers)

    green = green_socket(fileno=listener.detach())
    StreamServer(green, talk).serve_forever()


def tornado_http(listener: socket.socket, application) -> None:
    """tornado's own HTTP server, without its web framework; the response's header fields are those of encode()."""
    from tornado.httpserver import HTTPServer
    from tornado.httputil import HTTPHeaders, ResponseStartLine

    def answer(asked) -> None:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        request = Request(
            asked.method, asked.uri, asked.path, asked.query, asked.version[5:], headers, asked.body, True
        )
        response = application.handle(request)
        fields = HTTPHeaders(
            {
                "Date": _date(int(time.time())),
                "Content-Type": response.content_type,
                "Content-Length": str(len(response.body)),
            }
        )
        asked.connection.write_headers(ResponseStartLine("HTTP/1.1", response.status, "OK"), fields, response.body)
        asked.connection.finish()

    async def serve() -> None:
        HTTPServer(answer).add_sockets([listener])
        await asyncio.Event().wait()

    asyncio.run(serve())


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    """Written once a second, as encode() does."""
    return formatdate(second, usegmt=True)
