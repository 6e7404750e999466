"""The bookstore: the application behind all three servers. A request goes in, a response comes out.

    GET  /                  a page for people
    GET  /books             ?author= &limit= &offset=
    GET  /books/ISBN        one book
    POST /orders            {"isbn", "quantity"} ──> 201, and it is on the disk      slow: waits for the disk
    GET  /orders/ID         what was ordered
    GET  /recommendations   ?cents= &books=                                          slow: computes
    GET  /health            whether the database answers

Two facts that surprise:
* What is slow does not look it. A query of this database finds all in memory, as a rule; an order is two statements
  more, and then waits for the disk. slow() says which is which, and a server with an event loop sends the slow ones to
  its worker pool.
* A computation moved to another thread leaves the loop free only if it gives up the interpreter lock. SQLite does, for
  as long as it computes a row; the same search in Python would slow every other client down.

Therefore `recommendations` is a search in SQL: of all bundles of so many books the one whose price comes nearest to what
one wants to spend. Its time grows with the number of bundles: 42 for one book, 850,668 for five.

It knows nothing of sockets, threads and waiting. The database: bookstore_database; the checks: bookstore_requests.
"""

import os
import re
import sqlite3

from iolab.servers.bookstore_database import Database, OutOfStock
from iolab.servers.bookstore_page import page
from iolab.servers.bookstore_requests import Problem, integer, json_response, parameters, read_order
from iolab.servers.http_requests import Request
from iolab.servers.http_responses import Response

MOST_BOOKS = 5  # in a bundle
_BUNDLES = """
WITH RECURSIVE bundles (nbooks, last, cents, isbns) AS (
    SELECT 0, '', 0, ''
    UNION ALL
    SELECT nbooks + 1, isbn, cents + price_cents, isbns || ' ' || isbn
    FROM bundles JOIN books ON isbn > last WHERE nbooks < :nbooks
)
SELECT cents, isbns FROM bundles WHERE nbooks = :nbooks ORDER BY abs(cents - :cents), isbns LIMIT 1
"""


class Bookstore:
    """Over the file at `path`, made with `copies` of each title if it is new. Any thread may call handle().

    ValueError for `copies` that are no integer from 0 on, and for a path that cannot be a bookstore.
    """

    def __init__(self, path: str | os.PathLike, copies: int = 1000) -> None:
        if type(copies) is not int or not 0 <= copies < 1 << 53:
            raise ValueError(f"copies must be an integer from 0 to 2**53 - 1, not {copies!r}")
        self._database = Database(path, copies)
        self._routes = (
            (re.compile(r"/"), {"GET": self._page}),
            (re.compile(r"/books"), {"GET": self._books}),
            (re.compile(r"/books/([0-9]{13})"), {"GET": self._book}),
            (re.compile(r"/orders"), {"POST": self._place_order}),
            (re.compile(r"/orders/([1-9][0-9]{0,17})"), {"GET": self._order}),
            (re.compile(r"/recommendations"), {"GET": self._recommendation}),
            (re.compile(r"/health"), {"GET": self._health}),
        )

    def handle(self, request: Request) -> Response:
        """The answer; 503 where the database cannot at the moment, and then nothing has been acknowledged."""
        try:
            return self._answer(request)
        except Problem as problem:
            return problem.response
        except sqlite3.OperationalError as error:  # busy for too long, disk full, input/output error
            return json_response(503, {"error": f"the database: {error}"}, ("Retry-After", "1"))

    def slow(self, request: Request) -> bool:
        """Whether handle() may take long: it syncs a file, or computes."""
        return request.path == "/recommendations" or (request.path == "/orders" and request.method == "POST")

    def close(self) -> None:
        """Give the files back; what is under way in other threads ends first."""
        self._database.close()

    def __enter__(self) -> "Bookstore":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.close()

    def _answer(self, request: Request) -> Response:
        if request.path == "*":  # OPTIONS, of the server as a whole
            return Response(204, headers=(("Allow", "GET, HEAD, OPTIONS, POST"),))
        for pattern, methods in self._routes:
            if found := pattern.fullmatch(request.path):
                return self._answer_with(methods, request, *found.groups())
        raise Problem(404, f"there is nothing at {request.path}")

    def _answer_with(self, methods: dict, request: Request, *values: str) -> Response:
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is not None:
            return handler(request, *values)
        allowed = ("Allow", ", ".join(sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])})))
        if request.method == "OPTIONS":
            return Response(204, headers=(allowed,))
        raise Problem(405, f"{request.path} has no {request.method}, but {allowed[1]}", allowed)

    def _page(self, request: Request) -> Response:
        books = self._database.rows("SELECT * FROM books ORDER BY title")
        text = page(books, request.headers.get("host") or "localhost")
        return Response(200, text.encode(), "text/html; charset=utf-8")

    def _books(self, request: Request) -> Response:
        values = parameters(request, "author", "limit", "offset")
        limit, offset = integer(values, "limit", 100, 1, 1000), integer(values, "offset", 0, 0, 10**9 - 1)
        query = (
            "SELECT * FROM books WHERE instr(lower(author), lower(:author)) ORDER BY isbn LIMIT :limit OFFSET :offset"
        )
        author = values.get("author", "")
        return json_response(200, self._database.rows(query, author=author, limit=limit, offset=offset))

    def _book(self, request: Request, isbn: str) -> Response:
        return json_response(200, self._one("book", "SELECT * FROM books WHERE isbn = :isbn", isbn=isbn))

    def _place_order(self, request: Request) -> Response:
        isbn, quantity = read_order(request)
        try:
            order = self._database.place_order(isbn, quantity)
        except OutOfStock as error:
            raise Problem(409, f"{quantity} copies of {isbn} are wanted, and {error.stock} are in stock") from None
        if order is None:
            raise Problem(400, f"isbn must be that of a book here, and {isbn} is not: see /books")
        return json_response(201, order, ("Location", f"/orders/{order['id']}"))

    def _order(self, request: Request, number: str) -> Response:
        return json_response(200, self._one("order", "SELECT * FROM orders WHERE id = :number", number=int(number)))

    def _recommendation(self, request: Request) -> Response:
        values = parameters(request, "cents", "books")
        cents, nbooks = integer(values, "cents", 5000, 0, 10**6), integer(values, "books", 3, 1, MOST_BOOKS)
        [best] = self._database.rows(_BUNDLES, nbooks=nbooks, cents=cents)
        return json_response(200, {"cents": best["cents"], "isbns": best["isbns"].split()})

    def _health(self, request: Request) -> Response:
        return json_response(200, {"status": "ok", **self._one("book", "SELECT count(*) AS books FROM books")})

    def _one(self, what: str, query: str, **values) -> dict:
        rows = self._database.rows(query, **values)
        if not rows:
            raise Problem(404, f"there is no such {what}")
        return rows[0]
