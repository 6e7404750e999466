"""The ladder of evidence: what can be known of a read, from the clock upwards. One file, one rung.

A rung has a NAME and says through `unavailable()` why this machine lacks it. A higher rung adds its stamps to
those of the lower ones; the best stamp of a moment is taken, never an average of several.
"""

from iolab.recording.evidence import clock, function_graph, kernel_stamp, switch_record, trace_points, witness

RUNGS = (clock, kernel_stamp, witness, switch_record, trace_points, function_graph)
UNDISTURBING = (clock, kernel_stamp)  # what costs nothing while the thread reads, and needs nobody's leave
INSIDE = (trace_points, switch_record)  # what happens within a call, the better one first
BEST, ALL = "best", "all"
NAMES = (BEST, *(rung.NAME for rung in RUNGS), ALL)


def rungs_up_to(name: str) -> tuple[list, dict[str, str]]:
    """The rungs that a run uses, and why others are missing: {name: reason}.

    "best" is what costs nothing and the better one of trace points and switch record that this machine allows; the
    witness, which takes a CPU from the reader, and the function graph, which slows the copy down, are asked for by name.
    A named rung comes on top of what costs nothing; "all" are all that there are here, each with its own view of the run.
    ValueError for a name that is none; RuntimeError when the very rung that was asked for is missing.
    """
    if name not in NAMES:
        raise ValueError(f"evidence must be one of {', '.join(NAMES)}, not {name!r}")
    wanted = UNDISTURBING if name in (BEST, ALL) else UNDISTURBING[: NAMES.index(name)]
    wanted += tuple(rung for rung in RUNGS if name in (ALL, rung.NAME) and rung not in wanted)
    missing = {rung.NAME: reason for rung in wanted if (reason := rung.unavailable())}
    if name in missing:
        raise RuntimeError(f"no evidence {name} on this machine: {missing[name]}")
    found = [rung for rung in wanted if rung.NAME not in missing]
    for rung in INSIDE if name == BEST else ():
        if reason := rung.unavailable():
            missing[rung.NAME] = reason
        else:
            return [*found, rung], missing
    return found, missing
