"""Make anew what a notebook shows where a machine refuses: `python tests/record_notebook.py NOTEBOOK ...`.

Runs the code cells once, from top to bottom, in the notebook's folder; whatever goes through obtain_value is measured
here and now, and kept in iolab/recorded/. The Timelines are `iolab record`'s business.
"""

import os
import sys
from pathlib import Path

import nbformat

from iolab.recording import recordings


def keep(name: str, refusal: str | None, make):
    """In the place of obtain_value: measured here, and kept. RuntimeError where it cannot be."""
    if refusal:
        raise RuntimeError(f"{name} cannot be recorded on this machine: {refusal}")
    recordings.record_value(name, make())
    print(f"recorded: {name}", file=sys.stderr)
    return recordings.json.loads(recordings.path_of(name).read_text())["value"], "being recorded"


def record(path: Path) -> None:
    """All recordings of one notebook."""
    recordings.obtain_value, names = keep, {"__name__": "notebook"}
    os.chdir(path.parent)
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, cell.id, "exec"), names)


if __name__ == "__main__":
    for each in sys.argv[1:]:
        record(Path(each).resolve())
