"""A request's head, read: the request line by its grammar, here; the fields by llhttp: http_fields.

    POST /orders?x=1 HTTP/1.1\\r\\n   method SP target SP version: one space each, nothing else
    Host: localhost:8080\\r\\n        http_fields
    Content-Length: 33\\r\\n          where the body ends: http_bodies
    \\r\\n

Two facts that surprise:
* A target may be a whole address, "GET http://localhost/books": every server has to take it, and its host counts
  more than the Host field (RFC 9112, 3.2.2). `OPTIONS *` has no path at all.
* A lenient parser is a danger to its neighbours: two that differ on one byte can be played against each other. llhttp
  takes more than one space in the request line, RTSP/1.0, and HTTP/2.0.

Therefore this file has the request line's grammar itself. 1.2 is answered with 505: the standard would rather have it
read as 1.1, but llhttp does not know it, and nobody sends it.

RFC 9112 2 and 3; RFC 9110 7.2.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from iolab.servers.http_bodies import ChunkedBody, SizedBody
from iolab.servers.http_fields import HOST, REMEMBERED, judged_fields
from iolab.servers.http_limits import Limits
from iolab.servers.http_refusal import Refused

_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9]\.[0-9])\r\n")
_ABSOLUTE = re.compile(r"https?://([^/?#]+)([^?#]*)(.*)", re.IGNORECASE)


class Request(NamedTuple):
    """A complete request. Names of `headers` are in lower case; what came twice is joined by ", ". For reading only."""

    method: str
    target: str  # as it was sent
    path: str  # of the target, not decoded; "*" for the server itself
    query: str  # what stands behind the first "?", not decoded
    version: str  # "1.0" or "1.1"
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool  # what the client wants


class JudgedHead(NamedTuple):
    """`request` has no body yet; `alone` is the same if none follows, nor an end. The rest is as in JudgedFields."""

    request: Request
    alone: Request | None
    nfields: int
    nbytes: int | None
    awaits_continue: bool


_judged: dict[bytes, JudgedHead] = {}  # REMEMBERED ones at most; nothing that was refused


def read_head(head: bytes, limits: Limits) -> tuple[Request, SizedBody | ChunkedBody | None, bool]:
    """From the request line to the empty line: the request, its body still to come, whether 100 Continue is awaited."""
    request, _, nfields, nbytes, awaits_continue = judged_head(head)
    if nfields > limits.fields:
        raise Refused(431, f"the request has {nfields} fields; at most {limits.fields} are allowed")
    if nbytes == 0:
        return request, None, False
    return request, ChunkedBody(limits) if nbytes is None else SizedBody(nbytes, limits), awaits_continue


def known_request(data, limits: Limits) -> Request | None:
    """The request that `data` is, from its first byte to its last, if just these bytes have been judged before.

    None, too, where a body follows, or the connection is to be closed, or these limits have to be asked.
    """
    judged = _judged.get(data if type(data) is bytes else bytes(data))
    if judged is None or judged.nfields > limits.fields or len(data) > limits.request_line:
        return None
    return judged.alone


def judged_head(head: bytes) -> JudgedHead:
    """What many ask for again and again is read once, as are a client's fields: with the same caution (http_fields)."""
    judged = _judged.get(head)
    if judged is None:
        judged = _judge(head)
        if len(_judged) >= REMEMBERED:
            _judged.clear()  # whatever is still asked for is soon there again
        _judged[head] = judged
    return judged


def _judge(head: bytes) -> JudgedHead:
    line = _REQUEST_LINE.match(head.decode("latin-1"))  # one character for each byte
    if line is None:
        raise Refused(400, "the first line is not a request line of HTTP/1.1")
    method, target, version = line.groups()
    if version not in ("1.0", "1.1"):
        raise Refused(505, f"HTTP/1.0 and HTTP/1.1 are spoken here, not HTTP/{version}")
    judged = judged_fields(method, version, head[line.end() :])
    path, query, host = _parts(method, target)
    headers = judged.headers if host is None else MappingProxyType({**judged.headers, "host": host})
    request = Request(method, target, path, query, version, headers, b"", judged.keep_alive)
    alone = request if judged.nbytes == 0 and judged.keep_alive else None
    return JudgedHead(request, alone, judged.nfields, judged.nbytes, judged.awaits_continue)


def _parts(method: str, target: str) -> tuple[str, str, str | None]:
    """Path, query and, where the target names one, host."""
    host, whole = None, "*" if method == "OPTIONS" else "/"  # whole: where an address names no path
    if not target.startswith("/") and (absolute := _ABSOLUTE.fullmatch(target)):
        host, target = absolute[1], (absolute[2] or whole) + absolute[3]
    path, _, query = target.partition("?")
    if "#" in target or not (path.startswith("/") or target == whole) or (host and not HOST.fullmatch(host)):
        raise Refused(400, "the target must be a path, or an address of http")
    return path, query, host
