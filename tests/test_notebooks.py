"""The form in which notebooks are stored, and that their solutions solve their exercises."""

import ast
import contextlib
import io
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MEASURED = "nbval-ignore-output"
TAGS = {MEASURED, "raises-exception"}
FIGURE_BYTES, NOTEBOOK_BYTES, LINES_IN_A_CELL = 60_000, 700_000, 12

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path):
    return nbformat.read(path, as_version=4)


def code_cells(path: Path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


@every_notebook
def test_notebook_is_valid_small_and_free_of_this_machine(path):
    nbformat.validate(read(path))
    text = path.read_text()
    assert path.stat().st_size <= NOTEBOOK_BYTES
    assert "widgets" not in read(path).metadata
    assert (
        "application/vnd.jupyter.widget-view+json" not in text
    )  # of a kernel that is gone: shown instead of the picture
    assert '"execution"' not in text
    assert str(ROOT) not in text
    assert not re.search(r"/(home|root|tmp|usr|work)/\w", text)


@every_notebook
def test_cells_were_run_once_from_top_to_bottom_without_error(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        if "raises-exception" not in cell.metadata.get("tags", ()):
            assert not [output for output in cell.outputs if output.output_type == "error"], cell.id


@every_notebook
def test_cell_ids_are_readable_and_tags_are_known(path):
    cells = read(path).cells
    ids = [cell.id for cell in cells]
    assert len(set(ids)) == len(ids)
    assert [each for each in ids if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", each) or len(each) > 40] == []
    assert {tag for cell in cells for tag in cell.metadata.get("tags", ())} <= TAGS


@every_notebook
def test_code_cells_are_short(path):
    long = {cell.id: cell.source.count("\n") + 1 for cell in code_cells(path)}
    assert {name: lines for name, lines in long.items() if lines > LINES_IN_A_CELL} == {}


@every_notebook
def test_strict_cells_store_no_measured_number_and_no_address(path):
    for cell in code_cells(path):
        if MEASURED in cell.metadata.get("tags", ()) or cell.id.startswith("source-"):
            continue
        for output in cell.outputs:
            text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            assert not re.search(r"\d\.\d|\b0x[0-9a-f]", text), f"{cell.id}: {text}"
            assert "image/png" not in output.get("data", {}), cell.id


@every_notebook
def test_every_measured_cell_is_followed_by_a_strict_one(path):
    cells = code_cells(path)
    for number, cell in enumerate(cells, 1):
        if MEASURED in cell.metadata.get("tags", ()):
            later = cells[number:]
            assert any(MEASURED not in each.metadata.get("tags", ()) for each in later[:3]), cell.id


@every_notebook
def test_figures_are_small(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert len(output.get("data", {}).get("image/png", "")) * 3 / 4 <= FIGURE_BYTES, cell.id


@every_notebook
def test_headings_are_in_order_and_there_is_one_title(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, flags=re.MULTILINE)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


@every_notebook
def test_links_to_other_files_lead_somewhere(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (path.parent / target).exists(), target


def solutions():
    for path in NOTEBOOKS:
        for cell in read(path).cells:
            if cell.id.startswith("solution-"):
                yield pytest.param(path, cell, id=f"{path.stem}:{cell.id}")


@pytest.mark.parametrize(("path", "cell"), list(solutions()))
def test_folded_solution_is_judged_right(path, cell, monkeypatch):
    assert "<details>" in cell.source
    assert "</details>" in cell.source
    (code,) = re.findall(r"```python\n(.*?)```", cell.source, flags=re.DOTALL)
    monkeypatch.chdir(path.parent)
    imports = next(each for each in code_cells(path) if each.id == "imports")
    names, printed = {"__name__": "solution"}, io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(imports.source, path.name, "exec"), names)
    with contextlib.redirect_stdout(printed):
        exec(compile(code, cell.id, "exec"), names)
    assert printed.getvalue().startswith("Right."), printed.getvalue()


@every_notebook
def test_exercises_are_stored_unanswered_and_have_solutions(path):
    cells = read(path).cells
    exercises = {cell.id.removeprefix("exercise-") for cell in cells if cell.id.startswith("exercise-")}
    assert exercises == {cell.id.removeprefix("solution-") for cell in cells if cell.id.startswith("solution-")}
    assert len(exercises) >= (3 if path.stem > "01" else 1)
    for cell in cells:
        if cell.id.startswith("exercise-"):
            printed = "".join(output.get("text", "") for output in cell.outputs)
            assert printed.startswith(("Not answered yet.", "Not right yet.")), cell.id


@every_notebook
def test_every_name_imported_from_the_package_exists(path):
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("iolab"):
                module = __import__(node.module, fromlist=["x"])
                for name in node.names:
                    if not hasattr(module, name.name):
                        __import__(f"{node.module}.{name.name}")
