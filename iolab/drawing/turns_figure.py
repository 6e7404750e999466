"""A whole run of an event loop as one figure: step by step, what lay in the kernel, and who was at work.

    at work       client client loop loop handler ...        one column a step
    a: unread     ▁▁▁▁▁▁▁█████▁▁▁▁▁▁
    CQ: entries   ▁▁█▁▁▁▁▁█▂▁▁

Steps, not time: nothing was timed in this run (recording.loop_run).
"""

from collections.abc import Callable
from itertools import groupby

from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture
from iolab.drawing.words import size

AT_WORK = {"client": LOOKS["peer"].colour, "loop": LOOKS["call"].colour, "handler": LOOKS["user"].colour}
HEAD_IN, ROW_IN, FOOT_IN = 0.66, 0.36, 0.62
PIXELS_A_CHARACTER = 5


def draw_turns(run: dict, origin: str) -> Picture:
    """The run that reactor_turns.turns or proactor_turns.turns gives; `origin` says where it is from."""
    rows, steps = _rows(run), run["steps"]
    height = HEAD_IN + ROW_IN * (len(rows) + 1) + FOOT_IN
    picture = Picture(9.6, height, told(run))
    picture.headline(1 - 0.2 / height, headline(run))
    picture.text(0.015, 1 - 0.42 / height, origin, fontsize=7.5, color=FAINT, va="center")
    axes = picture.add_axes((0.2, FOOT_IN / height, 0.78, 1 - (HEAD_IN + FOOT_IN) / height))
    axes.set_xlim(0, len(steps))
    axes.set_ylim(len(rows) + 0.55, -0.6)
    axes.set_yticks(range(len(rows) + 1), ["at work", *(name for name, *_ in rows)], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for number, step in enumerate(steps):
        axes.broken_barh([(number, 1)], (-0.3, 0.6), facecolor=AT_WORK[step["who"]], edgecolor=INK, linewidth=0.4)
        axes.text(number + 0.5, 0, step["who"][0], fontsize=6.5, ha="center", va="center", color="black")
    turns = [step["turn"] for step in steps]
    for number in (number for number in range(1, len(turns)) if turns[number] != turns[number - 1]):
        axes.axvline(number, color=FAINT, linewidth=0.7, linestyle=":")
        axes.text(number + 0.1, -0.36, f"turn {turns[number]}", fontsize=6.5, color=FAINT, va="bottom")
    pixels = axes.bbox.width / len(steps)
    for row, (_, values, words) in enumerate(rows, 1):
        _row(axes, row, values, words, pixels)
    axes.set_xlabel("step of the run; c: a client acts, l: the loop, h: a handler", fontsize=8, labelpad=2)
    return picture


def headline(run: dict) -> str:
    """The finding."""
    if run["kind"] == "reactor":
        return "reactor on epoll: bytes lie in the kernel until a handler, which was told, fetches them"
    return "proactor on io_uring: bytes leave the kernel before anybody is told, and completions lie in the CQ"


def told(run: dict) -> str:
    """The run in words."""
    steps = run["steps"]
    waits = sum(step["title"] in ("epoll_wait is called", "io_uring_enter is called") for step in steps)
    call = "epoll_wait" if run["kind"] == "reactor" else "io_uring_enter"
    story = ", then ".join(dict.fromkeys(step["title"] for step in steps if step["who"] != "loop"))
    return f"{headline(run)}. {len(steps)} steps in {steps[-1]['turn']} turns, {waits} calls of {call}: {story}."


def _rows(run: dict) -> list[tuple[str, list[int], Callable]]:
    """(name, one value for each step, how a value is written)."""
    steps = run["steps"]

    def of_socket(name: str, column: int) -> list[int]:
        return [next((each[column] for each in step["kernel"]["sockets"] if each[1] == name), 0) for step in steps]

    rows = [(f"{name}: came, unread", of_socket(name, 2), size) for name in "ab"]
    rows.append(("b: not acknowledged", of_socket("b", 3), size))
    if run["kind"] == "reactor":
        rows.append(("not accepted yet", [step["kernel"]["not_accepted"] for step in steps], str))
        rows.append(("watched descriptors", [len(step["kernel"]["interests"]) for step in steps], str))
        rows.append(("ready", [len(step["kernel"]["ready"]) for step in steps], str))
        watched = [any("OUT" in each[2] for each in step["kernel"]["interests"]) for step in steps]
        rows.append(("b watched for OUT", [int(each) for each in watched], lambda _: "yes"))
        return rows
    rows.append(("entries in the SQ", [len(step["kernel"]["sqes"]) for step in steps], str))
    rows.append(("entries in the CQ", [len(step["kernel"]["cqes"]) for step in steps], str))
    rows.append(("operations under way", [len(step["program"]["operations"]) for step in steps], str))
    free = [step["kernel"]["buffers"] or (None, 0) for step in steps]
    rows.append(("buffers taken", [pool - left if left is not None else 0 for left, pool in free], str))
    return rows


def _row(axes, row: int, values: list[int], words: Callable, pixels: float) -> None:
    axes.plot([0, len(values)], [row + 0.3] * 2, color="#CCCCCC", linewidth=0.6, zorder=0)
    at, most = 0, max(values) or 1
    for value, group in groupby(values):
        long = len(list(group))
        if value:
            high = 0.15 + 0.45 * value / most
            axes.broken_barh(
                [(at, long)], (row + 0.3 - high, high), facecolor=LOOKS["queued"].colour, edgecolor=INK, linewidth=0.4
            )
            text = words(value)
            if long * pixels >= len(text) * PIXELS_A_CHARACTER + 4:
                label = axes.text(
                    at + long / 2, row + 0.02, text, fontsize=6.5, ha="center", va="center", color="black"
                )
                label.set_bbox({"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.8})
        at += long
