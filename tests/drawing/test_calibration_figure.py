"""The figure and the tables of a calibration: they say what the errors are, nothing overlaps, nothing is cut off."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from iolab.drawing.calibration_figure import draw_calibration, finding, percent, signature_of
from iolab.drawing.calibration_table import error_table, reads_table, remarks, report
from iolab.recording.calibration_data import Calibration, Row, Series
from tests.drawing.overlaps import overlapping

FACTS = {"kernel": "Linux 6.18.1", "cpus": 2, "load_average": [0.12, 11.5]}
EARLY = tuple((-each, -9_000, 0) for each in range(1_000, 5_000, 40))
LATE = tuple((each, -4_000, 1_500) for each in range(100, 100_100, 1000))
PLACES = (
    ("block begins", "switch-record"), ("block begins", "clock"), ("data ready", "kernel-stamp"), ("data ready", "clock"),
    ("reader runs", "switch-record"), ("copy starts", "witness"), ("copy ends", "witness"), ("call ends", "clock"),
)  # fmt: skip
ROWS = tuple(Row(*place, "tracepoints", (EARLY, LATE)[number % 2]) for number, place in enumerate(PLACES))
SMALL = Series(
    "blocking", 65536, 200, {"never asleep: data was there before": 3}, {"witness: away": 17}, 197, 197, 197, 0,
    (54_000, 55_000, 56_000), (50_000, 50_000, 60_000), (49_000,), ROWS,
)  # fmt: skip
LARGE = replace(SMALL, nbytes=1 << 20, discarded={}, lost=2)
BOTH = Calibration("tracepoints", {}, FACTS, (SMALL, LARGE))
SIX = replace(BOTH, series=tuple(replace(SMALL, model=name) for name in ("epoll", "poll", "select", "io-uring", "threads", "posix-aio")))  # fmt: skip
WEAK = Calibration(
    "kernel-stamp", {"tracepoints": "/sys/kernel/tracing: Permission denied"}, FACTS,
    (replace(SMALL, chains=0, complete=0, ordered=0, lost=None, traced_ns=(), untraced_ns=(), unprepared_ns=(),
             rows=(Row("data ready", "clock", "kernel-stamp", ((5_000, -3_000, 0),)),)),),
)  # fmt: skip
LIMITED = replace(BOTH, facts=FACTS | {"cpus": 128, "cpu_quota": 1.25})
every_choice = pytest.mark.parametrize(
    "calibration", [BOTH, SIX, WEAK, LIMITED], ids=["two-sizes", "six-models", "weak", "limited"]
)


@every_choice
def test_no_text_overlaps_another_or_leaves_the_picture(calibration):
    assert overlapping(draw_calibration(calibration), slack=0) == []


@every_choice
def test_the_figure_is_a_small_png_and_says_every_row(calibration):
    picture = draw_calibration(calibration)
    data = picture._repr_png_()
    assert len(data) < 80_000
    assert Image.open(io.BytesIO(data)).format == "PNG"
    for series in calibration.series:
        for row in series.rows:
            assert f"{row.boundary} by {row.rung}, {series.model}" in str(picture)
    assert calibration.best in str(picture)


def test_a_dot_is_the_median_and_a_line_runs_from_p1_to_p99_in_microseconds():
    picture = draw_calibration(
        replace(BOTH, series=(replace(SMALL, rows=(Row("copy ends", "witness", "tracepoints", LATE),)),))
    )
    line, dot = picture.axes[0].get_lines()[:2]
    # 100 errors, 0.1 µs to 99.1 µs in steps of 1 µs: 99 steps, so that p1 lies 0.99 steps above the first.
    assert list(line.get_xdata()) == pytest.approx([1.09, 98.11])
    assert list(dot.get_xdata()) == pytest.approx([49.6])


def test_the_title_tells_the_range_of_errors_and_of_what_was_covered():
    assert (
        finding(BOTH)
        == "Off the best evidence by 2.98 µs to 49.6 µs (p50); what was claimed holds it in 100 % of reads"
    )
    poor = replace(
        SMALL, rows=(Row("copy ends", "witness", "tracepoints", ((10, -5, 5), (10, 5, 9), (10, -9, -5), (10, 0, 0))),)
    )
    assert finding(replace(BOTH, series=(poor,))).endswith("(p50); what was claimed holds it in 50 % of reads")


def test_the_signature_tells_how_many_cpus_a_control_group_leaves():
    assert " · 2 CPUs · " in signature_of(BOTH)[0]
    assert " · 128 CPUs, a quota of 1.25 · " in signature_of(LIMITED)[0]


def test_nearly_all_is_never_called_all():
    assert [percent(share) for share in (1, 0.9996, 0.995, 0.5, 0)] == ["100 %", "> 99.9 %", "99.5 %", "50 %", "0 %"]


def test_without_anything_to_compare_there_is_no_figure_but_a_table():
    nothing = replace(WEAK, series=(replace(WEAK.series[0], rows=()),))
    with pytest.raises(ValueError, match="at least one boundary"):
        draw_calibration(nothing)
    assert error_table(nothing).rows == []
    assert len(reads_table(nothing).rows) == 1


def test_the_tables_have_a_row_for_each_boundary_and_one_for_each_series():
    errors, reads = error_table(BOTH), reads_table(BOTH)
    assert [(row[2], row[3]) for row in errors.rows] == [*PLACES, *PLACES]
    assert errors.rows[0][5:] == ["100", "2.98 µs", "4.92 µs", "early", "100 %", "9 µs"]
    assert reads.rows[0][2:] == ["200", "3", "100 %", "100 %", "0", "55 µs", "50 µs", "1.100", "49 µs"]
    assert reads.rows[1][6] == "2"
    assert reads_table(WEAK).rows[0][4:] == ["-", "-", "not told", "-", "-", "-", "-"]


def test_what_was_left_out_is_told_with_its_reason():
    lines = remarks(BOTH)
    assert "blocking, 64 KiB: discarded 3: never asleep: data was there before" in lines
    assert "blocking, 64 KiB: no claim in 17 reads: witness: away" in lines
    assert "blocking, 64 KiB: the sender's bracket holds the moment of tracepoints in 100 % of 100 reads" in lines
    assert "not here: tracepoints: /sys/kernel/tracing: Permission denied" in report(WEAK)
