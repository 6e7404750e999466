"""The check of a choice: the model that a learner chooses for a case is run on that case, and the run judges it.

    case ──> learner's choose(case) ──> a model ──> run ──> calls, lanes, order ──> fits, or why not

No list of right answers is kept: whichever model meets the need, on this machine, is right.
"""

from collections.abc import Callable
from typing import NamedTuple

from iolab.drawing.order_figure import longest_stay_ns
from iolab.drawing.table import questions
from iolab.drawing.words import duration
from iolab.exercises.attempting import attempt, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.models import MODELS
from iolab.recording.experiment import run
from iolab.recording.file_experiment import read_file
from iolab.recording.scenario import Delivery, Scenario, many_reads
from iolab.recording.timeline import APPLICATION, Timeline

FEW = 10  # questions, more than one look at each of three sockets, and far less than asking again and again


class Case(NamedTuple):
    """What is to be read, and what the program needs."""

    name: str
    file: bool = False  # a regular file, in memory, and nothing else to do: the fewest calls
    senders: int = 1  # more than one: each answer as it comes, asleep in between, without any other thread
    works: bool = False  # other work meanwhile, and no question to the kernel during it
    copied_for_me: bool = False  # the copy is to cost this thread nothing


CASES = (
    Case("one file, in memory", file=True),
    Case("three sockets", senders=3),
    Case("one socket, and other work", works=True),
    Case("one socket, and the copy elsewhere", copied_for_me=True),
)


def check_choose(choose: Callable) -> None:
    """Does choose(case) name a model, a module of iolab.models, that meets each of CASES on this machine?"""
    chosen = []
    for case in CASES:
        model, error = attempt(choose, case)
        if error:
            return raised(error)
        chosen.append(model)
    if chosen == [None] * len(CASES):
        return unanswered("Your function returned None for each case.")
    for case, model in zip(CASES, chosen, strict=True):
        if model not in MODELS:
            return wrong(f"{case.name}: you chose {model!r}, which is none of MODELS.")
        if reason := model.unavailable():
            return wrong(
                f"{case.name}: {model.NAME} is not to be had here ({reason}). A program needs a second choice."
            )
        if why_not := _file(model) if case.file else _stream(case, model):
            return wrong(f"{case.name}: you chose {model.NAME}. {why_not}")
    return right("; ".join(f"{case.name}: {model.NAME}" for case, model in zip(CASES, chosen, strict=True)) + ".")


def _file(model) -> str | None:
    seen = read_file(model)
    if seen.error:
        return f"{seen.error}. A regular file has no readiness."
    if seen.helpers:
        return (
            "A helper thread was woken for bytes that lay in memory: the way to it and back costs more than the copy."
        )
    names = [call.name for call in seen.calls]
    if len(names) > 1:
        return f"{len(names)} calls, {', '.join(names)}, where one would do: there was nothing to wait for."
    return None


def _stream(case: Case, model) -> str | None:
    if case.senders > 1:
        return _as_they_come(run(model, many_reads((90, 60, 30), 1000)))
    scenario = Scenario((Delivery(60, 1000),))
    if case.works:
        return _works(run(model, scenario, work=lambda: sum(range(500))))
    timeline = run(model, scenario)
    own = [span.call for span in timeline.lane(APPLICATION) if span.nbytes]
    if own:
        return f"The bytes came in your own thread, inside {own[0] or 'its own code, interrupted'}."
    return None


def _as_they_come(timeline: Timeline) -> str | None:
    deliveries = timeline.facts["deliveries"]
    if min(each["done_ns"] for each in deliveries) >= max(each["ready"]["ns"] for each in deliveries):
        return f"An answer lay unread for {duration(longest_stay_ns(timeline))} behind one that had not come yet."
    if (asked := questions(timeline)) > FEW:
        return f"Nobody stood in the way, but it asked {asked:,} times in vain, and never slept."
    if not any(span.nbytes for span in timeline.lane(APPLICATION)):
        return "Other threads sleep for it, one for each silent socket: with a thousand sockets, a thousand."
    return None


def _works(timeline: Timeline) -> str | None:
    if not timeline.facts["work_slices"]:
        return "Not one slice of work: the thread slept in the call."
    if (asked := questions(timeline)) > FEW:
        return f"It asked {asked:,} times between the slices of work, and heard “not yet”."
    return None
