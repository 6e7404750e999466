"""Servers beside each other as a table, and what was compared in one line."""

from iolab.bench.choices import REFERENCE
from iolab.bench.results import Bench, Row
from iolab.drawing.cpus import cpus
from iolab.drawing.table import Table
from iolab.drawing.words import duration


def servers_table(bench: Bench) -> Table:
    """A row for each server and number of connections; how busy the client was, of one CPU."""
    rows = [
        (f"{row.connections:,}", row.server, row.http, f"{row.requests_per_s:,.0f}", _ratio(row, "requests_per_s"),
         duration(row.cpu_ns), _ratio(row, "cpu_ns"), duration(row.p50_ns), duration(row.p99_ns), _ratio(row, "p99_ns"),
         "not told" if row.client_busy is None else f"{row.client_busy:.0%}")
        for row in bench.rows
    ]  # fmt: skip
    headings = ("connections", "server", "HTTP", "requests/s", "ratio", "CPU for one", "ratio", "p50", "p99", "ratio",
                "client busy")  # fmt: skip
    return Table(headings, rows, about(bench))


def about(bench: Bench) -> str:
    """What was compared, in one line."""
    facts = bench.facts
    client = "wrk" if bench.client == "wrk" else "a client in Python"
    return (
        f"{bench.requests} requests over 127.0.0.1, {client} · medians of {_rounds(facts['rounds'])} of {facts['seconds']:g} s"
        f" in turn, as multiples of {REFERENCE}'s · {facts['kernel']}, {cpus(facts)}, load {facts['load_before']}"
    )


def _ratio(row: Row, name: str) -> str:
    return f"{row.ratios[name]:.2f}" if row.ratios else "-"


def _rounds(number: int) -> str:
    return f"{number} round" + "s" * (number != 1)
