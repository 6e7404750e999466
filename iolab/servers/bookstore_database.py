"""The bookstore's books and orders, in one SQLite file: what has been acknowledged is there, whatever happens next.

    place_order   BEGIN IMMEDIATE ─ take from stock ─ insert ─ COMMIT ── fdatasync ──> returns ──> 201 Created
    kill -9 here: nothing happened                   ^^^^^^ or here: it happened, and nobody has been told

Three facts that surprise:
* Nothing but the sync makes it last: a write(2) that returned is in the kernel's memory. kill -9 does not touch that, a
  power cut does. In WAL mode SQLite syncs at every commit only with synchronous=FULL; NORMAL may lose the last ones.
* In WAL mode readers do not wait for the writer, nor it for them; writers wait for each other. BEGIN IMMEDIATE waits in
  the beginning; a transaction that begins by reading may find at its first write that it has to start anew.
* close(2) of any descriptor of a file drops all locks that the process holds on it (fcntl(2), POSIX record locks): to
  copy the file with open() and read() in this process, while it is used, can corrupt it.

Therefore one connection for each call under way, lent from a stack: so there are as many as ever ran at the same time,
whichever threads they ran in. Within the process writers queue for a lock, because SQLite's own waiting is polling.

sqlite.org: wal.html, pragma.html#pragma_synchronous, howtocorrupt.html.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from iolab.servers.bookstore_file import connect, create, transaction

_TAKE = "UPDATE books SET stock = stock - :quantity WHERE isbn = :isbn AND stock >= :quantity"
_ORDER = """
INSERT INTO orders (isbn, quantity, total_cents, ordered_at)
SELECT isbn, :quantity, :quantity * price_cents, strftime('%Y-%m-%dT%H:%M:%SZ', 'now') FROM books WHERE isbn = :isbn
"""


class OutOfStock(Exception):
    """`stock` is what there is."""

    def __init__(self, stock: int) -> None:
        super().__init__(stock)
        self.stock = stock


class Database:
    """Any thread may call; not a forked child. ValueError for a file that cannot be one; sqlite3.Error as SQLite says."""

    def __init__(self, path: str | os.PathLike, copies: int) -> None:
        self._path = os.path.abspath(path)  # also of ":memory:", which would be another database in each connection
        self._process_id = os.getpid()
        self._idle: list[sqlite3.Connection] = []
        self._writing = threading.Lock()
        self._closed = False
        try:
            with self._connection() as connection:
                create(connection, copies)
        except (sqlite3.Error, ValueError) as error:
            self.close()
            raise ValueError(f"path must be a bookstore, or new, not {self._path!r}: {error}") from error

    def rows(self, query: str, **values) -> list[dict]:
        """What a SELECT finds with `values` for its `:name`s, each row by the names of its columns."""
        with self._connection() as connection:
            return [dict(row) for row in connection.execute(query, values)]

    def place_order(self, isbn: str, quantity: int) -> dict | None:
        """The order, which is in the file for good; None where there is no such book. OutOfStock."""
        values = {"isbn": isbn, "quantity": quantity}
        with self._writing, self._connection() as connection, transaction(connection):
            if not connection.execute(_TAKE, values).rowcount:
                book = connection.execute("SELECT stock FROM books WHERE isbn = :isbn", values).fetchone()
                if book is None:
                    return None
                raise OutOfStock(book["stock"])
            number = connection.execute(_ORDER, values).lastrowid
            return dict(connection.execute("SELECT * FROM orders WHERE id = ?", (number,)).fetchone())

    def close(self) -> None:
        """What is under way ends first, and closes its connection itself; afterwards calls raise ValueError."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        if self._closed:
            raise ValueError("the bookstore is closed")
        if os.getpid() != self._process_id:  # sqlite.org/howtocorrupt.html, 2.6
            raise RuntimeError("the bookstore was opened by another process: open it after the fork")
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = connect(self._path)
        try:
            yield connection
        finally:
            self._idle.append(connection)
            if self._closed:
                self.close()
