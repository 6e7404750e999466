"""Which pages there are, and how they link to each other.

    notebooks/02-blocking.ipynb    [source](../iolab/models/blocking.py)    [on](03-nonblocking.ipynb)
              │                                  │                                  │
    FOLDER/notebooks/02-blocking.html   FOLDER/iolab/models/blocking.py.html   FOLDER/notebooks/03-….html

Two facts that surprise: a browser that is handed a `.py` file may offer to save it rather than show it, and a link to
a notebook leads a reader without Jupyter to a page full of JSON. So each link leads to the page of what it names.
"""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

import iolab
from iolab.site.pages import document_page, index_page, notebook_page, source_page

REPOSITORY = Path(iolab.__file__).parents[1]
LINK = re.compile(r'href="(?!https?:)([^"#]+\.(?:ipynb|py|md))')


def notebooks_in(folder: Path) -> list[Path]:
    """The notebooks of a folder, in the order of their names. ValueError where there are none."""
    found = sorted(folder.glob("*.ipynb"))
    if not found:
        raise ValueError(f"notebooks must be a folder with notebooks (*.ipynb), and there are none in {folder}")
    return found


def build_site(folder: Path, notebooks: Path, progress: Callable[[list], list] = list) -> list[Path]:
    """Write the pages into `folder`, which is made where it is missing; the files written, index.html first.

    Files of the same names are replaced, others stay. ValueError where `notebooks` has none, or a link leads nowhere.
    """
    paths, pages, sources = notebooks_in(notebooks), {}, {}
    for path in progress(paths):
        html = notebook_page(path)
        for target in sorted(set(LINK.findall(html))):
            if not target.endswith(".ipynb"):
                name = posixpath.normpath(posixpath.join("notebooks", target))
                sources[name] = _source(path, target, name)
        pages[f"notebooks/{path.stem}.html"] = LINK.sub(lambda link: f'href="{_page_of(link[1])}', html)
    for name, source in sources.items():
        page = document_page if source.suffix == ".md" else source_page
        pages[f"{name}.html"] = page(name, source.read_text(encoding="utf-8"))
    pages = {"index.html": index_page(paths)} | pages
    for name, html in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(html, encoding="utf-8")
    return [folder / name for name in pages]


def _page_of(target: str) -> str:
    return target.removesuffix(".ipynb") + ".html"


def _source(notebook: Path, target: str, name: str) -> Path:
    """The file that a link means: beside the notebook, or of the package that runs, wherever it is installed."""
    for source in (REPOSITORY / name, notebook.parent / target):
        if source.is_file():
            return source
    raise ValueError(f"{notebook}: the link {target} leads nowhere")
