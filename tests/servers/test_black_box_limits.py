"""Every server at its limits: clients that are slow or silent, more of them than there are descriptors, bursts."""

import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.servers.conftest import SHORT
from tests.servers.served import (
    LARGE,
    PATIENCE_S,
    all_served,
    eventually,
    everything,
    get,
    parameters,
    post,
    response,
    served,
)

every_server = pytest.mark.parametrize("variant", parameters())


# Slow and silent clients. What takes a time-out is done to all servers at the same time.


@pytest.fixture
def servers(impatient_servers):
    """Those of all variants that run here, by name."""
    yield impatient_servers
    for name, server in impatient_servers.items():
        assert server.process.poll() is None, f"{name} has ended"


@pytest.fixture
def connect(servers):
    """connect(): a new client for each server, by name."""
    with ExitStack() as clients:
        yield lambda: {name: clients.enter_context(server.connect()) for name, server in servers.items()}


def for_all(clients: dict, value) -> dict:
    return dict.fromkeys(clients, value)


@pytest.mark.parametrize("begun", [b"GET /a HT", post("/echo", b"body")[:-1]], ids=["header", "body"])
def test_a_request_that_does_not_become_complete_is_answered_408(connect, begun):
    clients, start = connect(), time.monotonic()
    for client in clients.values():
        client.sendall(begun)
    answers = {name: everything(client) for name, client in clients.items()}
    assert time.monotonic() - start >= SHORT["header_s"]
    assert {name: answer[:13] for name, answer in answers.items()} == for_all(clients, b"HTTP/1.1 408 ")
    assert all(b"\r\nConnection: close\r\n" in answer for answer in answers.values())


def test_a_byte_now_and_then_does_not_put_the_time_out_off(connect):
    waiting, answers, deadline = connect(), {}, time.monotonic() + PATIENCE_S
    for byte in get("/a", f"X: {'x' * 2000}"):
        for client in waiting.values():
            client.send(bytes([byte]))
        readable, _, _ = select.select(waiting.values(), (), (), SHORT["header_s"] / 10)
        for name in [name for name, client in waiting.items() if client in readable]:
            answers[name] = waiting.pop(name).recv(13)
        if not waiting or time.monotonic() > deadline:
            break
    assert waiting == {}
    assert answers == for_all(answers, b"HTTP/1.1 408 ")


def test_a_connection_on_which_nothing_is_asked_is_closed_without_a_word(connect):
    silent, once = connect(), connect()
    for client in once.values():
        client.sendall(get("/a"))
        assert response(client) == (200, b"/a\n")
    assert {name: everything(client) for name, client in silent.items()} == for_all(silent, b"")
    assert {name: everything(client) for name, client in once.items()} == for_all(once, b"")


def test_requests_put_the_idle_time_out_off(connect):
    clients, start = connect(), time.monotonic()
    while time.monotonic() - start < 1.5 * SHORT["idle_s"]:
        for client in clients.values():
            client.sendall(get("/a"))
        assert {name: response(client) for name, client in clients.items()} == for_all(clients, (200, b"/a\n"))
        time.sleep(SHORT["idle_s"] / 10)


def test_a_client_that_reads_nothing_is_given_up(servers, connect):
    for client in connect().values():
        client.sendall(get("/large?16"))
    for name, server in servers.items():
        assert eventually(server.at_rest), name


def test_a_client_that_reads_slowly_but_steadily_gets_everything(servers):
    """So slowly that the kernel takes nothing from the server for longer than the reader's time-out."""
    with ExitStack() as open_clients:
        clients = {name: open_clients.enter_context(socket.socket()) for name in servers}
        for name, client in clients.items():
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
            client.settimeout(PATIENCE_S)
            client.connect(("127.0.0.1", servers[name].port))
            client.sendall(get("/large?12", "Connection: close"))
        start, got = time.monotonic(), {name: bytearray() for name in clients}
        while time.monotonic() - start < 5 * SHORT["reader_s"]:
            for name, client in clients.items():
                got[name] += client.recv(1 << 14)
            time.sleep(SHORT["reader_s"] / 12)
        assert all(len(each) < 3 << 20 for each in got.values()), "not slow enough to be a test"
        with ThreadPoolExecutor(len(clients)) as readers:
            rests = dict(zip(clients, readers.map(everything, clients.values()), strict=True))
        for name, rest in rests.items():
            got[name] += rest
            assert got[name].partition(b"\r\n\r\n")[2] == LARGE * 12, name


