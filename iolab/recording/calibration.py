"""How good the evidence is on this machine: each rung's claims of the same reads against those of the best rung here.

    read 1 … N     truth (trace points)       │                 error = claim − truth, in nanoseconds
                   claim of a weaker rung   ├──┼─ · ─┤          covered: the truth lies within what was claimed

Two facts that surprise:
* The mark of good evidence is not a small error but an honest interval: it should hold the truth in 95 of 100 reads.
* To observe is to disturb. So the same read is also made with trace points on and off, in turn, and both medians are
  told; and a third, of reads before which nothing was prepared: to prepare is half a second of the kernel's work, and
  leaves its caches cold.

Nothing is thrown away in silence: a read that cannot be used is counted with its reason, and so is a rung that had
nothing to say of a read. Where there are no trace points, the best rung that there is stands in for the truth.
"""

import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable

from iolab.models import blocking
from iolab.recording.calibration_data import Calibration, Row, Series, distances
from iolab.recording.claims import CLAIMANTS, Claims, boundaries_of, claims_of, done_ns, in_order, sent_ns, unfit
from iolab.recording.evidence import (
    ALL,
    RUNGS,
    UNDISTURBING,
    kernel_stamp,
    rungs_up_to,
    switch_record,
    trace_points,
    witness,
)
from iolab.recording.experiment import observe
from iolab.recording.observation import Observation
from iolab.recording.scenario import Scenario, one_read
from iolab.recording.stamp import Stamp

SIZES = (1 << 16, 1 << 20)
WAIT_MS = 20  # time enough to fall asleep; what comes after it is as cold as after a second
MOST_READS = 10_000
MANNERS = {"on": (trace_points,), "off": (trace_points.Off,), "unprepared": ()}  # on top of what costs nothing
SILENT = {kernel_stamp.NAME: "no stamp", switch_record.NAME: "a switch is missing", witness.NAME: "away"}


def calibrate(
    models: Iterable = (blocking,),
    nbytes: Iterable[int] = SIZES,
    reads: int = 200,
    progress: Callable[[], object] | None = None,
    cost: bool = True,
) -> Calibration:
    """`reads` reads of each of `models` and sizes, over TCP, observed by all rungs at once; the errors of each.

    Where there are trace points, and unless `cost` is False, each read is made three times more, as MANNERS says.
    `progress` is called after each read. ValueError for a wrong argument, RuntimeError for a model that this machine lacks, OSError as the
    kernel says.
    """
    models, scenarios = tuple(models), [one_read(WAIT_MS, each) for each in nbytes]
    if isinstance(reads, bool) or not isinstance(reads, int) or not 1 <= reads <= MOST_READS:
        raise ValueError(f"reads must be from 1 to {MOST_READS:,}, not {reads!r}")
    if not models or not scenarios:
        raise ValueError("models and nbytes must name at least one each")
    rungs, missing = rungs_up_to(ALL)
    names = [rung.NAME for rung in RUNGS if rung in rungs]
    load = os.getloadavg()[0]
    series = [_series(model, each, reads, names, progress, cost) for model in models for each in scenarios]
    facts = {
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load_average": [round(load, 2), round(os.getloadavg()[0], 2)],  # before and after
    }
    return Calibration(names[-1], missing, facts, tuple(series))


def _series(model, scenario: Scenario, reads: int, names: list[str], progress, cost: bool) -> Series:
    found, discarded, silent = [], Counter(), Counter()
    times = {manner: [] for manner in MANNERS}
    chains = complete = 0
    lost = None
    for number in range(reads):
        seen = observe(model, scenario, ALL)
        if dropped := getattr(seen, "lost", None):
            lost = (lost or 0) + dropped.get(trace_points.NAME, 0)
        reason, claims = unfit(seen), {}
        if not reason:
            claims = claims_of(seen)
            reason = _broken(seen, claims) if trace_points.NAME in names else ""
            chains += 1
            complete += not reason.startswith("chain incomplete")
        if reason:
            discarded[reason] += 1
        else:
            found.append(_spoken(seen, claims, names, silent))
        if cost and trace_points.NAME in names:
            for manner in list(times)[:: 1 if number % 2 else -1]:
                again = observe(model, scenario, (*UNDISTURBING, *MANNERS[manner]))
                if not unfit(again):
                    times[manner].append(done_ns(again) - sent_ns(again))
        if progress:
            progress()
    traced = trace_points.NAME in names
    return Series(
        model.NAME, scenario.nbytes, reads, dict(discarded), dict(silent), chains * traced, complete * traced,
        len(found) * traced, lost, *map(tuple, times.values()), _rows(found, names),
    )  # fmt: skip


def _broken(seen: Observation, claims: Claims) -> str:
    """What is wrong with the chain of trace points: the reason to discard the read, or ""."""
    absent = [boundary for boundary in boundaries_of(seen) if (boundary, trace_points.NAME) not in claims]
    if absent:
        return f"chain incomplete: {absent[0]} not traced"
    return "" if in_order(seen, claims, trace_points.NAME) else "trace points out of order"


def _spoken(seen: Observation, claims: Claims, names: list[str], silent: Counter) -> Claims:
    """The claims that can be believed; who had none to make is counted in `silent`."""
    for rung, why in SILENT.items():
        due = [boundary for boundary in boundaries_of(seen) if rung in CLAIMANTS[boundary]]
        if rung in names and any((boundary, rung) not in claims for boundary in due):
            silent[f"{rung}: {why}"] += 1
    if not in_order(seen, claims, witness.NAME):
        silent[f"{witness.NAME}: out of order"] += 1
        return {(boundary, rung): stamp for (boundary, rung), stamp in claims.items() if rung != witness.NAME}
    return claims


def _rows(found: list[Claims], names: list[str]) -> tuple[Row, ...]:
    rows = []
    for boundary, claimants in CLAIMANTS.items():
        here = [name for name in claimants if name in names]
        for rung in here[1:]:
            pairs = [(claims.get((boundary, rung)), claims.get((boundary, here[0]))) for claims in found]
            errors = [distances(*pair) for pair in pairs if all(pair) and _certain(pair[1], here[0])]
            if errors:
                rows.append(Row(boundary, rung, here[0], tuple(errors)))
    return tuple(rows)


def _certain(truth: Stamp, rung: str) -> bool:
    """A trace point that was not seen itself, only bounded by others, is no truth to measure by."""
    return rung != trace_points.NAME or truth.earliest_ns == truth.latest_ns
