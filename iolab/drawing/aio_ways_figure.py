"""Ways to wait for the end of an aio_read, one bar each: how much of the wait the waiting thread had a CPU."""

from collections.abc import Sequence

from iolab.drawing.palette import FAINT, LOOKS
from iolab.drawing.picture import Picture, bar, legend, legend_inches
from iolab.drawing.words import duration

ROW_IN, HEAD_IN, AXIS_IN = 0.42, 0.75, 0.5
WORDS = {
    "polling": "polling\naio_error, in a loop",
    "suspend": "suspend\naio_suspend",
    "signal": "signal\nsigtimedwait",
    "signalfd": "signalfd\nselect",
    "thread": "thread\nqueue.get",
    "list": "list\nlio_listio(LIO_WAIT)",
}
MEANINGS = {"refused": "on a CPU", "blocked": "asleep in a call", "runnable": "wants a CPU, has none"}


def draw_aio_ways(rows: Sequence[dict]) -> Picture:
    """The rows of recording.aio_ways.ways_to_wait. ValueError when there are none."""
    if not rows:
        raise ValueError("rows must hold at least one way")
    states = {"refused"} | {_rest(row) for row in rows}
    foot = legend_inches(states) + AXIS_IN
    height = HEAD_IN + ROW_IN * len(rows) + foot
    picture = Picture(9.6, height, f"{finding(rows)}. " + " ".join(map(_sentence, rows)))
    axes = picture.add_axes((0.175, foot / height, 0.45, ROW_IN * len(rows) / height))
    longest = max(row["wall_ns"] for row in rows) / 1e6
    axes.set_xlim(0, longest)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [WORDS.get(row["way"], row["way"]) for row in rows], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel(
        "milliseconds from the request to its result: with a CPU (all of it moved to the left), then without",
        fontsize=8,
    )
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for number, row in enumerate(rows):
        cpu, wall = (min(row[key], row["wall_ns"]) / 1e6 for key in ("cpu_ns", "wall_ns"))
        bar(axes, _rest(row), cpu, wall, number)
        bar(axes, "refused", 0, cpu, number)
        picture.text(
            0.635, (foot + ROW_IN * (len(rows) - number - 0.5)) / height, _numbers(row), fontsize=8, va="center"
        )
    picture.headline(1 - 0.2 / height, finding(rows))
    about = (
        "one run each, a socket pair, in a new process with one thread · a helper thread of the C library reads in each"
    )
    picture.text(0.015, 1 - 0.42 / height, about, fontsize=7.5, color=FAINT, va="center")
    legend(picture, states)
    for text in picture.legends[0].get_texts():  # here these looks mean a little more than in a timeline
        for look, meaning in MEANINGS.items():
            text.set_text(meaning if text.get_text() == LOOKS[look].meaning else text.get_text())
    return picture


def finding(rows: Sequence[dict]) -> str:
    """What the figure says, as its title."""
    asking = [row["cpu_ns"] for row in rows if row["asked"] > 1]
    asleep = [row["cpu_ns"] for row in rows if row["asked"] <= 1]
    parts = [f"asking in a loop took {duration(max(asking))} of CPU"] if asking else []
    if asleep:
        low, high = duration(min(asleep)), duration(max(asleep))
        parts.append(f"who slept was told for {low}" + f" to {high}" * (high != low))
    text = "; ".join(parts)
    return text[0].upper() + text[1:]


def _rest(row: dict) -> str:
    """Who asks in a loop wants a CPU all the time; the others sleep."""
    return "runnable" if row["asked"] > 1 else "blocked"


def _numbers(row: dict) -> str:
    asked = f"asked {row['asked']:,} times" if row["asked"] else "never asked"
    slept = {0: "never slept", 1: "slept once"}.get(row["switches"], f"slept {row['switches']:,} times")
    return f"{duration(row['cpu_ns'])} of CPU · {asked} · {slept}"


def _sentence(row: dict) -> str:
    return f"{row['way']}: {duration(row['wall_ns'])}, {_numbers(row)}."
