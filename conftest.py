"""How `pytest --nbval` runs the notebooks: with this Python, with a time limit, comparing what is the same everywhere."""

import os
from pathlib import Path

ROOT = Path(__file__).parent
NBVAL_DEFAULT_S = 2000  # a kernel that dies would hang the run for so long
CELL_LIMIT_S = 120


def pytest_configure(config):
    if not getattr(config.option, "nbval", False):
        return
    config.option.nbval_current_env = True  # the environment that runs pytest, whatever a notebook names
    if config.option.nbval_cell_timeout == NBVAL_DEFAULT_S:
        config.option.nbval_cell_timeout = CELL_LIMIT_S
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):  # a notebook: warnings name temporary paths
        collector.skip_compare += ("stderr",)
