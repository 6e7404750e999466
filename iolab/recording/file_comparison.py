"""Every model reads the same file, in memory, not in memory, and past the memory: rows of plain data, live or recorded.

    models × (hit, miss, direct) ──> file_experiment.read_file ── refused? ──> the row of a recording, which says so

Two facts that surprise:
* A refusal may be the result: epoll takes no file at all (EPERM). That row is measured, and holds the kernel's words.
* What this machine cannot show may lie in the folder, not in the model: on tmpfs no file is ever out of memory.

So each row says where it is from: `recorded` is None for this machine, else the label of the recording, and `because`
why it was needed.
"""

from collections.abc import Iterable
from functools import cache

from iolab.models import MODELS
from iolab.recorded import value_of
from iolab.recording.file_experiment import read_file
from iolab.recording.files import STATES

NAME, NBYTES, RUNS = "files", 1 << 20, 2
KEPT = (
    "model", "state", "nbytes", "filesystem", "read_bytes", "same_bytes", "error", "begin_ns", "done_ns", "cpu_ns",
    "switches", "device_bytes", "device_bytes_of_others", "kernel", "submit_ns", "wait_ns", "ring_ns",
    "slept_in_submit", "completed_in_submit",
)  # fmt: skip


def read_files(models: Iterable = MODELS, states: Iterable[str] = STATES, folder: str = ".") -> list[dict]:
    """One row for each state and model. ValueError for a wrong argument, as read_file; OSError as the kernel says.

    A row is the data of a FileObservation that the figure and the table need: the calls with times since the
    beginning, and `helpers`, the names of other threads that had part in the read.
    """
    return [_row(model, state, folder) for state in states for model in models]


def measured(model, state: str, folder: str = ".") -> dict:
    """One row of this machine, the quickest of RUNS: others want the CPUs, too. RuntimeError for what it lacks."""
    runs = [read_file(model, state, NBYTES, folder) for _ in range(RUNS)]
    seen = min(runs, key=lambda each: each.done_ns or each.wall_ns)
    whole = seen.as_json()
    calls = [
        {
            "name": call.name,
            "of_the_file": call.fd == seen.fd,
            "start_ns": call.start_ns - seen.begin_ns,
            "end_ns": call.end_ns - seen.begin_ns,
            "slept": call.slept,
            "errno": call.errno,
            "brought": bool(call.nbytes or any(nbytes for _, nbytes in call.completed)),
        }
        for call in seen.calls
    ]
    helpers = [helper.comm for helper in seen.helpers]
    return {key: whole[key] for key in KEPT} | {"calls": calls, "helpers": helpers, "recorded": None, "because": None}


def record_files() -> list[dict]:
    """What a recording keeps: all rows of a machine that has them all."""
    return [measured(model, state) for state in STATES for model in MODELS]


@cache
def _recorded() -> tuple[str, list[dict]]:
    whole = value_of(NAME)
    return whole["recorded"], whole["value"]


def _row(model, state: str, folder: str) -> dict:
    try:
        return measured(model, state, folder)
    except RuntimeError as missing:
        label, rows = _recorded()
        row = next(each for each in rows if (each["model"], each["state"]) == (model.NAME, state))
        return row | {"recorded": label, "because": str(missing)}


def origins(rows: Iterable[dict]) -> str:
    """Where the rows are from, as the first line of an output."""
    reasons = dict.fromkeys((row["recorded"], row["because"]) for row in rows if row["recorded"])
    lines = [f"a RECORDING of {label}, because here: {because}" for label, because in reasons]
    return "\n".join([*lines, "all else measured now, on this machine"] if lines else ["measured now, on this machine"])
