"""How far each rung of evidence is off the best one here: a row for each boundary and rung, a dot for each kind of read."""

from collections.abc import Sequence
from itertools import cycle

from iolab.drawing.cpus import cpus
from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture
from iolab.drawing.words import duration, size
from iolab.recording.calibration_data import Calibration, Row, Series

DOT_IN, GAP_IN, HEAD_IN, AXIS_IN, LEGEND_IN = 0.2, 0.16, 0.82, 0.5, 0.22
LEAST_NS = 10  # a logarithmic axis has no 0
COLOURS, MARKERS = ("queued", "copy", "user", "peer", "refused"), "os^D"
PER_LINE = 4


def draw_calibration(calibration: Calibration) -> Picture:
    """p50 as a dot, p1 to p99 as a line, on an axis by powers of ten. ValueError when nothing could be compared."""
    places = _places(calibration)
    if not places:
        raise ValueError("calibration must hold at least one boundary that two rungs claim")
    series = calibration.series
    row_in, foot = DOT_IN * len(series) + GAP_IN, AXIS_IN + LEGEND_IN * -(-len(series) // PER_LINE)
    height = HEAD_IN + row_in * len(places) + foot
    picture = Picture(9.6, height, sentence_of(calibration))
    axes = picture.add_axes((0.165, foot / height, 0.585, row_in * len(places) / height))
    axes.set_xscale("log")
    axes.set_ylim(len(places) - 0.5, -0.5)
    looks = list(zip(series, cycle(COLOURS), cycle(MARKERS)))
    for number, (boundary, rung) in enumerate(places):
        for place, (each, colour, marker) in enumerate(looks):
            row = each.row(boundary, rung)
            if row is None:
                continue
            middle = number + (place - (len(series) - 1) / 2) * DOT_IN / row_in
            low, at, high = (max(row.size_ns(percent), LEAST_NS) / 1e3 for percent in (1, 50, 99))
            axes.plot([low, high], [middle, middle], color=LOOKS[colour].colour, linewidth=2, solid_capstyle="butt")
            axes.plot([at], [middle], color=LOOKS[colour].colour, marker=marker, markeredgecolor=INK, markersize=6,
                      linestyle="", label=_name(each))  # fmt: skip
            from_top = HEAD_IN + row_in * (middle + 0.5)
            picture.text(0.76, 1 - from_top / height, _numbers(row), fontsize=7.5, va="center")
    axes.set_yticks(range(len(places)), [f"{boundary}\n{rung}" for boundary, rung in places], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("microseconds of error, without its sign: dot p50, line p1 to p99; logarithmic", fontsize=8)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for number in range(len(places) - 1):
        axes.axhline(number + 0.5, color="#DDDDDD", linewidth=0.6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    picture.legend(handles.values(), handles.keys(), loc="lower left", bbox_to_anchor=(0.015, 0.06 / height),
                   ncols=PER_LINE, frameon=False, fontsize=7.5, borderaxespad=0)  # fmt: skip
    picture.headline(1 - 0.2 / height, finding(calibration))
    for line, text in enumerate(signature_of(calibration)):
        picture.text(0.015, 1 - (0.42 + 0.16 * line) / height, text, fontsize=7.5, color=FAINT, va="center")
    return picture


def finding(calibration: Calibration) -> str:
    """What the figure says, as its title."""
    rows = [row for series in calibration.series for row in series.rows]
    medians, shares = sorted(row.size_ns(50) for row in rows), sorted(row.covered for row in rows)
    if not rows:
        return f"Here is nothing that could be compared with {calibration.best}"
    off = " to ".join(dict.fromkeys((duration(medians[0]), duration(medians[-1]))))
    held = " to ".join(dict.fromkeys((percent(shares[0]), percent(shares[-1]))))
    return f"Off the best evidence by {off} (p50); what was claimed holds it in {held} of reads"


def percent(share: float) -> str:
    """0.9996 is not "100 %"."""
    whole = f"{100 * share:.1f}".removesuffix(".0")
    return f"{'> 99.9' if whole == '100' and share < 1 else whole} %"


def signature_of(calibration: Calibration) -> list[str]:
    """What it was measured on and by, and what was left out."""
    facts, reads = calibration.facts, sum(series.reads for series in calibration.series)
    discarded = sum(sum(series.discarded.values()) for series in calibration.series)
    load = " to ".join(f"{each:g}" for each in facts.get("load_average", ()))
    return [
        f"{reads:,} reads over loopback TCP, {discarded:,} discarded · {facts.get('kernel')} · {cpus(facts)} · "
        f"load average {load or '?'} · best evidence here: {calibration.best}",
        "beside the dots: early, late or both (±) · share of the claimed intervals that hold the best evidence's moment",
    ]


def sentence_of(calibration: Calibration) -> str:
    """The figure in words: its alternative text."""
    parts = [
        f"{row.boundary} by {row.rung}, {_name(series)}: p50 {duration(row.size_ns(50))}, p99 {duration(row.size_ns(99))}, "
        f"{row.sign}, covered in {percent(row.covered)} of {len(row.claims):,}."
        for series in calibration.series
        for row in series.rows
    ]
    return f"{finding(calibration)}. Against {calibration.best}. " + " ".join(parts)


def _places(calibration: Calibration) -> Sequence[tuple[str, str]]:
    return list(dict.fromkeys((row.boundary, row.rung) for series in calibration.series for row in series.rows))


def _name(series: Series) -> str:
    return f"{series.model}, {size(series.nbytes)}"


def _numbers(row: Row) -> str:
    return f"{row.sign:>5}, {duration(row.size_ns(50))}, covered {percent(row.covered)}"
