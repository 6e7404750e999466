"""What there is of completion ports on a machine that has none: a labelled recording, and the reason."""

import json
import subprocess
import sys

import pytest

from iolab.kernel.iocp import unavailable
from iolab.recorded import value_of
from iolab.recording import under_wine

pytestmark = pytest.mark.skipif(unavailable() is None, reason="there are completion ports here")
REASON = f"I/O completion ports are Windows', and this is {sys.platform}"
LIMIT_S = 120


@pytest.fixture(autouse=True)
def _no_wine_is_named(monkeypatch):
    monkeypatch.delenv(under_wine.FOLDER, raising=False)


def iolab(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "iolab", *arguments], capture_output=True, text=True, timeout=LIMIT_S)


def test_without_wine_the_recording_is_shown_and_says_why():
    values, origin = under_wine.experiments()
    whole = value_of(under_wine.NAME)
    assert values == whole["value"]
    assert origin == f"a RECORDING ({whole['recorded']}). Not run here: {REASON}"
    assert "; not Windows" in origin


def test_a_folder_that_holds_no_windows_python_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(under_wine.FOLDER, str(tmp_path))
    with pytest.raises(RuntimeError, match=f"{under_wine.FOLDER} must name a folder"):
        under_wine.experiments()


def test_a_timeline_of_a_completion_port_is_the_recorded_steps_and_why(tmp_path):
    done = iolab("timeline", "iocp", "--json", str(tmp_path / "steps.json"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("iocp: a RECORDING (")
    assert REASON in done.stdout
    assert "ERROR" not in done.stdout
    saved = json.loads((tmp_path / "steps.json").read_text())
    assert saved["origin"].startswith("a RECORDING (")
    assert all(call in done.stdout and said in done.stdout for _, call, said in saved["one_read"])


@pytest.mark.parametrize("option", ["--png", "--svg", "--perfetto"])
def test_there_is_no_figure_without_evidence(tmp_path, option):
    done = iolab("timeline", "iocp", option, str(tmp_path / "file"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("iolab: iocp has no figure and no trace")
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_recorded_and_why():
    findings = {each["name"]: each for each in json.loads(iolab("doctor", "--json").stdout)["findings"]}
    assert findings["iocp"] == {"kind": "model", "name": "iocp", "state": "recorded", "why": REASON}


def test_nothing_is_recorded_without_a_completion_port():
    done = iolab("record", "iocp")
    assert done.returncode == 1
    assert done.stderr.startswith(f"iolab: iocp: {REASON}, and IOLAB_WINE names no folder")
