"""No panel has a serious fault by axe-core, whatever it shows; and axe-core finds one that has.

The panels are mounted in a plain page, by their own JavaScript and with the traits that the kernel hands over: inside
JupyterLab axe-core passes over the contrast of colours without a word.
"""

import json

import pytest

from iolab.models import asynchronous_posix_aio, blocking, multiplexing_epoll
from iolab.recording.recordings import recorded
from tests.browser.axe import serious_faults

pytest.importorskip("anywidget", reason="anywidget is not installed")

from iolab.widgets.bookstore_player import BookstorePlayer
from iolab.widgets.loop_stepper import LoopStepper
from iolab.widgets.timeline_panel import TimelinePanel

PANELS = {
    "player": lambda: BookstorePlayer(*map(recorded, (blocking, multiplexing_epoll, asynchronous_posix_aio))),
    "stepper of the reactor": lambda: LoopStepper("reactor"),
    "stepper of the proactor": lambda: LoopStepper("proactor"),
}
TIMELINES = {
    "one sender": lambda: TimelinePanel(blocking, wait_ms=20),
    "three senders": lambda: TimelinePanel(multiplexing_epoll, wait_ms=30, senders=3),
    "a recording": lambda: refused(TimelinePanel(blocking, wait_ms=0)),
}
PAGE = """<!doctype html><html lang="en"><head><title>a panel</title></head><body><main></main></body></html>"""
MOUNT = """async ([code, traits]) => {
  const module = await import(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
  const model = {get: name => traits[name], set() {}, on() {}, off() {}, send() {}, save_changes() {}};
  module.default.render({model, el: document.querySelector("main")});
}"""


def refused(panel: TimelinePanel) -> TimelinePanel:
    """The panel as it is where the machine refuses its model."""
    panel.choices = panel.choices | {"models": [[name, "refused"] for name, _ in panel.choices["models"]]}
    panel.figure = panel.figure | {"origin": "blocking: a RECORDING of 2026, because here: refused"}
    panel.failure = "The run was cancelled; shown is the one before it."
    return panel


@pytest.fixture
def page(browser):
    with browser.new_context(viewport={"width": 1100, "height": 1000}) as context:
        opened = context.new_page()
        opened.set_content(PAGE)
        yield opened


def mount(page, panel) -> None:
    """Show the panel there, with what its traits hold."""
    try:
        traits = {name: value for name, value in panel.get_state().items() if not name.startswith("_")}
        page.evaluate(MOUNT, [panel._esm, json.loads(json.dumps(traits, default=str))])
    finally:
        panel.close()


@pytest.mark.parametrize("name", PANELS)
def test_axe_core_finds_no_serious_fault_in_a_panel_whatever_it_shows(page, axe, name):
    mount(page, PANELS[name]())
    page.get_by_label("Play", exact=True).focus()
    for _ in range(4):
        assert serious_faults(page, "main", axe) == []
        for _ in range(5):
            page.keyboard.press("ArrowRight")


@pytest.mark.parametrize("name", TIMELINES)
def test_axe_core_finds_no_serious_fault_in_the_timeline_panel(page, axe, name):
    mount(page, TIMELINES[name]())
    page.click("main summary")
    assert serious_faults(page, "main", axe) == []
    page.focus("main .plot")
    for key in ("c", "ArrowRight", "a", "ArrowRight", "b", "0"):  # the whole at the end: an edge may be out of sight
        page.keyboard.press(key)
    assert page.locator("main svg [data-marker]").count() == 2
    assert serious_faults(page, "main", axe) == []


def test_axe_core_would_find_a_button_without_a_name_and_pale_text(page, axe):
    mount(page, PANELS["player"]())
    page.evaluate("""() => {
      document.querySelector("main button").removeAttribute("aria-label");
      document.querySelector("main button").textContent = "";
      document.querySelector("main .caption").style.color = "#bbb";
    }""")
    found = serious_faults(page, "main", axe)
    assert {fault.split(" ")[0] for fault in found} == {"button-name", "color-contrast"}


def test_a_narrow_page_cuts_nothing_off(page):
    page.set_viewport_size({"width": 400, "height": 900})
    for name, make in (PANELS | TIMELINES).items():
        page.set_content(PAGE)
        mount(page, make())
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), name
