"""The recording that most readers see, held against a run in Wine."""

from pathlib import Path

from iolab.recorded import value_of
from iolab.recording import under_wine


def test_what_is_recorded_is_what_wine_does_now(wine, monkeypatch):
    monkeypatch.setenv(under_wine.FOLDER, str(wine.folder))
    values, origin = under_wine.experiments()
    recorded = dict(value_of(under_wine.NAME)["value"])
    assert origin == f"run now, on {values['label']}"
    assert values.pop("label").startswith("Wine ")
    assert recorded.pop("label").endswith("; not Windows")
    assert values == recorded


def test_recording_leaves_no_process_of_wines(wine):
    under_wine.in_wine(wine.folder)
    named = [each.read_bytes() for each in Path("/proc").glob("[0-9]*/cmdline") if each.exists()]
    assert [each for each in named if str(wine.folder).encode() in each and b".exe" in each] == []
