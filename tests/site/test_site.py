"""The pages that are read without a kernel: what is in them, by Python's own HTML parser."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from iolab.option_values import new_folder
from tests.contrast import contrast
from tests.test_command_line import iolab

nbconvert = pytest.importorskip("nbconvert", reason="nbconvert is not installed; it comes with JupyterLab")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


class Page(HTMLParser):
    """Headings, images, links and scripts of a page, in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def every(self, *names: str) -> list[dict]:
        return [attributes for tag, attributes in self.tags if tag in names]

    @property
    def levels(self) -> list[int]:
        return [int(tag[1]) for tag, _ in self.tags if re.fullmatch(r"h[1-6]", tag)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "pages"
    run = iolab("site", folder, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return folder


def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def stored_figures(path: Path) -> list[dict]:
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", ())]
    return [data for data in outputs if "image/png" in data]


@every_notebook
def test_every_stored_figure_is_on_the_page_with_its_sentence(site, path):
    images = Page((site / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")).every("img")
    figures = stored_figures(path)
    assert [image["src"] for image in images] == [
        "data:image/png;base64," + each["image/png"].strip() for each in figures
    ]
    assert [image["alt"] for image in images] == [each["text/plain"] for each in figures]
    for image in images:
        assert len(image["alt"].split()) >= 5, image["alt"]
        assert not re.search(r"<|object at|No description", image["alt"])


def test_a_page_has_one_title_and_its_headings_are_in_order(site):
    for path, page in pages(site).items():
        assert page.levels[0] == 1, path
        assert page.levels.count(1) == 1, path
        assert all(after <= before + 1 for before, after in zip(page.levels, page.levels[1:], strict=False)), path
        assert page.every("html") == [{"lang": "en"}]
        assert len(page.every("title")) == len(page.every("main")) == 1


def test_a_page_asks_no_network_and_runs_nothing(site):
    for path, page in pages(site).items():
        loaded = [
            each.get("src") or each.get("href") for each in page.every("img", "link", "script", "iframe", "source")
        ]
        assert [address for address in loaded if not (address or "").startswith("data:")] == [], path
        assert page.every("script") == [], path
        assert "@import" not in path.read_text(encoding="utf-8").split("</style>")[0]


def test_every_link_between_pages_leads_somewhere_and_every_page_is_reached(site):
    reached = {site / "index.html"}
    for path, page in pages(site).items():
        for link in page.every("a"):
            address = urlsplit(link.get("href", ""))
            if not address.scheme and address.path:
                target = (path.parent / unquote(address.path)).resolve()
                assert target.is_file(), f"{path.name}: {link['href']}"
                reached.add(target)
    assert reached == set(pages(site))


def test_text_and_code_can_be_read(site):
    """WCAG 2.2, 1.4.3: 4.5 to 1. The colours are all those of the style sheet, against the darker of its grounds."""
    style = re.search(r"<style>(.*?)</style>", (site / "index.html").read_text(encoding="utf-8"), re.DOTALL)[1]
    grounds = re.findall(r"background(?:-color)?: *(#[0-9a-f]{3,6})", style, re.IGNORECASE)
    texts = set(re.findall(r"(?<![-\w])color: *(#[0-9a-f]{3,6})", style, re.IGNORECASE))
    assert "#f8f8f8" in grounds
    assert len(texts) > 10
    assert {text: contrast(text, "#f8f8f8") for text in texts if contrast(text, "#f8f8f8") < 4.5} == {}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["site", "pages"], "must be a folder with notebooks (*.ipynb), not 'notebooks'"),
        (["site", "missing/pages"], "there is no folder missing"),
        (["site", "README.md"], "README.md"),
        (["site", "pages", "--notebooks", "missing"], "must be a folder with notebooks (*.ipynb), not 'missing'"),
    ],
)
def test_wrong_use_is_told_in_one_line_before_anything_is_made(arguments, complaint, tmp_path):
    (tmp_path / "README.md").write_text("a file")
    run = iolab(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert complaint in run.stderr
    assert run.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_a_folder_may_be_there_already(tmp_path):
    assert new_folder(str(tmp_path)) == tmp_path
    assert new_folder(str(tmp_path / "new")) == tmp_path / "new"
