"""The scene for a page without a kernel: at most six frames of a run, drawn one below the other like a comic strip.

    asks | sleeps | the publisher comes | is called | carries | done           each with its moment, and its sentence

Which six: the first call, the longest wait, the arrival of the last bytes, the news of it, the longest carrying, the end.
"""

import re
from collections.abc import Sequence
from textwrap import fill

from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from iolab.drawing import bookstore_stage as stage
from iolab.drawing.bookstore_bringing import when
from iolab.drawing.bookstore_cast import CUSTOMER
from iolab.drawing.bookstore_score import Scene, score
from iolab.drawing.bookstore_tableau import Actor, props, shown
from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture
from iolab.drawing.words import duration, signature, title
from iolab.recording.timeline import Timeline

MOST, COLUMNS = 6, 2
FRAME_IN, HEAD_IN, CAPTION_IN = 4.7, 0.62, 0.5
_CODES = {
    "M": (Path.MOVETO, 1),
    "L": (Path.LINETO, 1),
    "Q": (Path.CURVE3, 2),
    "C": (Path.CURVE4, 3),
    "Z": (Path.CLOSEPOLY, 0),
}


def draw_strip(timeline: Timeline) -> Picture:
    """The frames of one run, and below each what happens in it."""
    frames = chosen(score(timeline))
    high = FRAME_IN * stage.HEIGHT / stage.WIDTH
    rows = -(-len(frames) // COLUMNS)
    height = HEAD_IN + rows * (high + CAPTION_IN)
    picture = Picture(COLUMNS * (FRAME_IN + 0.1), height, told(timeline, frames))
    picture.headline(1 - 0.2 / height, title(timeline))
    picture.text(0.015, 1 - 0.42 / height, signature(timeline)[0], fontsize=7.5, color=FAINT, va="center")
    for number, scene in enumerate(frames):
        row, column = divmod(number, COLUMNS)
        bottom = height - HEAD_IN - (row + 1) * (high + CAPTION_IN) + CAPTION_IN
        left = 0.05 + column * (FRAME_IN + 0.1)
        axes = picture.add_axes(
            (left / picture.get_figwidth(), bottom / height, FRAME_IN / picture.get_figwidth(), high / height)
        )
        _frame(axes, timeline, scene)
        words = f"{number + 1}.  {when(timeline, scene.start_ns)}, for {duration(scene.end_ns - scene.start_ns)}: {scene.caption}"
        axes.text(0, stage.HEIGHT + 14, fill(words, 92), fontsize=7, color=INK, va="top", linespacing=1.15)
    return picture


def told(timeline: Timeline, frames: Sequence[Scene]) -> str:
    """The strip in words."""
    parts = [f"At {when(timeline, scene.start_ns)}: {scene.caption}" for scene in frames]
    return f"{timeline.model} as a scene in a bookstore, in {len(frames)} frames. " + " ".join(parts)


def chosen(scenes: Sequence[Scene]) -> list[Scene]:
    """At most MOST of them, in their order."""

    def longest(found: list[Scene]) -> list[Scene]:
        return sorted(found, key=lambda scene: scene.start_ns - scene.end_ns)[:1]

    def first(found: list[Scene]) -> list[Scene]:
        return found[:1]

    calls = [scene for scene in scenes if any(person.call for person in scene.people if person.role == CUSTOMER)]
    waits = [scene for scene in scenes if not any(scene.vans)]
    arrivals = [scene for scene in scenes if any(scene.vans)]
    news = [scene for scene in scenes if any(kind != "complete" for kind, _ in scene.news)]
    carrying = [scene for scene in scenes if any(person.nbytes for person in scene.people)]
    found = [*first(calls), *longest(waits), *longest(arrivals), *first(news), *longest(carrying), scenes[-1]]
    return sorted(dict.fromkeys(found), key=lambda scene: scene.start_ns)[:MOST]


def path_of(svg: str) -> Path:
    """An absolute SVG path of M, L, Q, C and Z."""
    points, codes = [], []
    for letter, numbers in re.findall(r"([MLQCZ])([^MLQCZ]*)", svg):
        code, count = _CODES[letter]
        values = [float(number) for number in numbers.split()]
        pairs = list(zip(values[::2], values[1::2], strict=True)) or [(0.0, 0.0)]
        points += pairs
        codes += [code] * max(count, 1) * (len(pairs) // max(count, 1))
    return Path(points, codes)


def _paint(axes, shapes, x: float = 0, y: float = 0, scale: float = 1, colour: str = INK, order: float = 1) -> None:
    place = Affine2D().scale(scale).translate(x, y) + axes.transData
    for shape in shapes:
        face = colour if shape.fill == stage.STATE else shape.fill
        axes.add_patch(
            PathPatch(path_of(shape.path), facecolor=face, edgecolor=shape.stroke, linewidth=shape.width * 0.42,
                      transform=place, zorder=order, joinstyle="round")
        )  # fmt: skip


def _frame(axes, timeline: Timeline, scene: Scene) -> None:
    axes.set_xlim(0, stage.WIDTH)
    axes.set_ylim(stage.HEIGHT, 0)
    axes.set_axis_off()
    seen = shown(timeline, scene)
    _paint(axes, stage.SET)
    for prop in props(timeline):
        _paint(axes, stage.PROPS[prop], order=2)
    for place in seen["rings"]:
        _paint(axes, stage.RINGING[place], order=2)
    for (low, _), counts in ((stage.SHELF, seen["shelf"]), (stage.BUFFER, seen["home"])):
        for sender, count in enumerate(counts):
            _books(axes, low, stage.FLOOR - sender % stage.ROWS * stage.ROW_HEIGHT - 5, count, LOOKS["queued"].colour)
    for count in seen["vans"]:
        if count:
            _paint(axes, stage.VAN_SHAPES, stage.VAN, stage.FLOOR + 24, order=3)
    for number, actor in enumerate(seen["actors"]):
        _actor(axes, actor, stage.FLOOR + stage.LABELS[number % 3])
        if actor.role == "owner":
            _paint(axes, stage.COUNTER_TOP, order=4)
    for x, words in ((200, "the shop: the kernel"), (462, "at home: your program"), (8, "the street")):
        axes.text(x, 24, words, fontsize=6, color=INK, va="baseline", fontstyle="italic")


def _books(axes, x: float, y: float, count: int, colour: str, order: float = 2) -> None:
    for number in range(count):
        left, high = x + number * (stage.BOOK_WIDTH + 1), (40, 36, 42)[number % 3]
        _paint(axes, [stage.Shape(stage.rect(left, y - high, stage.BOOK_WIDTH, high), colour)], order=order)


def _actor(axes, actor: Actor, label_y: float) -> None:
    x = actor.x + 0.25 * (actor.to_x - actor.x)
    order = 3 if actor.role == "owner" else 5
    lean = stage.LEAN if actor.posture == "asleep" else 0
    _paint(axes, stage.POSTURES[actor.posture], x, stage.FLOOR, stage.SCALE, actor.colour, order)
    _paint(axes, stage.ROLES[actor.role], x + lean, stage.FLOOR, stage.SCALE, actor.colour, order)
    _, count = actor.books
    for number in range(count):
        book = stage.Shape(stage.rect(x + 32, stage.FLOOR - 62 - 11 * (number + 1), 44, 10), LOOKS["copy"].colour)
        _paint(axes, [book], order=order)
    if actor.says:
        axes.text(x, stage.FLOOR - 158, actor.says, fontsize=6.5, ha="center", va="bottom", color=INK, zorder=9,
                  bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": INK, "linewidth": 0.6})  # fmt: skip
    axes.text(x, label_y, actor.label, fontsize=6, ha="center", va="center", color=INK, zorder=9)
