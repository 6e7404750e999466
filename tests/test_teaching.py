"""TEACHING.md sends a teacher to cells that exist, in the chapter that it names."""

import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
CELLS = {
    path.stem[:2]: {cell.id for cell in nbformat.read(path, as_version=4).cells}
    for path in (ROOT / "notebooks").glob("*.ipynb")
}


def test_every_prediction_that_is_named_stands_in_a_chapter_of_its_row():
    rows = [line for line in (ROOT / "TEACHING.md").read_text(encoding="utf-8").splitlines() if "`predict-" in line]
    assert len(rows) > 20
    for row in (row for row in rows if row.startswith("|")):
        # A wrong answer names the chapter before the cell; a plan has a column for it.
        for chapter, cell in re.findall(r"(\d\d) `(predict-[\w-]+)`", row) or in_plan(row):
            assert cell in CELLS[chapter], f"chapter {chapter} has no cell {cell}"


def test_a_plan_that_ends_at_a_heading_names_one_and_stops_behind_its_predictions():
    rows = [line for line in (ROOT / "TEACHING.md").read_text(encoding="utf-8").splitlines() if ', up to "' in line]
    assert len(rows) >= 2
    for row in rows:
        chapter, heading = re.search(r'(\d\d), up to "([^"]+)"', row).groups()
        (path,) = (ROOT / "notebooks").glob(f"{chapter}-*.ipynb")
        cells = nbformat.read(path, as_version=4).cells
        (end,) = (at for at, cell in enumerate(cells) if re.search(rf"^#+ {re.escape(heading)}", cell.source, re.M))
        assert {cell for _, cell in in_plan(row)} <= {cell.id for cell in cells[:end]}


def in_plan(row: str) -> list[tuple[str, str]]:
    (chapter,) = re.match(r"(\d\d)", row.strip("| ").split("|")[-1].strip()).groups()
    return [(chapter, cell) for cell in re.findall(r"`(predict-[\w-]+)`", row)]
