"""Binder: what repo2docker would build of this repository, and that all links to it are made of one address."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import nbformat
import pytest

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


def links_in(root: Path) -> dict[str, list[str]]:
    texts = {"README.md": (root / "README.md").read_text(encoding="utf-8")}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        texts[path.name] = nbformat.read(path, as_version=4).cells[0].source
    return {name: re.findall(r"https://mybinder\.org/v2/[^)\s]+", text) for name, text in texts.items()}


def wanted(root: Path) -> dict[str, list[str]]:
    """One link in each, to itself, where the address is known; none where it is not."""
    address, names = (
        address_of(root),
        ["README.md", *(path.name for path in sorted((root / "notebooks").glob("*.ipynb")))],
    )
    return {
        name: [link(address, "00-start.ipynb" if name == "README.md" else name)] if address else [] for name in names
    }


def test_every_link_to_binder_is_made_of_the_address_in_pyproject():
    assert links_in(ROOT) == wanted(ROOT)


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
