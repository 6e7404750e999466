"""Every server over every mechanism, as a client sees it: requests in pieces, in heaps, broken off, and never read."""

import http.client
import json
import shutil
import socket
import subprocess
import threading
import time

import pytest

from tests.servers.served import (
    LARGE,
    PATIENCE_S,
    eventually,
    everything,
    get,
    parameters,
    post,
    reset,
    response,
)

THOUSANDS = 3000  # of requests: for a server with threads longer than one of them keeps the interpreter, 5 ms
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(params=parameters())
def server(request, patient_servers):
    server = patient_servers[request.param.name]
    yield server
    assert server.process.poll() is None, "the server has ended"
    server.ask("/again")


def curl(*arguments: str) -> str:
    command = ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE_S), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=2 * PATIENCE_S).stdout


# Requests and responses


@needs_curl
def test_curl_gets_several_answers_over_one_connection(server):
    urls = [f"http://127.0.0.1:{server.port}/{name}" for name in "abc"]
    assert curl("--write-out", "%{http_code} %{num_connects}\n", *urls) == "/a\n200 1\n/b\n200 0\n/c\n200 0\n"


@needs_curl
def test_curl_waits_for_leave_to_send_a_body(server, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(LARGE[:60_000])
    url = f"http://127.0.0.1:{server.port}/echo"
    shown = curl("--verbose", "--stderr", "-", "-H", "Expect: 100-continue", "--data-binary", f"@{body}",
                 "--output", str(tmp_path / "answer"), url)  # fmt: skip
    assert "100 Continue" in shown
    assert (tmp_path / "answer").read_bytes() == body.read_bytes()


@needs_curl
def test_http_1_0_and_connection_close_end_the_connection(server):
    url = f"http://127.0.0.1:{server.port}/a"
    assert curl("--http1.0", "--write-out", "%{http_code}", url) == "/a\n200"
    with server.connect() as client:
        client.sendall(get("/a", "Connection: close"))
        answer = everything(client)
    assert answer.endswith(b"\r\n\r\n/a\n")
    assert b"\r\nConnection: close\r\n" in answer


def test_head_has_the_length_and_no_body(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    for _ in range(2):  # a body would be taken for the second response
        connection.request("HEAD", "/large")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Length"], answer.read()) == (200, str(len(LARGE)), b"")
    connection.close()


def test_an_application_that_raises_is_answered_500_and_the_connection_goes_on(server):
    with server.connect() as client:
        client.sendall(get("/raise") + get("/a"))
        assert response(client)[0] == 500
        assert response(client) == (200, b"/a\n")


@pytest.mark.parametrize("query", ["", "?slow"])
def test_a_response_that_cannot_be_written_ends_the_connection(server, query):
    with server.connect() as client:
        client.sendall(get(f"/bad-header{query}"))
        assert everything(client) == b""
    assert server.ask("/other") == b"/other\n"


def test_a_request_that_makes_no_sense_is_refused_and_ends_the_connection(server):
    with server.connect() as client:
        client.sendall(b"GET\r\n\r\n" + get("/a"))
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"\r\nDate: ") == 1


# Pieces and heaps


def test_a_request_byte_by_byte(server):
    with server.connect() as client:
        for byte in post("/echo", b"0123456789"):
            client.send(bytes([byte]))
        assert response(client) == (200, b"0123456789")


def test_a_request_in_two_pieces_split_at_every_byte(server):
    request = post("/echo", b"body")
    with server.connect() as client, server.connect() as other:
        for split in range(1, len(request)):
            client.sendall(request[:split])
            other.sendall(get("/turn"))
            assert response(other) == (200, b"/turn\n")
            client.sendall(request[split:])
            assert response(client) == (200, b"body")


def test_two_and_a_half_requests_in_one_segment(server):
    third = post("/echo", b"third")
    with server.connect() as client:
        client.sendall(get("/first") + post("/echo", b"second") + third[:40])
        assert response(client) == (200, b"/first\n")
        assert response(client) == (200, b"second")
        client.sendall(third[40:])
        assert response(client) == (200, b"third")


def test_more_pipelined_requests_than_are_kept_are_all_answered_in_order(server):
    count = 500
    with server.connect() as client:
        sender = threading.Thread(target=client.sendall, args=(b"".join(get(f"/{n}") for n in range(count)),))
        sender.start()
        for number in range(count):
            assert response(client) == (200, f"/{number}\n".encode())
        sender.join()


def test_a_client_that_pipelines_thousands_of_requests_lets_others_in_between(server):
    loop = server.variant.kind in ("reactor", "proactor")
    # Threads take turns as the system has it, and this client, too, may lose the CPU between its sends.
    assert any(_handled_before_a_modest_client(server) < THOUSANDS * 0.9 for _ in range(1 if loop else 5))


def _handled_before_a_modest_client(server) -> int:
    with server.connect() as blocking, server.connect() as greedy, server.connect() as modest:
        before = server.counts()["handled"]
        blocking.sendall(get("/block"))  # so that a loop finds what both have asked in the same turn
        greedy.sendall(get("/a") * THOUSANDS)
        modest.sendall(get("/counts"))
        handled = json.loads(response(modest)[1])["handled"] - before
        assert [response(greedy)[0] for _ in range(THOUSANDS)] == [200] * THOUSANDS
        assert response(blocking)[0] == 200
    return handled


def test_what_is_pipelined_behind_a_slow_request_waits_for_it(server):
    with server.connect() as client:
        client.sendall(get("/first") + get("/slow/held") + post("/echo", b"third") + get("/slow/fourth"))
        assert response(client) == (200, b"/first\n")
        assert server.ask("/other") == b"/other\n"
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE_S)
        server.ask("/release")
        assert [response(client) for _ in range(3)] == [
            (200, b"/slow/held\n"),
            (200, b"third"),
            (200, b"/slow/fourth\n"),
        ]


