"""A Timeline as plain data for a page: times in nanoseconds since the call began, words ready to be shown."""

from iolab.drawing.palette import ARROWS, LOOKS
from iolab.drawing.timeline_figure import bar_labels
from iolab.drawing.words import sentence, signature, title
from iolab.models import MODELS
from iolab.recording.recordings import origin
from iolab.recording.stamp import Stamp
from iolab.recording.timeline import APPLICATION, KERNEL, PEER, Timeline

WAITS_MS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
SIZES = tuple(1 << power for power in (0, 6, 10, 12, 14, 16, 18, 20, 22, 24))
MOST_SENDERS = 8
_NAMES = {PEER: "sender", KERNEL: "kernel: socket queue", APPLICATION: "application thread"}


def looks() -> dict:
    """The palette, for JavaScript: of each state its colour, hatch (in matplotlib's letters) and meaning."""
    return {state: list(look) for state, look in LOOKS.items()}


def arrows() -> dict:
    """Of each kind of link whether its line is dashed, its sign and its meaning."""
    return {kind: [line == "--", sign, meaning] for kind, (_, line, sign, meaning) in ARROWS.items()}


def choices() -> dict:
    """What can be chosen in a panel, with the reason for which this machine refuses a model; and the palette."""
    models = [[each.NAME, each.unavailable() or ""] for each in MODELS]
    return {
        "models": models, "waits_ms": WAITS_MS, "sizes": SIZES, "senders": MOST_SENDERS, "looks": looks(), "arrows": arrows(),
    }  # fmt: skip


def figure_of(timeline: Timeline) -> dict:
    """All that a page needs to draw one run; `zero_ns` is when the data was ready, or the call where that is unknown."""
    begin = timeline.facts["begin_ns"]
    deliveries = timeline.facts.get("deliveries") or [{}]
    ready = deliveries[0].get("ready") if len(deliveries) == 1 else None
    return {
        "title": title(timeline),
        "sentence": sentence(timeline),
        "signature": signature(timeline),
        "origin": origin(timeline) if timeline.facts.get("recorded") else "",
        "model": timeline.model + " (recording)" * bool(timeline.facts.get("recorded")),
        "lanes": [[lane, _lane_name(timeline, lane)] for lane in timeline.lanes],
        "spans": [_bar(span, begin) for lane in timeline.lanes for span in timeline.lane(lane)],
        "links": [[link.kind, link.from_lane, link.from_ns - begin, link.to_lane, link.to_ns - begin] for link in timeline.links],
        "zero_ns": ready["ns"] - begin if ready else 0,
        "ready": [ns - begin for ns in ready["interval_ns"]] if ready else [],
        "done_ns": timeline.done_ns - begin,
    }  # fmt: skip


def _bar(span, begin: int) -> dict:
    return {
        "lane": span.lane,
        "state": span.state,
        "start": _moment(span.start, begin),
        "end": _moment(span.end, begin),
        "call": span.call,
        "nbytes": span.nbytes,
        "calls": span.calls,
        "evidence": span.evidence,
        "labels": bar_labels(span),
    }


def _moment(stamp: Stamp, begin: int) -> list:
    """The stamp, and the interval in which the truth is claimed to lie, and by whom."""
    return [stamp.ns - begin, stamp.earliest_ns - begin, stamp.latest_ns - begin, stamp.source]


def _lane_name(timeline: Timeline, lane: str) -> str:
    ids = {each["lane"]: each["thread_id"] for each in timeline.facts.get("helpers", ())}
    if lane in ids:
        return f"helper thread {ids[lane]}"
    kind, _, number = lane.partition("-")
    if number:
        return {PEER: f"sender {number}", KERNEL: f"queue of sender {number}"}.get(kind, lane)
    return _NAMES.get(lane, lane)
