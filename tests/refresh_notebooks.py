"""Execute the notebooks from top to bottom and store them clean: `python tests/refresh_notebooks.py [NOTEBOOK ...]`.

Clean means: outputs of this run, no time stamps, no widgets, one kernel name, no version of Python.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from iolab.command_line import main

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


def refresh(path: Path) -> None:
    """Execute one notebook in its own folder on a fresh kernel, and write it back."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", record_timing=False, store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()  # fmt: skip
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {})
        for output in cell.get("outputs", ()):
            output.pop("metadata", None)
            if output.output_type in ("display_data", "execute_result"):
                output.metadata = nbformat.from_dict({})
                output.data.pop(WIDGET, None)  # of a kernel that is gone; the picture and the sentence stay
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    if not sys.argv[1:]:  # the README's figure is one of these runs, too
        main(["timeline", "blocking", "--png", str(NOTEBOOKS / "figures" / "blocking.png")])
    for each in map(Path, sys.argv[1:] or sorted(NOTEBOOKS.glob("*.ipynb"))):
        refresh(each)
        print(f"{each.name}: {each.stat().st_size // 1024} KiB")
