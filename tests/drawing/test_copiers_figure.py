"""The figure of who copies: what three witnesses say is in it, and a contradiction cannot be overlooked."""

import io

import pytest
from PIL import Image

from iolab.drawing.copiers_figure import copier_kind, copiers_table, draw_copiers, verdicts
from iolab.recorded import value_of
from tests.drawing.overlaps import overlapping

TRUTH = value_of("who-copies")
ROWS = TRUTH["value"]
REFUSED = [row | {"thread": None, "traced": None} for row in ROWS]
LABEL = "2026-11-25, Linux 6.18.44-some-long-flavour, x86_64"


def changed(number: int, **fields) -> list[dict]:
    return [row | fields if place == number else row for place, row in enumerate(ROWS)]


WRONG = changed(3, thread="iou-wrk-815")
every_choice = pytest.mark.parametrize("rows", [ROWS, ROWS[:1], REFUSED, WRONG], ids=["all", "one", "refused", "wrong"])


@every_choice
def test_no_text_overlaps_another_or_leaves_the_picture(rows):
    assert overlapping(draw_copiers(rows, ROWS, LABEL), slack=0) == []


@every_choice
def test_it_is_a_small_png_and_says_every_row(rows):
    picture = draw_copiers(rows, ROWS, LABEL)
    data = picture._repr_png_()
    assert len(data) < 60_000
    assert Image.open(io.BytesIO(data)).format == "PNG"
    assert all(f"{row['way']}, {row['source']}: " in str(picture) for row in rows)
    assert LABEL in " ".join(text.get_text() for text in picture.texts)


@pytest.mark.parametrize("fields", [{"thread": "helper thread 7"}, {"traced": "device"}, {"traced": "iou-sqp-7"}])
def test_one_witness_against_the_others_is_a_mismatch_in_figure_table_and_words(fields):
    assert ROWS[0]["thread"] == ROWS[0]["traced"] == "application"
    rows = changed(0, **fields)
    picture, table = draw_copiers(rows, ROWS, LABEL), copiers_table(rows, ROWS)
    assert [row[-1] for row in table.rows] == ["MISMATCH"] + [""] * (len(rows) - 1)
    assert "MISMATCH" in [text.get_text() for text in picture.axes[0].texts]
    assert "1 row disagrees" in str(picture)
    assert str(picture).count("a mismatch") == 1


def test_who_knows_nothing_contradicts_nobody():
    assert all(agree for *_, agree in verdicts(REFUSED, ROWS))
    assert all(agree for *_, agree in verdicts(ROWS, []))
    assert "no witness disagrees" in str(draw_copiers(REFUSED, ROWS, LABEL))


def test_the_headline_counts_what_this_machine_has_seen_and_nothing_else():
    assert str(draw_copiers(REFUSED, ROWS, LABEL)).startswith("In 0 of 0 ways to read that were seen here")
    alone = [row if number == 0 else refused for number, (row, refused) in enumerate(zip(ROWS, REFUSED, strict=True))]
    assert str(draw_copiers(alone, ROWS, LABEL)).startswith("In 1 of 1 ways to read that were seen here")


def test_a_threads_number_does_not_matter():
    assert copier_kind("iou-wrk-1") == copier_kind("iou-wrk-2") != copier_kind("iou-sqp-1")
    assert copier_kind(None) == copier_kind("strange") == "not known"


def test_without_rows_there_is_no_figure():
    with pytest.raises(ValueError, match="rows must hold at least one way"):
        draw_copiers([], ROWS, LABEL)
