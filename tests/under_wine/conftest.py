"""Wine, once for a run of the tests, in a scratch folder: IOLAB_WINE names one that is to be kept."""

import os
from pathlib import Path

import pytest

from tests import wine as tool


@pytest.fixture(scope="session")
def wine(tmp_path_factory):
    """A Wine with Python for Windows in it; skipped where there is none, and CI must have it."""
    if reason := tool.unavailable():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"Wine: {reason}")
    kept = os.environ.get("IOLAB_WINE")
    folder = tool.prepared(Path(kept) if kept else tmp_path_factory.mktemp("wine"))
    with tool.Wine(folder) as running:
        yield running
