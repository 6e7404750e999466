"""Who takes part: our servers over every mechanism that they stand on, and the loops of others.

    reactor-*, proactor-*, threads    our servers, with all their limits and time-outs
    asyncio, uvloop, gevent, ...      loops of others around httptools: no limits, no time-outs
    *-same-http                       those loops around the HTTP of our servers: what differs is the loop
    tornado                           loop of asyncio, HTTP of its own

Two facts that surprise:
* "Is it faster than uvloop?" is two questions. Against `uvloop` it compares a server with a benchmark's server, against
  `uvloop-same-http` one loop with another; only there is everything but the loop the same.
* A server that has no thread left for a client is not slow with it: it does not answer. So each says how many it bears.

Each is started as a process of its own (running.py), and all get the same listener, handler, and response.
"""

import importlib.util
import socket
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from iolab.bench import peer_loops
from iolab.bench.choices import SERVERS, check_choice
from iolab.bench.peer_http import LeanHttp, SameHttp
from iolab.servers.processors import PROCESSORS
from iolab.servers.serve import DEMULTIPLEXERS, new_server
from iolab.servers.server_limits import USUAL, ServerLimits
from iolab.servers.threaded_http_server import BOUNDED

OURS, LEAN, ITS_OWN = "ours", "httptools", "its own"  # whose HTTP


def _installed() -> None:
    """It needs nothing but this package and Python's library."""


class Contestant(NamedTuple):
    """`serve(listener, application)` serves until the process ends; `unavailable()` says why it cannot, or None."""

    name: str
    http: str
    serve: Callable[[socket.socket, object], None]
    unavailable: Callable[[], str | None] = _installed
    connections: int = USUAL.connections  # so many it bears

    @property
    def ours(self) -> bool:
        return self.name.startswith(("reactor", "proactor", "threads"))


def _serve_ours(kind: str, mechanism: str | None, listener: socket.socket, application) -> None:
    new_server(kind, mechanism, listener, application).run()


def _ours(kind: str, mechanism: str | None, unavailable: Callable, limits: ServerLimits) -> Contestant:
    name = f"{kind}-{mechanism}" if mechanism else kind
    return Contestant(name, OURS, partial(_serve_ours, kind, mechanism), unavailable, limits.connections)


def _peer(name: str, http: str, serve: Callable, library: str = "", **how) -> Contestant:
    def missing() -> str | None:
        if library and importlib.util.find_spec(library) is None:
            return f"{library} is not installed: pip install 'iolab[bench]'"
        return None

    return Contestant(name, http, partial(serve, **how), missing)


CONTESTANTS = (
    *(_ours("reactor", name, module.unavailable, limits) for name, (module, _, limits) in DEMULTIPLEXERS.items()),
    *(
        _ours("proactor", name, back_end.unavailable, back_end.limits)
        for name, back_end in PROCESSORS.items()
        if name != "iocp"  # Windows': it cannot be measured beside the others
    ),
    _ours("threads", None, _installed, BOUNDED),
    _peer("asyncio", LEAN, peer_loops.asyncio_protocol, new_http=LeanHttp),
    _peer("asyncio-streams", LEAN, peer_loops.asyncio_streams, new_http=LeanHttp),
    _peer("asyncio-same-http", OURS, peer_loops.asyncio_protocol, new_http=SameHttp),
    _peer("uvloop", LEAN, peer_loops.uvloop_protocol, "uvloop", new_http=LeanHttp),
    _peer("uvloop-same-http", OURS, peer_loops.uvloop_protocol, "uvloop", new_http=SameHttp),
    _peer("gevent", LEAN, peer_loops.gevent_greenlets, "gevent", new_http=LeanHttp),
    _peer("tornado", ITS_OWN, peer_loops.tornado_http, "tornado"),
)


def contestant(name: str) -> Contestant:
    """By its name; ValueError for another one."""
    check_choice("server", name, SERVERS)
    return CONTESTANTS[SERVERS.index(name)]
