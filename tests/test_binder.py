"""Binder: what repo2docker would build of this repository, and that all links to it are made of one address."""

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.link_to_binder import address_of, link, put

ROOT = Path(__file__).parents[1]
REPO2DOCKER = shutil.which("jupyter-repo2docker")


@pytest.mark.skipif(not REPO2DOCKER, reason="jupyter-repo2docker is not installed: pip install jupyter-repo2docker")
def test_repo2docker_finds_python_and_the_packages_and_copies_the_repository_first():
    run = subprocess.run(
        [REPO2DOCKER, "--no-build", "--debug", str(ROOT)], capture_output=True, text=True, timeout=120, check=False
    )
    lines = run.stdout + run.stderr
    assert run.returncode == 0, lines
    assert "Building conda environment for python=3.13" in lines
    # pip needs the repository, and runs as the user in it: the package is installed from where the notebooks are.
    copied = re.search(r"^COPY .*src/ \$\{REPO_DIR\}/$", lines, re.MULTILINE)
    installed = re.search(r'pip install --no-cache-dir -r "binder/requirements.txt"', lines)
    assert copied.start() < installed.start()


def test_binder_installs_what_the_notebooks_need_and_no_tests():
    needed = (ROOT / "binder" / "requirements.txt").read_text().split()
    assert needed == ["-e", ".[notebooks]"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(name.startswith("jupyterlab") for name in extras["notebooks"])


def installed(name: str, extras: frozenset[str], found: dict[str, Distribution]) -> dict[str, Distribution]:
    """Adds to `found` what pip installs for `name[extras]` on this machine."""
    found[canonicalize_name(name)] = distribution(name)
    for requirement in map(Requirement, distribution(name).requires or ()):
        needed = any(
            requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in extras | {""}
        )
        if needed and (requirement.extras or canonicalize_name(requirement.name) not in found):
            installed(requirement.name, frozenset(requirement.extras), found)
    return found


def test_what_it_installs_stays_within_the_budget(capsys):
    pytest.importorskip("anywidget", reason="anywidget is not installed: pip install '.[notebooks]'")
    stated = (ROOT / "binder" / "README.md").read_text(encoding="utf-8")
    packages, megabytes = map(int, re.search(r"at most (\d+) packages and (\d+) MB installed", stated).groups())
    found = installed("iolab", frozenset({"notebooks"}), {})
    files = [file.locate() for each in found.values() for file in each.files or ()]
    size = sum(file.stat().st_size for file in files if file.exists()) / 1e6
    with capsys.disabled():
        print(f"\n  {len(found)} packages, {size:.0f} MB", end=" ")
    assert {"jupyterlab", "matplotlib", "anywidget", "numpy"} <= set(found)
    assert len(found) <= packages
    assert size <= megabytes


def links_in(root: Path) -> dict[str, list[str]]:
    """Where the badge of README and the line of each chapter lead, and any other link that starts a Binder."""
    texts = {"README.md": (root / "README.md").read_text(encoding="utf-8")}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        texts[path.name] = nbformat.read(path, as_version=4).cells[0].source
    ours = r"\[!\[Run on Binder\]\(binder/badge\.svg\)\]\((\S+)\)|\[Run this chapter on Binder\]\((\S+)\)|\((\S+mybinder\.org/v2\S+)\)"
    return {name: [one or two or three for one, two, three in re.findall(ours, text)] for name, text in texts.items()}


def wanted(root: Path) -> dict[str, list[str]]:
    """One link in each: to itself on Binder where the address is known, else to what binder/ says."""
    address, chapters = address_of(root), sorted(path.name for path in (root / "notebooks").glob("*.ipynb"))
    if address is None:
        return {"README.md": ["binder/README.md"]} | {name: ["../binder/README.md"] for name in chapters}
    return {"README.md": [link(address, "00-start.ipynb")]} | {name: [link(address, name)] for name in chapters}


def test_readme_and_every_chapter_lead_to_binder():
    assert links_in(ROOT) == wanted(ROOT)
    assert (ROOT / "binder" / "README.md").is_file()


@pytest.fixture
def copy(tmp_path):
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    return tmp_path


def test_links_are_put_in_and_changed_by_one_command(copy):
    for address in ("https://github.com/somebody/first", "https://github.com/other-one/second.name"):
        put(address, copy)
        assert address_of(copy) == address
        assert links_in(copy) == wanted(copy)
        assert link(address, "01-a.ipynb") in (
            "https://mybinder.org/v2/gh/somebody/first/HEAD?urlpath=lab/tree/notebooks/01-a.ipynb",
            "https://mybinder.org/v2/gh/other-one/second.name/HEAD?urlpath=lab/tree/notebooks/01-a.ipynb",
        )
    for path in (copy / "notebooks").glob("*.ipynb"):
        before, after = (nbformat.read(each / "notebooks" / path.name, as_version=4) for each in (ROOT, copy))
        assert before.cells[1:] == after.cells[1:]
        assert after.cells[0].source.count("Run this chapter on Binder") == 1


@pytest.mark.parametrize("address", ["", "github.com/a/b", "https://github.com/a", "https://github.com/a/b/c"])
def test_what_is_no_address_changes_nothing(copy, address):
    before = (copy / "README.md").read_text()
    with pytest.raises(ValueError, match=re.escape(repr(address))):
        put(address, copy)
    assert (copy / "README.md").read_text() == before
