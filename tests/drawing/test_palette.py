"""Who sees little or no colour can read the figures: contrast by WCAG 2.2 (1.4.3 text, 1.4.11 graphics)."""

from itertools import combinations

import pytest
from matplotlib.colors import to_hex

from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture, bar, label
from tests.contrast import contrast, over

TEXT, GRAPHICS, WHITE = 4.5, 3, "#ffffff"
every_state = pytest.mark.parametrize("state", LOOKS)


def test_the_measure_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the standard's best known near miss


@pytest.mark.parametrize("colour", [INK, FAINT])
def test_text_on_paper_can_be_read(colour):
    assert contrast(colour, WHITE) >= TEXT


def drawn_bar(state):
    """A bar of a state with its label, as every figure has it."""
    picture = Picture(6, 2, "a bar")
    axes = picture.subplots()
    axes.set_xlim(0, 1)
    bar(axes, state, 0, 1, 0)
    assert label(picture, axes, 0, 1, 0, "a word")
    return axes.collections[0], axes.texts[0]


@every_state
def test_a_label_on_a_bar_can_be_read(state):
    drawn, text = drawn_bar(state)
    box = text.get_bbox_patch()
    ground = to_hex(drawn.get_facecolor()[0])
    worst = min(
        contrast(to_hex(text.get_color()), over(to_hex(box.get_facecolor()), box.get_alpha(), under))
        for under in (ground, to_hex(drawn.get_edgecolor()[0]))  # the hatch has the colour of the edge
    )
    assert worst >= TEXT


@every_state
def test_a_bar_stands_out_from_its_neighbour_and_from_the_paper_by_its_edge(state):
    drawn, _ = drawn_bar(state)
    edge = to_hex(drawn.get_edgecolor()[0])
    assert drawn.get_linewidth()[0] > 0
    assert contrast(edge, LOOKS[state].colour) >= GRAPHICS
    assert contrast(edge, WHITE) >= GRAPHICS


def test_no_two_states_look_alike():
    looks = {state: (look.colour, look.hatch) for state, look in LOOKS.items()}
    assert [pair for pair in combinations(looks, 2) if looks[pair[0]] == looks[pair[1]]] == []
