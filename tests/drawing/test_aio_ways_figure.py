"""The figure of the ways to wait for an aio_read: nothing overlaps or is cut off; it also says what it shows."""

import io

import pytest
from PIL import Image

from iolab.drawing.aio_ways_figure import draw_aio_ways, finding
from tests.drawing.overlaps import overlapping

ROWS = [
    {"way": "polling", "asked": 1_209_584, "wall_ns": 100_161_729, "cpu_ns": 100_161_730, "switches": 0},
    {"way": "suspend", "asked": 0, "wall_ns": 100_203_564, "cpu_ns": 212_807, "switches": 1},
    {"way": "signal", "asked": 0, "wall_ns": 1_002_470_000, "cpu_ns": 270_078, "switches": 12_345},
    {"way": "signalfd", "asked": 0, "wall_ns": 104_621_444, "cpu_ns": 414_047, "switches": 1},
    {"way": "thread", "asked": 0, "wall_ns": 108_131_216, "cpu_ns": 227_053, "switches": 1},
    {"way": "list", "asked": 0, "wall_ns": 103_831_024, "cpu_ns": 453_599, "switches": 2},
]
every_choice = pytest.mark.parametrize(
    "rows", [ROWS, ROWS[:1], ROWS[1:3], ROWS[::-1]], ids=["all", "polling", "two-that-sleep", "backwards"]
)


@every_choice
def test_no_text_overlaps_another_or_leaves_the_picture(rows):
    assert overlapping(draw_aio_ways(rows), slack=0) == []


@every_choice
def test_the_figure_is_a_small_png_and_says_every_number(rows):
    picture = draw_aio_ways(rows)
    data = picture._repr_png_()
    assert len(data) < 60_000
    assert Image.open(io.BytesIO(data)).format == "PNG"
    for row in rows:
        assert f"{row['way']}: " in str(picture)
        assert row["asked"] == 0 or f"{row['asked']:,}" in str(picture)


def test_a_longer_time_on_a_cpu_is_a_longer_bar():
    picture = draw_aio_ways(ROWS)
    lengths = [bars.get_paths()[0].get_extents().width for bars in picture.axes[0].collections[1::2]]
    assert lengths == pytest.approx([min(row["cpu_ns"], row["wall_ns"]) / 1e6 for row in ROWS])


def test_the_title_is_the_finding():
    assert finding(ROWS) == "Asking in a loop took 100 ms of CPU; who slept was told for 213 µs to 454 µs"
    assert finding(ROWS[1:2]) == "Who slept was told for 213 µs"


def test_without_rows_there_is_no_figure():
    with pytest.raises(ValueError, match="at least one way"):
        draw_aio_ways([])
