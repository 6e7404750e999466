"""A whole bench, tiny: servers take turns, counts agree, JSON adds up; nothing is left when it ends, however it ends."""

import json
import os
import signal
import stat

import pytest

from iolab.bench import measuring, wrk
from iolab.bench.choices import REFERENCE
from iolab.bench.circumstances import circumstances
from iolab.bench.client import WrongResponse
from iolab.bench.contestants import CONTESTANTS
from iolab.bench.measuring import bench_servers, runs_ahead
from tests.bench.started import eventually as soon
from tests.bench.started import listening, listens, session_processes, started
from tests.control_group import QUOTA, limited_to_one_and_a_half_cpus
from tests.left_behind import nothing_left_behind


@pytest.mark.parametrize(("requests", "levels", "rounds"), [("plain", [2, 5], 2), ("database", [3], 1)])
def test_a_tiny_bench_adds_up(requests, levels, rounds, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    called = []
    with nothing_left_behind():
        found = bench_servers(levels, rounds, 0.1, requests, servers=["asyncio"], progress=lambda: called.append(1))
    assert list(tmp_path.iterdir()) == []
    read = json.loads(found.to_json())
    turns = [(run["connections"], run["round"], run["server"]) for run in read["runs"]]
    turn_by_turn = range(1, rounds + 1)
    assert turns == [(n, turn, name) for n in levels for turn in turn_by_turn for name in (REFERENCE, "asyncio")]
    assert len(called) == len(turns) == runs_ahead(levels, rounds, ["asyncio"])
    for run in read["runs"]:
        assert run["requests"] == run["handled"] >= run["connections"]
        assert run["wall_ns"] >= 0.1e9
        assert 0 < run["p50_ns"] <= run["p99_ns"] <= run["wall_ns"]
        assert 0 < run["cpu_ns"] <= os.cpu_count() * run["wall_ns"] * 1.05 + 20e6
        assert 0 < run["client_cpu_ns"] <= run["wall_ns"] * 1.05 + 20e6
    assert [(row["connections"], row["server"]) for row in read["rows"]] == [
        (n, name) for n in levels for name in (REFERENCE, "asyncio")
    ]
    assert [set(row["ratios"].values()) for row in read["rows"] if row["server"] == REFERENCE] == [{1}] * len(levels)
    assert read["facts"]["rounds"] == rounds
    assert (read["requests"], read["client"], read["missing"]) == (requests, "own", {})


def test_the_quota_of_the_control_group_is_a_circumstance(tmp_path, monkeypatch):
    limited_to_one_and_a_half_cpus(tmp_path, monkeypatch)
    assert circumstances()["cpu_quota"] == QUOTA
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert circumstances()["cpu_quota"] is None


def test_who_bears_fewer_connections_is_not_asked():
    few = min(each.connections for each in CONTESTANTS)
    name = next(each.name for each in CONTESTANTS if each.connections == few)
    found = bench_servers([few + 1], 1, 0.05, servers=[name])
    assert [row.server for row in found.rows] == [REFERENCE]
    if not found.missing.get(name):  # else this machine lacks it
        assert found.missing == {f"{name} at {few + 1} connections": f"it bears {few}"}
    assert runs_ahead([few + 1], 1, [name]) == 1


def test_a_missing_library_is_told_and_the_others_are_measured(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = bench_servers([1], 1, 0.05, servers=["uvloop", "gevent"])
    assert found.missing == {
        "uvloop": "uvloop is not installed: pip install 'iolab[bench]'",
        "gevent": "gevent is not installed: pip install 'iolab[bench]'",
    }
    assert [row.server for row in found.rows] == [REFERENCE]


def test_a_server_that_answers_wrongly_ends_the_bench_with_its_name(monkeypatch):
    def lies(*_):
        raise WrongResponse("the body is b'x'")

    monkeypatch.setattr(measuring.Client, "run", lies)
    with nothing_left_behind(), pytest.raises(RuntimeError, match="reactor-epoll with 3 connections: the body is b'x'"):
        bench_servers([3], 1, 0.1, servers=[])


@pytest.mark.parametrize(("arguments", "complaint"), [
    ({"connections": []}, r"connections must be from 1 to 10,000, not \[\]"),
    ({"connections": [64, 0]}, r"connections must be from 1 to 10,000, not \[64, 0\]"),
    ({"connections": [True]}, "connections must be"),
    ({"rounds": 0}, r"rounds must be from 1 to 1,000, not \[0\]"),
    ({"seconds": 0.01}, "seconds must be from 0.05 to 600, not 0.01"),
    ({"seconds": float("nan")}, "seconds must be from 0.05 to 600, not nan"),
    ({"requests": "orders"}, "requests must be one of plain, database, not 'orders'"),
    ({"client": "ab"}, "client must be one of own, wrk, not 'ab'"),
    ({"servers": ["apache"]}, "server must be one of reactor-select, .*, not 'apache'"),
])  # fmt: skip
def test_a_wrong_argument_is_named_before_anything_is_started(arguments, complaint, monkeypatch):
    monkeypatch.setattr(measuring, "running", lambda *_: pytest.fail("a server was started"))
    with pytest.raises(ValueError, match=complaint):
        bench_servers(**arguments)


def test_too_few_descriptors_are_told_of_before_anything_is_started(monkeypatch):
    import resource

    monkeypatch.setattr(measuring, "running", lambda *_: pytest.fail("a server was started"))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 512))
    with pytest.raises(OSError, match="ulimit -Hn is 512"):
        bench_servers([1000], servers=[])
    monkeypatch.undo()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


