"""Live where this machine can, recorded where it refuses: the same Timeline, and it says which.

    obtain(model, "one-read")    live: run(model, SCENARIOS["one-read"])
                                 refused: the recording of that run on another machine, labelled, with the refusal

A recording is never mixed with measurements of this machine into one number; figures that show one say RECORDING.
"""

import json
import platform
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import product

from iolab.models import asynchronous_io_uring, asynchronous_linux_aio, asynchronous_posix_aio
from iolab.recorded import path_of, text_of, value_of
from iolab.recording.experiment import run, typical
from iolab.recording.recordable_values import VALUES
from iolab.recording.scenario import many_reads, one_read
from iolab.recording.timeline import Timeline

SCENARIOS = {
    "one-read": one_read(150),
    "three-senders": many_reads((300, 200, 100)),
    "work": one_read(150, 1 << 16),
}
SLICE = 500  # numbers that one slice of other work adds up
RECORDED = (  # the models that some machine may refuse, each with the options that notebooks use
    (asynchronous_posix_aio, ({},)),
    (asynchronous_linux_aio, ({},)),
    (asynchronous_io_uring, ({}, {"manner": "defer-taskrun"}, {"manner": "async"}, {"manner": "sqpoll"})),
)
RECORDABLE = tuple(model.NAME for model, _ in RECORDED)
RUNS = 3  # of which the one in the middle is kept, where no work is done


def work() -> int:
    """One slice of other work: about ten microseconds."""
    return sum(range(SLICE))


def name_of(model, scenario: str, options: dict) -> str:
    """What the recording of a run is called: "io-uring.one-read", "io-uring.one-read.manner-sqpoll"."""
    if scenario not in SCENARIOS:
        raise ValueError(f"scenario must be one of {', '.join(SCENARIOS)}, not {scenario!r}")
    return ".".join([model.NAME, scenario, *(f"{key}-{value}" for key, value in sorted(options.items()))])


def obtain(model, scenario: str = "one-read", **options) -> Timeline:
    """A run of `model` on one of SCENARIOS: made now, or, where `model.unavailable()` says why not, the recorded one.

    ValueError for a scenario that is none; FileNotFoundError where a run with these options was not recorded.
    """
    name, refusal = name_of(model, scenario, options), model.unavailable()
    if refusal:
        timeline = Timeline.from_json(text_of(name))
        timeline.facts["refusal"] = refusal
        return timeline
    return run(model, SCENARIOS[scenario], work=work if scenario == "work" else None, **options)


def origin(timeline: Timeline) -> str:
    """Where a Timeline is from, as the first line of an output."""
    if not timeline.facts.get("recorded"):
        return f"{timeline.model}: measured now, on this machine"
    return (
        f"{timeline.model}: a RECORDING of {timeline.facts['recorded']}, because here: {timeline.facts.get('refusal')}"
    )


def obtain_value(name: str, refusal: str | None, make: Callable[[], object]) -> tuple[object, str]:
    """The same for what is no Timeline but plain data for JSON: the value, and where it is from."""
    if not refusal:
        return json.loads(json.dumps(make())), "measured now, on this machine"
    whole = value_of(name)
    return whole["value"], f"a RECORDING of {whole['recorded']}, because here: {refusal}"


def label() -> str:
    """Machine, kernel and date of a recording that is made now."""
    return f"{date.today().isoformat()}, {platform.system()} {platform.release()}, {platform.machine()}"


def record(models: Iterable[str] = ()) -> Iterator[str]:
    """Run and save all that notebooks may need, of all models or of those named; yields the names of the recordings."""
    for model, choices in RECORDED:
        for scenario, options in product(SCENARIOS, choices if not models or model.NAME in models else ()):
            if scenario == "work" and options:
                continue
            if scenario == "work":
                timeline = run(model, SCENARIOS[scenario], work=work, **options)
            else:
                timeline = typical(model, SCENARIOS[scenario], runs=RUNS, **options)
            timeline.facts["recorded"] = label()
            name = name_of(model, scenario, options)
            path_of(name).write_text(timeline.to_json() + "\n", encoding="utf-8")
            yield name
    for name, make in VALUES.items():
        if not models or name.split(".")[0] in models:
            record_value(name, make())
            yield name


def record_value(name: str, value: object) -> None:
    """Save what `obtain_value` finds under `name`."""
    path_of(name).write_text(json.dumps({"recorded": label(), "value": value}, indent=1) + "\n", encoding="utf-8")
