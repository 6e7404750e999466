"""Who copies, by three witnesses beside each other: page faults here, trace points here, trace points of another machine.

A row in which two of them name different copiers is framed, and says so: it is a finding, not a blemish to hide.
"""

from collections.abc import Sequence

from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture
from iolab.drawing.table import Table

ROW_IN, HEAD_IN, FOOT_IN = 0.27, 0.95, 0.1
UNKNOWN = "not known"
KINDS = {  # how a thread's name begins, in what words, in which look
    "application": ("the application", "copy"),
    "helper thread": ("a helper thread", "queued"),
    "iou-wrk": ("io_uring's worker", "call"),
    "iou-sqp": ("io_uring's poller", "user"),
    "device": ("the device", "device"),
}
WITNESSES = ("page faults, here", "trace points, here", "trace points, recorded")
RECORDED = 2  # from this one on they are not of this machine
LEFT, WIDTHS, TOLD = 0.375, (0.165, 0.165, 0.165), 0.885


def copier_kind(thread: str | None) -> str:
    """The kind of copier that a thread's name stands for: its number differs from run to run."""
    return next((words for start, (words, _) in KINDS.items() if thread and thread.startswith(start)), UNKNOWN)


def verdicts(rows: Sequence[dict], truth: Sequence[dict]) -> list[tuple[str, str, tuple[str, str, str], bool]]:
    """(way, source, what the three witnesses say, whether none contradicts another), row by row.

    `rows` and `truth` are recording.who_copies' Copiers as dicts; `truth` is of a machine that could trace.
    """
    recorded = {(row["way"], row["source"]): row["traced"] for row in truth}
    result = []
    for row in rows:
        names = row["thread"], row["traced"], recorded.get((row["way"], row["source"]))
        said = tuple(map(copier_kind, names))
        result.append((row["way"], row["source"], said, len(set(said) - {UNKNOWN}) <= 1))
    return result


def copiers_table(rows: Sequence[dict], truth: Sequence[dict]) -> Table:
    """The figure as a table."""
    body = [(way, source, *said, "" if agree else "MISMATCH") for way, source, said, agree in verdicts(rows, truth)]
    return Table(("way to read", "from", *WITNESSES, ""), body, "who copies")


def draw_copiers(rows: Sequence[dict], truth: Sequence[dict], recorded: str) -> Picture:
    """One row a way; `recorded` says when and where `truth` was made. ValueError without rows."""
    if not rows:
        raise ValueError("rows must hold at least one way")
    found = verdicts(rows, truth)
    height = HEAD_IN + ROW_IN * len(found) + FOOT_IN
    picture = Picture(9.6, height, f"{finding(found)}. " + " ".join(map(_sentence, found)))
    axes = picture.add_axes((0, FOOT_IN / height, 1, ROW_IN * len(found) / height))
    axes.set_xlim(0, 1)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.axis("off")
    for number, (way, source, said, agree) in enumerate(found):
        axes.text(0.015, number, f"{way}  ·  {source}", fontsize=8, va="center", color=INK)
        left = LEFT
        for width, words in zip(WIDTHS, said, strict=True):
            _cell(axes, left, width, number, words)
            left += width
        if not agree:
            axes.add_patch(_box(0.008, number, 0.984, fill=False, edgecolor=INK, linewidth=2))
            axes.text(TOLD, number, "MISMATCH", fontsize=8, fontweight="bold", va="center", color=INK)
    left = LEFT
    for width, witness in zip(WIDTHS, WITNESSES, strict=True):
        picture.text(left, 1 - 0.8 / height, witness, fontsize=8, va="center", fontweight="bold")
        left += width
    picture.headline(1 - 0.2 / height, finding(found))
    about = f"one read a row; both witnesses of this machine saw the same read · recorded: {recorded}"
    picture.text(0.015, 1 - 0.44 / height, about, fontsize=7.5, color=FAINT, va="center")
    return picture


def finding(found: Sequence[tuple]) -> str:
    """What the figure says, as its title. Counted are the ways that this machine has seen: a recording is another's."""
    here = [[each for each in said[:RECORDED] if each != UNKNOWN] for _, _, said, _ in found]
    known = [said[0] for said in here if said]
    own, wrong = known.count("the application"), sum(not agree for *_, agree in found)
    text = f"In {own} of {len(known)} ways to read that were seen here the application's own thread copies"
    return text + (
        f"; {wrong} row{'s' * (wrong > 1)} disagree{'s' * (wrong == 1)}" if wrong else "; no witness disagrees"
    )


def _box(left: float, number: int, width: float, **looks):
    from matplotlib.patches import Rectangle

    return Rectangle((left, number - 0.42), width, 0.84, **looks)


def _cell(axes, left: float, width: float, number: int, words: str) -> None:
    look = LOOKS[next((look for text, look in KINDS.values() if text == words), "blocked")]
    axes.add_patch(
        _box(left, number, width - 0.006, facecolor=look.colour, hatch=look.hatch, edgecolor=INK, linewidth=0.4)
    )
    text = axes.text(left + (width - 0.006) / 2, number, words, fontsize=8, ha="center", va="center", color="black")
    text.set_bbox({"facecolor": "white", "alpha": 0.78, "edgecolor": "none", "pad": 1.2})


def _sentence(row: tuple) -> str:
    way, source, said, agree = row
    if len(set(said)) == 1:
        return f"{way}, {source}: {said[0]}, by all three."
    told = ", ".join(f"{words} by {witness}" for witness, words in zip(WITNESSES, said, strict=True))
    return f"{way}, {source}: {told}{'' if agree else ': a mismatch'}."
