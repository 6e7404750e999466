"""One run, twice: the whole of it in milliseconds, and the moment after the data was ready in microseconds.

The two panels have the same lanes and are both linear, so that a bar's length means time in both, and the ratio
between waiting and copying is what one sees.
"""

from matplotlib.patches import ConnectionPatch, Rectangle

from iolab.drawing.bands import bands
from iolab.drawing.order_figure import draw_order
from iolab.drawing.palette import FAINT, INK
from iolab.drawing.picture import Picture, arrow, bar, label, legend
from iolab.drawing.words import duration, sentence, signature, title
from iolab.recording.timeline import APPLICATION, HELPER, KERNEL, PEER, Span, Timeline

PIECES_FIT_NS = 20_000_000  # pieces over a longer time would leave nothing to see of the last one
LANES = {PEER: "sender", KERNEL: "kernel:\nsocket queue", APPLICATION: "application\nthread"}


def draw_timeline(timeline: Timeline) -> Picture:
    """The figure of one Timeline; with several senders, the figure of their order."""
    if len(timeline.facts.get("deliveries", ())) > 1:
        return draw_order([timeline])
    picture = Picture(9.6, 6.3, sentence(timeline))
    zero = _zero_ns(timeline)
    overview = picture.add_axes((0.125, 0.640, 0.855, 0.235))
    detail = picture.add_axes((0.125, 0.235, 0.855, 0.290))
    begin, end = timeline.lane(APPLICATION)[0].start.ns, timeline.lane(APPLICATION)[-1].end.ns
    _panel(picture, overview, timeline, begin, 1e6, (begin, end), narrowest=1.2)
    left, right = _close_up(timeline, zero)
    _panel(picture, detail, timeline, zero, 1e3, (left, right), narrowest=0)
    _arrows(detail, timeline, zero)
    _bracket(detail, timeline, zero)
    overview.set_xlabel("milliseconds since the call", fontsize=8, labelpad=1, loc="left")
    ready = "data was ready; ⊢⊣ is where “ready” lies by the evidence"
    since = ready if zero == _ready_ns(timeline) else "first bytes came"
    detail.set_xlabel(f"microseconds since the {since}", fontsize=8, labelpad=1)
    _zoom(picture, overview, detail, (left - begin) / 1e6, (right - begin) / 1e6)
    _head(picture, timeline)
    legend(picture, {span.state for span in timeline.spans}, {link.kind for link in timeline.links})
    return picture


def _ready_ns(timeline: Timeline) -> int | None:
    ready = (timeline.facts.get("deliveries") or [{}])[0].get("ready")
    return ready and ready["ns"]


def _zero_ns(timeline: Timeline) -> int:
    """The zero of the close-up: data ready. A model that took pieces before all was ready: the first of them."""
    fetched = [span for span in timeline.lane(APPLICATION) if span.nbytes]
    ready, end = _ready_ns(timeline), timeline.done_ns
    queued = timeline.lane(KERNEL)
    if ready and fetched and queued and fetched[0].end.ns < ready and end - queued[0].start.ns < PIECES_FIT_NS:
        return queued[0].start.ns
    return ready or (fetched[-1].start.ns if fetched else end)


def _close_up(timeline: Timeline, zero: int) -> tuple[int, int]:
    """From a little before the data was ready until the model is done: what happened in between fills the panel."""
    end, after = timeline.done_ns, max(timeline.done_ns - zero, 1000)
    sends = [span.start.ns for span in timeline.lane(PEER) if span.end.ns > zero - 4 * after]
    before = min(max([zero - start for start in sends if start < zero], default=0) * 1.05, 1.2 * after)
    before = max(before, 0.15 * after)
    return int(zero - before), int(end + 0.08 * (before + after))


