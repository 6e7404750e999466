"""A slow handler and the other clients: when they were answered while it was at work, one lane for each case."""

from collections.abc import Sequence
from statistics import median

from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture
from iolab.drawing.words import duration
from iolab.recording.slow_handler import answered_meanwhile

HEAD_IN, ROW_IN, FOOT_IN = 0.66, 0.62, 0.5
MARGIN_MS = 110


def draw_answers(cases: Sequence[dict]) -> Picture:
    """Results of recording.slow_handler.slow_handler, below each other. ValueError when there are none."""
    if not cases:
        raise ValueError("cases must hold at least one measured case")
    height = HEAD_IN + ROW_IN * len(cases) + FOOT_IN
    picture = Picture(9.6, height, f"{finding(cases)}. {' '.join(map(_sentence, cases))}")
    picture.headline(1 - 0.2 / height, finding(cases))
    about = (
        "measured now, on this machine · bar: the slow handler is at work · each stroke: another client gets its answer"
    )
    picture.text(0.015, 1 - 0.42 / height, about, fontsize=7.5, color=FAINT, va="center")
    axes = picture.add_axes((0.155, FOOT_IN / height, 0.83, ROW_IN * len(cases) / height))
    longest = max(case["slow"][1] - case["slow"][0] for case in cases) / 1e6
    axes.set_xlim(-MARGIN_MS, longest + MARGIN_MS)
    axes.set_ylim(len(cases) - 0.45, -0.55)
    axes.set_yticks(range(len(cases)), [case["case"].replace(", ", ",\n") for case in cases], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("milliseconds since the slow handler began", fontsize=8, labelpad=1)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for row, case in enumerate(cases):
        begin, end = case["slow"]
        look = LOOKS["refused" if case["case"].startswith("Python") else "blocked"]
        axes.broken_barh(
            [(0, (end - begin) / 1e6)], (row + 0.02, 0.2), facecolor=look.colour, hatch=look.hatch, edgecolor=INK,
            linewidth=0.4,
        )  # fmt: skip
        moments = [(moment - begin) / 1e6 for moment in case["answers"]]
        shown = [moment for moment in moments if -MARGIN_MS < moment < longest + MARGIN_MS]
        axes.vlines(shown, row - 0.24, row - 0.02, color=LOOKS["queued"].colour, linewidth=0.9)
        axes.text(0, row + 0.27, _numbers(case), fontsize=7.5, va="top")
    return picture


def finding(cases: Sequence[dict]) -> str:
    """What the figure says, as its title."""
    counts = ", ".join(
        f"{answered_meanwhile(case):,} ({case['case'].removeprefix('command, ').replace(', ', ' ')})" for case in cases
    )
    return f"Others answered while one was slow: {counts}"


def _numbers(case: dict) -> str:
    waits = case["waits_ns"]
    return (
        f"{duration(case['slow'][1] - case['slow'][0])}; meanwhile {answered_meanwhile(case):,} answers to others; "
        f"half of all, also before and after, waited {duration(median(waits))} or less, the longest {duration(max(waits))}"
    )


def _sentence(case: dict) -> str:
    return f"{case['case']}: {_numbers(case)}."
