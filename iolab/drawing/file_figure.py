"""A file, model by model: which call of the application's thread took how long, and who did the work.

One panel for each state of the file, each with a scale of its own: from memory a read takes some hundred
microseconds, from a device it may take a hundred times as long.
"""

from collections.abc import Sequence

from matplotlib.patches import Patch

from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture, bar, label
from iolab.drawing.table import Table
from iolab.drawing.words import duration, size
from iolab.recording.file_observation import ASKS

STATES = {
    "hit": "the file is in memory",
    "miss": "the file is not in memory",
    "direct": "the file is read past the memory, O_DIRECT",
}
MEANINGS = {  # in the looks of a timeline; a call that slept and copied is one bar here
    "call": "a call that never slept and copied nothing itself",
    "copy": "a call that never slept and brought all bytes itself",
    "blocked": "a call in which the thread slept at least once",
}
ROW_IN, PANEL_IN, HEAD_IN, FOOT_IN, MUCH_LONGER = 0.27, 0.62, 0.72, 0.42, 3


def draw_files(rows: Sequence[dict]) -> Picture:
    """The rows of recording.file_comparison.read_files. ValueError when there are none."""
    if not rows:
        raise ValueError("rows must hold at least one read of a file")
    panels = [[row for row in rows if row["state"] == state] for state in STATES]
    panels = [each for each in panels if each]
    height = HEAD_IN + FOOT_IN + sum(PANEL_IN + ROW_IN * len(each) for each in panels)
    picture = Picture(9.6, height, f"{finding(rows)}. " + " ".join(_words(each) for each in panels))
    top = height - HEAD_IN
    for each in panels:
        inches = ROW_IN * len(each)
        axes = picture.add_axes((0.135, (top - 0.26 - inches) / height, 0.6, inches / height))
        _panel(picture, axes, each)
        top -= PANEL_IN + inches
    picture.headline(1 - 0.2 / height, finding(rows))
    picture.text(0.015, 1 - 0.36 / height, _signature(rows), fontsize=7.5, color=FAINT, va="top")
    handles = [
        Patch(facecolor=LOOKS[state].colour, hatch=LOOKS[state].hatch, edgecolor=INK, linewidth=0.4, label=meaning)
        for state, meaning in MEANINGS.items()
    ]
    picture.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.015, 0.1 / height), ncols=3, frameon=False,
                   fontsize=7.5, handlelength=2.2, handleheight=1.1, columnspacing=1.4, borderaxespad=0)  # fmt: skip
    return picture


def file_table(rows: Sequence[dict]) -> Table:
    """The same data: time inside the call that asks, and inside the one that waits; who asked the device, who worked."""
    lines = []
    for row in rows:
        name = row["model"] + " (recorded)" * bool(row["recorded"])
        both = f" in one call: {duration(row['ring_ns'])}" if row["ring_ns"] else ""
        asked = both or f"{duration(row['submit_ns'])}, slept {row['slept_in_submit']}×" * bool(row["submit_ns"]) or "-"
        waited = duration(row["wait_ns"]) if row["wait_ns"] else "-"
        device = f"{size(row['device_bytes'])} / {size(row['device_bytes_of_others'])}"
        lines.append((row["state"], name, asked.strip(), waited, device, who(row)))
    headings = (
        "file",
        "model",
        "in the call that asks",
        "in the call that waits",
        "device asked: by it / by others",
        "the work",
    )
    return Table(headings, lines, "one file, model by model, as the application's thread saw it")


def who(row: dict) -> str:
    """Who carried the read out, as far as the threads of the process tell."""
    if row["error"]:
        return row["error"]
    if row["helpers"]:
        return "a helper thread"
    return "this thread" if row["state"] == "hit" else "this thread asked the device"


def finding(rows: Sequence[dict]) -> str:
    """The head of the figure."""
    done = [row for row in rows if not row["error"]]
    helped = {row["model"] for row in done if row["helpers"]}
    refused = {row["model"] for row in rows if row["error"]}
    text = f"{len({row['model'] for row in rows})} models read a file: {len(helped)} have it read by a helper thread"
    return text + f", {len(refused)} cannot ({', '.join(sorted(refused))})" * bool(refused)


def _words(rows: Sequence[dict]) -> str:
    """One sentence for a panel: who slept in the call that asks for the bytes."""
    slept = [row["model"] for row in rows if row["slept_in_submit"] and not row["error"]]
    names = f"slept in the call that asks: {', '.join(slept)}" if slept else "nobody slept in the call that asks"
    return f"{STATES[rows[0]['state']].capitalize()}: {names}."


def _signature(rows: Sequence[dict]) -> str:
    live = [row for row in rows if not row["recorded"]]
    first = (live or rows)[0]
    lines = [
        f"{size(first['nbytes'])} on {first['filesystem']} · {first['kernel']} · the quicker of two runs · white: the thread's own code"
    ]
    labels: dict[str, dict] = {}
    for row in (row for row in rows if row["recorded"]):
        labels.setdefault(row["recorded"], {})[row["model"]] = None
    lines += [f"RECORDED: {', '.join(models)}: {label}, not of this machine" for label, models in labels.items()]
    return "\n".join(lines)


def _panel(picture: Picture, axes, rows: Sequence[dict]) -> None:
    ends = sorted(row["done_ns"] or max((call["end_ns"] for call in row["calls"]), default=1000) for row in rows)
    longest = min(ends[-1], MUCH_LONGER * ends[len(ends) // 2])
    axes.set_xlim(0, longest / 1e3 * 1.02)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [row["model"] + " *" * bool(row["recorded"]) for row in rows], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7.5, pad=1)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title(f"{STATES[rows[0]['state']]}; microseconds", fontsize=8.5, loc="left", pad=3)
    for number, row in enumerate(rows):
        done = row["done_ns"] or max((call["end_ns"] for call in row["calls"]), default=0)
        for call in (call for call in row["calls"] if call["start_ns"] < done):
            low, high = call["start_ns"] / 1e3, min(call["end_ns"], done, longest * 1.02) / 1e3
            if high <= low:
                continue
            bar(axes, look_of(call, row), low, high, number, 0.7)
            label(picture, axes, low, high, number, call["name"], size=7)
        beyond = f"{duration(done)}: " if done > longest * 1.02 else ""
        axes.text(1.015, number, beyond + who(row), transform=axes.get_yaxis_transform(), fontsize=7.5, va="center")


def look_of(call: dict, row: dict) -> str:
    """The state of the bar: what can be said of a call as a whole."""
    if call["slept"]:
        return "blocked"
    carried_out = row["completed_in_submit"] and call["of_the_file"] and call["name"] in ASKS
    by_another = bool(row["helpers"])  # then this call has only been told of it
    return "copy" if (call["brought"] or carried_out) and not by_another else "call"
