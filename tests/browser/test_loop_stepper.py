"""The loop stepper in a real JupyterLab: forward and back by key, and both sides change."""

import pytest

from iolab.recording import proactor_turns, reactor_turns
from tests.browser.lab import SPOKEN, WATCH, OpenNotebook, write_notebook

CELLS = (
    "from iolab.widgets.loop_stepper import LoopStepper\n\nLoopStepper('reactor')",
    "LoopStepper('proactor')",
)
KINDS = {"reactor": reactor_turns, "proactor": proactor_turns}


@pytest.fixture(scope="module")
def notebook(browser, lab, folder):
    write_notebook(folder / "stepper.ipynb", *CELLS)
    with OpenNotebook(browser, lab, "stepper.ipynb") as opened:
        opened.run_all()
        opened.page.wait_for_function("() => document.querySelectorAll('.iolab-stepper table').length > 3")
        opened.page.wait_for_function("() => document.querySelectorAll('.iolab-stepper').length === 2")
        yield opened


@pytest.fixture(params=KINDS)
def stepper(request, notebook):
    """A panel at its first step, the keyboard's focus on its play button."""
    found = notebook.page.locator(f".iolab-stepper[aria-label^='Loop stepper: {request.param}']")
    found.get_by_label("Play", exact=True).focus()
    notebook.page.keyboard.press("Home")
    yield found
    assert notebook.errors() == []


def where(stepper) -> tuple[int, int, int]:
    """Step, steps, turn."""
    words = stepper.locator(".where").inner_text().replace(",", "").split()
    return int(words[1]), int(words[3]), int(words[5])


def sides(stepper) -> tuple[str, str]:
    return stepper.locator(".program").inner_text(), stepper.locator(".kernel").inner_text()


def test_arrow_keys_step_forward_and_back_and_both_sides_change(stepper, notebook):
    seen, first = [sides(stepper)], where(stepper)
    assert first[0] == 1
    while where(stepper)[0] < first[1]:
        notebook.page.keyboard.press("ArrowRight")
        seen.append(sides(stepper))
    assert len(seen) == first[1]
    assert len({program for program, _ in seen}) > 5
    assert len({kernel for _, kernel in seen}) > 5
    notebook.page.keyboard.press("ArrowRight")
    assert where(stepper)[0] == first[1]
    for _ in range(first[1] - 1):
        notebook.page.keyboard.press("ArrowLeft")
    assert sides(stepper) == seen[0]


def test_page_keys_go_by_turns(stepper, notebook):
    turns = [where(stepper)[2]]
    for _ in range(3):
        notebook.page.keyboard.press("PageDown")
        turns.append(where(stepper)[2])
    assert turns == [turns[0], turns[0] + 1, turns[0] + 2, turns[0] + 3]
    notebook.page.keyboard.press("PageUp")
    assert where(stepper)[2] == turns[-2]


@pytest.mark.parametrize(
    ("label", "then"),
    [("One step forward", 2), ("One turn forward", None), ("One step back", 1), ("One turn back", 1)],
)
def test_every_button_works_by_enter(stepper, notebook, label, then):
    stepper.get_by_label(label, exact=True).focus()
    notebook.page.keyboard.press("Enter")
    assert where(stepper)[0] == then if then else where(stepper)[0] > 1


def test_the_slider_goes_by_arrow_keys_and_says_where_it_is(stepper, notebook):
    slider = stepper.get_by_label("Step", exact=True)
    slider.focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.page.keyboard.press("ArrowRight")
    assert where(stepper)[0] == 3
    assert slider.get_attribute("aria-valuetext").startswith("step 3 of ")


def test_space_plays_and_pauses(stepper, notebook):
    stepper.get_by_label("Step", exact=True).focus()
    notebook.page.keyboard.press("Space")
    stepper.get_by_label("Pause", exact=True).wait_for()
    stepper.locator(".where", has_text="step 3 of").wait_for()
    notebook.page.keyboard.press("Space")
    stepper.get_by_label("Play", exact=True).wait_for()
    stopped = where(stepper)
    notebook.page.evaluate("() => new Promise(done => setTimeout(done, 1600))")  # longer than one step is played
    assert where(stepper) == stopped


