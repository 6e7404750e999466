"""Pages without a kernel, in a browser without a network: those of `iolab site`, and those of nbconvert by itself."""

from pathlib import Path

import nbformat
import pytest

from iolab.site import build_site
from tests.browser.axe import serious_faults

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PHONE = 390  # pixels
SHOWN = "() => Array.from(document.images).filter(image => image.complete && image.naturalWidth > 100).length"


def figures_in(path: Path) -> int:
    cells = nbformat.read(path, as_version=4).cells
    return sum("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", ()))


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": PHONE, "height": 800}, offline=True)
    yield context.new_page()
    context.close()


def test_every_page_shows_its_figures_without_a_network_and_fits_a_phone(page, tmp_path):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    build_site(tmp_path, ROOT / "notebooks")
    shown = {}
    for path in sorted(tmp_path.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE, path.name
        shown[path.stem] = page.evaluate(SHOWN)
    assert {path.stem: shown[path.stem] for path in NOTEBOOKS} == {path.stem: figures_in(path) for path in NOTEBOOKS}
    assert [address for address in asked if not address.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("name", ["index", "notebooks/01-two-phases", "notebooks/12-iocp", "iolab/models/blocking.py"])
def test_axe_core_finds_no_serious_fault_in_a_page(page, axe, tmp_path, name):
    build_site(tmp_path, ROOT / "notebooks")
    page.goto((tmp_path / f"{name}.html").as_uri())
    assert serious_faults(page, "main", axe) == []


def test_nbconvert_by_itself_shows_every_figure_without_a_network(page, tmp_path):
    from nbconvert.exporters import HTMLExporter

    exporter, shown = HTMLExporter(), {}
    for path in NOTEBOOKS:
        file = tmp_path / f"{path.stem}.html"
        file.write_text(exporter.from_filename(str(path))[0], encoding="utf-8")
        page.goto(file.as_uri())
        shown[path.stem] = page.evaluate(SHOWN)
    assert shown == {path.stem: figures_in(path) for path in NOTEBOOKS}
