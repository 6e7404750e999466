"""What all panels stand on, tried with a very small one in a real JupyterLab and a real browser."""

import base64

from tests.browser.lab import OpenNotebook, write_notebook

SMALL_PANEL = '''
import threading, traitlets
from iolab.drawing.picture import Picture
from iolab.widgets.panel import Panel

class Counter(Panel):
    _esm = """function render({ model, el }) {
      const button = document.createElement("button"), text = document.createElement("p");
      button.textContent = "count"; button.className = "count"; text.className = "counted";
      button.addEventListener("click", () => model.send({ by: 1 }));
      model.on("change:sentence", () => { text.textContent = model.get("sentence"); });
      el.append(button, text);
    }
    export default { render };"""
    count, thread, stopped = 0, "", 0
    def asked(self, message):
        self.count += message["by"]
        self.thread = threading.current_thread().name
        self.sentence = f"counted {self.count}"
    def picture(self):
        return Picture(2, 1, "a counter")
    def stop(self):
        Counter.stopped += 1
'''
SUBSHELLS = {"apputils-extension/kernels-settings": {"commsOverSubshells": "perCommTarget"}}


def test_a_panel_is_asked_in_the_main_thread_and_answers(browser, lab, folder):
    write_notebook(folder / "small.ipynb", SMALL_PANEL, "panel = Counter()\npanel", "print(panel.count, panel.thread)")
    with OpenNotebook(browser, lab, "small.ipynb") as notebook:
        notebook.run_all()
        for _ in range(3):
            notebook.page.click("button.count")
        notebook.page.wait_for_function("() => document.querySelector('.counted').textContent === 'counted 3'")
        notebook.run_cell(2)
        assert notebook.texts(2) == "3 MainThread\n"
        assert notebook.errors() == []


def test_a_notebook_stores_a_picture_and_a_sentence_but_no_widget_state(browser, lab, folder):
    write_notebook(folder / "stored.ipynb", SMALL_PANEL, "Counter()")
    with OpenNotebook(browser, lab, "stored.ipynb") as notebook:
        notebook.run_all()
        notebook.page.wait_for_selector("button.count")
        notebook.save()
        model = notebook.model()
        assert "widgets" not in model["metadata"]
        (output,) = model["cells"][1]["outputs"]
        assert "".join(output["data"]["text/plain"]) == "a counter"
        assert base64.b64decode(output["data"]["image/png"])[1:4] == b"PNG"


def test_running_a_cell_again_closes_the_panel_it_made(browser, lab, folder):
    write_notebook(folder / "again.ipynb", SMALL_PANEL, "Counter(), Counter()", "print(Counter.stopped)")
    with OpenNotebook(browser, lab, "again.ipynb") as notebook:
        notebook.run_all()
        assert notebook.texts(2) == "0\n"
        notebook.run_cell(1)
        notebook.run_cell(2)
        assert notebook.texts(2) == "2\n"
        assert notebook.errors() == []
