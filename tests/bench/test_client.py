"""The client counts what the server counts, waits for whole responses, and notices every wrong one."""

import time

import pytest

from iolab.bench import client as client_module
from iolab.bench.application import Asked
from iolab.bench.client import Client, WrongResponse
from tests.bench.lying_server import answer, lying
from tests.left_behind import nothing_left_behind

BODY = b"Hello, world"
ASKED, RIGHT = Asked("/", BODY), answer(BODY)


@pytest.mark.parametrize("connections", [1, 7])
def test_it_counts_what_the_server_counts(connections):
    with nothing_left_behind(), lying([RIGHT]) as server:
        with Client(server.port, ASKED, connections) as client:
            first = client.run(0.05)
            assert first.requests == server.requests == len(first.latencies_ns)
            second = client.run(0.05)
        assert first.requests + second.requests == server.requests


def test_the_shortest_run_is_one_request_on_each_connection():
    with lying([RIGHT]) as server, Client(server.port, ASKED, 5) as client:
        assert client.run(0).requests == server.requests == 5


def test_it_lasts_as_long_as_asked_by_another_clock():
    with lying([RIGHT]) as server, Client(server.port, ASKED, 2) as client:
        before = time.perf_counter()
        load = client.run(0.2)
        passed_s = time.perf_counter() - before
    assert 0.2 <= load.wall_ns / 1e9 <= passed_s
    assert 0 < load.cpu_ns <= load.wall_ns + 20_000_000


@pytest.mark.parametrize("connections", [1, 8])
def test_latencies_obey_littles_law(connections):
    """Busy connections are the sum of all latencies divided by the time: all of them, but for the last moments."""
    with lying([RIGHT]) as server, Client(server.port, ASKED, connections) as client:
        load = client.run(0.3)
    busy = sum(load.latencies_ns) / load.wall_ns
    assert busy <= connections
    idle_at_the_end_ns = max(load.latencies_ns) + (load.wall_ns - 0.3e9)
    assert busy >= connections * (1 - idle_at_the_end_ns / load.wall_ns) * 0.8


def test_a_response_may_come_in_any_pieces():
    for cut in range(1, len(RIGHT)):
        with lying([RIGHT[:cut], RIGHT[cut:]]) as server, Client(server.port, ASKED, 1) as client:
            assert client.run(0).requests == 1
    with lying([RIGHT[at : at + 1] for at in range(len(RIGHT))]) as server, Client(server.port, ASKED, 3) as client:
        assert client.run(0.05).requests == server.requests


LIES = {
    "another body": answer(BODY[:-1] + b"D"),
    "a body that is too long": answer(BODY + b"!"),
    "a body that is too short, and says so": answer(BODY[:-1]),
    "a length that is not the body's": answer(BODY, length=len(BODY) + 1),
    "another status": answer(BODY, "404 Not Found"),
    "an error without a body": answer(b"", "503 Service Unavailable"),
    "two responses": RIGHT + RIGHT,
    "no HTTP": b"Hello, world\r\n\r\n",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
@pytest.mark.parametrize("after", [0, 40])
def test_a_wrong_response_is_noticed(lie, after):
    with nothing_left_behind(), lying([RIGHT], after, [lie]) as server:
        with Client(server.port, ASKED, 4) as client, pytest.raises(WrongResponse):
            client.run(20)
        assert server.requests > after


@pytest.mark.parametrize("nbytes", [0, 10, len(RIGHT) - 1])
def test_a_connection_that_ends_too_early_is_noticed(nbytes):
    with nothing_left_behind(), lying([RIGHT], 20, [RIGHT[:nbytes]], ends=True) as server:
        with Client(server.port, ASKED, 2) as client, pytest.raises(WrongResponse, match="ends"):
            client.run(20)
        assert server.requests > 20


def test_a_response_that_does_not_come_is_noticed(monkeypatch):
    monkeypatch.setattr(client_module, "PATIENCE_S", 0.2)
    with nothing_left_behind(), lying([RIGHT], 3, [RIGHT[:-1]]) as server:
        with Client(server.port, ASKED, 1) as client, pytest.raises(WrongResponse, match="no response within"):
            client.run(20)
        assert server.requests == 4


def test_nobody_listens():
    with lying([RIGHT]) as server:
        port = server.port
    with nothing_left_behind(), pytest.raises(ConnectionRefusedError):
        Client(port, ASKED, 3)
