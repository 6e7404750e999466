"""One JupyterLab and one browser for all tests of this folder; whoever lacks them skips, CI must not."""

import os

import pytest

from tests.browser.axe import axe_core
from tests.browser.lab import chromium, jupyterlab, lacking


@pytest.fixture(scope="package")
def browser():
    reason = lacking()
    if reason and not os.environ.get("CI"):
        pytest.skip(reason)
    assert reason is None, reason
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="package")
def axe(tmp_path_factory):
    """The text of axe-core."""
    try:
        return axe_core(tmp_path_factory.mktemp("axe"))
    except RuntimeError as error:  # no npm, or no network
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    """The folder that the server shows."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="package")
def lab(browser, folder):
    """The address of the server."""
    with jupyterlab(folder) as url:
        yield url
