"""A calibration as tables: the error of each rung's boundaries, and what became of the reads."""

from statistics import median

from iolab.drawing.calibration_figure import percent
from iolab.drawing.table import Table
from iolab.drawing.words import duration, size
from iolab.recording.calibration_data import Calibration, Series


def error_table(calibration: Calibration) -> Table:
    """One row for each model, size, boundary and rung: p50 and p99 of the error, its sign, the claim's worth and width."""
    rows = [
        (series.model, size(series.nbytes), row.boundary, row.rung, row.against, f"{len(row.claims):,}",
         duration(row.size_ns(50)), duration(row.size_ns(99)), row.sign, percent(row.covered), duration(row.width_ns))
        for series in calibration.series
        for row in series.rows
    ]  # fmt: skip
    headings = (
        "model",
        "bytes",
        "boundary",
        "evidence",
        "against",
        "reads",
        "p50",
        "p99",
        "sign",
        "covered",
        "claimed",
    )
    return Table(headings, rows, f"the error of each rung of evidence against the best one here, {calibration.best}")


def reads_table(calibration: Calibration) -> Table:
    """One row for each model and size: reads, discarded ones, whole chains, lost events, and what tracing costs."""
    rows = [
        (series.model, size(series.nbytes), f"{series.reads:,}", f"{sum(series.discarded.values()):,}",
         *_chains(series), "not told" if series.lost is None else f"{series.lost:,}", *_cost(series))
        for series in calibration.series
    ]  # fmt: skip
    headings = (
        "model", "bytes", "reads", "discarded", "chain complete", "of these in order", "lost events", "traced", "off", "ratio", "unprepared",
    )  # fmt: skip
    return Table(headings, rows, "what became of the reads; medians from the last send() to the end of the read")


def remarks(calibration: Calibration) -> list[str]:
    """Line by line: the sender's bracket, why reads were discarded, who was silent, what is missing here."""
    lines = []
    for series in calibration.series:
        name = f"{series.model}, {size(series.nbytes)}"
        bracket = series.row("data ready", "clock")
        if bracket:
            share, reads = percent(bracket.covered), len(bracket.claims)
            lines.append(
                f"{name}: the sender's bracket holds the moment of {bracket.against} in {share} of {reads:,} reads"
            )
        lines += [f"{name}: discarded {count:,}: {reason}" for reason, count in series.discarded.items()]
        lines += [f"{name}: no claim in {count:,} reads: {reason}" for reason, count in series.silent.items()]
    return lines + [f"not here: {name}: {reason}" for name, reason in calibration.missing.items()]


def report(calibration: Calibration) -> str:
    """Both tables and all remarks, for a terminal."""
    return "\n".join([f"{error_table(calibration)}\n\n{reads_table(calibration)}\n", *remarks(calibration)])


def _chains(series: Series) -> tuple[str, str]:
    if not series.chains:
        return "-", "-"
    return percent(series.complete / series.chains), percent(series.ordered / (series.complete or 1))


def _cost(series: Series) -> tuple[str, str, str, str]:
    if series.ratio is None:
        return "-", "-", "-", "-"
    on, off, unprepared = (
        duration(median(each)) if each else "-" for each in (series.traced_ns, series.untraced_ns, series.unprepared_ns)
    )
    return on, off, f"{series.ratio:.3f}", unprepared
