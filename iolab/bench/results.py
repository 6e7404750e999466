"""What a bench has found: every run as it was, and from them medians and ratios.

    runs    reactor-epoll 1, uvloop 1, ... reactor-epoll 2, uvloop 2, ...     (server, connections, round)
    rows    reactor-epoll, uvloop, ...                                        medians over the rounds
            each beside the reference: ratio of the medians                   1.0 for the reference

Two facts that surprise:
* A mean of rounds is spoilt by one in which another program had the CPU; a median is not.
* The 99th percentile of all rounds together is not the median of their 99th percentiles. The second one is here: it says
  what a usual round is like, and a single bad one does not make it.

JSON: {"version": 1, "requests", "client", "facts": {...}, "runs": [...], "rows": [...], "missing": {name: reason}}; times
in nanoseconds. A client that wants only numbers reads "rows".
"""

import json
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import NamedTuple

VERSION = 1
RATIOS = ("requests_per_s", "cpu_ns", "p50_ns", "p99_ns")


class Figures(NamedTuple):
    """What a client has seen in one run."""

    requests: int
    wall_ns: int
    p50_ns: int
    p99_ns: int


@dataclass(frozen=True, slots=True)
class Run:
    """One server under load once. `cpu_ns` is the server's, of all requests; `client_cpu_ns` None for wrk."""

    server: str
    connections: int
    round: int
    requests: int
    wall_ns: int
    p50_ns: int
    p99_ns: int
    cpu_ns: int
    client_cpu_ns: int | None
    handled: int  # by the server's own count

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.wall_ns * 1e9

    @property
    def cpu_ns_per_request(self) -> float:
        return self.cpu_ns / self.handled


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the rounds of one server at one number of connections; `ratios` to the reference, by RATIOS."""

    server: str
    http: str
    connections: int
    rounds: int
    requests_per_s: float
    cpu_ns: float  # of the server, for one request
    p50_ns: float
    p99_ns: float
    client_busy: float | None  # its share of one CPU
    ratios: dict[str, float]


@dataclass(frozen=True, slots=True)
class Bench:
    """A whole run of the bench."""

    requests: str
    client: str
    facts: dict
    runs: list[Run]
    rows: list[Row]
    missing: dict[str, str]

    def to_json(self) -> str:
        return json.dumps({"version": VERSION} | asdict(self), indent=1)

    def at(self, connections: int) -> list[Row]:
        return [row for row in self.rows if row.connections == connections]

    @property
    def levels(self) -> list[int]:
        return list(dict.fromkeys(row.connections for row in self.rows))


def percentiles(values: list[int]) -> tuple[int, int]:
    """The 50th and the 99th, between the two neighbours by proportion; ValueError without values."""
    if not values:
        raise ValueError("values must hold at least one")
    if len(values) == 1:
        return values[0], values[0]
    cuts = quantiles(values, n=100, method="inclusive")
    return round(cuts[49]), round(cuts[98])


def rows_of(runs: list[Run], http: dict[str, str], reference: str) -> list[Row]:
    """One row for each server and number of connections, in the order of the runs; no ratios without the reference."""
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.connections, run.server), []).append(run)
    medians = {key: _medians(group) for key, group in groups.items()}
    rows = []
    for (connections, server), values in medians.items():
        beside = medians.get((connections, reference))
        ratios = {name: values[name] / beside[name] for name in RATIOS} if beside else {}
        busy = [run.client_cpu_ns / run.wall_ns for run in groups[connections, server] if run.client_cpu_ns is not None]
        rounds = len(groups[connections, server])
        rows.append(Row(server, http[server], connections, rounds, **values,
                        client_busy=median(busy) if busy else None, ratios=ratios))  # fmt: skip
    return rows


def _medians(runs: list[Run]) -> dict[str, float]:
    return {
        "requests_per_s": median(run.requests_per_s for run in runs),
        "cpu_ns": median(run.cpu_ns_per_request for run in runs),
        "p50_ns": median(run.p50_ns for run in runs),
        "p99_ns": median(run.p99_ns for run in runs),
    }
