"""`iolab serve` under load, by clients that are not ours: wrk and ab see no error, and a stop in the middle loses nothing.

IOLAB_HEAVY=1: wrk with 512 connections, ab with keep-alive. Always: a client here, with fewer.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from iolab.bench.circumstances import enough_descriptors
from iolab.servers.bookstore_titles import TITLES
from tests.servers.served import eventually, get, post, response
from tests.servers.test_serve_command import serve, serving

heavy = pytest.mark.skipif(os.environ.get("IOLAB_HEAVY") != "1", reason="10 s each: IOLAB_HEAVY=1 asks for it")
servers = serving(lambda variant: variant.kind == "proactor" or variant.mechanism == "epoll")

STOP_S = 5.0
CONNECTIONS, ROUNDS = 32, 6
WRK_CONNECTIONS, WRK = 512, ("-c", "512", "-t", "2")
WRK_S, AB = 5, ("-k", "-c", "64", "-n", "20000")
ASKED = f"/books/{TITLES[0].isbn}"
ORDER = json.dumps({"isbn": TITLES[1].isbn, "quantity": 1}).encode()
REQUESTS = (get(ASKED), post("/orders", ORDER, "Content-Type: application/json"))  # the second waits for the disk


def program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {name} on this machine: apt install {package}")
    return path


def output(*command: str) -> str:
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def sockets(process_id: int) -> int:
    found = 0
    for link in Path(f"/proc/{process_id}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found += os.readlink(link).startswith("socket:")
    return found


def ends_in_time(command) -> None:
    begun = time.monotonic()
    assert command.end(signal.SIGTERM) == (0, "")  # nobody was cut off
    assert time.monotonic() - begun < STOP_S


@servers
def test_all_that_was_asked_before_a_stop_is_answered(arguments, tmp_path):
    with serve(*arguments, folder=tmp_path) as command, ExitStack() as stack:
        clients = [stack.enter_context(command.connect()) for _ in range(CONNECTIONS)]
        for number, client in enumerate(clients):
            client.sendall(REQUESTS[number % 2])
        for turn in range(1, ROUNDS):
            for number, client in enumerate(clients):
                assert response(client)[0] == (201 if (number + turn - 1) % 2 else 200)
                client.sendall(REQUESTS[(number + turn) % 2])
        begun = time.monotonic()
        command.process.send_signal(signal.SIGTERM)
        for number, client in enumerate(clients):
            assert response(client)[0] == (201 if (number + ROUNDS - 1) % 2 else 200)
            assert client.recv(1) == b""
            client.close()
        assert command.process.wait(STOP_S) == 0
        assert time.monotonic() - begun < STOP_S


@heavy
@servers
def test_wrk_and_ab_see_no_error_and_a_stop_under_load_cuts_nobody_off(arguments, tmp_path):
    wrk, ab = program("wrk", "wrk"), program("ab", "apache2-utils")
    with enough_descriptors(4 * WRK_CONNECTIONS), serve(*arguments, folder=tmp_path) as command:
        url = f"http://127.0.0.1:{command.port}{ASKED}"
        told = output(wrk, *WRK, "-d", f"{WRK_S}s", url)
        assert not re.search("Socket errors|Non-2xx", told), told
        assert int(re.search(r"(\d+) requests in", told)[1]) >= WRK_CONNECTIONS, told
        rates = [re.search(r"Requests/sec: +(\S+)", told)[1]]
        told = output(ab, "-q", *AB, url)
        found = dict(re.findall(r"^([A-Z][A-Za-z -]+): +(\d+)", told, re.MULTILINE))
        asked = AB[-1]
        assert (found["Complete requests"], found["Keep-Alive requests"], found["Failed requests"]) == (
            asked,
            asked,
            "0",
        ), told
        assert "Non-2xx responses" not in found, told
        rates.append(re.search(r"Requests per second: +(\S+)", told)[1])
        print(f"\n{' '.join(arguments)}: requests per second by wrk {rates[0]}, by ab {rates[1]}")
        with subprocess.Popen([wrk, *WRK, "-d", "30s", url], stdout=subprocess.DEVNULL) as load:
            try:
                assert eventually(lambda: sockets(command.process.pid) >= WRK_CONNECTIONS)
                ends_in_time(command)
            finally:
                load.kill()
