"""The bookstore's answers: asked by real requests, read as a client reads them (h11, json, an HTML parser)."""

import json
import shlex
import sqlite3
import sys
import threading
import time
from contextlib import closing
from html.parser import HTMLParser
from itertools import combinations

import h11
import pytest

from iolab.servers.bookstore import Bookstore
from iolab.servers.bookstore_requests import MOST_COPIES
from iolab.servers.bookstore_titles import TITLES, isbn_13
from iolab.servers.http_messages import HttpConnection
from iolab.servers.http_responses import encode
from tests.left_behind import nothing_left_behind

FIRST = TITLES[0].isbn
UNKNOWN = isbn_13("979999999999")
COPIES = 7


@pytest.fixture
def bookstore(tmp_path):
    with Bookstore(tmp_path / "bookstore.sqlite", COPIES) as bookstore:
        yield bookstore


class Answer:
    """What a client gets, by h11: status, headers, body."""

    def __init__(self, data: bytes, method: str) -> None:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(data)
        response, self.body = client.next_event(), b""
        while isinstance(event := client.next_event(), h11.Data):
            self.body += bytes(event.data)
        self.status = response.status_code
        self.headers = {name.decode(): value.decode() for name, value in response.headers}

    @property
    def content(self):
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


def ask(bookstore, method: str, target: str, body: bytes | None = None, fields: str = "") -> Answer:
    """One request through http_messages to the bookstore and back."""
    length = "" if body is None else f"Content-Length: {len(body)}\r\n"
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost:8080\r\n{fields}{length}\r\n"
    [request] = HttpConnection().receive(head.encode() + (body or b""))
    return Answer(encode(bookstore.handle(request), request), method)


def order(bookstore, isbn: str = FIRST, quantity: int = 1) -> Answer:
    body = json.dumps({"isbn": isbn, "quantity": quantity}).encode()
    return ask(bookstore, "POST", "/orders", body, "Content-Type: application/json\r\n")


def stock(bookstore, isbn: str = FIRST) -> int:
    return ask(bookstore, "GET", f"/books/{isbn}").content["stock"]


# Books


def test_isbns_have_the_check_digit_of_the_standard():
    assert isbn_13("978316148410") == "9783161484100"  # the example of the ISBN users' manual
    assert isbn_13("978030640615") == "9780306406157"
    for title in TITLES:
        assert len(title.isbn) == 13
        assert (sum(map(int, title.isbn[::2])) + 3 * sum(map(int, title.isbn[1::2]))) % 10 == 0
    assert len({title.isbn for title in TITLES}) == len(TITLES) >= 24


def test_all_books_are_listed_as_they_are(bookstore):
    answer = ask(bookstore, "GET", "/books")
    assert (answer.status, answer.content) == (200, [{**title._asdict(), "stock": COPIES} for title in TITLES])


def test_books_are_found_by_author_in_parts_and_pages(bookstore):
    def titles(query: str) -> list[str]:
        return [book["title"] for book in ask(bookstore, "GET", f"/books?{query}").content]

    assert titles("author=TOLSTOY") == ["War and Peace", "Anna Karenina"]
    assert titles("author=bront%C3%AB") == ["Jane Eyre", "Wuthering Heights"]
    assert titles("author=nobody") == titles("offset=1000") == []
    every = titles("author=")
    assert [*titles("limit=20"), *titles("limit=20&offset=20"), *titles("offset=40")] == every
    assert titles("author=%25") == []  # no wildcard


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=0", "limit must be an integer from 1 to 1000, not \"0\""), ("limit=x", "limit must be"),
        ("limit=1001", "limit must be"), ("limit=-1", "limit must be"), ("limit=1&limit=2", "each once, and not \"limit\""),
        ("limit=%D9%A1", "limit must be"), ("limit=1_0", "limit must be"), ("offset=9999999999", "offset must be"),
        ("limit=", "limit must be"), ("title=a", "and not \"title\""), ("limit", "cannot be read"),
        ("&".join(f"a{number}=b" for number in range(20)), "cannot be read"),
    ],
)  # fmt: skip
def test_a_wrong_query_is_explained(bookstore, query, said):
    answer = ask(bookstore, "GET", f"/books?{query}")
    assert answer.status == 400
    assert said in answer.content["error"]


