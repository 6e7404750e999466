"""What every panel has in common: where its work is done, what it shows without a kernel, and when it ends.

    browser                         kernel, perhaps a thread of its own      kernel's main thread
    a slider moves ── new state ──> observer: `in_main_loop(self.start)` ──> start()
    draws <──────────────────────── traits that are tagged sync <─────────── self.figure = {...}

Two facts that surprise:
* JupyterLab may have a widget's callback run in another thread than the cells, and at the same time. There signal
  handlers cannot be set, and a figure that a cell is drawing can break. (In Lab this package switches it off by
  etc/jupyter; elsewhere, as in VS Code, `in_main_loop` is the remedy.)
* Rerunning a cell removes a widget from the page, not from the kernel. So a panel closes the one that the same cell
  made when it ran before.

A panel's traits live in the kernel and in the page, and nowhere else: what a notebook stores of it is `picture()`, as
PNG and as a sentence, which is all that a page without a kernel can show.
"""

import asyncio
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import anywidget
import traitlets

_of_cells: dict[str, tuple[str, list["Panel"]]] = {}  # cell: the request that ran it, and the panels it made


def javascript(python_file: str) -> str:
    """The text of the JavaScript file that lies beside a Python file and has its name."""
    return Path(python_file).with_suffix(".js").read_text(encoding="utf-8")


class Panel(anywidget.AnyWidget):
    """A widget with one JavaScript file: `_esm = javascript(__file__)`. A subclass gives `picture`, and may extend
    `asked` (a message of its JavaScript) and `stop` (whatever it has running)."""

    sentence = traitlets.Unicode("", help="what the panel shows, in words: its live text").tag(sync=True)

    def __init__(self, **traits) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:  # no notebook: everything is done where it is asked for
            self._loop = None
        self._waiting: set[str] = set()
        super().__init__(**traits)
        self.on_msg(lambda _, message, buffers: self.in_main_loop(self.asked, message))
        _replace_those_of_this_cell(self)

    def in_main_loop(self, deed: Callable, *arguments) -> None:
        """Have `deed` done by the thread that runs the cells, between two cells; at once where there is no loop.

        A deed without arguments that waits already is not done twice: a slider's ten values are one run.
        """
        if self._loop is None:
            deed(*arguments)
        elif arguments:
            self._loop.call_soon_threadsafe(self._carry_out, deed, *arguments)
        elif deed.__name__ not in self._waiting:
            self._waiting.add(deed.__name__)
            self._loop.call_soon_threadsafe(self._carry_out, deed)

    def _carry_out(self, deed: Callable, *arguments) -> None:
        if not arguments:
            self._waiting.discard(deed.__name__)
        if self.comm is not None:  # else it was closed meanwhile
            deed(*arguments)

    def picture(self):
        """The `drawing.picture.Picture` that stands for the panel where there is no kernel."""
        raise NotImplementedError

    def asked(self, message: dict) -> None:
        """The JavaScript has called `model.send(message)`; in the main thread."""

    def stop(self) -> None:
        """End whatever runs for this panel."""

    def close(self) -> None:
        """Take the panel off the page and end whatever runs for it."""
        self.stop()
        super().close()

    def __repr__(self) -> str:
        return self.sentence

    def _repr_mimebundle_(self, **options):
        picture = self.picture()
        data, metadata = super()._repr_mimebundle_(**options)
        data["text/plain"] = picture.alternative_text
        data["image/png"] = b64encode(picture._repr_png_()).decode()
        return data, metadata


def _replace_those_of_this_cell(panel: Panel) -> None:
    cell, request = _this_cell()
    if cell is None:
        return
    last, panels = _of_cells.get(cell, (request, []))
    if last != request:
        for each in panels:
            each.close()
        panels = []
    _of_cells[cell] = request, [*panels, panel]


def _this_cell() -> tuple[str | None, str]:
    """The id of the cell that is being run, and of the request to run it; None where there is no such thing."""
    from IPython import get_ipython

    shell = get_ipython()
    if not hasattr(shell, "get_parent") or threading.current_thread() is not threading.main_thread():
        return None, ""
    parent = shell.get_parent()
    return parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id", "")
