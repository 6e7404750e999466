"""Put links to Binder into README and chapters: `python tests/link_to_binder.py [https://github.com/OWNER/REPOSITORY]`.

The address under which this repository is public stands in one place, as `Repository` under [project.urls] in
pyproject.toml; this writes it there and makes the links of it. Run again with another address, it changes them; run
without one, it makes them of what is there, for a new chapter, say. Where no address is known, a link leads to
binder/README.md, which says how to start by hand. A chapter's link is text: a picture from mybinder.org would be asked
for whenever somebody opens the notebook.
"""

import re
import sys
import tomllib
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
ADDRESS = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)/?")
BINDER, BY_HAND = "https://mybinder.org/v2/gh", "binder/README.md"
IN_CHAPTER = re.compile(r"\n\n\[Run this chapter on Binder\]\(\S+\)")
IN_README = re.compile(r"\n\n\[!\[Run on Binder\]\(\S+\)\]\(\S+\)")
IN_PROJECT = re.compile(r'\[project\.urls\]\nRepository = ".*"\n\n')


def address_of(root: Path) -> str | None:
    """The address in pyproject.toml, if there is one."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {}).get("Repository")


def link(address: str, notebook: str) -> str:
    """Where Binder starts this repository with one notebook open."""
    return f"{BINDER}/{ADDRESS.fullmatch(address)[1]}/HEAD?urlpath=lab/tree/notebooks/{notebook}"


def put(address: str | None, root: Path = ROOT) -> None:
    """Write the address, and every link. ValueError where it is not one of a repository on GitHub."""
    if address is not None and not ADDRESS.fullmatch(address):
        raise ValueError(f"address must be like https://github.com/OWNER/REPOSITORY, not {address!r}")
    project, readme = root / "pyproject.toml", root / "README.md"
    text = IN_PROJECT.sub("", project.read_text(encoding="utf-8"))
    urls = f'[project.urls]\nRepository = "{address.rstrip("/")}"\n\n' if address else ""
    project.write_text(text.replace("[project.scripts]\n", urls + "[project.scripts]\n"), encoding="utf-8")
    title, _, rest = IN_README.sub("", readme.read_text(encoding="utf-8")).partition("\n")
    target = link(address, "00-start.ipynb") if address else BY_HAND
    readme.write_text(f"{title}\n\n[![Run on Binder](binder/badge.svg)]({target})\n{rest}", encoding="utf-8")
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        first = notebook.cells[0]
        target = link(address, path.name) if address else f"../{BY_HAND}"
        first.source = IN_CHAPTER.sub("", first.source) + f"\n\n[Run this chapter on Binder]({target})"
        nbformat.write(notebook, path)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    try:
        put(sys.argv[1] if len(sys.argv) == 2 else address_of(ROOT))
    except ValueError as error:
        sys.exit(str(error))
