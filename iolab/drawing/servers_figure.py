"""Servers beside each other: rate, CPU time for a request, 99th percentile, each as a multiple of the reference's.

The axes are logarithmic: twice as much and half as much are equally far from 1. Beside each point stands the number.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from iolab.bench.choices import REFERENCE
from iolab.bench.contestants import ITS_OWN, LEAN, OURS, contestant
from iolab.bench.results import Bench, Row
from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture
from iolab.drawing.servers_table import about
from iolab.drawing.words import duration

ROW_IN, HEAD_IN, BLOCK_IN, FOOT_IN = 0.24, 0.62, 0.42, 0.62
LEFT, WIDE, STEP = 0.215, 0.125, 0.262
KINDS = (  # what is drawn, its colour, its marker
    ("a server of ours", LOOKS["queued"].colour, "o"),
    ("another loop, our HTTP", LOOKS["user"].colour, "^"),
    ("another loop, httptools alone", LOOKS["refused"].colour, "s"),
    ("loop and HTTP of its own", LOOKS["peer"].colour, "D"),
)
NAMED = ("proactor-io-uring", "asyncio", "uvloop")  # in the title, where they are there


class Panel(NamedTuple):
    """A column of the figure: which ratio, its heading, the number beside it."""

    ratio: str
    heading: str
    told: Callable[[Row], str]


PANELS = (
    Panel("requests_per_s", "requests a second", lambda row: f"{row.requests_per_s:,.0f}/s"),
    Panel("cpu_ns", "CPU time for a request", lambda row: duration(row.cpu_ns)),
    Panel("p99_ns", "99th percentile of latency", lambda row: duration(row.p99_ns)),
)


def draw_servers(bench: Bench) -> Picture:
    """All rows, a block for each number of connections. ValueError without rows, or without the reference."""
    if not bench.rows or not all(row.ratios for row in bench.rows):
        raise ValueError(f"bench must hold rows, and {REFERENCE} among them")
    height = HEAD_IN + FOOT_IN + sum(BLOCK_IN + ROW_IN * len(bench.at(level)) for level in bench.levels)
    picture = Picture(9.6, height, f"{finding(bench)}. " + " ".join(map(_sentence, bench.rows)))
    limits = {panel: _limits([row.ratios[panel.ratio] for row in bench.rows]) for panel in PANELS}
    top = height - HEAD_IN
    for level in bench.levels:
        rows = bench.at(level)
        bottom = top - BLOCK_IN - ROW_IN * len(rows)
        _heading(picture, 0.015, (top - 0.22) / height, f"{level:,} connection{'s' * (level > 1)}")
        for number, panel in enumerate(PANELS):
            left = LEFT + STEP * number
            _heading(picture, left, (top - 0.22) / height, panel.heading)
            axes = picture.add_axes((left, bottom / height, WIDE, ROW_IN * len(rows) / height))
            _draw_panel(axes, rows, panel, limits[panel], named=number == 0)
            for place, row in enumerate(rows):
                middle = (top - BLOCK_IN - ROW_IN * (place + 0.5)) / height
                told = f"{_times(row.ratios[panel.ratio])}  {panel.told(row)}"
                picture.text(left + WIDE + 0.006, middle, told, fontsize=7.5, va="center", color=INK)
        top = bottom
    picture.headline(1 - 0.2 / height, finding(bench))
    picture.text(0.015, 1 - 0.42 / height, about(bench), fontsize=7.5, color=FAINT, va="center")
    _legend(picture, bench.rows)
    return picture


def finding(bench: Bench) -> str:
    """What the figure says, as its title; of 64 connections where there are such."""
    level = 64 if 64 in bench.levels else bench.levels[-1]
    rows = {row.server: row for row in bench.at(level)}
    named = [name for name in NAMED if name in rows] or [name for name in rows if name != REFERENCE][:3]
    many = f"With {level:,} connection{'s' * (level > 1)}"
    if not named:
        return f"{many} a request costs {REFERENCE} {duration(rows[REFERENCE].cpu_ns)} of CPU time"
    parts = [f"{name} {_times(rows[name].ratios['cpu_ns'])}" for name in named]
    return f"{many} a request costs, in CPU time of {REFERENCE}: {', '.join(parts)}"


def _draw_panel(axes, rows: Sequence[Row], panel: Panel, limits: tuple[float, float], named: bool) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks([])
    axes.minorticks_off()
    axes.axvline(1, color=FAINT, linewidth=0.8)
    for place, row in enumerate(rows):
        _, colour, marker = _kind(row)
        ratio = row.ratios[panel.ratio]
        axes.plot([1, ratio], [place, place], color=colour, linewidth=1.6, zorder=2)
        axes.plot([ratio], [place], color=colour, marker=marker, markersize=6, markeredgecolor=INK, zorder=3)
    axes.set_yticks(range(len(rows)), [row.server for row in rows] if named else [""] * len(rows), fontsize=8)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _limits(ratios: Sequence[float]) -> tuple[float, float]:
    return min(0.8, *ratios) / 1.25, max(1.25, *ratios) * 1.25


def _kind(row: Row) -> tuple[str, str, str]:
    ours = contestant(row.server).ours
    return KINDS[0 if ours else {OURS: 1, LEAN: 2, ITS_OWN: 3}[row.http]]


def _legend(picture: Picture, rows: Sequence[Row]) -> None:
    from matplotlib.lines import Line2D

    there = {_kind(row) for row in rows}
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=6, markeredgecolor=INK, label=what)
        for what, colour, marker in KINDS
        if (what, colour, marker) in there
    ]
    picture.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.015, 0.1 / picture.get_figheight()), ncols=4,
                   frameon=False, fontsize=7.5, borderaxespad=0)  # fmt: skip


def _heading(picture: Picture, left: float, middle: float, text: str) -> None:
    picture.text(left, middle, text, fontsize=8, fontweight="bold", color=INK, va="center")


def _times(ratio: float) -> str:
    return f"{ratio:.2f}×" if ratio < 9.995 else f"{ratio:,.0f}×"


def _sentence(row: Row) -> str:
    told = ", ".join(f"{panel.told(row)} ({_times(row.ratios[panel.ratio])})" for panel in PANELS)
    return f"{row.server}, {row.connections:,}: {told}."