def test_one_book(bookstore):
    answer = ask(bookstore, "GET", f"/books/{FIRST}")
    assert (answer.status, answer.content) == (200, {**TITLES[0]._asdict(), "stock": COPIES})
    assert ask(bookstore, "GET", f"/books/{UNKNOWN}").status == 404


@pytest.mark.parametrize(
    "path", ["/book", "/books/", "/books/1", f"/books/{FIRST}/", "/Books", "//", "/orders/0", "/orders/x", "/orders/" + "9" * 30, "/%62ooks"]
)  # fmt: skip
def test_elsewhere_is_nothing(bookstore, path):
    assert ask(bookstore, "GET", path).status == 404


# Orders


def test_an_order_is_answered_with_its_place_and_takes_from_the_stock(bookstore):
    answer = order(bookstore, FIRST, 3)
    assert (answer.status, stock(bookstore)) == (201, COPIES - 3)
    expected = {"isbn": FIRST, "quantity": 3, "total_cents": 3 * TITLES[0].price_cents}
    assert {name: answer.content[name] for name in expected} == expected
    time.strptime(answer.content["ordered_at"], "%Y-%m-%dT%H:%M:%SZ")
    there = ask(bookstore, "GET", answer.headers["location"])
    assert (there.status, there.content) == (200, answer.content)
    assert order(bookstore).headers["location"] != answer.headers["location"]


def test_more_than_there_is_cannot_be_ordered_and_changes_nothing(bookstore):
    answer = order(bookstore, FIRST, COPIES + 1)
    assert answer.status == 409
    assert answer.content["error"] == f"{COPIES + 1} copies of {FIRST} are wanted, and {COPIES} are in stock"
    assert stock(bookstore) == COPIES
    assert (order(bookstore, FIRST, COPIES).status, order(bookstore, FIRST, 1).status) == (201, 409)
    assert ask(bookstore, "GET", "/orders/2").status == 404


RIGHT = b'{"isbn": "%s", "quantity": 1}' % FIRST.encode()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "must be JSON"), (b"{", "must be JSON"), (b"\xff", "must be JSON"), (b"[" * 50_000, "must be JSON"),
        (b'{"isbn": ' + b"9" * 5000 + b', "quantity": 1}', "must be JSON"), (RIGHT.decode().encode("utf-16"), "must be JSON"),
        (b"[]", "an object with isbn and quantity"), (b"null", "an object"), (b'{"isbn": "1"}', "an object"),
        (RIGHT.replace(b"}", b', "price": 0}'), "an object"),
        (RIGHT.replace(FIRST.encode(), b"979"), 'isbn must be a string of 13 digits, not "979"'),
        (RIGHT.replace(FIRST.encode(), b"x" * 1000), "..."),
        (RIGHT.replace(b'"' + FIRST.encode() + b'"', FIRST.encode()), "isbn must be a string"),
        (RIGHT.replace(FIRST.encode(), UNKNOWN.encode()), f"{UNKNOWN} is not"),
        *((RIGHT.replace(b": 1}", b": %s}" % wrong), f"quantity must be an integer from 1 to {MOST_COPIES}, not")
          for wrong in (b"0", b"-1", b"1.0", b"1e3", b'"1"', b"true", b"null", b"[1]", b"NaN", b"101", b"9" * 100)),
    ],
)  # fmt: skip
def test_a_wrong_order_is_explained_and_changes_nothing(bookstore, body, said):
    answer = ask(bookstore, "POST", "/orders", body, "Content-Type: application/json\r\n")
    assert answer.status == 400
    assert said in answer.content["error"]
    assert len(answer.content["error"]) < 250
    assert stock(bookstore) == COPIES


