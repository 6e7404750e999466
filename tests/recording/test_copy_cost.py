"""The price of a copy: what is measured is what is said, and nothing stays open."""

import pytest

from iolab.drawing.copy_cost_figure import copy_share, draw_copy_costs
from iolab.recording.copy_cost import CopyCost, copy_costs
from tests.left_behind import nothing_left_behind


def test_each_size_has_a_row_in_the_order_asked_and_nothing_is_left_behind():
    with nothing_left_behind():
        rows = copy_costs([64, 65_536, 1], repeats=5)
    assert [row.nbytes for row in rows] == [64, 65_536, 1]
    assert all(min(row.recv_ns, row.discard_ns, row.memcpy_ns) > 0 for row in rows)
    assert all(row.repeats == 5 for row in rows)


def test_many_bytes_cost_more_than_few_and_discarding_them_less_than_copying():
    few, many = copy_costs([64, 1 << 20], repeats=15)
    assert many.recv_ns > many.discard_ns
    assert many.copy_ns > few.copy_ns
    assert many.memcpy_ns > few.memcpy_ns


def test_a_size_that_tcp_does_not_queue_has_no_row_and_does_not_hang():
    with open("/proc/sys/net/ipv4/tcp_rmem") as file:
        most = int(file.read().split()[2])
    if most >= 64 << 20:
        pytest.skip(f"tcp_rmem allows {most:,} bytes, more than copy_costs takes")
    with nothing_left_behind():
        assert copy_costs([64, most + (1 << 20)], repeats=1)[1:] == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([],), "sizes must hold"),
        (([0],), "not 0"),
        (([1 << 40],), "each of sizes"),
        (([True],), "not True"),
        (([1.5],), "not 1.5"),
        (([1], 0), "repeats"),
        (([1], "many"), "'many'"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        copy_costs(*arguments)


def test_the_figure_says_the_finding_and_what_it_shows():
    rows = [CopyCost(1 << 20, 50_000, 20_000, 25_000, 21), CopyCost(64, 4_000, 3_900, 100, 21)]
    picture = draw_copy_costs(rows)
    assert picture.alternative_text.startswith("The copy is 2% of a recv of 64 bytes, and 60% of one of 1 MiB.")
    assert len(picture._repr_png_()) < 60_000
    (axes,) = picture.axes
    assert [axes.get_xscale(), axes.get_yscale()] == ["log", "log"]
    assert len({line.get_marker() for line in axes.lines}) == len({line.get_color() for line in axes.lines}) == 3


def test_noise_below_zero_is_drawn_as_nothing():
    noisy = CopyCost(64, 3_900, 4_000, 0, 1)
    assert noisy.copy_ns == -100
    assert copy_share(noisy) == 0
    assert "0 ns" in draw_copy_costs([noisy]).alternative_text


def test_no_rows_no_figure():
    with pytest.raises(ValueError, match="rows"):
        draw_copy_costs([])
