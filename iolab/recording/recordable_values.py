"""What notebooks show besides Timelines: plain data, by the name under which a recording is kept.

    obtain_value("io-uring.order", unavailable(), VALUES["io-uring.order"])      run now, or recorded elsewhere

`iolab record` makes the recordings anew.
"""

import json
from collections.abc import Callable
from dataclasses import asdict

from iolab.recorded import value_of
from iolab.recording import file_comparison, proactor_turns, reactor_turns, ring_steps, ring_streams, small_files
from iolab.recording.batches import batches
from iolab.recording.calibration import calibrate
from iolab.recording.calibration_data import Calibration
from iolab.recording.ways_to_read import WAYS
from iolab.recording.who_copies import who_copies

NBYTES = 8 << 20
COPIERS, CALIBRATION = "who-copies", "calibration"
STEPS = (
    ring_steps.one_read, ring_steps.deferred_read, ring_steps.order, ring_steps.links, ring_steps.cancels,
    ring_streams.accepts, ring_streams.receives, ring_streams.overflow, ring_streams.closed, ring_streams.borrowed,
    ring_streams.strangers, batches,
)  # fmt: skip


def all_copiers() -> list[dict]:
    """who_copies, of every way to read."""
    return [asdict(row) for row in who_copies(NBYTES)]


def copiers() -> list[dict]:
    """who_copies, of recv and of every way to use io_uring."""
    rows = who_copies(NBYTES, ways=[way for way in WAYS if way.name.startswith(("recv", "io_uring"))])
    return [asdict(row) for row in rows]


def calibrated() -> dict:
    """A whole calibration, which takes some minutes."""
    return json.loads(calibrate().to_json())


def recorded_calibration() -> tuple[Calibration, str]:
    """That of the machine on which the recordings were made, and its label."""
    whole = value_of(CALIBRATION)
    return Calibration.from_json(json.dumps(whole["value"])), whole["recorded"]


def name_of_step(function: Callable) -> str:
    """What the recording of an experiment is called: "io-uring.closed-in-flight"."""
    return f"io-uring.step.{function.__name__.replace('_', '-')}"


VALUES: dict[str, Callable[[], object]] = {name_of_step(step): step for step in (*STEPS, copiers)} | {
    file_comparison.NAME: file_comparison.record_files,
    small_files.NAME: small_files.record_small_files,
    reactor_turns.NAME: reactor_turns.turns,
    proactor_turns.NAME: proactor_turns.turns,
    COPIERS: all_copiers,
    CALIBRATION: calibrated,
}
