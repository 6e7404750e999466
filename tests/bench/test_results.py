"""Percentiles against numpy's, medians and ratios of runs whose numbers are known, JSON that another program reads."""

import json
import random

import numpy as np
import pytest

from iolab.bench.results import Bench, Run, percentiles, rows_of


@pytest.mark.parametrize("count", [1, 2, 3, 99, 100, 101, 5000])
def test_percentiles_are_those_of_numpy(count):
    values = [random.Random(count).randrange(10**9) for _ in range(count)]
    assert percentiles(values) == pytest.approx(np.percentile(values, [50, 99]), abs=1)


def test_there_are_no_percentiles_of_nothing():
    with pytest.raises(ValueError, match="at least one"):
        percentiles([])


def run(server: str, number: int, requests: int, cpu_us: int, p99_us: int, connections: int = 64) -> Run:
    return Run(
        server, connections, number, requests, 10**9, 1000, p99_us * 1000, cpu_us * requests * 1000, 5 * 10**8, requests
    )


RUNS = [
    run("a", 1, 100, 10, 50), run("b", 1, 400, 4, 20),
    run("a", 2, 300, 30, 10), run("b", 2, 9000, 99, 9999),  # another program had the CPU
    run("a", 3, 200, 20, 30), run("b", 3, 500, 5, 60),
    run("a", 1, 10, 10, 10, connections=1),
]  # fmt: skip


def test_rows_hold_medians_and_the_ratios_of_medians():
    a, b, alone = rows_of(RUNS, {"a": "ours", "b": "its own"}, "a")
    assert (a.server, a.http, a.connections, a.rounds) == ("a", "ours", 64, 3)
    assert (a.requests_per_s, a.cpu_ns, a.p50_ns, a.p99_ns) == (200, 20_000, 1000, 30_000)
    assert (b.requests_per_s, b.cpu_ns, b.p99_ns) == (500, 5000, 60_000)
    assert b.ratios == {"requests_per_s": 2.5, "cpu_ns": 0.25, "p50_ns": 1, "p99_ns": 2}
    assert set(a.ratios.values()) == set(alone.ratios.values()) == {1}
    assert (alone.connections, alone.rounds, alone.client_busy) == (1, 1, 0.5)


def test_without_the_reference_there_are_no_ratios():
    assert [row.ratios for row in rows_of(RUNS, {"a": "ours", "b": "its own"}, "c")] == [{}, {}, {}]


def test_cpu_time_is_divided_by_what_the_server_has_handled():
    """wrk stops in the middle, and has counted fewer."""
    one = Run(
        "a", 64, 1, requests=100, wall_ns=10**9, p50_ns=1, p99_ns=1, cpu_ns=12_500, client_cpu_ns=None, handled=125
    )
    [row] = rows_of([one], {"a": "ours"}, "a")
    assert (row.cpu_ns, row.requests_per_s, row.client_busy) == (100, 100, None)


def test_the_json_holds_every_run_and_row():
    bench = Bench("plain", "own", {"rounds": 3}, RUNS, rows_of(RUNS, {"a": "ours", "b": "its own"}, "a"), {"c": "why"})
    read = json.loads(bench.to_json())
    assert list(read) == ["version", "requests", "client", "facts", "runs", "rows", "missing"]
    assert read["version"] == 1
    assert [(each["server"], each["round"]) for each in read["runs"]] == [(each.server, each.round) for each in RUNS]
    assert [row["cpu_ns"] for row in read["rows"]] == [20_000, 5000, 10_000]
    assert bench.levels == [64, 1]
    assert [row.server for row in bench.at(64)] == ["a", "b"]