def test_an_order_of_another_type_or_without_length_is_refused(bookstore):
    for fields in ("", "Content-Type: application/x-www-form-urlencoded\r\n", "Content-Type: application/jsonx\r\n"):
        assert ask(bookstore, "POST", "/orders", RIGHT, fields).status == 415
    for fields in ("Content-Type: APPLICATION/JSON\r\n", "Content-Type: application/json ; charset=utf-8\r\n"):
        assert ask(bookstore, "POST", "/orders", RIGHT, fields).status == 201
    assert ask(bookstore, "POST", "/orders", None, "Content-Type: application/json\r\n").status == 411
    chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    head = f"POST /orders HTTP/1.1\r\nHost: a\r\n{chunked}\r\n".encode()
    [request] = HttpConnection().receive(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(RIGHT), RIGHT))
    assert bookstore.handle(request).status == 201


# Methods


PLACES = {"/": "GET", "/books": "GET", f"/books/{FIRST}": "GET", "/orders": "POST", "/orders/1": "GET",
          "/recommendations": "GET", "/health": "GET"}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_each_place_says_what_it_can(bookstore, place):
    assert order(bookstore).headers["location"] == "/orders/1"
    allowed = {"GET", "HEAD", "OPTIONS"} if PLACES[place] == "GET" else {"POST", "OPTIONS"}
    options = ask(bookstore, "OPTIONS", place)
    assert (options.status, set(options.headers["allow"].split(", "))) == (204, allowed)
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE"):
        answer = ask(bookstore, method, place, b"")
        if method in allowed:
            assert answer.status in (200, 415)
        else:
            assert (answer.status, answer.headers["allow"]) == (405, options.headers["allow"])
    if "HEAD" in allowed:
        head, get = ask(bookstore, "HEAD", place), ask(bookstore, "GET", place)
        assert head.body == b""
        assert (head.headers["content-length"], get.status) == (str(len(get.body)), 200)


def test_the_server_as_a_whole_has_options():
    store = Bookstore.__new__(Bookstore)  # it needs no database for that
    answer = ask(store, "OPTIONS", "*")
    assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")


# The page


