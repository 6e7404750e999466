"""The SQLite file of the bookstore: how it comes into being, also when several processes want it at once.

    process 1   BEGIN IMMEDIATE ─ nothing here? CREATE, INSERT ─ COMMIT ── journal_mode = WAL
    process 2   BEGIN IMMEDIATE ............................... waits ─ it is ours already ─ COMMIT ──

Two facts that surprise:
* "Create it if it is not there" is two steps for whoever looks first and creates then: of two that start together both
  see nothing. Only what is asked inside the transaction is still true at its end.
* SQLite waits for another one's transaction by itself (the busy time-out), but not where two would wait for each other:
  of two that change to WAL together, one fails at once with "database is locked", and has to try again.

The header carries a mark of ours (application_id): another program's database is refused, and stays as it is.

sqlite.org: lang_transaction.html, pragma.html, wal.html.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from iolab.servers.bookstore_titles import TITLES

BUSY_S = 5.0  # so long one process waits for another one's transaction
_OURS = 0x626F6F6B  # "book"
_SCHEMA = (
    "CREATE TABLE books (isbn TEXT PRIMARY KEY, title TEXT NOT NULL, author TEXT NOT NULL, year INTEGER NOT NULL,"
    " price_cents INTEGER NOT NULL, stock INTEGER NOT NULL CHECK (stock >= 0)) STRICT",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, isbn TEXT NOT NULL REFERENCES books, quantity INTEGER"
    " NOT NULL CHECK (quantity > 0), total_cents INTEGER NOT NULL, ordered_at TEXT NOT NULL) STRICT",
    f"PRAGMA application_id = {_OURS}",
)


def connect(path: str) -> sqlite3.Connection:
    """A connection that any thread may use, one at a time, and whose commits are on the disk. sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS, where fsync(2) stops at the drive's cache
    except BaseException:
        connection.close()
        raise
    return connection


def create(connection: sqlite3.Connection, copies: int) -> None:
    """The tables, and `copies` of each title, in a new file. ValueError for another program's; sqlite3.Error."""
    with transaction(connection):
        if connection.execute("PRAGMA application_id").fetchone()[0] != _OURS:
            if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                raise ValueError("it is another program's database")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.executemany(f"INSERT INTO books VALUES (?, ?, ?, ?, ?, {copies})", TITLES)
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # the file remembers it
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """The body happens as a whole, and is on the disk; or, when it raises, not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
