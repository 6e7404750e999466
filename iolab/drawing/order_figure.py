"""Several descriptors: in which order data came, lay waiting, and was read; one panel for each model."""

from collections.abc import Sequence

from iolab.drawing.bands import bands
from iolab.drawing.palette import FAINT, LOOKS
from iolab.drawing.picture import Picture, bar, label, legend, legend_inches
from iolab.drawing.signing import signed_by
from iolab.drawing.words import duration, sentence
from iolab.recording.timeline import KERNEL, PEER, Timeline

HEAD_IN, AXIS_IN, LINE_IN = 0.66, 0.3, 0.14


def draw_order(timelines: Sequence[Timeline]) -> Picture:
    """The Timelines of one scenario with several senders, above each other on one time axis."""
    if not timelines:
        raise ValueError("timelines must hold at least one Timeline")
    lanes = [[lane for lane in each.lanes if not lane.startswith(PEER)] for each in timelines]
    rows = [0.34 * max(len(each), 2) + 0.62 for each in lanes]
    states = {span.state for each in timelines for span in each.spans}
    signed = signed_by(timelines)
    head = HEAD_IN + LINE_IN * signed.count("\n")
    height = head + sum(rows) + AXIS_IN + legend_inches(states)
    picture = Picture(9.6, height, " ".join(sentence(each) for each in timelines))
    end_ms = max(each.facts["wall_ns"] for each in timelines) / 1e6
    top = height - head
    for timeline, names, inches in zip(timelines, lanes, rows, strict=True):
        axes = picture.add_axes((0.125, (top - inches + 0.3) / height, 0.855, (inches - 0.55) / height))
        _panel(picture, axes, timeline, names, end_ms)
        top -= inches
    axes.set_xlabel("milliseconds since the call", fontsize=8, labelpad=1)
    models = " and ".join(each.model for each in timelines)
    picture.headline(1 - 0.2 / height, f"{models}: {_finding(timelines)}")
    picture.text(0.015, 1 - 0.36 / height, signed, fontsize=7.5, color=FAINT, va="top")
    legend(picture, states)
    return picture


def longest_stay_ns(timeline: Timeline) -> int:
    """The longest time that bytes lay ready in the kernel before the model fetched the last of them."""
    return max((span.duration_ns for span in timeline.spans if span.state == "queued"), default=0)


def order_of_completion(timeline: Timeline) -> list[int]:
    """The senders, from 1, in the order in which their reads were finished."""
    done = [(each["done_ns"], number) for number, each in enumerate(timeline.facts["deliveries"], 1) if each["done_ns"]]
    return [number for _, number in sorted(done)]


def _finding(timelines: Sequence[Timeline]) -> str:
    stays = [f"bytes lay ready for up to {duration(longest_stay_ns(each))}" for each in timelines]
    return ", against ".join([stays[0], *(duration(longest_stay_ns(each)) for each in timelines[1:])])


def _panel(picture: Picture, axes, timeline: Timeline, lanes: list[str], end_ms: float) -> None:
    begin = timeline.facts["begin_ns"]
    axes.set_xlim(0, end_ms * 1.005)
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    names = {lane: f"queue of sender {lane.rpartition('-')[2]}" for lane in lanes if lane.startswith(KERNEL)}
    names |= {each["lane"]: f"helper {each['thread_id']}" for each in timeline.facts.get("helpers", ())}
    axes.set_yticks(range(len(lanes)), [names.get(lane, "application") for lane in lanes], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    order = ", then ".join(map(str, order_of_completion(timeline)))
    recorded = " (RECORDED)" * bool(timeline.facts.get("recorded"))
    axes.set_title(f"{timeline.model}{recorded}: finished {order}", fontsize=9, loc="left", pad=2)
    pixel = end_ms / (axes.get_position().width * picture.get_figwidth() * picture.dpi)
    for row, lane in enumerate(lanes):
        for span in bands(timeline.lane(lane), 1.2e6 * pixel):
            low, high = (span.start.ns - begin) / 1e6, (span.end.ns - begin) / 1e6
            if high - low < 1.2 * pixel:
                low, high = low - 0.6 * pixel, low + 0.6 * pixel
            bar(axes, span.state, low, high, row, edge=0.4 if high - low > 2 * pixel else 0)
            took = duration(span.duration_ns)
            if span.state == "queued":
                label(picture, axes, low, high, row, f"ready, unread for {took}", took, size=7.5)
            elif not lane.startswith(KERNEL) and span.state in ("blocked", "refused"):
                doing = f"asleep in {span.call}" if span.state == "blocked" else f"{span.calls:,} polls"
                label(picture, axes, low, high, row, f"{doing}, {took}", doing, took, size=7.5)
        sender = lane.replace(KERNEL, PEER) if lane.startswith(KERNEL) else ""
        for span in (each for each in timeline.lane(sender) if each.nbytes):  # sends, not the close
            moment = (span.start.ns - begin) / 1e6
            axes.plot([moment, moment], [row - 0.48, row - 0.31], color=LOOKS[PEER].colour, linewidth=2)
