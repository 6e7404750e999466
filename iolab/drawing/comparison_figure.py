"""Stevens' figure 6.6, measured: the models side by side, time runs down, first the wait, then the copy.

UNP's columns are a scheme without a scale. These are one run each, on one scenario: the first panel in
milliseconds, the second in microseconds from the moment when the data was ready.
"""

from collections.abc import Sequence

from iolab.drawing.bands import bands
from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture, legend, legend_inches
from iolab.drawing.words import duration, fetching, joint_signature, size, waiting
from iolab.recording.timeline import APPLICATION, Span, Timeline

WIDTH = 0.74
TOP_IN, BOTTOM_IN, HEAD_IN, BETWEEN_IN = 2.1, 2.7, 0.95, 0.5


def draw_comparison(timelines: Sequence[Timeline]) -> Picture:
    """The Timelines of several models on one scenario, each in a column, the bars of the application thread."""
    if not timelines:
        raise ValueError("timelines must hold at least one Timeline")
    states = {span.state for each in timelines for span in each.lane(APPLICATION)}
    foot = legend_inches(states) + 0.05
    height = HEAD_IN + TOP_IN + BETWEEN_IN + BOTTOM_IN + foot
    picture = Picture(9.6, height, " ".join(f"{each.model}: {waiting(each)}, {fetching(each)}." for each in timelines))
    left, width = 0.115, 0.87
    lower = picture.add_axes((left, foot / height, width, BOTTOM_IN / height))
    upper = picture.add_axes((left, (foot + BOTTOM_IN + BETWEEN_IN) / height, width, TOP_IN / height))
    wait_ms = max(_ready_ns(each) - each.facts["begin_ns"] for each in timelines) / 1e6
    before, after = _window(timelines)
    _axes(upper, timelines, (0, wait_ms), "wait for data\n\nmilliseconds")
    _axes(lower, timelines, (-before, after), "copy data from kernel to user\n\nmicroseconds since ready")
    lower.axhline(0, color=INK, linewidth=0.8, linestyle=":")
    lower.set_xticklabels([])
    upper.xaxis.tick_top()
    for column, timeline in enumerate(timelines):
        ready = _ready_ns(timeline)
        _column(picture, upper, column, timeline, timeline.facts["begin_ns"], 1e6)
        _column(picture, lower, column, timeline, ready, 1e3)
    picture.text(0.015, 1 - 0.2 / height, _finding(timelines), fontsize=11, fontweight="bold", va="center")
    picture.text(0.015, 1 - 0.36 / height, joint_signature(timelines), fontsize=7.5, color=FAINT, va="top")
    legend(picture, states)
    return picture


def _finding(timelines: Sequence[Timeline]) -> str:
    sleeping = sum(waiting(each).startswith("slept") for each in timelines)
    return f"{len(timelines)} models read the same {size(timelines[0].facts['nbytes'])}: {sleeping} sleep while nothing is there"


def _ready_ns(timeline: Timeline) -> int:
    ready = [each["ready"]["ns"] for each in timeline.facts["deliveries"] if each["ready"]]
    return max(ready) if ready else timeline.lane(APPLICATION)[-1].end.ns


def _window(timelines: Sequence[Timeline]) -> tuple[float, float]:
    """Microseconds before and after ready that show all that any model did with the data."""
    after = max(max(each.lane(APPLICATION)[-1].end.ns - _ready_ns(each), 1000) for each in timelines)
    fetched = [(each, span) for each in timelines for span in each.lane(APPLICATION) if span.nbytes]
    early = max((_ready_ns(each) - span.start.ns for each, span in fetched), default=0)
    return max(0.06 * after, min(early, 1.5 * after)) / 1e3, after / 1e3


def _axes(axes, timelines: Sequence[Timeline], limits: tuple[float, float], title: str) -> None:
    axes.set_xlim(-0.5, len(timelines) - 0.5)
    axes.set_ylim(limits[1], limits[0])
    axes.set_xticks(range(len(timelines)), [each.model for each in timelines], fontsize=9, fontweight="bold")
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylabel(title, fontsize=8)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


def _column(picture: Picture, axes, column: int, timeline: Timeline, zero: int, unit: float) -> None:
    low_limit, high_limit = sorted(axes.get_ylim())
    pixel = (high_limit - low_limit) / (axes.get_position().height * picture.get_figheight() * picture.dpi)
    named = []
    for span in bands(timeline.lane(APPLICATION), 3 * pixel * unit):
        low = max((span.start.ns - zero) / unit, low_limit)
        high = min((span.end.ns - zero) / unit, high_limit)
        if high <= low:
            continue
        look, tall = LOOKS[span.state], max(high - low, 0.5 * pixel)
        axes.bar(column, tall, WIDTH, bottom=low, color=look.colour, hatch=look.hatch, edgecolor=INK,
                 linewidth=0.4 if tall > 2 * pixel else 0)  # fmt: skip
        if span.state != "user":
            named.append((tall, (low + high) / 2, span))
    if named:  # the polls of a column may be many bars; together they are one thing
        polls = [each for each in named if each[2].state == "refused"]
        if sum(tall for tall, _, _ in polls) > 0.5 * (high_limit - low_limit):
            middle = (low_limit + high_limit) / 2 if unit == 1e6 else polls[0][1]
            named = [(high_limit, middle, None)] if unit == 1e6 else [each for each in named if each not in polls]
    for tall, middle, span in named:
        if tall > 15 * pixel:
            text = _label(span, timeline) if tall > 27 * pixel else _label(span, timeline).replace("\n", " ")
            axes.text(column, middle, text, ha="center", va="center", fontsize=7.5,
                      bbox={"facecolor": "white", "alpha": 0.78, "edgecolor": "none", "pad": 1})  # fmt: skip


def _label(span: Span | None, timeline: Timeline) -> str:
    if span is None:
        return f"{timeline.facts['refused']:,}\u00d7 read\nrefused"
    if span.state == "handover":
        return f"{'wake-up + copy' if span.nbytes else 'wake-up'}\n{duration(span.duration_ns)}"
    if span.state == "refused":
        return f"{span.calls:,} polls"
    if span.state == "blocked":
        return f"asleep in\n{span.call}"
    return f"{span.state if span.state == 'copy' else span.call}\n{duration(span.duration_ns)}"
