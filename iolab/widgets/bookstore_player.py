"""The bookstore player: a measured run as the scene of the lecture, slowed down, with the timeline and one cursor for both.

    Timeline ──> score ──> played = {scenes, shapes, bars} ──> bookstore_player.js
                   └─────> draw_strip: six frames, where there is no kernel

Nothing runs here while it plays: all of it is handed over once, and the page's own clock turns the scenes. Several runs
may be given; then the page has a list to choose from.
"""

from math import log10

import traitlets

from iolab.drawing import bookstore_stage as stage
from iolab.drawing.bookstore_score import score
from iolab.drawing.bookstore_strip import draw_strip
from iolab.drawing.bookstore_tableau import props, shown
from iolab.drawing.palette import LOOKS
from iolab.drawing.picture import Picture
from iolab.drawing.words import sentence, signature
from iolab.recording.timeline import HELPER, KERNEL, PEER, Timeline
from iolab.widgets.panel import Panel, javascript

_TICKS = 7


class BookstorePlayer(Panel):
    """Plays the run of `timeline`, or of the one that is chosen among it and `others`."""

    _esm = javascript(__file__)
    played = traitlets.Dict(help="all that the page needs").tag(sync=True)

    def __init__(self, timeline: Timeline, *others: Timeline) -> None:
        self._timeline = timeline
        runs = [_run(each) for each in (timeline, *others)]
        looks = {state: list(look) for state, look in LOOKS.items()}
        super().__init__(played={"runs": runs, "stage": _stage(), "looks": looks}, sentence=sentence(timeline))

    def picture(self) -> Picture:
        """The strip of the first run."""
        return draw_strip(self._timeline)


def _stage() -> dict:
    """The set, and the shapes of all who may come."""
    groups = {"postures": stage.POSTURES, "roles": stage.ROLES, "props": stage.PROPS, "ringing": stage.RINGING}
    return {
        "width": stage.WIDTH, "height": stage.HEIGHT, "floor": stage.FLOOR, "scale": stage.SCALE, "lean": stage.LEAN,
        "labels": stage.LABELS, "set": stage.SET, "counter": stage.COUNTER_TOP, "van": stage.VAN_SHAPES, "van_x": stage.VAN,
        "shelf": stage.SHELF, "buffer": stage.BUFFER, "rows": stage.ROWS, "row_height": stage.ROW_HEIGHT,
        "book_width": stage.BOOK_WIDTH, "lying": LOOKS["queued"].colour, "carried": LOOKS["copy"].colour,
    } | groups  # fmt: skip


def _run(timeline: Timeline) -> dict:
    begin, scenes = timeline.facts["begin_ns"], []
    for scene in score(timeline):
        plain = {name: getattr(scene, name) for name in ("start_ns", "end_ns", "seconds", "caption")}
        seen = shown(timeline, scene)
        scenes.append(plain | seen | {"actors": [actor._asdict() for actor in seen["actors"]]})
    lanes = timeline.lanes
    bars = [
        [row, span.state, span.start.ns - begin, span.end.ns - begin]
        for row, lane in enumerate(lanes)
        for span in timeline.lane(lane)
    ]
    recorded = " (recorded)" * bool(timeline.facts.get("recorded"))
    manner = "".join(f", {value}" for value in timeline.facts.get("options", {}).values())
    return {
        "name": f"{timeline.model}{manner}{recorded}", "sentence": sentence(timeline), "signed": " · ".join(signature(timeline)),
        "scenes": scenes, "props": props(timeline), "lanes": [_lane_name(lane) for lane in lanes], "bars": bars,
        "views": _views(timeline),
    }  # fmt: skip


def _lane_name(lane: str) -> str:
    kind, _, number = lane.partition("-")
    return {PEER: "sender", KERNEL: "kernel's queue", HELPER: "helper"}.get(kind, "application") + f" {number}" * bool(
        number
    )


def _views(timeline: Timeline) -> list[dict]:
    """The whole in milliseconds; for one sender also the part from a little before "ready" to the end, in microseconds."""
    begin, wall = timeline.facts["begin_ns"], timeline.facts["wall_ns"]
    views = [_view(0, wall, 0, 1e6, "ms")]
    deliveries = timeline.facts["deliveries"]
    ready = deliveries[0]["ready"] if len(deliveries) == 1 else None
    if ready and timeline.done_ns > ready["ns"]:
        zero, after = ready["ns"] - begin, timeline.done_ns - ready["ns"]
        views.append(_view(max(0, zero - after // 2), min(wall, zero + after + after // 8), zero, 1e3, "µs"))
    return views


def _view(from_ns: int, to_ns: int, zero: int, unit: float, name: str) -> dict:
    """A stretch of the run with round ticks, counted from `zero`."""
    rough = (to_ns - from_ns) / unit / _TICKS
    power = 10 ** int(log10(rough) // 1)
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first = -((zero - from_ns) / unit // step) * step + 0.0
    values = []
    while zero + first * unit <= to_ns:
        values.append([zero + first * unit, f"{first:+g}" if zero and first else f"{first:g}"])
        first += step
    return {"from_ns": from_ns, "to_ns": to_ns, "ticks": values, "unit": name if not zero else f"{name} from ready"}