# The command


def test_the_command_prints_a_table_and_saves_json_and_figure(tmp_path):
    json_file, png_file = tmp_path / "bench.json", tmp_path / "bench.png"
    options = ["--connections", 3, "--rounds", 1, "--seconds", 0.1, "--servers", "threads", "--client", "own"]
    with started(tmp_path, "servers", *options, "--json", json_file, "--png", png_file) as process:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert session_processes(process.pid) == []
    read = json.loads(json_file.read_text())
    for row in read["rows"]:
        assert [line for line in out.splitlines() if row["server"] in line and f"{row['requests_per_s']:,.0f}" in line]
    assert [row["server"] for row in read["rows"]] == [REFERENCE, "threads"]
    assert png_file.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json", "bench.png"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 1), (signal.SIGKILL, -signal.SIGKILL)])
def test_ctrl_c_and_a_violent_death_leave_no_process_no_port_no_file(number, code, tmp_path):
    options = ["--connections", 2, "--rounds", 1000, "--seconds", 0.1, "--client", "own", "--requests", "database"]
    with started(tmp_path, "servers", *options, "--servers", "asyncio") as process:
        ports = []
        assert soon(lambda: ports.extend(listening(session_processes(process.pid))) or ports)
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == code
        assert err.strip() == ("iolab: interrupted" if number == signal.SIGINT else "")
        if number == signal.SIGINT:  # it has seen to that itself
            assert session_processes(process.pid) == []
            assert not any(map(listens, ports))
        assert soon(lambda: session_processes(process.pid) == [] and not any(map(listens, ports)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["servers", "--connections", "0"], "must be from 1 to 10,000, not 0"),
    (["servers", "--servers", "apache"], "invalid choice: 'apache'"),
    (["servers", "--seconds", "0"], "must be from 0.05 to 600, not 0"),
    (["demultiplexers", "--idle", "x"], "must be a number from 1 to 100,000, not 'x'"),
    (["demultiplexers", "--json", "/nowhere/at/all"], "cannot write /nowhere/at/all"),
    ([], "required: WHAT"),
])  # fmt: skip
def test_wrong_use_is_one_line_and_exit_code_2(arguments, complaint, tmp_path):
    with started(tmp_path, *arguments) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, len(err.splitlines())) == (2, "", 1)
    assert complaint in err


# wrk

SAID = """Running 1s test @ http://127.0.0.1:40817/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.65ms    1.40ms  13.74ms   87.46%
    Req/Sec    43.77k     6.96k   51.18k    90.00%
  Latency Distribution
     50%    1.28ms
     75%    1.54ms
     90%    2.61ms
     99%  850.00us
  43604 requests in 1.00s, 5.49MB read
Requests/sec:  43511.90
Transfer/sec:      5.48MB
"""


def test_what_wrk_has_said_is_understood():
    assert wrk.figures(SAID) == (43604, 10**9, 1_280_000, 850_000)


@pytest.mark.parametrize("line", [
    "  Socket errors: connect 0, read 3, write 0, timeout 0", "  Non-2xx or 3xx responses: 17",
])  # fmt: skip
def test_errors_that_wrk_has_counted_are_errors(line):
    with pytest.raises(WrongResponse, match=line.strip()):
        wrk.figures(SAID.replace("Requests/sec", f"{line}\nRequests/sec"))


def test_what_wrk_does_not_say_is_missed():
    with pytest.raises(RuntimeError, match="unknown"):
        wrk.figures(SAID.replace("99%", "98%"))


def test_a_bench_by_a_client_with_wrks_words(tmp_path, monkeypatch):
    """A stand-in that asks by curl, and speaks as wrk does: the command line, the parsing, the counts of the server."""
    fake = tmp_path / "wrk"
    fake.write_text(
        f'#!/bin/sh\nfor last; do :; done\ncurl -sf "$last" "$last" "$last" >/dev/null || exit 1\ncat <<E\n{SAID}E\n'
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = bench_servers([4], 1, 0.1, client="wrk", servers=[])
    [run] = found.runs
    assert (run.requests, run.handled, run.client_cpu_ns) == (43604, 3, None)
    fake.write_text("#!/bin/sh\necho it is broken >&2\nexit 3\n")
    with pytest.raises(RuntimeError, match="wrk has failed: it is broken"):
        bench_servers([4], 1, 0.1, client="wrk", servers=[])


@pytest.mark.skipif(bool(wrk.unavailable()), reason=wrk.unavailable() or "")
def test_a_bench_by_wrk_itself():
    found = bench_servers([8], 1, 1, client="wrk", servers=[])
    [run] = found.runs
    assert 0 <= run.handled - run.requests <= 8