def test_a_client_that_does_not_close_after_the_last_answer_is_not_waited_for_long(servers, connect):
    clients = connect()
    for client in clients.values():
        client.sendall(get("/a", "Connection: close"))
        assert everything(client).startswith(b"HTTP/1.1 200 ")
    for name, server in servers.items():
        assert eventually(server.at_rest), name


def test_a_client_that_goes_on_sending_after_a_refusal_is_cut_off(servers, connect):
    for name, client in connect().items():
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 999999999\r\n\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.sendall(bytes(64 << 20))
        assert eventually(servers[name].at_rest), name


# More clients than there is room for


@every_server
def test_more_connections_than_allowed_are_told_503_and_to_come_again(variant):
    with served(variant, connections=2) as server:
        clients = [server.connect() for _ in range(2)]
        for client in clients:
            client.sendall(get("/a"))
            assert response(client) == (200, b"/a\n")
        for _ in range(3):
            with server.connect() as third:
                third.sendall(get("/a"))
                answer = everything(third)
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"\r\nRetry-After: " in answer
        clients.pop().close()
        assert eventually(lambda: server.sockets() <= server.sockets_at_rest + 1)
        assert server.ask("/a") == b"/a\n"
        clients.pop().close()


def test_too_many_to_be_told_so_wait_in_the_queue_and_are_served_later():
    with all_served(connections=2, idle_s=2.0, linger_s=0.3) as servers, ExitStack() as open_clients:
        clients = [open_clients.enter_context(server.connect()) for server in servers.values() for _ in range(120)]
        for name, server in servers.items():
            assert eventually(lambda server=server: server.sockets() >= 2 + 64), name
        before = {name: server.cpu_s() for name, server in servers.items()}
        time.sleep(0.5)
        assert {name for name, server in servers.items() if server.cpu_s() - before[name] >= 0.3} == set()
        for client in clients:
            client.close()
        for name, server in servers.items():
            assert eventually(lambda server=server: answered(server)), name


def answered(server) -> bool:
    with server.connect() as client:
        client.sendall(get("/a", "Connection: close"))
        return everything(client).startswith(b"HTTP/1.1 200 ")


@every_server
def test_without_a_free_descriptor_nobody_is_lost_no_cpu_is_burnt_and_all_goes_on_later(variant):
    room = 40 if variant.mechanism == "threads" else 20  # a pool has one for each thread
    with served(variant, descriptors=room, idle_s=60.0) as server:
        clients = [server.connect() for _ in range(60)]
        for client in clients:
            client.sendall(get("/a"))
        first = clients.pop(0)
        assert response(first) == (200, b"/a\n")
        assert eventually(lambda: server.sockets() > server.sockets_at_rest + 3)
        before = server.cpu_s()
        time.sleep(0.6)
        assert server.cpu_s() - before < 0.3, "a loop that spins takes a second of CPU for each"
        first.sendall(get("/still-served"))
        assert response(first) == (200, b"/still-served\n")
        first.close()
        for client in clients:  # each that goes makes room for the next one
            with client:
                assert response(client) == (200, b"/a\n")
        assert eventually(server.at_rest)
        assert server.ask("/b") == b"/b\n"


def test_a_burst_that_is_larger_than_the_backlog_is_served():
    with all_served(backlog=16) as servers, ExitStack() as open_clients:
        clients = []
        for server in servers.values():
            for _ in range(48):
                client = open_clients.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", server.port))
                clients.append(client)
        for client in clients:  # what was dropped is sent again, by all in step: as many at a time as the backlog holds
            client.settimeout(PATIENCE_S)
            assert eventually(lambda client=client: connected(client))
            client.sendall(get("/a"))
        for client in clients:
            assert response(client) == (200, b"/a\n")


def connected(client: socket.socket) -> bool:
    try:
        client.getpeername()
    except OSError:  # ENOTCONN: not yet
        return False
    return True
