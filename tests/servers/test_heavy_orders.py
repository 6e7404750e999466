"""Orders over HTTP while workers are killed: what was acknowledged is in the file, once, and nothing that nobody sent.

A client whose connection breaks before the answer cannot know whether its order was placed, and sends it again: so of
each kind of order (book and quantity) there are at least as many as were acknowledged, and at most as many more as
were sent and never answered. IOLAB_HEAVY=1: 100,000 orders, and a worker killed every second.
"""

import json
import os
import random
import selectors
import signal
import socket
import sqlite3
import time
from collections import Counter, deque
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from iolab.servers.bookstore import Bookstore
from iolab.servers.bookstore_requests import MOST_COPIES
from iolab.servers.bookstore_titles import TITLES
from tests.servers.served import PATIENCE_S, eventually, post
from tests.servers.test_serve_command import PROACTOR, serve

heavy = pytest.mark.skipif(os.environ.get("IOLAB_HEAVY") != "1", reason="a minute each: IOLAB_HEAVY=1 asks for it")
patterns = pytest.mark.parametrize("arguments", [("reactor",), PROACTOR], ids=lambda arguments: arguments[0])

CONNECTIONS, WORKERS = 64, 2
FEW_ORDERS, KILLS = 500, 2
MANY_ORDERS, KILL_EVERY_S = 100_000, 1.0
SCARCE = TITLES[0].isbn  # of which there are not enough


class Order(NamedTuple):
    isbn: str
    quantity: int


class Bought:
    """What the clients know."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, Order] = {}
        self.unanswered: Counter[Order] = Counter()  # sent, and the connection broke: perhaps placed, perhaps not
        self.sold_out = 0


class Client:
    """One connection, and one order at a time."""

    def __init__(self, port: int, order: Order) -> None:
        self.sock, self.received = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S), b""
        self.send(order)

    def send(self, order: Order) -> None:
        self.order, self.received = order, b""
        with suppress(ConnectionError):  # it is told by the next recv
            self.sock.sendall(post("/orders", json.dumps(order._asdict()).encode(), "Content-Type: application/json"))

    def answer(self) -> tuple[int, dict[str, str], dict] | None:
        """Status, fields and content, once all is there; ConnectionError if it will never be."""
        piece = self.sock.recv(1 << 16)
        if not piece:
            raise ConnectionResetError
        self.received += piece
        head, empty_line, body = self.received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines) if empty_line else {}
        if not empty_line or len(body) < int(fields["content-length"]):
            return None
        return int(first.split()[1]), fields, json.loads(body)


def buy(port: int, planned: deque[Order], kill_one, is_time) -> Bought:
    """Until each of `planned` was answered. `kill_one` is called whenever `is_time(answered)` says so."""
    bought, answered, selector = Bought(), 0, selectors.DefaultSelector()

    def connect() -> None:
        client = Client(port, planned.popleft())
        selector.register(client.sock, selectors.EVENT_READ, client)

    def leave(client: Client) -> None:
        selector.unregister(client.sock)
        client.sock.close()

    try:
        for _ in range(min(CONNECTIONS, len(planned))):
            connect()
        while selector.get_map():
            ready = selector.select(PATIENCE_S)
            assert ready, f"nobody is answered after {answered} answers"
            for client in (key.data for key, _ in ready):
                try:
                    answer = client.answer()
                except ConnectionError:
                    bought.unanswered[client.order] += 1
                    planned.append(client.order)
                    leave(client)
                    connect()
                    continue
                if answer is None:
                    continue
                status, fields, content = answer
                answered += 1
                if status == 201:
                    assert fields["location"] == f"/orders/{content['id']}"
                    assert content["id"] not in bought.acknowledged
                    assert Order(content["isbn"], content["quantity"]) == client.order
                    bought.acknowledged[content["id"]] = client.order
                else:
                    assert (status, client.order.isbn) == (409, SCARCE), content
                    bought.sold_out += 1
                client.send(planned.popleft()) if planned else leave(client)
            if is_time(answered):
                kill_one()
    finally:
        for key in list(selector.get_map().values()):
            leave(key.data)
        selector.close()
    return bought


def workers_of(process_id: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


def hold(arguments, folder: Path, norders: int, is_time) -> tuple[int, Bought]:
    """Sell `norders` through a server whose workers are killed; how many were, and what the clients know. All holds."""
    path, killed = folder / "bookstore", []
    with closing(Bookstore(path, norders * MOST_COPIES)):
        pass
    scarce = norders // len(TITLES)  # its orders want some fifty times as many
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE books SET stock = ? WHERE isbn = ?", (scarce, SCARCE))
    draw = random.Random(5)
    planned = deque(Order(draw.choice(TITLES).isbn, draw.randint(1, MOST_COPIES)) for _ in range(norders))
    with serve(*arguments, "--workers", WORKERS, "--database", path, folder=folder) as command:

        def kill_one() -> None:
            workers = workers_of(command.process.pid)
            if workers:  # else the last one is just being replaced
                killed.append(workers[len(killed) % len(workers)])
                os.kill(killed[-1], signal.SIGKILL)

        bought = buy(command.port, planned, kill_one, is_time)
        assert eventually(lambda: len(workers_of(command.process.pid)) == WORKERS)
        assert command.end() == (0, "")
        with pytest.raises(ProcessLookupError):
            os.killpg(command.process.pid, 0)
    assert len(bought.acknowledged) + bought.sold_out == norders
    assert bought.sold_out > 0
    in_the_file(path, bought, norders, scarce)
    return len(killed), bought


def in_the_file(path: Path, bought: Bought, norders: int, scarce: int) -> None:
    """By SQLite itself."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        placed = {number: Order(*what) for number, *what in database.execute("SELECT id, isbn, quantity FROM orders")}
        stock = dict(database.execute("SELECT isbn, stock FROM books"))
    assert bought.acknowledged.items() <= placed.items()
    beside = Counter(order for number, order in placed.items() if number not in bought.acknowledged)
    assert beside <= bought.unanswered  # of each kind
    sold: Counter[str] = Counter()
    for order in placed.values():
        sold[order.isbn] += order.quantity
    for title in TITLES:
        first = scarce if title.isbn == SCARCE else norders * MOST_COPIES
        assert 0 <= stock[title.isbn] == first - sold[title.isbn], title


@patterns
def test_an_acknowledged_order_survives_the_worker_that_took_it(arguments, tmp_path):
    due = deque(FEW_ORDERS * (kill + 1) // (KILLS + 1) for kill in range(KILLS))
    killed, bought = hold(
        arguments, tmp_path, FEW_ORDERS, lambda answered: due and answered >= due[0] and due.popleft()
    )
    assert killed == KILLS
    assert bought.unanswered.total() > 0  # else nobody was killed at work


@heavy
@patterns
def test_a_hundred_thousand_orders_with_a_worker_killed_every_second(arguments, tmp_path):
    begun, last = time.monotonic(), [time.monotonic()]

    def is_time(answered: int) -> bool:
        over = time.monotonic() - last[0] >= KILL_EVERY_S
        last[0] += KILL_EVERY_S if over else 0
        return over

    killed, bought = hold(arguments, tmp_path, MANY_ORDERS, is_time)
    seconds = time.monotonic() - begun
    print(f"\n{arguments[0]}: {len(bought.acknowledged):,} orders acknowledged, {bought.sold_out:,} sold out, {killed} kills,"
          f" {bought.unanswered.total()} unanswered, {seconds:.0f} s")  # fmt: skip
    assert killed >= seconds / KILL_EVERY_S / 2
    assert bought.unanswered.total() > 0