def test_what_a_step_has_changed_is_marked(stepper, notebook):
    assert stepper.locator("td.changed").count() == 0
    for _ in range(60):
        notebook.page.keyboard.press("ArrowRight")
        if "b sends half a request" in stepper.locator(".says").inner_text():
            break
    else:
        pytest.fail("b never sends half a request")
    assert stepper.locator(".kernel td.changed").count() >= 1
    told = stepper.locator(".says .changes").inner_text()
    kind = stepper.get_attribute("aria-label").split()[2]
    assert told.startswith("Changed: ")
    assert ("b: unread from 0 B to 9 B" if kind == "reactor" else "CQ: receive on b new") in told


def test_what_is_marked_and_what_is_gone_is_told_in_words_for_every_step(stepper, notebook):
    lines = []
    for _ in range(where(stepper)[1] - 1):
        notebook.page.keyboard.press("ArrowRight")
        lines.append(stepper.locator(".says .changes").inner_text().removeprefix("Changed: "))
        marked = stepper.locator("td.changed").count()
        assert bool(marked) == (" new" in lines[-1] or " to " in lines[-1]), lines[-1]
    told, kind = " ".join(lines), stepper.get_attribute("aria-label").split()[2]
    wanted = {
        "reactor": (
            "not accepted from 1 to 2",
            "interest list: a, b new",
            "b: unread from 9 B to 0 B",
            "b: asked for from IN to IN OUT",
        ),
        "proactor": (
            "SQ: read on wake-up, accept on listener gone",
            "CQ: accept on listener new",
            "under way: send on a gone",
        ),
    }[kind]
    assert [words for words in wanted if words not in told] == []
    assert "handlers: HttpHandler of b gone" in told if kind == "reactor" else "sockets: b gone" in told
    assert "undefined" not in told


def test_a_screen_reader_is_told_of_the_step_where_it_stops(stepper, notebook):
    says = f".iolab-stepper[aria-label='{stepper.get_attribute('aria-label')}'] .says"
    stepper.get_by_label("Step", exact=True).focus()
    for keys in (("Space", "Space"), ("End", "ArrowLeft", "Space")):  # paused, and at the end
        for key in keys[:-1]:
            notebook.page.keyboard.press(key)
        notebook.page.evaluate(WATCH, says)
        notebook.page.keyboard.press(keys[-1])
        notebook.page.wait_for_function(SPOKEN)
        assert stepper.locator(".says strong").inner_text()
    stepper.get_by_label("Play", exact=True).wait_for()
    assert where(stepper)[0] == where(stepper)[1]


def test_the_keyboard_alone_comes_from_the_cell_plays_steps_and_leaves(browser, lab, folder):
    write_notebook(folder / "step-by-keyboard.ipynb", CELLS[0], "1")
    with OpenNotebook(browser, lab, "step-by-keyboard.ipynb") as notebook:
        page = notebook.page
        page.click(".jp-Cell .cm-content")
        page.keyboard.press("Shift+Enter")
        stepper = page.locator(".iolab-stepper")
        stepper.locator("table").first.wait_for()
        notebook.tab_into(".iolab-stepper", "Shift+Tab")
        notebook.tab_into(".iolab-stepper:focus", "Shift+Tab")
        assert page.evaluate("() => getComputedStyle(document.activeElement).outlineWidth") == "3px"
        page.keyboard.press("ArrowRight")
        assert where(stepper)[0] == 2
        page.keyboard.press("Space")
        stepper.locator(".where", has_text="step 3 of").wait_for()
        page.keyboard.press("Space")
        notebook.tab_into("[aria-label=Step]")
        notebook.tab_into("body:not(:has(.iolab-stepper:focus-within))")
        assert page.evaluate("() => document.activeElement !== document.body")
        assert len(notebook.model()["cells"]) == 2
        assert notebook.errors() == []


def test_it_says_where_the_run_is_from(stepper):
    kind = stepper.get_attribute("aria-label").split()[2]
    refused = KINDS[kind].unavailable()
    wanted = "a RECORDING of " if refused else "measured now, on this machine"
    assert wanted in stepper.inner_text()


def test_what_is_stored_is_a_picture_and_a_sentence_and_no_state(notebook):
    notebook.save()
    stored = notebook.model()
    assert "widgets" not in stored["metadata"]
    for kind, cell in zip(KINDS, stored["cells"], strict=True):
        (output,) = cell["outputs"]
        assert "".join(output["data"]["text/plain"]).startswith(kind)
        assert len(output["data"]["image/png"]) > 5000
