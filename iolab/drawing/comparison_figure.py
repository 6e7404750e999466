"""Stevens' figure 6.6, measured: the models side by side, time runs down, first the wait, then the copy.

UNP's columns are a scheme without a scale. These are one run each, on one scenario: the first panel in
milliseconds, the second in microseconds from the moment when the data was ready.

A column ends when the reader knows that its bytes are there: giving back what a ring or a context held comes later.
One that took much longer than the others is cut off, and says how long it took: else it would flatten the rest.
"""

from collections.abc import Sequence
from statistics import median

from iolab.drawing.columns import draw_column
from iolab.drawing.palette import FAINT, INK
from iolab.drawing.picture import Picture, legend, legend_inches
from iolab.drawing.signing import signed_by
from iolab.drawing.words import copied_by, duration, fetching, size, waiting
from iolab.recording.timeline import APPLICATION, HELPER, KERNEL, PEER, Timeline

WIDTH, HELPER_WIDTH = 0.74, 0.2
MODEL_IN, LEAST_IN = 1.12, 9.6
TOP_IN, BOTTOM_IN, HEAD_IN, BETWEEN_IN, LINE_IN, CUT_IN = 2.1, 2.7, 0.8, 0.5, 0.15, 0.3
MUCH_LONGER = 3  # times the median


def draw_comparison(timelines: Sequence[Timeline]) -> Picture:
    """The Timelines of several models on one scenario, each in a column: the bars of the application thread, and
    beside them, where there are any, those of its helper threads."""
    if not timelines:
        raise ValueError("timelines must hold at least one Timeline")
    states = {span.state for each in timelines for span in each.spans if not span.lane.startswith((PEER, KERNEL))}
    before, after = _window(timelines)
    cut_off = [_cut_off(each, after) for each in timelines]
    foot = legend_inches(states) + 0.05 + CUT_IN * any(cut_off)
    signed = signed_by(timelines)
    under_names = max(_name(each).count("\n") for each in timelines)
    head = HEAD_IN + LINE_IN * (signed.count("\n") + under_names)
    height = head + TOP_IN + BETWEEN_IN + BOTTOM_IN + foot
    inches = max(LEAST_IN, 1.2 + MODEL_IN * len(timelines))
    picture = Picture(
        inches, height, " ".join(f"{each.model}: {waiting(each)}, {fetching(each)}." for each in timelines)
    )
    left = 1.1 / inches
    width = 0.985 - left
    lower = picture.add_axes((left, foot / height, width, BOTTOM_IN / height))
    upper = picture.add_axes((left, (foot + BOTTOM_IN + BETWEEN_IN) / height, width, TOP_IN / height))
    wait_ms = max(_ready_ns(each) - each.facts["begin_ns"] for each in timelines) / 1e6
    _axes(upper, timelines, (0, wait_ms), "wait for data\n\nmilliseconds")
    _axes(lower, timelines, (-before, after), "copy data from kernel to user\n\nmicroseconds since ready")
    lower.axhline(0, color=INK, linewidth=0.8, linestyle=":")
    lower.set_xticks(range(len(timelines)), cut_off, fontsize=7.5, fontweight="normal")
    upper.xaxis.tick_top()
    for column, timeline in enumerate(timelines):
        ready = _ready_ns(timeline)
        for axes, zero, unit in ((upper, timeline.facts["begin_ns"], 1e6), (lower, ready, 1e3)):
            helpers = [lane for lane in timeline.lanes if lane.startswith(HELPER)]
            room = HELPER_WIDTH / len(helpers) if helpers else 0
            own = (column - HELPER_WIDTH / 2 * bool(helpers), WIDTH - HELPER_WIDTH * bool(helpers))
            draw_column(picture, axes, own, timeline, APPLICATION, zero, unit)
            for number, lane in enumerate(helpers):
                right = column + WIDTH / 2 - HELPER_WIDTH + 0.01
                draw_column(picture, axes, (right + (number + 0.5) * room, room), timeline, lane, zero, unit)
    picture.headline(1 - 0.2 / height, _finding(timelines))
    picture.text(0.015, 1 - 0.36 / height, signed, fontsize=7.5, color=FAINT, va="top")
    legend(picture, states)
    return picture


def _finding(timelines: Sequence[Timeline]) -> str:
    sleeping = sum(waiting(each).startswith("slept") for each in timelines)
    return f"{len(timelines)} models read the same {size(timelines[0].facts['nbytes'])}: {sleeping} sleep while nothing is there; {_helped(timelines)}"


def _helped(timelines: Sequence[Timeline]) -> str:
    helped = sum(HELPER in copied_by(each) for each in timelines)
    return f"in {helped} a helper copies (narrow bars)" if helped else "the thread itself copies in each"


def _ready_ns(timeline: Timeline) -> int:
    ready = [each["ready"]["ns"] for each in timeline.facts["deliveries"] if each["ready"]]
    return max(ready) if ready else timeline.done_ns


def _cut_off(timeline: Timeline, after_us: float) -> str:
    """What stands below a column that goes on below the panel."""
    took = timeline.done_ns - _ready_ns(timeline)
    return f"goes on to\n{duration(took)}" if took > after_us * 1e3 else ""


def _window(timelines: Sequence[Timeline]) -> tuple[float, float]:
    """Microseconds before and after ready that show all that any model did with the data."""
    took = [max(each.done_ns - _ready_ns(each), 1000) for each in timelines]
    after = min(max(took), max(MUCH_LONGER * median(took), 1000))
    fetched = [(each, span) for each in timelines for span in each.lane(APPLICATION) if span.nbytes]
    early = max((_ready_ns(each) - span.start.ns for each, span in fetched), default=0)
    return max(0.06 * after, min(early, 1.5 * after)) / 1e3, after / 1e3


def _axes(axes, timelines: Sequence[Timeline], limits: tuple[float, float], title: str) -> None:
    axes.set_xlim(-0.5, len(timelines) - 0.5)
    axes.set_ylim(limits[1], limits[0])
    axes.set_xticks(range(len(timelines)), [_name(each) for each in timelines], fontsize=9, fontweight="bold")
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylabel(title, fontsize=8)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


def _name(timeline: Timeline) -> str:
    """The model; under it the options that it ran with, and whether it did so elsewhere."""
    options = map(str, (timeline.facts.get("options") or {}).values())
    return "\n".join([timeline.model, *options, *["RECORDED"] * bool(timeline.facts.get("recorded"))])
