"""The bookstore player in a real JupyterLab: every control by keyboard, and seen to change the scene."""

import pytest

from iolab.drawing.palette import LOOKS
from iolab.models import blocking
from iolab.recording.recordings import recorded
from tests.browser.lab import SPOKEN, WATCH, OpenNotebook, write_notebook

CELLS = (
    "from iolab.models import blocking, multiplexing_epoll\n"
    "from iolab.recording.recordings import recorded\n"
    "from iolab.widgets.bookstore_player import BookstorePlayer\n\n"
    "BookstorePlayer(recorded(blocking), recorded(multiplexing_epoll))",
)
ROOT = ".iolab-player"


@pytest.fixture(scope="module")
def notebook(browser, lab, folder):
    write_notebook(folder / "player.ipynb", *CELLS)
    with OpenNotebook(browser, lab, "player.ipynb") as opened:
        opened.run_all()
        opened.page.wait_for_selector(f"{ROOT} svg.scene g")
        yield opened


@pytest.fixture
def player(notebook):
    """The panel, at its beginning, at normal speed."""
    page = notebook.page
    page.locator(f"{ROOT} select[aria-label=Model]").select_option("0")
    page.locator(f"{ROOT} select[aria-label=Speed]").select_option("1")
    yield page.locator(ROOT)
    assert notebook.errors() == []


def scene(player) -> int:
    """The number of the scene that is shown."""
    return int(player.locator(".clock").inner_text().split("scene ")[1].split(" of ")[0])


def scenes(player) -> int:
    return int(player.locator(".clock").inner_text().split(" of ")[1].split()[0])


def milliseconds(player) -> float:
    return float(player.locator(".clock strong").inner_text().split()[0])


def focus(player, label: str):
    button = player.get_by_label(label, exact=True)
    button.focus()
    return button


def picture(player) -> str:
    return player.locator("svg.scene").inner_html()


def test_it_begins_with_the_first_scene_and_says_it(player):
    assert scene(player) == 1
    assert "own code" in player.locator(".caption").inner_text()
    assert player.get_attribute("aria-label").startswith("Bookstore player: blocking")
    assert player.locator("svg.scene").get_attribute("aria-label").startswith("The scene: ")


def test_arrow_keys_step_forward_and_back(player, notebook):
    focus(player, "Play")
    seen = [picture(player)]
    for _ in range(3):
        notebook.page.keyboard.press("ArrowRight")
        seen.append(picture(player))
    assert scene(player) == 4
    assert len(set(seen)) == 4
    notebook.page.keyboard.press("ArrowLeft")
    assert scene(player) == 3


def test_buttons_step_by_enter(player, notebook):
    focus(player, "One scene forward")
    notebook.page.keyboard.press("Enter")
    assert scene(player) == 2
    focus(player, "One scene back")
    notebook.page.keyboard.press("Enter")
    assert scene(player) == 1


def test_home_and_end_are_the_begin_and_the_end_of_the_run(player, notebook):
    focus(player, "Play")
    notebook.page.keyboard.press("End")
    assert scene(player) == scenes(player)
    assert milliseconds(player) > 100
    notebook.page.keyboard.press("Home")
    assert (scene(player), milliseconds(player)) == (1, 0)


def test_space_plays_and_pauses_and_the_picture_moves(player, notebook):
    page = notebook.page
    focus(player, "Position in the run")
    before = milliseconds(player)
    page.keyboard.press("Space")
    player.get_by_label("Pause", exact=True).wait_for()
    page.wait_for_function(
        "before => parseFloat(document.querySelector('.iolab-player .clock strong').innerText) > before", arg=before
    )
    page.keyboard.press("Space")
    player.get_by_label("Play", exact=True).wait_for()
    stopped = milliseconds(player)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert milliseconds(player) == stopped > before


def test_it_plays_to_the_end_and_stops(player, notebook):
    player.locator("select[aria-label=Speed]").select_option("4")
    focus(player, "Position in the run")
    notebook.page.keyboard.press("End")
    for _ in range(60):
        notebook.page.keyboard.press("ArrowLeft")
    focus(player, "Play")
    notebook.page.keyboard.press("Enter")
    notebook.page.wait_for_function(
        "() => { const range = document.querySelector('.iolab-player input[type=range]'); return range.value === range.max; }"
    )
    player.get_by_label("Play", exact=True).wait_for()
    assert scene(player) == scenes(player)


