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
from functools import lru_cache
from typing import NamedTuple

from iolab.servers.http_bodies import ChunkedBody, SizedBody
from iolab.servers.http_fields import HOST, REMEMBERED, judged_fields
from iolab.servers.http_limits import Limits
from iolab.servers.http_refusal import Refused

_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9]\.[0-9])\r\n")
_ABSOLUTE = re.compile(r"https?://([^/?#]+)([^?#]*)(.*)", re.IGNORECASE)


class Request(NamedTuple):
    """A complete request. Names of `headers` are in lower case; what came twice is joined by ", "."""

    method: str
    target: str  # as it was sent
    path: str  # of the target, not decoded; "*" for the server itself
    query: str  # what stands behind the first "?", not decoded
    version: str  # "1.0" or "1.1"
    headers: dict[str, str]
    body: bytes
    keep_alive: bool  # what the client wants


class RequestLine(NamedTuple):
    """What the first line says; `host` where the target names one."""

    method: str
    target: str
    path: str
    query: str
    host: str | None
    version: str


@lru_cache(REMEMBERED)
def request_line(line: bytes) -> RequestLine:
    """`line` with its end. Many clients ask for the same few things: what they say is remembered, as their fields are."""
    found = _REQUEST_LINE.fullmatch(line.decode("latin-1"))  # one character for each byte
    if found is None:
        raise Refused(400, "the first line is not a request line of HTTP/1.1")
    method, target, version = found.groups()
    if version not in ("1.0", "1.1"):
        raise Refused(505, f"HTTP/1.0 and HTTP/1.1 are spoken here, not HTTP/{version}")
    if method == "CONNECT":
        raise Refused(501, "this server is no proxy")
    return RequestLine(method, target, *_parts(method, target), version)


def read_head(head: bytes, limits: Limits) -> tuple[Request, SizedBody | ChunkedBody | None, bool]:
    """From the request line to the empty line: the request, its body still to come, whether 100 Continue is awaited."""
    end = head.find(b"\n") + 1
    method, target, path, query, host, version = request_line(head[:end])
    headers, nfields, nbytes, keep_alive, awaits_continue = judged_fields(method, version, head[end:])
    if nfields > limits.fields:
        raise Refused(431, f"the request has {nfields} fields; at most {limits.fields} are allowed")
    headers = headers.copy()
    if host is not None:
        headers["host"] = host
    body = None
    if nbytes != 0:
        body = ChunkedBody(limits) if nbytes is None else SizedBody(nbytes, limits)
    request = Request(method, target, path, query, version, headers, b"", keep_alive)
    return request, body, awaits_continue and body is not None


def _parts(method: str, target: str) -> tuple[str, str, str | None]:
    """Path, query and, where the target names one, host."""
    host, whole = None, "*" if method == "OPTIONS" else "/"  # whole: where an address names no path
    if not target.startswith("/") and (absolute := _ABSOLUTE.fullmatch(target)):
        host, target = absolute[1], (absolute[2] or whole) + absolute[3]
    path, _, query = target.partition("?")
    if "#" in target or not (path.startswith("/") or target == whole) or (host and not HOST.fullmatch(host)):
        raise Refused(400, "the target must be a path, or an address of http")
    return path, query, host
