"""All contestants answer with the same bytes, count what they were asked, and end with the one who started them."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress

import pytest

from iolab.bench.application import ASKED
from iolab.bench.choices import DATABASE, PLAIN, REFERENCE, SERVERS
from iolab.bench.circumstances import enough_descriptors
from iolab.bench.client import Client, WrongResponse
from iolab.bench.contestants import CONTESTANTS, contestant
from iolab.bench.running import Running, running
from iolab.servers.bookstore_titles import TITLES
from tests.bench.started import PATIENCE_S, environment, eventually, listens, session_processes
from tests.left_behind import nothing_left_behind
from tests.servers.served import response

VARIED = ("proactor-io-uring", "threads", "asyncio", "gevent")  # what waits differs: a ring, a call, a loop, a greenlet
every_contestant = pytest.mark.parametrize(
    "name",
    [
        pytest.param(each.name, marks=pytest.mark.skipif(bool(reason), reason=f"{each.name}: {reason}"))
        for each in CONTESTANTS
        for reason in [each.unavailable()]
    ],
)


def raw_answer(port: int, request: bytes) -> bytes:
    """All bytes that answer one request, by a raw socket: first what the length says, then what else may come."""
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(request)
        data = b""
        while not (length := re.search(rb"Content-Length: (\d+)\r\n(?s:.*?)\r\n", data)) or len(
            data
        ) < length.end() + int(length[1]):
            assert (piece := client.recv(1 << 16)), data
            data += piece
        client.shutdown(socket.SHUT_WR)  # not before: a server may take that for a goodbye
        while piece := client.recv(1 << 16):
            data += piece
    return data


@every_contestant
def test_the_response_is_the_same_from_all_but_for_the_date(name, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with nothing_left_behind():
        for requests in (PLAIN, DATABASE) if name in VARIED else (PLAIN,):  # the handler is the same everywhere
            asked = ASKED[requests]
            with running(name, requests) as server:
                assert list(tmp_path.iterdir()) != []
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                for _ in range(3):  # on the same connection
                    connection.request("GET", asked.path)
                    answered = connection.getresponse()
                    assert (answered.status, answered.read()) == (200, asked.body)
                fields = [field for field, _ in answered.getheaders()]
                assert fields == ["Date", "Content-Type", "Content-Length"]
                assert server.handled() == 3
                assert server.handled() == 3  # to look does not count
                connection.close()
                kind = b"application/json" if requests == DATABASE else b"text/plain; charset=utf-8"
                expected = b"HTTP/1.1 200 OK\r\nDate: ...\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
                with_date = raw_answer(server.port, asked.request)
                without = re.sub(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", b"Date: ...", with_date)
                assert without == expected % (kind, len(asked.body), asked.body)
                assert server.handled() == 4
            assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", [each.name for each in CONTESTANTS if each.connections < 1000 and not each.unavailable()]
)
def test_who_bears_few_connections_bears_so_many(name):
    """All connected at the same time, and each one is answered."""
    bears = contestant(name).connections
    with enough_descriptors(bears), running(name, "plain") as server, ExitStack() as stack:
        address = ("127.0.0.1", server.port)
        clients = [stack.enter_context(socket.create_connection(address, 60)) for _ in range(bears)]
        for client in clients:
            client.sendall(ASKED["plain"].request)
        assert [response(client) for client in clients] == [(200, ASKED["plain"].body)] * bears


def test_the_book_asked_for_is_in_the_catalogue():
    asked, book = ASKED["database"], TITLES[0]
    assert asked.path == f"/books/{book.isbn}"
    assert book.title.encode() in asked.body


def test_names_are_unique_and_the_reference_is_one():
    assert tuple(each.name for each in CONTESTANTS) == SERVERS
    assert len(set(SERVERS)) == len(SERVERS)
    assert contestant(REFERENCE).ours
    assert [each.name for each in CONTESTANTS if each.ours and each.http != "ours"] == []
    with pytest.raises(ValueError, match="server must be one of reactor-select, .*, not 'apache'"):
        contestant("apache")


def test_a_contestant_that_does_not_start_says_why():
    with (
        nothing_left_behind(),
        pytest.raises(RuntimeError, match="apache did not start: ValueError: server must be"),
        running("apache", "plain"),
    ):
        pass


def test_a_contestant_that_dies_is_told_of_and_its_files_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    server = running(REFERENCE, "plain")
    with nothing_left_behind():
        os.kill(server.__enter__().process_id, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="reactor-epoll has ended too early, with -9"):
            server.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


def load_upon_one_that_dies_of(number: int) -> None:
    with running(REFERENCE, "plain") as server, Client(server.port, ASKED["plain"], 3) as client:
        client.run(0)
        os.kill(server.process_id, number)
        client.run(PATIENCE_S)


@pytest.mark.parametrize(("number", "words"), [(signal.SIGKILL, "it said nothing$"), (signal.SIGABRT, "(?!it said).")])
def test_a_contestant_that_dies_under_load_is_told_of_with_its_last_words(number, words, monkeypatch):
    """Its client sees the death first, as a connection that is reset: that is the cause, not the news."""
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")  # else it would die of SIGABRT without a word, too
    with (
        nothing_left_behind(),
        pytest.raises(RuntimeError, match=f"{REFERENCE} has ended too early, with -{int(number)}: {words}") as told,
    ):
        load_upon_one_that_dies_of(number)
    assert isinstance(told.value.__cause__, ConnectionError | WrongResponse)


def test_what_goes_wrong_with_a_contestant_that_lives_is_told_as_it_is():
    error = ValueError("the caller's own")
    with nothing_left_behind(), pytest.raises(ValueError, match="own") as told, running(REFERENCE, "plain"):
        raise error
    assert told.value is error
    assert told.value.__cause__ is None


def test_a_count_that_never_comes_is_a_connection_that_has_ended():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", "input()"], **pipes) as process:
        server = Running(process, 0)
        with pytest.raises(ConnectionError, match="has ended instead"):
            server.handled()
        process.wait(PATIENCE_S)
        with pytest.raises(ConnectionError):  # EPIPE
            server.handled()
        with suppress(BrokenPipeError):
            process.stdin.close()


@pytest.mark.parametrize("name", [name for name in VARIED if not contestant(name).unavailable()])
def test_it_ends_when_the_one_who_started_it_is_killed(name, tmp_path):
    """Its parent dies without a word; its port is free, and its files are gone."""
    program = f"""
import sys, time
from iolab.bench.running import running
with running({name!r}, "database") as server:
    print(server.process_id, server.port, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment(tmp_path)) as parent:
        process_id, port = map(int, parent.stdout.readline().split())
        assert raw_answer(port, ASKED["database"].request).endswith(ASKED["database"].body)
        parent.kill()
    # The first thread may be a zombie while others still hold the listener: so the port is asked, not the process.
    assert eventually(lambda: not listens(f"0100007F:{port:04X}"))
    assert eventually(lambda: list(tmp_path.iterdir()) == [])
    assert eventually(lambda: process_id not in session_processes(os.getsid(0)))
