"""The reference table against what real runs called."""

import pytest

from iolab.models import MODELS
from iolab.models.functions import FUNCTIONS, HELPER
from iolab.recording.recordings import obtain


def test_every_model_has_a_row_and_no_row_is_without_one():
    assert list(FUNCTIONS) == [model.NAME for model in MODELS]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.NAME)
def test_what_a_run_called_stands_in_the_row_and_in_its_part(model):
    row, timeline, worked = FUNCTIONS[model.NAME], obtain(model), obtain(model, "work")
    assert timeline.facts["calls"].keys() | worked.facts["calls"].keys() <= row.all
    spans = timeline.lane("application")
    longest = max((span for span in spans if span.state == "blocked"), key=lambda span: span.duration_ns, default=None)
    assert longest is None or longest.call in row.wait
    own = {span.call for span in spans if span.nbytes}
    assert own <= set(row.fetch)
    assert (row.by == HELPER) == (not own)
    others = {span.call for span in timeline.spans if span.lane.startswith("helper") and span.nbytes}
    assert others <= set(row.fetch)
