"""The figure of a loop's run: what it shows is in the run, and nothing overlaps."""

import pytest
from matplotlib.text import Text

from iolab.drawing.turns_figure import draw_turns, told
from iolab.recorded import value_of
from iolab.recording import proactor_turns, reactor_turns
from tests.drawing.overlaps import overlapping

MODULES = (reactor_turns, proactor_turns)


def runs(module) -> list[dict]:
    found = [value_of(module.NAME)["value"]]
    return found if module.unavailable() else [*found, module.turns()]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.NAME)
def test_labels_do_not_overlap_and_the_picture_is_small(module):
    for run in runs(module):
        picture = draw_turns(run, "measured now, on this machine")
        assert overlapping(picture) == []
        assert len(picture._repr_png_()) < 60_000
        shown = [text.get_text() for text in picture.findobj(Text)]
        assert f"turn {run['steps'][-1]['turn']}" in shown
        assert "measured now, on this machine" in shown
        assert [text for text in shown if text in ("c", "l", "h")] == [step["who"][0] for step in run["steps"]]


def test_unread_bytes_are_shown_for_the_reactor_alone():
    written = {
        module: [text.get_text() for text in draw_turns(runs(module)[0], "").findobj(Text)] for module in MODULES
    }
    assert "39 bytes" in written[reactor_turns]
    assert "39 bytes" not in written[proactor_turns]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.NAME)
def test_the_sentence_counts_steps_turns_and_calls(module):
    (run, *_) = runs(module)
    sentence = told(run)
    assert f"{len(run['steps'])} steps in {run['steps'][-1]['turn']} turns" in sentence
    assert "b closes" in sentence
