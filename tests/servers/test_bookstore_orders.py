"""What an acknowledged order is worth: beside other threads and processes, after kill -9, and by what strace(1) sees."""

import inspect
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from types import SimpleNamespace

import pytest

from iolab.servers import bookstore_file
from iolab.servers.bookstore import Bookstore
from iolab.servers.bookstore_titles import TITLES
from iolab.servers.http_requests import Request
from tests.left_behind import nothing_left_behind

FIRST = TITLES[0].isbn
KILLS = 12

# Threads that order the first book, one copy each time, until there is no more; each acknowledged order's number goes to
# stdout by one write(2), after handle() has returned.
BUYER = """
import json, os, sys, threading
from iolab.servers.bookstore import Bookstore
from iolab.servers.http_requests import Request
path, isbn, nthreads, most = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
body = json.dumps({"isbn": isbn, "quantity": 1}).encode()
headers = {"content-type": "application/json", "content-length": str(len(body))}
request = Request("POST", "/orders", "/orders", "", "1.1", headers, body, True)
sys.stdin.readline()
bookstore = Bookstore(path, 100_000)
def buy():
    for _ in range(most):
        response = bookstore.handle(request)
        if response.status == 409:
            break
        assert response.status == 201, response
        os.write(1, b"ordered %d\\n" % json.loads(response.body)["id"])
threads = [threading.Thread(target=buy) for _ in range(nthreads)]
for thread in threads: thread.start()
for thread in threads: thread.join()
bookstore.close()
"""


