"""The figure of the servers: every number is in it, nothing overlaps or is cut off, the title says what was found."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from iolab.bench.choices import REFERENCE, SERVERS
from iolab.bench.contestants import CONTESTANTS
from iolab.bench.results import Bench, Row, Run, rows_of
from iolab.drawing.servers_figure import draw_servers, finding
from iolab.drawing.servers_table import servers_table
from tests.drawing.overlaps import overlapping

HTTP = {each.name: each.http for each in CONTESTANTS}
FACTS = {"rounds": 5, "seconds": 1.0, "kernel": "Linux 6.18.44-some-long-flavour", "cpus": 128, "load_before": 12.34}


def bench(names=SERVERS, levels=(64,), spread: float = 1.4, rounds: int = 5) -> Bench:
    """From the cheapest to the dearest each costs `spread` times what the one before did."""
    runs = [
        Run(name, level, number, 100_000, 10**9, 10**6, round(level * 3000 * spread**place), round(1e8 * spread**place),
            5 * 10**8, 20_000)
        for level in levels
        for number in range(rounds)
        for place, name in enumerate(names)
    ]  # fmt: skip
    return Bench("database", "own", FACTS | {"rounds": rounds}, runs, rows_of(runs, HTTP, REFERENCE), {})


CHOICES = {
    "all": bench(),
    "three-levels": bench(levels=(1, 64, 10_000)),
    "reference-alone": bench([REFERENCE], rounds=1),
    "backwards": bench(SERVERS[::-1], spread=3),
    "all-alike": bench(spread=1),
    "limited": replace(bench(), facts=FACTS | {"cpu_quota": 1.25}),
    "two-far-apart": bench([REFERENCE, "uvloop-same-http"], (7,), spread=5000),
}
every_choice = pytest.mark.parametrize("found", CHOICES.values(), ids=CHOICES.keys())


@every_choice
def test_no_text_overlaps_another_or_leaves_the_picture(found):
    assert overlapping(draw_servers(found), slack=0) == []


@every_choice
def test_it_is_a_small_png_and_says_every_row(found):
    picture = draw_servers(found)
    data = picture._repr_png_()
    assert len(data) < 90_000
    assert Image.open(io.BytesIO(data)).format == "PNG"
    written = [text.get_text() for text in picture.texts]
    for row in found.rows:
        assert f"{row.server}, {row.connections:,}: {row.requests_per_s:,.0f}/s (" in str(picture)
        assert any(f"{row.requests_per_s:,.0f}/s" in text for text in written)


def test_a_point_lies_at_its_ratio():
    found = CHOICES["all"]
    cpu = draw_servers(found).axes[1]
    points = [line.get_xdata()[0] for line in cpu.lines if line.get_marker() not in ("None", "", None)]
    assert points == pytest.approx([row.ratios["cpu_ns"] for row in found.rows])


def test_the_title_is_the_finding():
    assert finding(CHOICES["all"]) == (
        "With 64 connections a request costs, in CPU time of reactor-epoll: proactor-io-uring 1.40×, asyncio 7.53×, uvloop 21×"
    )
    assert finding(CHOICES["reference-alone"]) == "With 64 connections a request costs reactor-epoll 5 µs of CPU time"
    assert finding(CHOICES["two-far-apart"]).endswith("uvloop-same-http 5,000×")
    assert finding(bench(levels=(1,))).startswith("With 1 connection a request")


def test_the_table_has_every_row_and_says_when_the_client_is_not_known():
    found = bench(levels=(1, 64))
    table = servers_table(found)
    assert [(row[0], row[1]) for row in table.rows] == [(str(row.connections), row.server) for row in found.rows]
    assert {row[-1] for row in table.rows} == {"50%"}
    assert "medians of 5 rounds of 1 s" in table.caption
    assert ", 128 CPUs, load 12.34" in table.caption
    assert ", 128 CPUs, a quota of 1.25, load 12.34" in servers_table(CHOICES["limited"]).caption
    by_wrk = replace(found, client="wrk", rows=[replace(row, client_busy=None) for row in found.rows])
    assert {row[-1] for row in servers_table(by_wrk).rows} == {"not told"}


def test_without_rows_or_the_reference_there_is_no_figure():
    for nothing in (bench([]), bench(["uvloop"])):
        with pytest.raises(ValueError, match="reactor-epoll among them"):
            draw_servers(nothing)


def test_a_row_without_a_reference_has_a_place_in_the_table():
    assert isinstance(bench(["uvloop"]).rows[0], Row)
    assert servers_table(bench(["uvloop"])).rows[0][4] == "-"