def test_the_slider_scrubs_by_arrow_keys(player, notebook):
    slider = focus(player, "Position in the run")
    before = slider.get_attribute("aria-valuetext")
    for _ in range(200):
        notebook.page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") != before
    assert scene(player) > 1


def test_plus_and_minus_change_the_speed(player, notebook):
    focus(player, "Play")
    clock = player.locator(".clock").inner_text()
    notebook.page.keyboard.press("+")
    assert player.locator("select[aria-label=Speed]").input_value() == "2"
    assert player.locator(".clock").inner_text() != clock
    notebook.page.keyboard.press("-")
    notebook.page.keyboard.press("-")
    assert player.locator("select[aria-label=Speed]").input_value() == "0.5"


def test_the_speed_is_chosen_by_keyboard_in_its_list(player, notebook):
    focus(player, "Speed")
    notebook.page.keyboard.press("ArrowDown")
    assert player.locator("select[aria-label=Speed]").input_value() == "2"


def test_another_model_is_chosen_by_keyboard_and_is_another_scene(player, notebook):
    focus(player, "Model")
    notebook.page.keyboard.press("ArrowDown")
    assert player.get_attribute("aria-label").startswith("Bookstore player: epoll")
    focus(player, "Play")
    for _ in range(6):
        notebook.page.keyboard.press("ArrowRight")
    assert "telephone" in player.locator(".caption").inner_text()


def test_scene_and_timeline_share_one_cursor(player, notebook):
    focus(player, "Play")
    cursors = player.locator("svg.lanes path[stroke='#B3261E']")
    before = [cursors.nth(number).get_attribute("d") for number in range(cursors.count())]
    assert len(before) == 2
    notebook.page.keyboard.press("End")
    after = [cursors.nth(number).get_attribute("d") for number in range(cursors.count())]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_a_click_into_the_timeline_moves_the_scene(player):
    box = player.locator("svg.lanes").bounding_box()
    player.locator("svg.lanes").click(position={"x": box["width"] * 0.5, "y": 20})
    assert 20 < milliseconds(player) < 130
    assert "sleeps at the counter" in player.locator(".caption").inner_text()


def test_tab_reaches_every_control_in_their_order(player, notebook):
    focus(player, "Model")
    reached = []
    for _ in range(6):
        reached.append(notebook.page.evaluate("() => document.activeElement.getAttribute('aria-label')"))
        notebook.page.keyboard.press("Tab")
    assert reached == ["Model", "One scene back", "Play", "One scene forward", "Position in the run", "Speed"]


def test_a_screen_reader_is_told_of_a_step_and_not_of_every_scene_that_plays(player, notebook):
    caption = player.locator(".caption")
    focus(player, "Position in the run")
    notebook.page.keyboard.press("Space")
    notebook.page.wait_for_function(
        "() => document.querySelector('.iolab-player .caption').getAttribute('aria-live') === 'off'"
    )
    notebook.page.evaluate(WATCH, f"{ROOT} .caption")
    notebook.page.keyboard.press("Space")
    notebook.page.wait_for_function(SPOKEN)
    assert caption.get_attribute("aria-live") == "polite"
    assert caption.inner_text() == player.locator("svg.scene").get_attribute("aria-label").removeprefix("The scene: ")


def test_a_screen_reader_is_told_where_the_run_ends(player, notebook):
    focus(player, "Position in the run")
    for key in ("End", *["ArrowLeft"] * 20):
        notebook.page.keyboard.press(key)
    notebook.page.evaluate(WATCH, f"{ROOT} .caption")
    notebook.page.keyboard.press("Space")
    notebook.page.wait_for_function(SPOKEN)
    assert scene(player) == scenes(player)
    assert player.locator(".caption").inner_text()


def test_the_states_of_all_lanes_are_told_and_each_has_a_place_in_the_legend(player, notebook):
    timeline = recorded(blocking)
    legend = player.locator(".legend li").all_inner_texts()
    assert sorted(legend) == sorted({LOOKS[span.state].meaning for span in timeline.spans})
    assert player.locator(".legend rect").evaluate_all(
        "all => all.every(each => each.getBoundingClientRect().width > 20)"
    )
    middle = timeline.facts["wall_ns"] / 2
    box = player.locator("svg.lanes").bounding_box()
    player.locator("svg.lanes").click(position={"x": box["width"] * 0.5, "y": 20})
    now = dict(each.split(": ", 1) for each in player.locator(".now").inner_text().split(" · "))
    assert now["application"] == LOOKS["blocked"].meaning
    assert now["kernel's queue"] == "nothing"
    assert abs(milliseconds(player) * 1e6 - middle) < middle / 2


