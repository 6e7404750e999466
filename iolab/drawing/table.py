"""The data of a figure as a table: for a terminal, for a notebook, for a screen reader."""

from collections.abc import Sequence
from html import escape

from iolab.drawing.words import by_posix, copied_by, duration, fetching, size, waiting
from iolab.recording.timeline import Timeline


class Table:
    """Rows of text under headings; prints aligned, shows as an HTML table in a notebook."""

    def __init__(self, headings: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> None:
        self.headings, self.rows, self.caption = list(headings), [list(map(str, row)) for row in rows], caption

    def __str__(self) -> str:
        lines = [self.headings, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([text[0], "  ".join("─" * width for width in widths), *text[1:]])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col" style="text-align:left">{escape(cell)}</th>' for cell in self.headings)
        body = "".join(
            "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) + "</tr>"
            for row in self.rows
        )
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def span_table(timeline: Timeline) -> Table:
    """One row for each lane, state and call: when first, how often, how long together, by what evidence."""
    rows: dict[tuple, list] = {}
    begin = timeline.facts.get("begin_ns", 0)
    for lane in timeline.lanes:
        for span in timeline.lane(lane):
            row = rows.setdefault((lane, span.state, span.call), [span.start.ns, 0, 0, 0, span.evidence])
            row[1] += span.calls
            row[2] += span.duration_ns
            row[3] += span.nbytes or 0
    return Table(
        ("lane", "state", "call", "from", "times", "together", "bytes", "evidence"),
        [
            (lane, state, call or "-", f"{(first - begin) / 1e6:+.3f} ms", f"{times:,}", duration(total), f"{nbytes:,}", evidence)
            for (lane, state, call), (first, times, total, nbytes, evidence) in rows.items()
        ],
        f"{timeline.model}: every state of every lane",
    )  # fmt: skip


def comparison_table(timelines: Sequence[Timeline], worked: Sequence[Timeline] = ()) -> Table:
    """One row a model: who waits how, who copies, calls, sleeps, CPU, by POSIX; `worked`: runs with other work."""
    with_work = {timeline.model: timeline for timeline in worked}
    rows = []
    for timeline in timelines:
        facts = timeline.facts
        share = 100 * facts["cpu_ns"] / (facts["wall_ns"] or 1)
        name = timeline.model + " (recorded)" * bool(facts.get("recorded"))
        row = [name, waiting(timeline), fetching(timeline), copied_by(timeline), f"{sum(facts['calls'].values()):,}",
               f"{facts['voluntary_switches']}", f"{share:.1f} %", by_posix(timeline)]  # fmt: skip
        rows.append(row + _with_work(with_work.get(timeline.model)) * bool(worked))
    headings = ["model", "while it waited, the thread", "then", "copied by", "calls", "sleeps", "CPU", "by POSIX"]
    amounts = dict.fromkeys(size(each.facts["nbytes"]) for each in timelines)
    return Table(
        headings + ["work it could do", "and asked meanwhile"] * bool(worked),
        rows,
        f"the same scenario, model by model: {', '.join(amounts)}",
    )


def _with_work(timeline: Timeline | None) -> list[str]:
    """How many slices of other work a run had time for, and how many system calls it made, of all kinds."""
    if timeline is None:
        return ["", ""]
    facts = timeline.facts
    return [f"{facts.get('work_slices') or 0:,} slices", f"{questions(timeline):,} times"]


def questions(timeline: Timeline) -> int:
    """How often the thread asked whether anything is there and was told "not yet", by a call of any kind."""
    polls = [call for call in ("select", "poll", "epoll_wait") if call in timeline.facts["calls"]]
    vain = sum(timeline.facts["calls"][call] for call in polls) - len(polls) if timeline.facts.get("work_slices") else 0
    return timeline.facts.get("refused", 0) + vain
