"""Recordings: each is a run that can be true, says where it is from, and is used only where the machine refuses."""

import json
import re
from pathlib import Path

import pytest

import iolab.recorded
from iolab.drawing.words import signature
from iolab.models import MODELS, asynchronous_io_uring, asynchronous_linux_aio, blocking
from iolab.recorded import text_of, value_of
from iolab.recording import recordings
from iolab.recording.evidence import trace_points
from iolab.recording.invariants import violations
from iolab.recording.recordings import REFUSABLE, SCENARIOS, name_of, obtain, obtain_value, origin, recorded
from iolab.recording.scenario import one_read
from iolab.recording.timeline import Timeline
from tests.tracing import needs_tracefs

FILES = sorted(Path(iolab.recorded.__file__).parent.glob("*.json"))
TIMELINES = [path for path in FILES if "version" in json.loads(path.read_text())]
WINE = r"Wine [\d.]+ on Linux, Windows CPython [\d.]+; not Windows"
LABEL = re.compile(rf"\d{{4}}-\d\d-\d\d, (Linux \S+, (x86_64|aarch64)|{WINE})")
REFUSAL = "io_uring_setup: Operation not permitted"


@pytest.mark.parametrize("path", TIMELINES, ids=lambda path: path.stem)
def test_a_recording_can_be_true_and_says_where_it_is_from(path):
    timeline = Timeline.from_json(path.read_text())
    assert violations(timeline) == []
    assert timeline.facts["ended"] == "all bytes"
    assert timeline.facts["copiers_known"]
    assert LABEL.fullmatch(timeline.facts["recorded"])
    assert timeline.facts["kernel"] in timeline.facts["recorded"]
    assert signature(timeline)[0].startswith(f"RECORDING of {timeline.facts['recorded']}")


@pytest.mark.parametrize("path", sorted(set(FILES) - set(TIMELINES)), ids=lambda path: path.stem)
def test_a_recorded_value_says_where_it_is_from(path):
    whole = json.loads(path.read_text())
    assert whole.keys() == {"recorded", "value"}
    assert LABEL.fullmatch(whole["recorded"])
    assert value_of(path.stem) == whole


def test_recordings_are_small_and_name_no_machine():
    for path in FILES:
        assert path.stat().st_size < 150_000, path.name
        assert not re.search(r"/(home|root|tmp|usr|work)/\w", path.read_text()), path.name


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.NAME)
def test_every_model_is_recorded_by_trace_points_and_whatever_may_be_refused_in_every_scenario(model):
    scenarios = list(SCENARIOS) if model in REFUSABLE else ["one-read"]
    manners = ("default", "defer-taskrun", "async", "sqpoll") if model is asynchronous_io_uring else ("default",)
    for scenario in scenarios:
        for manner in manners if scenario != "work" else ("default",):
            options = {} if manner == "default" else {"manner": manner}
            timeline = Timeline.from_json(text_of(name_of(model, scenario, options)))
            assert timeline.model == model.NAME
            assert timeline.facts["evidence"].endswith("tracepoints")
            assert timeline.facts["options"] == options
            copies = [span for span in timeline.spans if span.state == "copy"]
            assert scenario == "work" or sum(span.nbytes or 0 for span in copies) == timeline.facts["nbytes"]


def test_a_privileged_run_can_be_had_on_any_machine_and_says_why_it_is_none_of_this_one(monkeypatch):
    monkeypatch.setattr(trace_points, "unavailable", lambda: "/sys/kernel/tracing: Permission denied")
    timeline = recorded(blocking)
    assert "trace point" in next(span.evidence for span in timeline.spans if span.state == "copy")
    assert origin(timeline).startswith(f"blocking: a RECORDING of {timeline.facts['recorded']}")
    assert "Permission denied" in origin(timeline)


def test_a_live_run_is_no_recording(monkeypatch):
    monkeypatch.setitem(SCENARIOS, "one-read", one_read(5, 100))
    timeline = obtain(blocking, "one-read")
    assert "recorded" not in timeline.facts
    assert origin(timeline) == "blocking: measured now, on this machine"


@pytest.mark.parametrize("options", [{}, {"manner": "sqpoll"}])
def test_where_the_machine_refuses_the_recording_is_shown_and_says_so(monkeypatch, options):
    monkeypatch.setattr(asynchronous_io_uring, "unavailable", lambda: REFUSAL)
    timeline = obtain(asynchronous_io_uring, "one-read", **options)
    assert timeline.facts["recorded"] in origin(timeline)
    assert REFUSAL in origin(timeline)
    assert "RECORDING" in origin(timeline)


def test_a_run_that_was_not_recorded_is_named(monkeypatch):
    monkeypatch.setattr(asynchronous_linux_aio, "unavailable", lambda: "io_setup: Function not implemented")
    with pytest.raises(FileNotFoundError, match=r"linux-aio.one-read.depth-3"):
        obtain(asynchronous_linux_aio, "one-read", depth=3)
    with pytest.raises(ValueError, match="scenario must be one of"):
        obtain(asynchronous_linux_aio, "no-such-scenario")


def test_values_are_made_here_or_come_from_the_recording(monkeypatch, tmp_path):
    monkeypatch.setattr(iolab.recorded, "path_of", lambda name: tmp_path / f"{name}.json")
    monkeypatch.setattr(recordings, "path_of", lambda name: tmp_path / f"{name}.json")
    text_of.cache_clear()
    recordings.record_value("steps", {"a": (1, 2)})
    value, where = obtain_value("steps", None, lambda: {"b": (3,)})
    assert (value, where) == ({"b": [3]}, "measured now, on this machine")
    value, where = obtain_value("steps", REFUSAL, lambda: pytest.fail("made although it was refused"))
    assert value == {"a": [1, 2]}
    assert where.startswith("a RECORDING of ")
    assert REFUSAL in where
    text_of.cache_clear()


@pytest.mark.skipif(bool(asynchronous_linux_aio.unavailable()), reason=str(asynchronous_linux_aio.unavailable()))
def test_recording_saves_labelled_timelines(monkeypatch, tmp_path):
    needs_tracefs()
    monkeypatch.setattr(recordings, "path_of", lambda name: tmp_path / f"{name}.json")
    for scenario in SCENARIOS:
        monkeypatch.setitem(SCENARIOS, scenario, one_read(2, 100))
    names = list(recordings.record(["linux-aio"]))
    assert {f"linux-aio.{scenario}" for scenario in SCENARIOS} <= set(names)
    assert {path.stem for path in tmp_path.iterdir()} == set(names)
    assert LABEL.fullmatch(Timeline.from_json((tmp_path / "linux-aio.one-read.json").read_text()).facts["recorded"])
