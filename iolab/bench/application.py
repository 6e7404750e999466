"""What every contestant runs: the same handler, so that what differs is the server around it.

    plain      GET /                    12 bytes of text, made before: nothing but the server is measured
    database   GET /books/ISBN          one row of SQLite, as JSON: what a small real handler costs beside it

Two facts that surprise:
* A handler of a few dozen microseconds makes all servers look alike. "Twice as fast" for an empty response may be a
  tenth for a real one: so there are both.
* An integer that several threads add 1 to may lose some; the iterator of itertools.count does not, since the
  interpreter advances it in one step. So it is the server's own count of what it has handled.
"""

from itertools import count
from pathlib import Path
from typing import NamedTuple

from iolab.bench.choices import DATABASE, PLAIN
from iolab.servers.bookstore import Bookstore
from iolab.servers.bookstore_requests import json_response
from iolab.servers.bookstore_titles import TITLES
from iolab.servers.http_requests import Request
from iolab.servers.http_responses import Response

COPIES = 1000
GREETING = b"Hello, world"


class Asked(NamedTuple):
    """What is asked of every contestant, and the body that a right answer has."""

    path: str
    body: bytes

    @property
    def request(self) -> bytes:
        return f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


_BOOK = TITLES[0]
ASKED = {
    PLAIN: Asked("/", GREETING),
    DATABASE: Asked(f"/books/{_BOOK.isbn}", json_response(200, _BOOK._asdict() | {"stock": COPIES}).body),
}


class CountedApplication:
    """`handle` of another application, counted. For any thread."""

    def __init__(self, handle) -> None:
        self._handle, self._numbers, self._looks = handle, count(), count()

    def handle(self, request: Request) -> Response:
        next(self._numbers)
        return self._handle(request)

    def slow(self, request: Request) -> bool:
        """What is asked here never is."""
        return False

    def handled(self) -> int:
        """How many so far; to look takes a number, too."""
        return next(self._numbers) - next(self._looks)


def new_application(requests: str, folder: Path) -> CountedApplication:
    """The one for PLAIN, or for DATABASE, whose file is made in `folder`."""
    if requests == PLAIN:
        response = Response(200, GREETING)
        return CountedApplication(lambda request: response)
    return CountedApplication(Bookstore(folder / "bookstore.sqlite", COPIES).handle)
