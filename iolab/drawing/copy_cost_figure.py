"""What a copy costs against its size: two axes by powers of ten, and three lines that differ in shape as well."""

from collections.abc import Sequence

from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture, graph_paper
from iolab.drawing.words import duration, size
from iolab.recording.copy_cost import CopyCost

LINES = (  # field, colour, marker, line, what it is
    ("recv_ns", LOOKS["copy"].colour, "o", "-", "recv: call + copy"),
    ("discard_ns", LOOKS["queued"].colour, "s", "--", "recv with MSG_TRUNC: call, the bytes are discarded"),
    ("memcpy_ns", LOOKS["user"].colour, "^", ":", "memcpy inside the program, no system call"),
)


def draw_copy_costs(rows: Sequence[CopyCost]) -> Picture:
    """The rows of recording.copy_cost.copy_costs. ValueError when there are none."""
    if not rows:
        raise ValueError("rows must hold at least one CopyCost")
    rows = sorted(rows, key=lambda row: row.nbytes)
    picture = Picture(9.6, 5.0, _sentence(rows))
    axes = picture.add_axes((0.09, 0.115, 0.885, 0.735))
    sizes = [row.nbytes for row in rows]
    for field, colour, marker, line, name in LINES:
        times = [max(1, getattr(row, field)) / 1e3 for row in rows]
        axes.plot(sizes, times, color=colour, marker=marker, linestyle=line, markeredgecolor=INK, markersize=7,
                  linewidth=1.6, label=name)  # fmt: skip
    axes.fill_between(
        sizes, [max(1, row.discard_ns) / 1e3 for row in rows], [max(1, row.recv_ns) / 1e3 for row in rows],
        color=LOOKS["copy"].colour, alpha=0.15, linewidth=0, label="between the two: the kernel's copy",
    )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(
        sizes, [size(nbytes).replace(" bytes", " B").replace(" byte", " B") for nbytes in sizes], fontsize=8
    )
    axes.minorticks_off()
    axes.set_xlabel("bytes read by one call", fontsize=8.5)
    axes.set_ylabel("microseconds, median", fontsize=8.5)
    graph_paper(axes)
    picture.headline(0.965, _finding(rows))
    about = f"loopback TCP, all bytes queued before each call · medians of {min(row.repeats for row in rows)}, taken in turn · both axes logarithmic"
    picture.text(0.015, 0.915, about, fontsize=7.5, color=FAINT, va="center")
    return picture


def copy_share(row: CopyCost) -> float:
    """The copy's part of the call, from 0 to 1."""
    return min(1.0, max(0.0, row.copy_ns / (row.recv_ns or 1)))


def _finding(rows: Sequence[CopyCost]) -> str:
    few, many = rows[0], rows[-1]
    return f"The copy is {copy_share(few):.0%} of a recv of {size(few.nbytes)}, and {copy_share(many):.0%} of one of {size(many.nbytes)}"


def _sentence(rows: Sequence[CopyCost]) -> str:
    few, many = rows[0], rows[-1]
    parts = [
        f"{size(row.nbytes)}: {duration(row.recv_ns)}, of which the copy {duration(max(0, row.copy_ns))}"
        for row in (few, many)
    ]
    return f"{_finding(rows)}. recv of {'; recv of '.join(parts)}. A call has a price, then each byte has one."
