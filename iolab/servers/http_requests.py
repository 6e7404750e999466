"""A request's head, read: the request line by its grammar, the fields by llhttp, and what only the server can judge.

    POST /orders?x=1 HTTP/1.1\\r\\n   method SP target SP version: one space each, nothing else
    Host: localhost:8080\\r\\n        exactly one in 1.1
    Content-Length: 33\\r\\n          where the body ends: http_bodies
    \\r\\n

Two facts that surprise:
* A target may be a whole address, "GET http://localhost/books": every server has to take it, and its host counts
  more than the Host field (RFC 9112, 3.2.2). `OPTIONS *` has no path at all.
* A lenient parser is a danger to its neighbours: two that differ on one byte can be played against each other. llhttp
  is strict with fields, lengths and codings; it lets pass what is refused here: more than one space in the request
  line, RTSP/1.0 and HTTP/2.0, no Host or two, Transfer-Encoding in HTTP/1.0, gzip before chunked.

Therefore this file has the request line's grammar itself, and asks about the rest. 1.2 is answered with 505: the
standard would rather have it read as 1.1, but llhttp does not know it, and nobody sends it.

RFC 9112 2 to 6; RFC 9110 7.2, 10.1.1.
"""

import re
from typing import NamedTuple

import httptools

from iolab.servers.http_bodies import ChunkedBody, SizedBody
from iolab.servers.http_limits import Limits
from iolab.servers.http_refusal import Refused

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9]\.[0-9])\r\n")
_ABSOLUTE = re.compile(r"https?://([^/?#]+)([^?#]*)(.*)", re.IGNORECASE)
_HOST = re.compile(r"(?:[\w.~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?", re.ASCII)  # RFC 3986, 3.2.2


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


class _Fields:
    """What llhttp calls back."""

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name, value))


def read_head(head: bytes, limits: Limits) -> tuple[Request, SizedBody | ChunkedBody | None, bool]:
    """From the request line to the empty line: the request, its body still to come, whether 100 Continue is awaited."""
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise Refused(400, "the first line is not a request line of HTTP/1.1")
    method, target, version = (group.decode("ascii") for group in line.groups())
    if version not in ("1.0", "1.1"):
        raise Refused(505, f"HTTP/1.0 and HTTP/1.1 are spoken here, not HTTP/{version}")
    headers = _headers(head, method, limits)
    path, query, host = _parts(method, target)
    if "host" not in headers and version == "1.1":
        raise Refused(400, "HTTP/1.1 demands a Host field")
    if not _HOST.fullmatch(headers.get("host", "")):
        raise Refused(400, "Host must be one host, with a port or without")
    if host is not None:
        headers["host"] = host
    request = Request(method, target, path, query, version, headers, b"", _keep_alive(version, headers))
    body = _body(request, limits)
    return request, body, _awaits_continue(request) and body is not None


def _headers(head: bytes, method: str, limits: Limits) -> dict[str, str]:
    fields = _Fields()
    try:
        httptools.HttpRequestParser(fields).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # to another protocol: nobody has to follow, and we do not (RFC 9110, 7.8)
    except httptools.HttpParserInvalidMethodError:
        raise Refused(501, f"the method {method} is not known here") from None
    except httptools.HttpParserError as error:
        raise Refused(400, str(error)) from None
    if method == "CONNECT":
        raise Refused(501, "this server is no proxy")
    if len(fields.pairs) > limits.fields:
        raise Refused(431, f"the request has {len(fields.pairs)} fields; at most {limits.fields} are allowed")
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in fields.pairs:
        name, value = name_bytes.decode("ascii").lower(), value_bytes.decode("latin-1").rstrip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _parts(method: str, target: str) -> tuple[str, str, str | None]:
    """Path, query and, where the target names one, host."""
    host, whole = None, "*" if method == "OPTIONS" else "/"  # whole: where an address names no path
    if absolute := _ABSOLUTE.fullmatch(target):
        host, target = absolute[1], (absolute[2] or whole) + absolute[3]
    path, _, query = target.partition("?")
    if "#" in target or not (path.startswith("/") or target == whole) or not _HOST.fullmatch(host or ""):
        raise Refused(400, "the target must be a path, or an address of http")
    return path, query, host


def _keep_alive(version: str, headers: dict[str, str]) -> bool:
    if "connection" not in headers:
        return version == "1.1"
    wishes = {wish.strip(" \t") for wish in headers["connection"].lower().split(",")}
    return "close" not in wishes and (version == "1.1" or "keep-alive" in wishes)


def _body(request: Request, limits: Limits) -> SizedBody | ChunkedBody | None:
    coding = request.headers.get("transfer-encoding")
    if coding is None:
        nbytes = int(request.headers.get("content-length", "0"))  # llhttp has seen that it is a number, and only one
        return SizedBody(nbytes, limits) if nbytes else None
    if request.version == "1.0":
        raise Refused(400, "HTTP/1.0 has no Transfer-Encoding")
    if coding.lower() != "chunked":
        raise Refused(501, f"the only transfer coding known here is chunked, not {coding!r}")
    return ChunkedBody(limits)


def _awaits_continue(request: Request) -> bool:
    expectation = request.headers.get("expect", "").lower()
    if request.version == "1.0" or not expectation:
        return False  # a 1.0 client's expectation must be ignored
    if expectation != "100-continue":
        raise Refused(417, f"the only expectation known here is 100-continue, not {expectation!r}")
    return True
