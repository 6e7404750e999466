"""The figure of the slow handler: a stroke for each answer, where its clock says; texts are legible; it says its numbers."""

import pytest

from iolab.drawing.answers_figure import draw_answers, finding
from tests.drawing.overlaps import overlapping

MS, NOW = 1_000_000, 7_000_000_000_000


def case(name, *answers_ms, took_ms=400):
    answers = [NOW + round(each * MS) for each in answers_ms]
    return {"case": name, "slow": [NOW, NOW + took_ms * MS], "answers": answers, "waits_ns": [3 * MS, 390 * MS, 2 * MS]}


CASES = [
    case("command, in the loop", -20, -10, 401, 402),
    case("command, in a worker", *range(-100, 500, 10)),
    case("Python, in a worker", *range(-100, 900, 3), took_ms=812),
]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_text_overlaps_another_or_leaves_the_picture(number):
    assert overlapping(draw_answers(CASES[:number])) == []


def test_a_stroke_for_each_answer_at_its_moment():
    [axes] = draw_answers(CASES[:1]).axes
    bars, strokes = axes.collections
    assert [segment[0][0] for segment in strokes.get_segments()] == pytest.approx([-20, -10, 401, 402])
    extents = bars.get_paths()[0].get_extents()
    assert (extents.x0, extents.x1) == pytest.approx((0, 400))


def test_the_title_and_the_words_are_the_finding():
    expected = "Others answered while one was slow: 0 (in the loop), 39 (in a worker)"
    assert finding(CASES[:2]) == expected
    assert "half of all, also before and after, waited 3 ms or less, the longest 390 ms" in str(draw_answers(CASES))


def test_without_cases_there_is_no_figure():
    with pytest.raises(ValueError, match="at least one"):
        draw_answers([])
