"""io_uring step by step: what each experiment of the notebook shows is so, and what is recorded is what this kernel does."""

import json
import threading

import pytest

from iolab.kernel.io_uring import unavailable
from iolab.models import asynchronous_io_uring, blocking
from iolab.recorded import value_of
from iolab.recording import ring_steps, ring_streams
from iolab.recording.batches import NBYTES, batches, calls_of
from iolab.recording.recordable_values import STEPS, VALUES, name_of_step
from iolab.recording.recordings import obtain_value
from tests.streams import open_descriptors

needs_io_uring = pytest.mark.skipif(bool(unavailable()), reason=str(unavailable()))


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    before, threads = open_descriptors(), threading.active_count()
    yield
    assert (open_descriptors(), threading.active_count()) == (before, threads)


def plain(value):
    return json.loads(json.dumps(value))


@needs_io_uring
@pytest.mark.parametrize("step", [step for step in STEPS if step is not ring_streams.accepts], ids=name_of_step)
def test_what_is_recorded_is_what_this_kernel_does(step):
    assert value_of(name_of_step(step))["value"] == plain(step())


def test_every_value_is_recorded_with_machine_and_date():
    for name in VALUES:
        assert value_of(name)["recorded"].count(",") == 2


def test_where_io_uring_is_refused_the_recording_is_used_and_says_so():
    value, where = obtain_value("io-uring.step.order", "io_uring_setup: Operation not permitted", ring_steps.order)
    assert [row["submitted"] for row in value] == [3, 1, 2]
    assert where.startswith("a RECORDING of ")
    assert where.endswith("because here: io_uring_setup: Operation not permitted")


@needs_io_uring
def test_the_bytes_are_there_before_any_call_asks_for_them_unless_they_are_deferred():
    default, deferred = (
        {row["after"]: row for row in step()} for step in (ring_steps.one_read, ring_steps.deferred_read)
    )
    assert default["the peer sends"]["buffer"] == "a book"
    assert deferred["the peer sends"] == {**default["submit"], "after": "the peer sends"}
    assert deferred["enter(1)"] == default["enter(1)"]


@needs_io_uring
def test_a_full_completion_queue_ends_the_multishot_accept_and_no_client_is_lost():
    result = ring_streams.accepts(clients=10, cq_entries=4)
    assert result["accepted"] == 10
    assert result["ended"] >= 1
    assert result["armed"] == result["ended"] + 1


@needs_io_uring
def test_a_large_completion_queue_ends_nothing():
    assert ring_streams.accepts(clients=10, cq_entries=64)["ended"] == 0


@needs_io_uring
def test_no_byte_is_lost_when_the_buffers_are_used_up():
    rows = ring_streams.receives()
    assert "".join(row["data"] for row in rows) == "".join(f"msg{number}" for number in range(1, 7))
    assert [row["res"] for row in rows if not row["more"]] == ["-ENOBUFS", "0"]


@needs_io_uring
def test_nothing_is_counted_twice_in_a_batch():
    assert calls_of(blocking, 5) == {"read": 5}
    assert calls_of(asynchronous_io_uring, 5)["io_uring_enter"] == 1
    assert NBYTES > 0
    assert {row["reads"] for row in batches((3,))} == {3}


@needs_io_uring
def test_what_does_not_come_is_an_error(monkeypatch):
    monkeypatch.setattr(ring_steps, "LIMIT_S", 0.01)
    with pytest.raises(RuntimeError, match="0 of 1 completions"), ring_steps.closing(ring_steps.Ring(2)) as ring:
        ring_steps.collect(ring, 1)
