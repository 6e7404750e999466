"""Ten small files, all in memory, read by one model: the calls that it takes, and the CPU time of the whole process.

    blocking   read read read read read read read read read read
    threads    queue, wake, read, queue, wake, read ...              the work of asking exceeds the work asked for
    io_uring   setup, one io_uring_enter for all ten, close          fewer calls, and not for nothing

Two facts that surprise:
* "Asynchronous" saves waiting. Bytes that are in memory make nobody wait, so there is nothing to save; what is left is
  what the interface costs.
* CPU time of a process includes all its threads, the C library's as well. A thread's own time would praise a model
  for work that it had done by somebody else.

getrusage(2), clock_gettime(2): CLOCK_PROCESS_CPUTIME_ID.
"""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack

from iolab.calls import COMPLETION
from iolab.models import MODELS
from iolab.recorded import value_of
from iolab.recorder import Recorder

NAME, FILES, NBYTES, RUNS = "small-files", 10, 4096, 5


def measured(model, files: int = FILES, nbytes: int = NBYTES, runs: int = RUNS) -> dict:
    """One model of this machine: named calls of all threads, and the least CPU time of `runs` runs, in nanoseconds.

    ValueError for a wrong argument, RuntimeError where there is no such model here. A refusal is in `error`.
    """
    for name, value, most in (("files", files, 1000), ("nbytes", nbytes, 1 << 24), ("runs", runs, 1000)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"{name} must be from 1 to {most:,}, not {value!r}")
    if reason := model.unavailable():
        raise RuntimeError(f"no model {model.NAME} on this machine: {reason}")
    data = os.urandom(nbytes)
    with ExitStack() as stack:
        opened = [stack.enter_context(tempfile.TemporaryFile(buffering=0)) for _ in range(files)]
        for file in opened:
            file.write(data)
        found = [_once(model, opened, data) for _ in range(runs)]
    row = min(found, key=lambda each: each["cpu_ns"])
    return row | {"model": model.NAME, "files": files, "nbytes": nbytes, "recorded": None, "because": None}


def _once(model, opened: list, data: bytes) -> dict:
    buffers, recorder, error = [bytearray(len(data)) for _ in opened], Recorder(), None
    for file in opened:
        file.seek(0)
    reads = [(file.fileno(), buffer) for file, buffer in zip(opened, buffers, strict=True)]
    before = time.process_time_ns()
    try:
        model.read_many(reads, recorder)
    except OSError as refused:
        error = refused.strerror
    cpu_ns = time.process_time_ns() - before
    own = Counter(call.name for call in recorder.calls() if call.name != COMPLETION)
    others = Counter(call.name for helper in recorder.helpers for call in helper.calls())
    same = all(buffer == data for buffer in buffers)
    return {"cpu_ns": cpu_ns, "calls": dict(own), "helper_calls": dict(others), "same_bytes": same, "error": error}


def read_small_files(models: Iterable = MODELS) -> list[dict]:
    """One row a model; where this machine refuses it that of the recording, with `recorded` and `because`."""
    rows = []
    for model in models:
        try:
            rows.append(measured(model))
        except RuntimeError as missing:
            whole = value_of(NAME)
            row = next(each for each in whole["value"] if each["model"] == model.NAME)
            rows.append(row | {"recorded": whole["recorded"], "because": str(missing)})
    return rows


def record_small_files() -> list[dict]:
    """What a recording keeps: the rows of a machine that has all models."""
    return [measured(model) for model in MODELS]
