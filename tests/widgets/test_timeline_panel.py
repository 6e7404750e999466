"""The timeline panel without a page: it runs, refuses what is wrong, shows recordings, and is drawn for those who have no kernel."""

import asyncio
import base64
import re
import subprocess
import sys

import pytest

pytest.importorskip("anywidget", reason="the panels need anywidget: pip install 'iolab[notebooks]'")

from iolab.drawing.palette import ARROWS, LOOKS
from iolab.drawing.words import sentence
from iolab.models import MODELS, asynchronous_io_uring, blocking, multiplexing_epoll
from iolab.recording.recordings import recorded
from iolab.recording.timeline import APPLICATION
from iolab.widgets import TimelinePanel
from iolab.widgets.panel import javascript
from iolab.widgets.timeline_data import figure_of
from tests.left_behind import nothing_left_behind

MOST_IMPORT_S = 1.0


def test_a_panel_shows_a_run_of_its_own_as_picture_and_as_sentence():
    panel = TimelinePanel(multiplexing_epoll, wait_ms=20, nbytes=4096)
    data, _ = panel._repr_mimebundle_()
    assert panel.timeline.model == "epoll"
    assert panel.timeline.facts["nbytes"] == 4096
    assert data["text/plain"] == panel.sentence == sentence(panel.timeline)
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_panel_works_without_a_page():
    panel = TimelinePanel(blocking, wait_ms=0, nbytes=1)
    panel.model, panel.nbytes = "threads", 100
    timeline = panel.run()
    assert (timeline.model, timeline.facts["nbytes"]) == ("threads", 100)
    assert panel.figure["sentence"] == sentence(timeline)


def test_the_run_before_is_kept_as_a_shadow_while_runs_are_compared():
    panel = TimelinePanel(blocking, wait_ms=0, nbytes=1)
    first, panel.compare = panel.figure, True
    panel.run()
    assert panel.shadow == first
    panel.compare = False
    panel.run()
    assert panel.shadow == {}


def test_a_refused_model_is_shown_from_its_recording_with_the_reason(monkeypatch):
    monkeypatch.setattr(asynchronous_io_uring, "unavailable", lambda: "io_uring_setup: Operation not permitted")
    panel = TimelinePanel(asynchronous_io_uring)
    assert panel.figure["origin"].startswith("io-uring: a RECORDING of ")
    assert panel.figure["origin"].endswith("because here: io_uring_setup: Operation not permitted")
    assert ["io-uring", "io_uring_setup: Operation not permitted"] in panel.choices["models"]
    panel.senders = 3
    assert len(panel.run().facts["deliveries"]) == 3


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.NAME)
def test_every_model_has_a_recording_for_a_machine_that_refuses_it(model, monkeypatch):
    monkeypatch.setattr(model, "unavailable", lambda: "refused")
    assert TimelinePanel(model, senders=2).figure["origin"]


@pytest.mark.parametrize(
    ("settings", "words"), [({"wait_ms": -1}, "delay_ms"), ({"nbytes": 0}, "nbytes"), ({"senders": 0}, "senders")]
)
def test_a_wrong_setting_is_named(settings, words):
    with nothing_left_behind(), pytest.raises(ValueError, match=words):
        TimelinePanel(blocking, **settings)


@pytest.mark.parametrize(
    "error", [ValueError("a broken Timeline"), ZeroDivisionError(), RuntimeError("the run failed: 1")]
)
def test_whatever_goes_wrong_with_a_run_is_said_in_the_panel(error, monkeypatch):
    async def run_and_fail() -> TimelinePanel:
        panel = TimelinePanel(blocking, wait_ms=0, nbytes=1)
        monkeypatch.setattr(panel, "_show", lambda *_: (_ for _ in ()).throw(error))
        over = asyncio.Event()
        panel.observe(lambda _: over.set(), "failure")
        panel.start_again()
        assert panel.running
        await asyncio.wait_for(over.wait(), 60)
        return panel

    with nothing_left_behind():
        panel = asyncio.run(run_and_fail())
    assert (panel.failure, panel.running) == (str(error) or type(error).__name__, False)


def test_a_click_that_waited_while_the_panel_was_closed_starts_nothing():
    async def click_and_close() -> None:
        panel = TimelinePanel(blocking, wait_ms=0, nbytes=1)
        panel.wait_ms = 60_000  # this waits, too
        panel.in_main_loop(panel.asked, {"do": "run"})
        panel.close()
        await asyncio.sleep(0.1)  # what waits in the loop comes before the end of a timer
        assert (panel.running, panel._process) == (False, None)

    with nothing_left_behind():
        asyncio.run(click_and_close())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.NAME)
def test_a_page_gets_every_bar_with_its_stamps_and_evidence(model):
    timeline = recorded(model)
    figure, begin = figure_of(timeline), timeline.facts["begin_ns"]
    assert len(figure["spans"]) == len(timeline.spans)
    for bar, span in zip(
        figure["spans"], (each for lane in timeline.lanes for each in timeline.lane(lane)), strict=True
    ):
        assert bar["start"] == [
            span.start.ns - begin, span.start.earliest_ns - begin, span.start.latest_ns - begin, span.start.source,
        ]  # fmt: skip
        assert (bar["lane"], bar["state"], bar["evidence"]) == (span.lane, span.state, span.evidence)
        assert bar["state"] in LOOKS
    assert {kind for kind, *_ in figure["links"]} <= ARROWS.keys()
    assert figure["lanes"][-1][0] == APPLICATION


def test_colours_and_hatches_are_the_palettes():
    panel = TimelinePanel(blocking, wait_ms=0, nbytes=1)
    assert panel.choices["looks"] == {state: list(look) for state, look in LOOKS.items()}
    script = panel._esm
    assert not {look.colour for look in LOOKS.values()} & set(re.findall("#[0-9A-Fa-f]{6}", script)) - {"#0072B2"}
    assert {look.hatch[0] for look in LOOKS.values() if look.hatch} <= set(r"/\x|-+.")


def test_the_script_imports_nothing_and_asks_nobody():
    from iolab.widgets import timeline_panel

    script = javascript(timeline_panel.__file__)
    assert not re.search(
        r"^\s*import\b|\bimport\(|\bfetch\(|XMLHttpRequest|WebSocket|https?://(?!www\.w3\.org/2000/svg)", script, re.M
    )


def test_importing_the_widgets_takes_at_most_a_second():
    resource = pytest.importorskip("resource", reason="no getrusage here")

    def cpu_seconds(program: str) -> float:
        """By the kernel's books: what a loaded machine makes an import wait is not what it costs."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    cpu_seconds("import iolab.widgets")  # compiled files are there from now on
    assert min(cpu_seconds("import iolab.widgets") for _ in range(5)) <= MOST_IMPORT_S
