"""The ways to wait: each makes the system calls it is said to make, and its price grows, or does not, with the idle."""

import json
import socket
import subprocess
import sys
from collections import Counter

import pytest

from iolab.bench import waiters
from iolab.bench.waiters import WAITERS
from iolab.bench.waits import bench_waits
from tests.bench.started import ROOT, environment, started
from tests.left_behind import nothing_left_behind

HERE = [waiter.name for waiter in WAITERS if not waiter.unavailable()]
CALLS = {  # of one wait, by strace
    "select": {"select": 1}, "poll": {"poll": 1}, "epoll": {"epoll_wait": 1}, "io-uring": {"io_uring_enter": 1},
    "linux-aio": {"io_submit": 1, "io_getevents": 1},
}  # fmt: skip
OTHER_NAMES = {"pselect6": "select", "ppoll": "poll", "epoll_pwait": "epoll_wait", "epoll_pwait2": "epoll_wait",
               "io_pgetevents": "io_getevents"}  # fmt: skip
OF_NO_ACCOUNT = ("getpid", "uname")  # whose thread is it; which numbers have the calls here
WAITS = """
import os, socket, sys
from iolab.bench.waiters import WAITERS
waiter = next(each for each in WAITERS if each.name == sys.argv[1])
ready, peer = socket.socketpair()
peer.send(b"x")
idle = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(20)]
with waiter.open([each.fileno() for each in idle], ready.fileno()) as wait:
    wait()
    os.write(2, b"begin")
    for _ in range(7):
        wait()
    os.write(2, b"end")
"""


@pytest.mark.parametrize("name", HERE)
def test_one_wait_makes_the_calls_it_is_said_to_make(name, tmp_path):
    trace = tmp_path / "trace"
    command = ["strace", "-o", trace, sys.executable, "-c", WAITS, name]
    subprocess.run(command, check=True, timeout=60, env=environment(tmp_path), cwd=ROOT, capture_output=True)
    lines = trace.read_text().splitlines()
    begin, end = (
        next(at for at, line in enumerate(lines) if f'write(2, "{word}"' in line) for word in ("begin", "end")
    )
    made = Counter(line.split("(")[0] for line in lines[begin + 1 : end])
    made = {OTHER_NAMES.get(call, call): number / 7 for call, number in made.items() if call not in OF_NO_ACCOUNT}
    assert made == CALLS[name]


def test_polls_price_grows_with_the_idle_and_epolls_does_not():
    """800 times as many: poll's grew some hundred times where it was tried, epoll's not at all."""
    with nothing_left_behind():
        found = bench_waits([10, 8000], 5)
    price = {(row.waiter, row.idle): row.wait_ns for row in found.rows}
    growth = {name: price[name, 8000] / price[name, 10] for name in ("poll", "epoll")}
    assert growth["poll"] > 20
    assert growth["poll"] > 5 * growth["epoll"]
    for row in found.rows:
        assert row.ratio == pytest.approx(row.wait_ns / price["epoll", row.idle])


def test_select_stops_at_fd_setsize_and_says_so():
    called = []
    with nothing_left_behind():
        found = bench_waits([1, 1100], 1, lambda: called.append(1))
    assert [row.idle for row in found.rows if row.waiter == "select"] == [1]
    assert found.missing["select with 1,100 idle"] == "fd must be from 0 to 1023 for select, not 1024"
    assert len(called) == 2


def test_the_json_has_a_version_and_every_row():
    found = bench_waits([3, 1], 1)
    read = json.loads(found.to_json())
    assert read["version"] == 1
    assert [(row["idle"], row["waiter"]) for row in read["rows"]] == [(idle, name) for idle in (1, 3) for name in HERE]
    assert read["facts"]["rounds"] == 1


def test_a_wait_that_is_told_of_another_descriptor_is_an_error():
    ready, peer = socket.socketpair()
    other, its_peer = socket.socketpair()
    with ready, peer, other, its_peer:
        peer.send(b"x")
        its_peer.send(b"x")
        for waiter in WAITERS:
            if waiter.name in HERE:
                armed = waiter.open([other.fileno()], ready.fileno())
                with armed as wait, pytest.raises(RuntimeError, match="told of"):
                    repeat_call(wait, 3)  # a ring may tell of the two one after the other


def repeat_call(function, times: int) -> None:
    for _ in range(times):
        function()


def test_a_ring_that_is_full_is_submitted(monkeypatch):
    if "io-uring" not in HERE:
        pytest.skip("no io_uring here")
    monkeypatch.setattr(waiters, "MOST_ENTRIES", 4)
    assert {row.waiter for row in bench_waits([50], 1).rows} == set(HERE)


@pytest.mark.parametrize(("arguments", "complaint"), [
    ({"counts": []}, "counts must be from 1 to 100,000"), ({"counts": [0]}, r"not \[0\]"),
    ({"counts": [10, 200_000]}, "counts must be"), ({"rounds": 0}, r"rounds must be from 1 to 1,000, not \[0\]"),
])  # fmt: skip
def test_a_wrong_argument_is_named(arguments, complaint):
    with nothing_left_behind(), pytest.raises(ValueError, match=complaint):
        bench_waits(**arguments)


def test_the_command_prints_a_table_and_saves_json_and_figure(tmp_path):
    json_file, png_file = tmp_path / "waits.json", tmp_path / "waits.png"
    with started(
        tmp_path, "demultiplexers", "--idle", 1, 1100, "--rounds", 1, "--json", json_file, "--png", png_file
    ) as process:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
    assert "not here: select with 1,100 idle: fd must be from 0 to 1023" in out
    assert {row["idle"] for row in json.loads(json_file.read_text())["rows"]} == {1, 1100}
    assert png_file.read_bytes().startswith(b"\x89PNG")