def buyer(path, nthreads: int = 1, most: int = 1_000_000, before: tuple[str, ...] = ()) -> subprocess.Popen:
    """A process that begins when it gets a line, or the end of its input."""
    command = [*before, sys.executable, "-c", BUYER, str(path), FIRST, str(nthreads), str(most)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def order_one() -> Request:
    body = json.dumps({"isbn": FIRST, "quantity": 1}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    return Request("POST", "/orders", "/orders", "", "1.1", headers, body, True)


def in_the_file(path) -> tuple[list[int], int]:
    """Order numbers and the first book's stock, by SQLite itself; the file is sound."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        numbers = [number for (number,) in database.execute("SELECT id FROM orders ORDER BY id")]
        return numbers, database.execute("SELECT stock FROM books WHERE isbn = ?", (FIRST,)).fetchone()[0]


def test_threads_sell_each_copy_once(tmp_path):
    copies, nthreads = 60, 8
    statuses, together = [], threading.Barrier(nthreads)

    def buy():
        together.wait()
        while (response := bookstore.handle(order_one())).status == 201:
            statuses.append(json.loads(response.body)["id"])
        statuses.append(response.status)

    with Bookstore(tmp_path / "b", copies) as bookstore:
        threads = [threading.Thread(target=buy) for _ in range(nthreads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses.count(409) == nthreads
    assert in_the_file(tmp_path / "b") == (sorted(number for number in statuses if number != 409), 0)
    assert len(statuses) == copies + nthreads


def test_processes_sell_each_copy_once(tmp_path):
    copies, path = 100, tmp_path / "b"
    Bookstore(path, copies).close()
    buyers = [buyer(path, nthreads=2) for _ in range(3)]
    acknowledged = []
    for process in buyers:  # each has started, or starts; none has begun
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in buyers:
        acknowledged += [int(line.split()[1]) for line in process.communicate(timeout=120)[0].splitlines()]
        assert process.returncode == 0
    assert in_the_file(path) == (sorted(acknowledged), 0)
    assert len(acknowledged) == copies


def test_processes_that_open_a_new_one_together_make_one_bookstore(tmp_path):
    for attempt in range(3):
        path = tmp_path / f"b{attempt}"
        buyers = [buyer(path, most=1) for _ in range(5)]
        for process in buyers:
            process.stdin.write(b"\n")
            process.stdin.flush()
        acknowledged = [process.communicate(timeout=120)[0] for process in buyers]
        assert [process.returncode for process in buyers] == [0] * 5
        assert sorted(acknowledged) == [b"ordered %d\n" % number for number in range(1, 6)]
        assert in_the_file(path) == ([1, 2, 3, 4, 5], 100_000 - 5)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is Unix's")
def test_after_kill_9_every_acknowledged_order_is_in_the_file_once(tmp_path):
    path, acknowledged = tmp_path / "b", []
    for _ in range(KILLS):
        process = buyer(path, nthreads=3)
        process.stdin.close()
        lines = [process.stdout.readline() for _ in range(random.randint(1, 40))]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines()
        process.stdout.close()
        assert process.wait(60) == -signal.SIGKILL
        acknowledged += [int(line.split()[1]) for line in lines]
        numbers, stock = in_the_file(path)
        assert set(acknowledged) <= set(numbers)
        assert stock == 100_000 - len(numbers)  # nothing taken from stock without an order, whether acknowledged or not
    assert len(set(acknowledged)) == len(acknowledged) >= KILLS


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here")
def test_an_order_is_synced_before_it_is_acknowledged(tmp_path):
    """What survives a power cut is what fdatasync(2) or fsync(2) has returned for: between two acknowledgements, one."""
    norders, log, path = 10, tmp_path / "strace", tmp_path / "b"
    Bookstore(path).close()
    process = buyer(
        path, most=norders, before=("strace", "-f", "-o", str(log), "-y", "-e", "trace=fdatasync,fsync,write")
    )
    output = process.communicate(b"\n", timeout=120)[0]
    if process.returncode and "ptrace" in log.read_text():
        pytest.skip(log.read_text().strip())
    assert (process.returncode, output.count(b"ordered")) == (0, norders)
    synced, calls = False, []
    for line in log.read_text().splitlines():
        if re.search(r"f(data)?sync\(\d+<[^>]*/b-wal>\) += 0", line):
            synced = True
        elif "write(1<" in line and '"ordered' in line:
            calls.append(synced)
            synced = False
    assert calls == [True] * norders


def test_a_transaction_that_has_to_wait_waits_in_the_beginning(tmp_path, monkeypatch):
    """One that had read before would find that what it read is not true any more."""
    monkeypatch.setattr(bookstore_file, "BUSY_S", 0.05)
    Bookstore(tmp_path / "b").close()
    with (
        closing(bookstore_file.connect(tmp_path / "b")) as one,
        closing(bookstore_file.connect(tmp_path / "b")) as other,
    ):
        begun, locked = [], pytest.raises(sqlite3.OperationalError, match="locked")
        with bookstore_file.transaction(one), locked, bookstore_file.transaction(other):
            begun.append("too early")
        with bookstore_file.transaction(other):
            begun.append("in its turn")
        assert begun == ["in its turn"]


def test_a_change_to_wal_that_is_refused_is_tried_again(tmp_path, monkeypatch):
    """A reader comes when the tables are made, stays for longer than SQLite waits, and goes when ours waits by itself."""
    path, waits = tmp_path / "b", []
    monkeypatch.setattr(bookstore_file, "BUSY_S", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, closing(bookstore_file.connect(path)) as ours:
        reading = other.cursor()

        def deadline_is_set() -> float:
            reading.execute("SELECT * FROM books").fetchone()
            return 0

        def wait(seconds: float) -> None:
            waits.append(seconds)
            reading.close()

        monkeypatch.setattr(bookstore_file, "time", SimpleNamespace(monotonic=deadline_is_set, sleep=wait))
        bookstore_file.create(ours, 1)
    assert len(waits) == 1
    with closing(sqlite3.connect(path)) as fresh:
        assert fresh.execute("PRAGMA journal_mode").fetchall() == [("wal",)]


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_an_order_under_way_when_the_bookstore_closes_ends_first_and_then_gives_its_file_back(tmp_path):
    path, statuses = tmp_path / "b", []
    with nothing_left_behind():
        bookstore = Bookstore(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # the order has to wait for it
            thread = threading.Thread(target=lambda: statuses.append(bookstore.handle(order_one()).status))
            thread.start()
            while bookstore._database._idle:  # until the order has taken the connection
                thread.join(0.001)
            bookstore.close()
            other.execute("COMMIT")
            thread.join()
    assert statuses == [201]


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_FSIZE, and a Python that ignores SIGXFSZ")
def test_on_a_full_disk_orders_are_refused_and_nothing_acknowledged_is_lost(tmp_path):
    """A limit on the size of the process's files is to SQLite what a full disk is: the kernel writes no more."""
    program = f"""
import json, resource
from iolab.servers.bookstore import Bookstore
from iolab.servers.http_requests import Request
{inspect.getsource(order_one).replace("FIRST", repr(FIRST))}
with Bookstore({str(tmp_path / "b")!r}, 100_000) as bookstore:
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, unlimited[1]))
    acknowledged = []
    while (response := bookstore.handle(order_one())).status == 201:
        acknowledged.append(json.loads(response.body)["id"])
    health = bookstore.handle(Request("GET", "/health", "/health", "", "1.1", {{}}, b"", True))
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    again = bookstore.handle(order_one())
    acknowledged.append(json.loads(again.body)["id"])
print(json.dumps([response.status, response.body.decode(), health.status, again.status, acknowledged]))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    status, body, health, again, acknowledged = json.loads(run.stdout)
    assert (status, health, again) == (503, 200, 201)
    assert re.search("disk is full|disk I/O error", body)
    assert len(acknowledged) > 5
    assert in_the_file(tmp_path / "b") == (acknowledged, 100_000 - len(acknowledged))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is Unix's")
def test_a_forked_child_is_told_to_open_its_own(tmp_path):
    program = f"""
import os, sys
from iolab.servers.bookstore import Bookstore
from iolab.servers.http_requests import Request
bookstore = Bookstore({str(tmp_path / "b")!r})
if os.fork() == 0:
    try:
        bookstore.handle(Request("GET", "/health", "/health", "", "1.1", {{}}, b"", True))
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
bookstore.close()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert run.stdout == "the bookstore was opened by another process: open it after the fork\n"
