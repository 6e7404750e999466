"""What the fields of a request's head say: parsed by llhttp, judged here, and remembered for a while.

    Host: localhost:8080\\r\\n      exactly one in 1.1
    Connection: close\\r\\n         whether the client wants to stay
    Content-Length: 33\\r\\n        how long the body is; or in chunks
    \\r\\n                          ──> JudgedFields, the same object for the same bytes

Three facts that surprise:
* llhttp is strict with fields, lengths and codings, and yet lets pass what is refused here: no Host or two,
  Transfer-Encoding in HTTP/1.0, gzip before chunked.
* A client says the same with each request, whatever it asks for; a browser takes several hundred bytes for that. To
  read them anew each time costs more than any other step of a small request.
* What is remembered for the next request is also kept in memory: cookies and passwords, too. So it is little, it is
  dropped when others come, and no request can change it for another one.

Therefore JudgedFields is for reading only, its headers, too (MappingProxyType): who wants to write makes a copy.

RFC 9112 5 to 7, 9.3; RFC 9110 5.3, 7.2, 10.1.1.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import httptools

from iolab.servers.http_refusal import Refused

REMEMBERED = 256  # heads of at most Limits.head bytes
HOST = re.compile(r"(?:[\w.~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?", re.ASCII)  # RFC 3986, 3.2.2


class JudgedFields(NamedTuple):
    """With the request line's method and version."""

    headers: Mapping[str, str]  # names in lower case; what came twice is joined by ", "
    nfields: int  # what came twice counts twice
    nbytes: int | None  # of the body; None for chunks
    keep_alive: bool
    awaits_continue: bool


@lru_cache(REMEMBERED)
def judged_fields(method: str, version: str, fields: bytes) -> JudgedFields:
    """`fields` end with the empty line. Refused is raised anew each time: what is refused is not remembered."""
    pairs = _pairs(method, version, fields)
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in pairs:
        name, value = name_bytes.decode("ascii").lower(), value_bytes.decode("latin-1").rstrip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if "host" not in headers and version == "1.1":
        raise Refused(400, "HTTP/1.1 demands a Host field")
    if not HOST.fullmatch(headers.get("host", "")):
        raise Refused(400, "Host must be one host, with a port or without")
    nbytes, keep_alive = _nbytes(version, headers), _keep_alive(version, headers)
    return JudgedFields(MappingProxyType(headers), len(pairs), nbytes, keep_alive, _awaits_continue(version, headers))


class _Pairs:
    """What llhttp calls back."""

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name, value))


def _pairs(method: str, version: str, fields: bytes) -> list[tuple[bytes, bytes]]:
    called_back = _Pairs()
    try:
        httptools.HttpRequestParser(called_back).feed_data(f"{method} / HTTP/{version}\r\n".encode() + fields)
    except httptools.HttpParserUpgrade:
        pass  # to another protocol: nobody has to follow, and we do not (RFC 9110, 7.8)
    except httptools.HttpParserInvalidMethodError:
        raise Refused(501, f"the method {method} is not known here") from None
    except httptools.HttpParserError as error:
        raise Refused(400, str(error)) from None
    if method == "CONNECT":
        raise Refused(501, "this server is no proxy")
    return called_back.pairs


def _keep_alive(version: str, headers: dict[str, str]) -> bool:
    if "connection" not in headers:
        return version == "1.1"
    wishes = {wish.strip(" \t") for wish in headers["connection"].lower().split(",")}
    return "close" not in wishes and (version == "1.1" or "keep-alive" in wishes)


def _nbytes(version: str, headers: dict[str, str]) -> int | None:
    coding = headers.get("transfer-encoding")
    if coding is None:
        return int(headers.get("content-length", "0"))  # llhttp has seen that it is a number, and only one
    if version == "1.0":
        raise Refused(400, "HTTP/1.0 has no Transfer-Encoding")
    if coding.lower() != "chunked":
        raise Refused(501, f"the only transfer coding known here is chunked, not {coding!r}")
    return None


def _awaits_continue(version: str, headers: dict[str, str]) -> bool:
    expectation = headers.get("expect", "").lower()
    if version == "1.0" or not expectation:
        return False  # a 1.0 client's expectation must be ignored
    if expectation != "100-continue":
        raise Refused(417, f"the only expectation known here is 100-continue, not {expectation!r}")
    return True
