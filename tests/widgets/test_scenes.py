"""The player and the stepper without a browser: what they hand over, what a page without a kernel gets, what they refuse."""

import base64
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed")

from iolab.drawing.bookstore_score import score
from iolab.models import MODELS, blocking, multiplexing_epoll
from iolab.recording.recordings import SCENARIOS, obtain, recorded
from iolab.widgets import bookstore_player, loop_stepper
from iolab.widgets.bookstore_player import BookstorePlayer
from iolab.widgets.loop_stepper import LOOPS, LoopStepper

MODULES = (bookstore_player, loop_stepper)


@pytest.fixture
def closing():
    """Panels to be closed when the test is over."""
    panels = []
    yield lambda panel: panels.append(panel) or panel
    for panel in panels:
        panel.close()


def listed(value):
    """With lists for tuples, as JSON has them."""
    if isinstance(value, dict):
        return {key: listed(each) for key, each in value.items()}
    return [listed(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.NAME)
def test_a_player_hands_over_every_scene_of_a_recorded_run(model, closing):
    try:
        timeline = recorded(model)
    except FileNotFoundError:
        pytest.skip(f"no recording of {model.NAME}")
    (run,) = closing(BookstorePlayer(timeline)).played["runs"]
    assert [scene["caption"] for scene in run["scenes"]] == [scene.caption for scene in score(timeline)]
    assert run["name"] == f"{model.NAME} (recorded)"
    assert "RECORDING" in run["signed"]
    assert len(run["bars"]) == len(timeline.spans)
    assert json.loads(json.dumps(run, allow_nan=False)) == listed(run)  # a page gets all of it: no NaN, no key but text
    for view in run["views"]:
        assert 3 <= len(view["ticks"]) <= 9
        assert all(view["from_ns"] <= ns <= view["to_ns"] for ns, _ in view["ticks"])


def test_a_player_of_a_run_made_now_is_not_called_recorded(closing):
    (run,) = closing(BookstorePlayer(obtain(blocking, "one-read"))).played["runs"]
    assert run["name"] == "blocking"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_player_takes_every_scenario(scenario, closing):
    player = closing(BookstorePlayer(obtain(multiplexing_epoll, scenario), recorded(blocking)))
    assert [run["name"] for run in player.played["runs"]] == ["epoll", "blocking (recorded)"]
    assert repr(player).startswith("epoll: the thread ")


@pytest.mark.parametrize("kind", LOOPS)
def test_a_stepper_hands_over_the_run_and_where_it_is_from(kind, closing):
    stepper = closing(LoopStepper(kind))
    assert (stepper.run["kind"], stepper.run["steps"][0]["who"] in ("client", "loop")) == (kind, True)
    assert stepper.origin.startswith(f"{kind} on ")


def test_a_stepper_of_something_else_is_refused_before_anything_is_opened():
    with pytest.raises(ValueError, match="kind must be one of reactor, proactor, not 'epoll'"):
        LoopStepper("epoll")


def test_a_page_without_a_kernel_gets_a_picture_and_its_sentence(closing):
    for panel in (BookstorePlayer(recorded(blocking)), LoopStepper("reactor")):
        data, _ = closing(panel)._repr_mimebundle_()
        assert data["text/plain"] == panel.picture().alternative_text
        picture = base64.b64decode(data["image/png"])
        assert picture[1:4] == b"PNG"
        assert len(picture) < 60_000


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_javascript_is_one_file_that_asks_nobody_for_anything(module):
    text = Path(module.__file__).with_suffix(".js").read_text(encoding="utf-8")
    assert not re.search(
        r"\bimport\b|\bfetch\(|XMLHttpRequest|WebSocket|eval\(|innerHTML|https?:(?!//www\.w3\.org/2000/svg)", text
    )
    assert "prefers-reduced-motion" in text or "requestAnimationFrame" not in text
