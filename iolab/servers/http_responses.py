"""A response, and how it is written: the status line, the date, the length, and whether the connection stays open.

    Response(200, b"...")  ──encode──>  HTTP/1.1 200 OK
                                        Date: Sun, 06 Nov 1994 08:49:37 GMT
                                        Content-Type: text/plain; charset=utf-8
                                        Content-Length: 3

                                        ...

Three facts that surprise:
* A 1.0 client is answered with HTTP/1.1: the version says what the server can do, not what was asked (RFC 9110, 6.2).
* HEAD is answered with the length of what GET would bring, and with nothing behind it: who sends the body all the same
  has sent the beginning of the next response. 204 has not even a length (RFC 9110, 8.6).
* Silence means "stays open" in 1.1 and "closes" in 1.0. So Connection is written where it is needed, and only there.

Therefore what a response looks like depends on its request, and encode takes both.

RFC 9110 6.6.1 (Date), 8.6 (Content-Length), 10.2.3 (Retry-After), 15; RFC 9112 4, 9.3, 9.6.
"""

import re
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import NamedTuple

TEXT = "text/plain; charset=utf-8"
RETRY_AFTER_S = 1
_CLOSING = frozenset((408, 413, 503))  # also where an application says so: it has had enough, for now or of this client
_BODILESS = frozenset((204, 304))
_PHRASES = {413: "Content Too Large", 414: "URI Too Long"}  # RFC 9110; before Python 3.13 http has those of RFC 2616
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1
_VALUE = re.compile(r"[\t -~\x80-\xff]*")  # RFC 9110, 5.5


class Response(NamedTuple):
    """What an application answers; `headers` are pairs beside those that encode writes itself."""

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


def plain(status: int, text: str, *headers: tuple[str, str]) -> Response:
    """A response of one line of text; 503 says when to come again."""
    if status == 503:
        headers += (("Retry-After", str(RETRY_AFTER_S)),)
    return Response(status, f"{text}\n".encode(), TEXT, headers)


def stays_open(response: Response, request) -> bool:
    """Whether another request may follow on this connection; encode says the same to the client."""
    return request.keep_alive and response.status not in _CLOSING


def encode(response: Response, request, date: str | None = None) -> bytes:
    """The bytes that answer `request` (a Request or a Refusal); `date` is now unless given.

    ValueError for a status that HTTP does not have, and for a header that would break the message.
    """
    status, body, content_type, headers = response
    open_ = request.keep_alive and status not in _CLOSING
    head = _head(status, content_type, len(body), tuple(headers), open_, request.version, date or int(time()))
    return head if request.method == "HEAD" or status in _BODILESS else head + body


@lru_cache(maxsize=1000)
def _head(
    status: int, content_type: str, nbytes: int, headers: tuple, open_: bool, version: str, moment: int | str
) -> bytes:
    """Up to the empty line: within a second for most responses what it was for one before."""
    date = moment if isinstance(moment, str) else formatdate(moment, usegmt=True)
    fields = [("Content-Type", content_type)] if nbytes else []
    if status not in _BODILESS:
        fields.append(("Content-Length", str(nbytes)))
    fields += headers
    if not open_:
        fields.append(("Connection", "close"))
    elif version == "1.0":
        fields.append(("Connection", "keep-alive"))
    lines = [_status_line(status), f"Date: {date}", *(_field(name, value) for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _field(name: str, value: str) -> str:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"a header must be a token and one line of printable Latin-1, not {name!r}: {value!r}")
    return f"{name}: {value}"


def _status_line(status: int) -> str:
    if status < 200:
        raise ValueError(f"status must be that of a final response, from 200 on, not {status!r}")
    known = HTTPStatus(status)  # ValueError: "299 is not a valid HTTPStatus"
    return f"HTTP/1.1 {status} {_PHRASES.get(status, known.phrase)}"
