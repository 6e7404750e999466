"""The proactor on a completion port, under Wine, seen by clients on Linux: the black-box tests of every other server."""

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.servers import test_black_box as black_box
from tests.servers.served import LARGE, PATIENCE_S, Served, Variant, eventually, everything, get, response

# The same tests, with a server of ours below.
for name, value in vars(black_box).items():
    if name.startswith("test_"):
        globals()[name] = value

IOCP = Variant("proactor", "iocp")
LISTENING, OPEN = "0A", ("01", "08")  # /proc/net/tcp: ESTABLISHED, and CLOSE_WAIT, which waits for our close


class ServedUnderWine(Served):
    """A server of the tests in Windows' Python; its sockets belong to Wine's server, and the kernel's table tells."""

    def __init__(self, wine, **limits) -> None:
        self._wine = wine
        super().__init__(IOCP, **limits)

    def _start(self, arguments: list[str]) -> subprocess.Popen:
        return self._wine.start(*arguments, stdin=subprocess.PIPE)

    def sockets(self) -> int:
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        states = [fields[3] for fields in map(str.split, lines) if fields[1].endswith(f":{self.port:04X}")]
        return sum(state in (*OPEN, LISTENING) for state in states)


@pytest.fixture(scope="module")
def served_under_wine(wine):
    server = ServedUnderWine(wine)
    try:
        yield server.ready()
        assert eventually(server.at_rest), "sockets are left of clients that have gone"
    finally:
        server.kill()


@pytest.fixture
def server(served_under_wine):
    yield served_under_wine
    assert served_under_wine.process.poll() is None, "the server has ended"
    served_under_wine.ask("/again")


def test_a_thousand_requests_over_64_connections_are_answered_without_an_error(server):
    wrong, asked = [], threading.Semaphore(1000)

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        turn = 0
        while asked.acquire(blocking=False):
            turn += 1
            path, body = f"/{number}/{turn}", b"%d," % number * (turn * 100)
            try:
                connection.request(*(("POST", path, body) if turn % 3 == 0 else ("GET", path)))
                answer = connection.getresponse()
                expected = body if turn % 3 == 0 else f"{path}\n".encode()
                if (answer.status, answer.read()) != (200, expected):
                    wrong.append((path, answer.status))
            except OSError as error:
                wrong.append((path, error))
        connection.close()

    before = server.counts()["handled"]
    threads = [threading.Thread(target=client, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(6 * PATIENCE_S)
    assert wrong == []
    assert server.counts()["handled"] - before == 1000 + 1  # and this one that asks


def test_ctrl_c_lets_requests_in_flight_finish_and_nobody_else_in(wine):
    server = ServedUnderWine(wine)
    try:
        server.ready()
        idle, held, large = (server.connect() for _ in range(3))
        idle.sendall(get("/a"))
        assert response(idle) == (200, b"/a\n")
        held.sendall(get("/slow/held"))
        large.sendall(get("/large?8"))
        assert eventually(lambda: server.counts()["held"] == 1)
        server.signal(signal.SIGINT)
        assert everything(idle) == b""
        assert everything(large).endswith(LARGE)
        server.release()
        assert everything(held).endswith(b"\r\nConnection: close\r\n\r\n/slow/held\n")
        assert server.wait() == 0
        for client in (idle, held, large):
            client.close()
    finally:
        server.kill()


def test_iolab_serve_serves_the_bookstore_and_shows_the_eight_steps(wine):
    process = wine.start("-m", "iolab", "serve", "proactor", "--completions", "iocp", "--steps")
    try:
        port = int(process.stdout.readline().rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.request("GET", "/books?limit=1")
        (book,) = json.loads(connection.getresponse().read())
        connection.request("POST", "/orders", json.dumps({"isbn": book["isbn"], "quantity": 1}),
                           {"Content-Type": "application/json"})  # fmt: skip
        assert connection.getresponse().status == 201
        connection.close()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    steps = [int(number) for number in re.findall(r"connection \d+ +(\d) ", output)]
    assert steps[:7] == [2, 3, 4, 5, 6, 7, 8], output
    assert process.returncode == 0


def test_several_workers_need_fork(wine):
    done = wine.python("-m", "iolab", "serve", "proactor", "--workers", "2")
    assert (done.returncode, done.stdout) == (1, "iolab: workers must be 1 where there is no fork, not 2\n")


def test_a_linux_without_wine_says_why_there_are_no_completion_ports():
    command = [sys.executable, "-m", "iolab", "serve", "proactor", "--completions", "iocp"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert done.stderr == "iolab: iocp: I/O completion ports are Windows', and this is linux\n"