def test_a_slow_request_holds_nobody_else_up(server):
    before = server.counts()["held"]
    with server.connect() as client:
        client.sendall(get("/slow/held"))
        assert eventually(lambda: server.counts()["held"] == before + 1)
        for _ in range(20):
            assert server.ask("/other") == b"/other\n"
        server.ask("/release")
        assert response(client) == (200, b"/slow/held\n")


def test_a_large_body_goes_in_and_a_large_one_comes_out(server):
    with server.connect() as client:
        client.sendall(post("/echo", LARGE[:65_536]) + get("/large?5"))
        assert response(client) == (200, LARGE[:65_536])
        assert response(client) == (200, LARGE * 5)


# Ends


def test_a_client_that_has_ended_its_sending_still_gets_every_answer(server):
    with server.connect() as client:
        client.sendall(get("/first") + get("/slow/second") + get("/large"))
        client.shutdown(socket.SHUT_WR)
        answers = everything(client)
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert answers.endswith(LARGE)


def test_a_client_that_ends_in_the_middle_of_a_request_is_told_so(server):
    with server.connect() as client:
        client.sendall(post("/echo", b"body")[:-1])
        client.shutdown(socket.SHUT_WR)
        assert everything(client).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_says_nothing_and_goes_leaves_nothing(server):
    for end in (socket.socket.close, reset):
        clients = [server.connect() for _ in range(20)]
        server.turn()
        for client in clients:
            end(client)
    assert eventually(server.at_rest)


STAGES = {
    "header": lambda server, client: client.sendall(b"GET /a HT"),
    "body": lambda server, client: client.sendall(post("/echo", b"body")[:-2]),
    "before-it-is-read": lambda server, client: client.sendall(get("/a")),
    "slow": lambda server, client: client.sendall(get("/slow/held")),
    "behind-slow": lambda server, client: client.sendall(get("/slow/held") + get("/a") * 30),
    "large": lambda server, client: (client.sendall(get("/large?8")), client.recv(100_000)),
    "between": lambda server, client: (client.sendall(get("/a")), response(client)),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_reset_at_any_stage_concerns_nobody_else(server, stage):
    others = [server.connect() for _ in range(2)]
    for _ in range(8):
        client = server.connect()
        STAGES[stage](server, client)
        if stage != "before-it-is-read":
            server.turn()
        reset(client)
        assert server.ask("/other") == b"/other\n"
    server.ask("/release")
    for other in others:
        with other:
            other.sendall(get("/still-here"))
            assert response(other) == (200, b"/still-here\n")
    assert eventually(server.at_rest)


@pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["close", "reset"])
def test_a_client_that_has_gone_while_its_handler_ran_is_no_error(server, end):
    before = server.counts()["held"]
    client = server.connect()
    client.sendall(get("/slow/held"))
    assert eventually(lambda: server.counts()["held"] == before + 1)
    end(client)
    server.turn()
    server.ask("/release")
    assert eventually(server.at_rest)


def test_an_early_refusal_can_be_read_by_a_client_that_is_still_sending(server):
    """A close with unread bytes would be a reset, which may overtake the 413."""
    for _ in range(10):
        with server.connect() as client:
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 500000\r\n\r\n")
            client.sendall(bytes(500_000))
            answer = everything(client)
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert answer.count(b"\r\nDate: ") == 1


def test_after_an_early_refusal_the_server_still_takes_what_the_client_sends(server):
    with server.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 500000\r\n\r\n")
        assert client.recv(13, socket.MSG_PEEK) == b"HTTP/1.1 413 "
        for _ in range(20):
            client.sendall(bytes(10_000))
            server.turn()
        assert everything(client).startswith(b"HTTP/1.1 413 ")


# Readers that are slow


def test_clients_that_do_not_read_cost_little_memory_and_get_all_once_they_do(server):
    """Twenty times 1 MiB for each of eight clients: 160 MiB, if a server took all orders at once."""
    server.turn()
    before, clients = server.resident_bytes(), [server.connect() for _ in range(8)]
    for client in clients:
        client.sendall(get("/large") * 20)
    most = before
    for _ in range(20):
        server.turn()
        most = max(most, server.resident_bytes())
    assert most - before < 48 << 20
    for client in clients:
        with client:
            assert response(client) == (200, LARGE)
            for _ in range(19):
                status, body = response(client)
                assert (status, body == LARGE) == (200, True)


def test_a_client_that_asks_and_never_reads_is_stopped_by_tcp(server):
    before = server.resident_bytes()
    with server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        client.settimeout(0.3)
        requests, deadline, stopped = get("/large") * 1000, time.monotonic() + PATIENCE_S, False
        while not stopped and time.monotonic() < deadline:
            try:
                client.send(requests)
            except TimeoutError:
                stopped = True
        assert stopped
        assert server.ask("/other") == b"/other\n"
        assert server.resident_bytes() - before < 32 << 20
    assert eventually(server.at_rest)
