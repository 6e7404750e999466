"""Ten small files: calls and CPU time of each model, live or from the recording."""

import pytest

from iolab.models import MODELS, asynchronous_threads, blocking, multiplexing_epoll
from iolab.recording.small_files import measured, read_small_files
from tests.left_behind import nothing_left_behind


def test_each_model_reads_the_same_bytes_or_is_refused_by_the_kernel():
    with nothing_left_behind():
        rows = read_small_files()
    assert [row["model"] for row in rows] == [model.NAME for model in MODELS]
    assert {row["model"]: row["error"] for row in rows if row["error"]} == {"epoll": "Operation not permitted"}
    assert all(row["same_bytes"] == (not row["error"]) for row in rows)


def test_the_calls_of_helper_threads_are_counted_apart():
    row = measured(asynchronous_threads, files=3, runs=1)
    assert row["helper_calls"]["read"] == 3
    assert "read" not in row["calls"]
    assert measured(blocking, files=3, runs=1)["calls"] == {"read": 3}


def test_what_this_machine_refuses_comes_from_the_recording_and_says_why(monkeypatch):
    monkeypatch.setattr(multiplexing_epoll, "unavailable", lambda: "epoll_create1: Function not implemented")
    (row,) = read_small_files([multiplexing_epoll])
    assert row["recorded"]
    assert row["because"].endswith("epoll_create1: Function not implemented")


@pytest.mark.parametrize(("name", "value"), [("files", 0), ("files", True), ("nbytes", 0), ("runs", 1.5)])
def test_a_wrong_argument_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be from 1"):
        measured(blocking, **{name: value})
