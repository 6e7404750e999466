"""What one wait costs against the number of idle descriptors: two axes by powers of ten, a line for each way to wait."""

from collections.abc import Sequence

from iolab.bench.waits import REFERENCE, Wait, Waits
from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture, graph_paper
from iolab.drawing.table import Table
from iolab.drawing.words import duration

LINES = {  # colour, marker, line
    "select": (LOOKS["copy"].colour, "o", "-"),
    "poll": (LOOKS["refused"].colour, "s", "--"),
    "epoll": (LOOKS["queued"].colour, "^", "-"),
    "io-uring": (LOOKS["user"].colour, "D", ":"),
    "linux-aio": (LOOKS["peer"].colour, "v", "-."),
}
MEANINGS = {"io-uring": "io_uring, with a new poll each time", "linux-aio": "Linux AIO, with a new poll each time"}


def draw_waits(waits: Waits) -> Picture:
    """The rows of bench.waits.bench_waits. ValueError when there are none."""
    if not waits.rows:
        raise ValueError("waits must hold at least one row")
    picture = Picture(9.6, 5.0, f"{finding(waits.rows)}. " + " ".join(map(_sentence, waits.rows)))
    axes = picture.add_axes((0.09, 0.115, 0.885, 0.735))
    for name, (colour, marker, line) in LINES.items():
        rows = [row for row in waits.rows if row.waiter == name]
        if rows:
            axes.plot([row.idle for row in rows], [row.wait_ns / 1e3 for row in rows], color=colour, marker=marker,
                      linestyle=line, markeredgecolor=INK, markersize=7, linewidth=1.6,
                      label=MEANINGS.get(name, name))  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    counts = sorted({row.idle for row in waits.rows})
    axes.set_xticks(counts, [f"{count:,}" for count in counts], fontsize=8)
    axes.minorticks_off()
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 1.5)
    axes.set_xlabel("descriptors that are watched, and on which nothing happens; one more is ready", fontsize=8.5)
    axes.set_ylabel("microseconds for one wait, median", fontsize=8.5)
    graph_paper(axes)
    picture.headline(0.965, finding(waits.rows))
    facts = waits.facts
    about = (
        f"medians of {facts['rounds']} samples, taken in turn on the same sockets, from Python · select takes no"
        f" descriptor above 1023 · both axes logarithmic · {facts['kernel']}, load {facts['load_before']}"
    )
    picture.text(0.015, 0.915, about, fontsize=7.5, color=FAINT, va="center")
    return picture


def waits_table(waits: Waits) -> Table:
    """A row for each number of idle descriptors: each way's time, and its ratio to epoll's."""
    names = list(dict.fromkeys(row.waiter for row in waits.rows))
    found = {(row.idle, row.waiter): row for row in waits.rows}
    body = [
        (f"{count:,}", *(_cell(found.get((count, name))) for name in names))
        for count in sorted({row.idle for row in waits.rows})
    ]
    return Table(("idle", *names), body, f"one wait, and its ratio to {REFERENCE}'s")


def finding(rows: Sequence[Wait]) -> str:
    """What the figure says, as its title."""
    most = max(row.idle for row in rows)
    there = {row.waiter: row for row in rows if row.idle == most}
    if REFERENCE not in there:
        return f"With {most:,} idle descriptors one wait takes up to {duration(max(row.wait_ns for row in there.values()))}"
    told = [f"{name} {_times(there[name].ratio)}" for name in ("select", "poll") if name in there]
    grown = there[REFERENCE].wait_ns / next(row.wait_ns for row in rows if row.waiter == REFERENCE)
    own = f"epoll's wait costs {_times(grown)} what it does with {min(row.idle for row in rows):,}"
    return f"With {most:,} idle descriptors {own}" + (f"; {' and '.join(told)} as much as epoll" if told else "")


def _cell(row: Wait | None) -> str:
    if row is None:
        return "-"
    return duration(row.wait_ns) + (f"  {_times(row.ratio)}" if row.ratio else "")


def _times(ratio: float) -> str:
    return f"{ratio:.2f}×" if ratio < 9.95 else f"{ratio:,.0f}×"


def _sentence(row: Wait) -> str:
    return f"{row.waiter} with {row.idle:,}: {duration(row.wait_ns)}."