def test_a_click_beside_the_controls_gives_the_keys_to_the_panel(player, notebook):
    player.locator("svg.scene").click()
    notebook.page.keyboard.press("ArrowRight")
    assert scene(player) == 2


def test_the_keyboard_alone_comes_from_the_cell_plays_steps_and_leaves(browser, lab, folder):
    write_notebook(folder / "by-keyboard.ipynb", *CELLS, "1")
    with OpenNotebook(browser, lab, "by-keyboard.ipynb") as notebook:
        page = notebook.page
        page.click(".jp-Cell .cm-content")
        page.keyboard.press("Shift+Enter")
        player = page.locator(ROOT)
        player.locator("svg.scene g").first.wait_for()
        notebook.tab_into(ROOT, "Shift+Tab")
        notebook.tab_into(f"{ROOT}:focus", "Shift+Tab")
        assert page.evaluate("() => getComputedStyle(document.activeElement).outlineWidth") == "3px"
        page.keyboard.press("ArrowRight")
        assert scene(player) == 2
        before = milliseconds(player)
        page.keyboard.press("Space")
        page.wait_for_function(
            "before => parseFloat(document.querySelector('.iolab-player .clock strong').innerText) > before", arg=before
        )
        page.keyboard.press("Space")
        notebook.tab_into("[aria-label=Speed]")
        notebook.tab_into(f"body:not(:has({ROOT}:focus-within))")
        assert page.evaluate("() => document.activeElement !== document.body")
        assert len(notebook.model()["cells"]) == 2
        assert notebook.errors() == []


def test_with_reduced_motion_nobody_walks(browser, lab, player, notebook):
    notebook.page.emulate_media(reduced_motion="reduce")
    focus(player, "Play")
    notebook.page.keyboard.press("End")
    notebook.page.keyboard.press("ArrowLeft")
    notebook.page.keyboard.press("ArrowLeft")
    places = player.locator("svg.scene > g[transform]").evaluate_all("all => all.map(g => g.getAttribute('transform'))")
    slider = focus(player, "Position in the run")
    number = scene(player)
    slider.press("ArrowRight")
    assert scene(player) == number
    after = player.locator("svg.scene > g[transform]").evaluate_all("all => all.map(g => g.getAttribute('transform'))")
    notebook.page.emulate_media(reduced_motion="no-preference")
    assert places == after


def test_what_is_stored_is_a_picture_and_a_sentence_and_no_state(notebook):
    notebook.save()
    stored = notebook.model()
    assert "widgets" not in stored["metadata"]
    (output,) = stored["cells"][0]["outputs"]
    assert "".join(output["data"]["text/plain"]).startswith("blocking as a scene in a bookstore, in ")
    assert len(output["data"]["image/png"]) > 5000


def test_a_cell_that_is_run_again_while_it_plays_leaves_one_panel_and_nothing_that_moves(notebook):
    page = notebook.page
    page.locator(ROOT).get_by_label("Play", exact=True).click()
    page.evaluate("() => { window.old = document.querySelector('.iolab-player'); }")
    notebook.run_cell(0)
    page.wait_for_function(
        "() => !window.old.isConnected && document.querySelectorAll('.iolab-player svg.scene g').length > 0"
    )
    assert page.locator(ROOT).count() == 1
    frozen = page.evaluate("() => window.old.innerHTML")
    page.evaluate(
        "() => new Promise(done => { let left = 30; const next = () => left-- ? requestAnimationFrame(next) : done(); next(); })"
    )
    assert page.evaluate("() => window.old.innerHTML") == frozen
    assert notebook.errors() == []


def test_a_page_that_is_loaded_anew_shows_it_again_and_its_cell_may_be_run_again(notebook):
    page = notebook.page
    notebook.save()
    notebook.load()
    page.wait_for_selector(
        f"{ROOT} svg.scene g, .jp-OutputArea img"
    )  # the panel, as its kernel goes on; or the picture
    notebook.run_all()
    page.wait_for_selector(f"{ROOT} svg.scene g")
    assert notebook.errors() == []