def _panel(picture, axes, timeline: Timeline, zero: int, unit: float, limits, narrowest: float) -> None:
    lanes = timeline.lanes
    axes.set_xlim(*((limit - zero) / unit for limit in limits))
    axes.set_ylim(len(lanes) - 0.45, -0.55)
    axes.set_yticks(range(len(lanes)), [_lane_name(timeline, lane) for lane in lanes], fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    pixel = (limits[1] - limits[0]) / unit / (axes.get_position().width * picture.get_figwidth() * picture.dpi)
    for row, lane in enumerate(lanes):
        for span in bands(timeline.lane(lane), narrowest * pixel * unit):
            low, high = (span.start.ns - zero) / unit, (span.end.ns - zero) / unit
            if high < axes.get_xlim()[0] or low > axes.get_xlim()[1]:
                continue
            if high - low < narrowest * pixel:  # a hair line, said to be one below the figure
                low, high = low - narrowest * pixel / 2, low + narrowest * pixel / 2
            bar(axes, span.state, low, high, row, edge=0.4 if high - low > 2 * pixel else 0)
            label(picture, axes, low, high, row, *bar_labels(span))


def _lane_name(timeline: Timeline, lane: str) -> str:
    ids = {each["lane"]: each["thread_id"] for each in timeline.facts.get("helpers", ())}
    return f"helper\nthread {ids[lane]}" if lane in ids else LANES.get(lane, lane)


def bar_labels(span: Span) -> list[str]:
    took = duration(span.duration_ns)
    if span.state == "blocked":
        return [f"asleep in {span.call}: {took}"] * bool(span.call) + [f"asleep: {took}", "asleep"]
    if span.state == "handover":
        what = "wake-up + copy" if span.nbytes else "wake-up"
        return [f"{what}, {took}", f"{what}\n{took}", what.replace(" + ", " +\n"), took]
    if span.state == "call" and span.lane.startswith(HELPER):  # a poller of io_uring
        return [f"looks for work: {took}", took]
    if span.state == "copy":
        return [f"copy, {took}", f"copy\n{took}", "copy"]
    if span.state == "refused" and span.calls > 1:
        return [f"{span.calls:,} polls, all refused, in {took}", f"{span.calls:,} polls", "polls"]
    if span.state == "queued":
        return [f"bytes wait here {took}", took]
    if span.state == "peer" and span.nbytes:
        return [f"{span.call} {span.nbytes:,} B", span.call]
    return []


def _arrows(axes, timeline: Timeline, zero: int) -> None:
    rows = {lane: row for row, lane in enumerate(timeline.lanes)}
    for link in timeline.links:
        start, end = rows.get(link.from_lane), rows.get(link.to_lane)
        if start is None or end is None:
            continue
        down = 0.31 if end > start else -0.31
        arrow(axes, link.kind, ((link.from_ns - zero) / 1e3, start + down), ((link.to_ns - zero) / 1e3, end - down))


def _bracket(axes, timeline: Timeline, zero: int) -> None:
    ready = (timeline.facts.get("deliveries") or [{}])[0].get("ready")
    if ready and ready["ns"] == zero and KERNEL in timeline.lanes:
        low, high = ((ns - zero) / 1e3 for ns in ready["interval_ns"])
        row = timeline.lanes.index(KERNEL) + 0.58
        axes.plot([low, high], [row, row], color=INK, linewidth=1, marker="|", markersize=6, clip_on=True, zorder=6)


def _zoom(picture, overview, detail, left: float, right: float) -> None:
    """The strip of the overview that the close-up shows, and the lines that lead there."""
    low, high = overview.get_ylim()
    left = min(left, right - 0.004 * (overview.get_xlim()[1] - overview.get_xlim()[0]))
    overview.add_patch(Rectangle((left, high), right - left, low - high, facecolor="#D55E00", alpha=0.16, zorder=0))
    overview.set_xlim(overview.get_xlim()[0], max(right, overview.get_xlim()[1]))
    for x, corner in ((left, 0), (right, 1)):
        line = ConnectionPatch(
            xyA=(x, low), coordsA=overview.transData, xyB=(corner, 1), coordsB=detail.transAxes,
            color=FAINT, linewidth=0.8, linestyle=":",
        )  # fmt: skip
        picture.add_artist(line)


def _head(picture, timeline: Timeline) -> None:
    picture.headline(0.972, title(timeline))
    first, *lines = signature(timeline) + ["overview: a bar thinner than a pixel is drawn as a hair line"]
    for height, text in ((0.940, first), (0.912, " · ".join(lines))):
        picture.text(0.015, height, text, fontsize=7.5, color=FAINT, va="center")
