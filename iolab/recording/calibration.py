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

from iolab.kernel.cpus import cpu_quota
from iolab.models import blocking
from iolab.recording.believed import broken, rows, speakers, spoken
from iolab.recording.calibration_data import Calibration, Series
from iolab.recording.claims import claims_of, done_ns, sent_ns, unfit
from iolab.recording.evidence import ALL, RUNGS, UNDISTURBING, clock, function_graph, rungs_up_to, trace_points, witness
from iolab.recording.experiment import observe
from iolab.recording.scenario import Scenario, one_read

SIZES = (1 << 16, 1 << 20)
WAIT_MS = 20  # time enough to fall asleep; what comes after it is as cold as after a second
MOST_READS = 10_000
MANNERS = {"on": (trace_points,), "off": (trace_points.Off,), "unprepared": ()}  # on top of what costs nothing


def calibrate(
    models: Iterable = (blocking,),
    nbytes: Iterable[int] = SIZES,
    reads: int = 200,
    progress: Callable[[], object] | None = None,
    cost: bool = True,
) -> Calibration:
    """`reads` reads of each of `models` and sizes, over TCP, observed by all rungs but the witness; the errors of each.

    The witness has reads of its own, as many more. Where there are trace points, and unless `cost` is False, each read
    is made three times more, as MANNERS says. `progress` is called after each read. ValueError for a wrong argument,
    RuntimeError for a model that this machine lacks, OSError as the kernel says.
    """
    models, scenarios = tuple(models), [one_read(WAIT_MS, each) for each in nbytes]
    if isinstance(reads, bool) or not isinstance(reads, int) or not 1 <= reads <= MOST_READS:
        raise ValueError(f"reads must be from 1 to {MOST_READS:,}, not {reads!r}")
    if not models or not scenarios:
        raise ValueError("models and nbytes must name at least one each")
    rungs, missing = rungs_up_to(ALL)
    names = [rung.NAME for rung in RUNGS if rung in rungs]
    together = _together(rungs)
    load = os.getloadavg()[0]
    series = [_series(model, each, reads, together, progress, cost) for model in models for each in scenarios]
    facts = {
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "cpu_quota": cpu_quota(),
        "python": platform.python_version(),
        "load_average": [round(load, 2), round(os.getloadavg()[0], 2)],  # before and after
    }
    return Calibration(names[-1], missing, facts, tuple(series))


def _together(rungs: list) -> list[tuple]:
    """Which rungs watch one read: all but the witness; and the witness, in a read of its own, beside the best one.

    It takes a CPU. Where there are but two, the sender would have to share the other one with the reader.
    """
    best = [rung for rung in (trace_points, function_graph) if rung in rungs]
    apart = [(clock, witness, *best)] if witness in rungs and best else []
    return [tuple(rung for rung in rungs if rung is not witness), *apart]


def _series(model, scenario: Scenario, reads: int, together: list[tuple], progress, cost: bool) -> Series:
    found, discarded, silent = [], Counter(), Counter()
    times = {manner: [] for manner in MANNERS}
    traced, chains, complete, lost = trace_points in together[0], 0, 0, None
    for number in range(reads):
        for rungs in together:
            seen = observe(model, scenario, rungs)
            if dropped := getattr(seen, "lost", None):
                lost = (lost or 0) + dropped.get(trace_points.NAME, 0)
            reason, claims = unfit(seen), {}
            if not reason:
                claims = {key: stamp for key, stamp in claims_of(seen).items() if key[1] in speakers(rungs)}
                reason = broken(seen, claims) if traced else ""
                chains += 1
                complete += not reason.startswith("chain incomplete")
            if reason:
                discarded[reason] += 1
            else:
                found.append(spoken(seen, claims, rungs, silent))
        for manner in list(times)[:: 1 if number % 2 else -1] if cost and traced else ():
            again = observe(model, scenario, (*UNDISTURBING, *MANNERS[manner]))
            if not unfit(again):
                times[manner].append(done_ns(again) - sent_ns(again))
        if progress:
            progress()
    names = list(dict.fromkeys(rung.NAME for rungs in together for rung in rungs))
    return Series(
        model.NAME, scenario.nbytes, reads, dict(discarded), dict(silent), chains * traced, complete * traced,
        len(found) * traced, lost, *map(tuple, times.values()), rows(found, names),
    )  # fmt: skip