class Reader(HTMLParser):
    """The texts of a page, its links and its elements; complains where tags are not closed in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.texts, self.links, self.elements, self._open = [], [], set(), []

    def handle_starttag(self, tag, attributes):
        self.elements.add(tag)
        self.links += [value for name, value in attributes if name in ("href", "src")]
        if tag not in ("meta", "link", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def close(self):
        super().close()
        assert self._open == []


def read_page(answer: Answer) -> Reader:
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    reader = Reader()
    reader.feed(answer.body.decode())
    reader.close()
    return reader


def test_the_page_shows_each_book_and_needs_no_script(bookstore):
    reader = read_page(ask(bookstore, "GET", "/"))
    assert {title.title for title in TITLES} | {title.author for title in TITLES} <= set(reader.texts)
    assert "script" not in reader.elements
    assert {f"/books/{title.isbn}" for title in TITLES} <= set(reader.links)
    for link in reader.links:
        assert ask(bookstore, "GET", link).status == 200


def test_the_command_on_the_page_orders_a_book(bookstore):
    reader = read_page(ask(bookstore, "GET", "/"))
    [command] = [shlex.split(text) for text in reader.texts if text.startswith("curl")]
    assert command[:2] == ["curl", "-H"]
    assert command[3] == "-d"
    assert command[5:] == ["http://localhost:8080/orders"]
    assert ask(bookstore, "POST", command[5], command[4].encode(), f"{command[2]}\r\n").status == 201


def test_a_host_that_is_a_trap_stays_text(bookstore):
    [request] = HttpConnection().receive(b"GET / HTTP/1.1\r\nHost: a'$(reboot)&amp;;b\r\n\r\n")
    reader = read_page(Answer(encode(bookstore.handle(request), request), "GET"))
    [command] = [text for text in ["".join(reader.texts)] if "curl" in text]
    words = shlex.split(next(line for line in command.splitlines() if line.startswith("curl")))
    assert words[-1] == "http://a'$(reboot)&amp;;b/orders"


# Recommendations, and what is slow


def test_a_recommendation_is_the_bundle_whose_price_comes_nearest(bookstore):
    prices = {title.isbn: title.price_cents for title in TITLES}
    for nbooks, cents in ((1, 1000), (2, 3333), (3, 5000), (3, 0), (2, 10**6)):
        found = ask(bookstore, "GET", f"/recommendations?books={nbooks}&cents={cents}").content
        assert len(set(found["isbns"])) == nbooks
        assert sum(prices[isbn] for isbn in found["isbns"]) == found["cents"]
        nearest = min(abs(sum(bundle) - cents) for bundle in combinations(prices.values(), nbooks))
        assert abs(found["cents"] - cents) == nearest


@pytest.mark.parametrize("query", ["books=0", "books=6", "books=x", "cents=-1", "cents=1000001", "author=a"])
def test_a_recommendation_has_its_limits(bookstore, query):
    assert ask(bookstore, "GET", f"/recommendations?{query}").status == 400


@pytest.mark.parametrize(
    ("method", "target", "slow"),
    [
        ("POST", "/orders", True), ("GET", "/orders", False), ("GET", "/orders/1", False), ("GET", "/", False),
        ("GET", "/recommendations", True), ("GET", "/recommendations?books=5", True), ("GET", "/books", False),
    ],
)  # fmt: skip
def test_slow_is_what_waits_for_the_disk_or_computes(bookstore, method, target, slow):
    [request] = HttpConnection().receive(f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert bookstore.slow(request) == slow


def test_a_recommendation_in_another_thread_leaves_the_interpreter_to_others(bookstore):
    """Held for the whole search, the lock would make one gap as long as the search; else there are none that long."""
    spent = []

    def search():
        started = time.monotonic()
        assert ask(bookstore, "GET", "/recommendations?books=5").status == 200
        spent.append(time.monotonic() - started)

    thread = threading.Thread(target=search)
    thread.start()
    longest, last = 0.0, time.monotonic()
    while thread.is_alive():
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    thread.join()
    assert longest < spent[0] / 2


# The file


def test_the_books_and_orders_are_there_when_it_is_opened_again(tmp_path):
    path = tmp_path / "b.sqlite"
    with Bookstore(path, 5) as bookstore:
        placed = order(bookstore, FIRST, 2).content
    with Bookstore(path, 99) as bookstore:  # `copies` is for a new one
        assert ask(bookstore, "GET", f"/orders/{placed['id']}").content == placed
        assert stock(bookstore) == 3
        assert len(ask(bookstore, "GET", "/books").content) == len(TITLES)


@pytest.mark.parametrize("wrong", [-1, 1.5, "5", None, True, 1 << 53])
def test_copies_are_an_integer_from_0_on(tmp_path, wrong):
    with pytest.raises(ValueError, match="copies must be an integer from 0 to"):
        Bookstore(tmp_path / "b", wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_path_that_cannot_be_a_bookstore_is_refused_and_left_as_it_is(tmp_path):
    text, other = tmp_path / "text", tmp_path / "other.sqlite"
    text.write_text("a text, and long enough to be taken for the header of a database" * 20)
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE mine (a)")
    before = text.read_bytes(), other.read_bytes()
    with nothing_left_behind():
        for path in (text, other, tmp_path, tmp_path / "missing" / "b", ""):
            with pytest.raises(ValueError, match="path must be"):
                Bookstore(path)
    assert (text.read_bytes(), other.read_bytes()) == before


def test_a_database_that_cannot_at_the_moment_is_503_and_recovers(tmp_path, monkeypatch):
    monkeypatch.setattr("iolab.servers.bookstore_file.BUSY_S", 0.05)
    path = tmp_path / "b"
    with Bookstore(path) as bookstore, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = order(bookstore)
        assert (answer.status, answer.content) == (503, {"error": "the database: database is locked"})
        assert int(answer.headers["retry-after"]) > 0
        assert ask(bookstore, "GET", "/health").status == 200  # readers do not wait for a writer
        other.execute("COMMIT")
        assert order(bookstore).status == 201


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_closing_gives_all_files_back(tmp_path):
    with nothing_left_behind():
        bookstore = Bookstore(tmp_path / "b")
        threads = [threading.Thread(target=order, args=(bookstore,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        bookstore.close()
        bookstore.close()
    with pytest.raises(ValueError, match="the bookstore is closed"):
        order(bookstore)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]  # the log is part of the file again
