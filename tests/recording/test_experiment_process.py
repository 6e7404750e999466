"""A run in a process of its own: the same run, and nothing of it is left when it ends, is ended, or loses its parent."""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from iolab.kernel import trace_instances
from iolab.models import MODELS, blocking, multiplexing_epoll
from iolab.recording.experiment_process import ExperimentProcess, scenario_of
from iolab.recording.invariants import violations
from tests.left_behind import children, nothing_left_behind

LIMIT_S = 60
LONG_MS = 60_000
available = [model for model in MODELS if model.unavailable() is None]
every_model = pytest.mark.parametrize("model", available, ids=lambda model: model.NAME)


def instances_of(process_id: int) -> list[str]:
    """The instances of tracefs that a process has made; none where nobody may look."""
    with suppress(OSError):
        names = os.listdir(f"{trace_instances.root()}/instances")
        return [name for name in names if name.startswith(f"iolab-{process_id}-")]
    return []


def until(condition, what: str):
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        select.select([], [], [], 0.02)
    return found


def child_of(process: ExperimentProcess) -> int:
    (child,) = [each for each in children() if str(each) in os.listdir("/proc") and _has(each, process.fileno())]
    return child


def _has(process_id: int, fd: int) -> bool:
    """Whether a process has the pipe of our descriptor as its stdout."""
    try:
        return os.readlink(f"/proc/{process_id}/fd/1") == os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return False


@every_model
def test_the_run_is_that_of_the_model_and_takes_as_long_as_it_waits(model):
    with nothing_left_behind(), ExperimentProcess(model, 30, 5000) as process:
        timeline, run_ns = process.result()
    assert timeline.model == model.NAME
    assert timeline.facts["nbytes"] == 5000
    assert violations(timeline) == []
    assert run_ns >= 30e6


def test_several_senders_end_with_the_first():
    waits = [each.delay_ms for each in scenario_of(90, 10, 3).deliveries]
    assert waits == [90, 60, 30]
    with ExperimentProcess(multiplexing_epoll, 90, 10, 3) as process:
        assert len(process.result()[0].facts["deliveries"]) == 3


@every_model
def test_a_cancelled_run_leaves_no_process_and_no_instance_of_tracefs(model):
    with nothing_left_behind():
        process = ExperimentProcess(model, LONG_MS, 1)
        child = child_of(process)
        senders = until(lambda: children(child), "no sender was started")
        begin = time.monotonic()
        process.cancel()
        assert time.monotonic() - begin < LIMIT_S
        until(lambda: not any(Path(f"/proc/{each}").exists() for each in senders), "a sender is still there")
    assert instances_of(child) == []


def test_a_run_can_be_cancelled_twice_and_after_its_end():
    process = ExperimentProcess(blocking, 0, 1)
    process.result()
    process.cancel()
    process.cancel()


def test_a_run_whose_parent_is_killed_ends_and_so_do_its_senders():
    program = """
from iolab.models import blocking
from iolab.recording.experiment_process import ExperimentProcess
process = ExperimentProcess(blocking, 60_000, 1)
print(process._child.pid, flush=True)
process.result()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        senders = until(lambda: children(child), "no sender was started")
        parent.send_signal(signal.SIGKILL)
    until(lambda: not any(_alive(each) for each in {child, *senders}), "a process is still there")
    assert instances_of(child) == []


def _alive(process_id: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((-1, 1, 1), "delay_ms"), ((0, 0, 1), "nbytes"), ((0, 1, 0), "senders"), ((0, 1, 99), "senders")],
)
def test_a_wrong_setting_is_named_before_anything_is_started(arguments, words):
    with nothing_left_behind(), pytest.raises(ValueError, match=words):
        ExperimentProcess(blocking, *arguments)
