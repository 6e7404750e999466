"""The ladder of evidence: what can be known of a read, from the clock upwards. One file, one rung.

A rung has a NAME and says through `unavailable()` why this machine lacks it. A higher rung adds its stamps to
those of the lower ones; the best stamp of a moment is taken, never an average of several.
"""

from iolab.recording.evidence import clock, kernel_stamp

RUNGS = (clock, kernel_stamp)
BEST = "best"
NAMES = (BEST, *(rung.NAME for rung in RUNGS))


def rungs_up_to(name: str) -> tuple[list, dict[str, str]]:
    """The rungs of this machine up to the one called `name`, and why others are missing: {name: reason}.

    ValueError for a name that is none; RuntimeError when the very rung that was asked for is missing.
    """
    if name not in NAMES:
        raise ValueError(f"evidence must be one of {', '.join(NAMES)}, not {name!r}")
    wanted = RUNGS if name == BEST else RUNGS[: NAMES.index(name)]
    missing = {rung.NAME: reason for rung in wanted if (reason := rung.unavailable())}
    if name in missing:
        raise RuntimeError(f"no evidence {name} on this machine: {missing[name]}")
    return [rung for rung in wanted if rung.NAME not in missing], missing
