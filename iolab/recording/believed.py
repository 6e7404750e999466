"""What is believed of the reads that a calibration observes: whose word counts, what is discarded, what is compared.

    read ── unfit? ── chain broken? ── witness out of order? ──> claims ──> rows: each rung's error against the best one
              └────────────┴ counted, with the reason    └ silent: counted, too

Two facts that surprise:
* An instrument that contradicts the order of the kernel's own code is wrong, however precise its numbers are.
* A moment that the best rung only bounds, because an event was not traced, is no truth to measure others by.
"""

from collections import Counter

from iolab.recording.calibration_data import Row, distances
from iolab.recording.claims import CLAIMANTS, Claims, boundaries_of, in_order
from iolab.recording.evidence import clock, function_graph, kernel_stamp, switch_record, trace_points, witness
from iolab.recording.observation import Observation
from iolab.recording.stamp import Stamp

SILENT = {
    kernel_stamp.NAME: "no stamp",
    switch_record.NAME: "a switch is missing",
    witness.NAME: "away",
    function_graph.NAME: "no function",
}


def speakers(rungs: tuple) -> tuple[str, ...]:
    """Whose claims of a read count: beside the witness the sender's clock is worse than it need be."""
    return tuple(rung.NAME for rung in rungs if witness not in rungs or rung is not clock)


def broken(seen: Observation, claims: Claims) -> str:
    """What is wrong with the chain of trace points: the reason to discard the read, or ""."""
    absent = [boundary for boundary in boundaries_of(seen) if (boundary, trace_points.NAME) not in claims]
    if absent:
        return f"chain incomplete: {absent[0]} not traced"
    chains = {trace_points.NAME: "trace points", function_graph.NAME: "functions"}
    return next((f"{words} out of order" for rung, words in chains.items() if not in_order(seen, claims, rung)), "")


def spoken(seen: Observation, claims: Claims, rungs: tuple, silent: Counter) -> Claims:
    """The claims that can be believed; who had none to make is counted in `silent`."""
    for rung, why in SILENT.items():
        due = [boundary for boundary in boundaries_of(seen) if rung in CLAIMANTS[boundary]]
        if rung in speakers(rungs) and any((boundary, rung) not in claims for boundary in due):
            silent[f"{rung}: {why}"] += 1
    if not in_order(seen, claims, witness.NAME):
        silent[f"{witness.NAME}: out of order"] += 1
        return {(boundary, rung): stamp for (boundary, rung), stamp in claims.items() if rung != witness.NAME}
    return claims


def rows(found: list[Claims], names: list[str]) -> tuple[Row, ...]:
    """The errors of each rung's claims of each boundary, against the best of `names`."""
    found_rows = []
    for boundary, claimants in CLAIMANTS.items():
        here = [name for name in claimants if name in names]
        for rung in here[1:]:
            pairs = [(claims.get((boundary, rung)), claims.get((boundary, here[0]))) for claims in found]
            errors = [distances(*pair) for pair in pairs if all(pair) and certain(pair[1], here[0])]
            if errors:
                found_rows.append(Row(boundary, rung, here[0], tuple(errors)))
    return tuple(found_rows)


def certain(truth: Stamp, rung: str) -> bool:
    """A trace point that was not seen itself, only bounded by others, is no truth to measure by."""
    return rung != trace_points.NAME or truth.earliest_ns == truth.latest_ns
