"""Live where this machine can, recorded where it refuses: the same Timeline, and it says which.

    obtain(model, "one-read")    live: run(model, SCENARIOS["one-read"])
                                 refused: the recording of that run on another machine, labelled, with the refusal
    recorded(model)              the recording in any case: made with the kernel's trace points, which few readers have

A recording is never mixed with measurements of this machine into one number; figures that show one say RECORDING.
"""

import json
import platform
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date

from iolab.models import (
    MODELS,
    asynchronous_io_uring,
    asynchronous_iocp,
    asynchronous_linux_aio,
    asynchronous_posix_aio,
)
from iolab.recorded import path_of, text_of, value_of
from iolab.recording import under_wine
from iolab.recording.evidence import trace_points
from iolab.recording.experiment import run, typical
from iolab.recording.recordable_values import VALUES
from iolab.recording.scenario import many_reads, one_read
from iolab.recording.timeline import APPLICATION, Timeline

SCENARIOS = {
    "one-read": one_read(150),
    "three-senders": many_reads((300, 200, 100)),
    "work": one_read(150, 1 << 16),
}
NUMBERS = re.compile(r"\[[-\d.,\s]+\]")
SLICE = 500  # numbers that one slice of other work adds up
REFUSABLE = (asynchronous_posix_aio, asynchronous_linux_aio, asynchronous_io_uring)  # by some machines
MANNERS = ({}, {"manner": "defer-taskrun"}, {"manner": "async"}, {"manner": "sqpoll"})
RECORDABLE = tuple(model.NAME for model in (*MODELS, asynchronous_iocp))
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
        return _recording(name, refusal)
    return run(model, SCENARIOS[scenario], work=work if scenario == "work" else None, **options)


def recorded(model, **options) -> Timeline:
    """The recorded run of `model` on SCENARIOS["one-read"], by trace points; FileNotFoundError for unknown options."""
    return _recording(name_of(model, "one-read", options), trace_points.unavailable() or "it was asked for")


def seen_inside(timeline: Timeline) -> bool:
    """Whether trace points saw the application's copy inside its call."""
    copies = [span for span in timeline.lane(APPLICATION) if span.state == "copy"]
    return any("trace point" in span.evidence for span in copies)


def _recording(name: str, refusal: str) -> Timeline:
    timeline = Timeline.from_json(text_of(name))
    timeline.facts["refusal"] = refusal
    return timeline


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
    """Run and save all that notebooks may need, of all models or of those named; yields the names of the recordings.

    RuntimeError where there are no trace points: a recording is made by the best evidence, or not at all.
    """
    if asynchronous_iocp.NAME in models:  # by name only: it needs Windows, or a Wine
        under_wine.record()
        yield under_wine.NAME
    for model in MODELS:
        for scenario, options in _choices(model) if not models or model.NAME in models else ():
            if scenario == "work":
                timeline = run(model, SCENARIOS[scenario], trace_points.NAME, work=work, **options)
            else:
                timeline = typical(model, SCENARIOS[scenario], trace_points.NAME, RUNS, **options)
            timeline.facts["recorded"] = label()
            name = name_of(model, scenario, options)
            path_of(name).write_text(timeline.to_json() + "\n", encoding="utf-8")
            yield name
    for name, make in VALUES.items():
        if not models or name.split(".")[0] in models:
            record_value(name, make())
            yield name


def _choices(model) -> Iterator[tuple[str, dict]]:
    """Which scenarios of a model are recorded, with which options."""
    for scenario in SCENARIOS if model in REFUSABLE else ("one-read",):
        for options in MANNERS if model is asynchronous_io_uring and scenario != "work" else ({},):
            yield scenario, options


def record_value(name: str, value: object) -> None:
    """Save what `obtain_value` finds under `name`."""
    text = json.dumps({"recorded": label(), "value": value}, indent=1)
    text = NUMBERS.sub(lambda found: re.sub(r"\s+", " ", found[0]), text)  # a list of numbers is one line
    path_of(name).write_text(text + "\n", encoding="utf-8")
