"""The figure of the waits: nothing overlaps or is cut off, the lines are the numbers, the title is the finding."""

import io

import pytest
from PIL import Image

from iolab.bench.waits import Wait, Waits
from iolab.drawing.waits_figure import draw_waits, finding, waits_table
from tests.drawing.overlaps import overlapping

FACTS = {"rounds": 5, "kernel": "Linux 6.18.44-some-long-flavour", "load_before": 12.34}
GROWING = {"select": 70, "poll": 150, "epoll": 0, "io-uring": 0, "linux-aio": 0}  # ns for each idle descriptor


def waits(names=tuple(GROWING), counts=(10, 100, 1000, 10_000)) -> Waits:
    rows = []
    for count in counts:
        for name in names:
            if name != "select" or count < 1024:
                ns = 1000 + GROWING[name] * count
                rows.append(Wait(name, count, ns, ns / 1000 if "epoll" in names else None))
    return Waits(FACTS, rows, {})


CHOICES = {"all": waits(), "one-count": waits(counts=(7,)), "without-epoll": waits(("select", "poll")),
           "epoll-alone": waits(("epoll",)), "many": waits(counts=(1, 100_000))}  # fmt: skip
every_choice = pytest.mark.parametrize("found", CHOICES.values(), ids=CHOICES.keys())


@every_choice
def test_no_text_overlaps_another_or_leaves_the_picture(found):
    assert overlapping(draw_waits(found), slack=0) == []


@every_choice
def test_it_is_a_small_png_and_says_every_row(found):
    picture = draw_waits(found)
    data = picture._repr_png_()
    assert len(data) < 60_000
    assert Image.open(io.BytesIO(data)).format == "PNG"
    assert all(f"{row.waiter} with {row.idle:,}: " in str(picture) for row in found.rows)


def test_the_lines_are_the_numbers():
    axes = draw_waits(CHOICES["all"]).axes[0]
    drawn = [(x, y) for line in axes.lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]
    assert sorted(drawn) == sorted((row.idle, row.wait_ns / 1e3) for row in CHOICES["all"].rows)


def test_the_title_is_the_finding():
    assert finding(CHOICES["all"].rows) == (
        "With 10,000 idle descriptors epoll's wait costs 1.00× what it does with 10; poll 1,501× as much as epoll"
    )
    assert finding(waits(counts=(10, 1000)).rows).endswith("; select 71× and poll 151× as much as epoll")
    assert finding(CHOICES["without-epoll"].rows) == "With 10,000 idle descriptors one wait takes up to 1.5 ms"


def test_the_table_has_a_row_for_each_number_and_a_gap_where_there_is_no_wait():
    table = waits_table(CHOICES["all"])
    assert [row[0] for row in table.rows] == ["10", "100", "1,000", "10,000"]
    assert table.headings == ["idle", *GROWING]
    assert [row[1] for row in table.rows][2:] == ["71 µs  71×", "-"]


def test_without_rows_there_is_no_figure():
    with pytest.raises(ValueError, match="at least one row"):
        draw_waits(Waits(FACTS, [], {}))
