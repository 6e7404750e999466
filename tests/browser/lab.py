"""A JupyterLab of one's own and Debian's chromium in it: what the browser tests stand on.

    with jupyterlab(folder) as url, chromium() as browser, OpenNotebook(browser, url, "a.ipynb") as notebook:
        notebook.run_all()
        assert notebook.errors() == []      # error outputs of cells, errors on the console, requests that left

The server has its own port, settings and run-time folder, asks nobody for news, and ends with all its kernels. What is
asked of the page is asked of Lab's own objects (`jupyterapp`), not of what its status bar says.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

LIMIT_S = 120  # for whatever takes seconds on a quiet machine
MOST_TABS = 60
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage")  # fmt: skip
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, however far down
}
IDLE = """() => {
  const panel = window.jupyterapp && window.jupyterapp.shell.currentWidget;
  const kernel = panel && panel.sessionContext && panel.sessionContext.session && panel.sessionContext.session.kernel;
  return !!kernel && kernel.status === 'idle' && kernel.connectionStatus === 'connected';
}"""
# From now on window.changes tells what happens to a live region: how live it is when it is emptied, and when it is written.
WATCH = """selector => {
  const region = document.querySelector(selector), live = () => region.getAttribute("aria-live");
  window.changes = [];
  new MutationObserver(all => window.changes.push(...all.map(each =>
    each.type === "attributes" ? `becomes ${live()}` : each.addedNodes.length ? `written while ${live()}` : `emptied while ${live()}`)))
    .observe(region, {attributes: true, attributeFilter: ["aria-live"], childList: true});
}"""
SPOKEN = "() => window.changes.lastIndexOf('written while polite') > window.changes.lastIndexOf('becomes polite')"
WAITING = """() => { const notebook = window.jupyterapp.shell.currentWidget; return {
  kernel: notebook.sessionContext.kernelDisplayStatus,
  cells: notebook.content.widgets.filter(each => each.node.querySelector(".jp-InputPrompt")?.textContent.includes("*"))
    .map(each => each.model.id)
}; }"""
NO_CELL_WAITS = "() => !Array.from(document.querySelectorAll('.jp-InputPrompt')).some(p => p.textContent.includes('*'))"


def lacking() -> str | None:
    """Why there can be no browser test on this machine; None where there can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed: pip install playwright"
    return None if _browser() else f"none of {', '.join(BROWSERS)} is installed: apt-get install chromium"


def _browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def write_notebook(path: Path, *cells: str) -> None:
    """A notebook of code cells that were never run."""
    new = nbformat.v4
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(new.new_notebook(cells=[new.new_code_cell(cell) for cell in cells], metadata=kernel), path)


@contextmanager
def jupyterlab(folder: Path, settings: dict | None = None) -> Iterator[str]:
    """A server of `folder`; yields its address. `settings` are more of Lab's settings, by plugin."""
    with tempfile.TemporaryDirectory(prefix="iolab-lab-") as own:
        for name, values in (SETTINGS | (settings or {})).items():
            file = Path(own, "settings", "@jupyterlab", f"{name}.jupyterlab-settings")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        folders = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
                   "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
                   "IPYTHONDIR": "ipython"}  # fmt: skip
        log = Path(own, "log")
        with log.open("w") as output:
            server = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
                 "--ServerApp.port=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}",
                 "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,  # in our group: what ends a whole test run ends it
                env=os.environ | {name: str(Path(own, part)) for name, part in folders.items()},
            )  # fmt: skip
        try:
            yield _address(server, log)
        finally:
            server.send_signal(signal.SIGTERM)  # it ends its kernels, too
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()  # its kernels find that their parent is gone, and end
                server.wait()


def _address(server: subprocess.Popen, log: Path) -> str:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and server.poll() is None:
        for word in log.read_text().split():
            if word.startswith("http://127.0.0.1:"):
                url = word.split("/lab")[0]
                try:
                    urllib.request.urlopen(f"{url}/api/status", timeout=5).close()
                    return url
                except (OSError, urllib.error.URLError):
                    break
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@contextmanager
def chromium() -> Iterator:
    """A headless browser; yields playwright's Browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_browser(), headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class OpenNotebook:
    """A notebook in a page of its own, its kernel ready; a context manager that ends page and kernel.

    `page` is playwright's; `console` what was said there as an error; `foreign` whatever was asked of another server.
    """

    def __init__(self, browser, url: str, path: str, width: int = 1280, height: int = 1600) -> None:
        self.url, self.path = url, path
        self.console: list[str] = []
        self.foreign: list[str] = []
        self._context = browser.new_context(viewport={"width": width, "height": height})
        self._context.set_default_timeout(LIMIT_S * 1000)
        self.page = self._context.new_page()
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.on("console", lambda said: self.console.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("websocket", lambda socket: self._note(socket.url))

    def _note(self, address: str) -> None:
        local = (self.url, "ws" + self.url.removeprefix("http"), "blob:", "data:", "about:")
        if not address.startswith(local):
            self.foreign.append(address)

    def __enter__(self) -> "OpenNotebook":
        try:
            self.load()
        except BaseException:
            self._context.close()
            raise
        return self

    def __exit__(self, kind, error, traceback) -> None:
        try:
            self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        finally:
            self._context.close()

    def load(self) -> None:
        """Load the page, for the first time or anew; returns when the kernel is idle."""
        self.page.goto(f"{self.url}/doc/tree/{self.path}?reset")
        self.page.wait_for_function("() => window.jupyterapp !== undefined")
        self.page.wait_for_function("async () => { await window.jupyterapp.restored; return true; }")
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Notebook .jp-Cell")
        self.idle()

    def idle(self) -> None:
        """Wait until the kernel is idle."""
        self.page.wait_for_function(IDLE)

    def run_all(self) -> None:
        """Run every cell; returns when the last one is done."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.until_done()

    def until_done(self) -> None:
        """Wait until no cell waits; AssertionError names those that still do."""
        try:
            self.page.wait_for_function(NO_CELL_WAITS)
        except Exception as error:
            raise AssertionError(f"{self.path} still waits for {self.page.evaluate(WAITING)}") from error
        self.idle()

    def run_cell(self, number: int, wait: bool = True) -> None:
        """Run one cell, counted from 0 over all cells."""
        self.page.evaluate(
            """number => {
              window.jupyterapp.shell.currentWidget.content.activeCellIndex = number;
              window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            number,
        )
        if wait:
            self.until_done()

    def tab_into(self, selector: str, key: str = "Tab") -> None:
        """Press Tab, or "Shift+Tab", until the focus is in what `selector` names."""
        for _ in range(MOST_TABS):
            self.page.keyboard.press(key)
            if self.page.evaluate("selector => !!document.activeElement.closest(selector)", selector):
                return
        raise AssertionError(f"{selector} is not reached by {MOST_TABS} times {key}")

    def model(self) -> dict:
        """The notebook as Lab holds it now, as JSON."""
        return self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON()")

    def texts(self, number: int) -> str:
        """What a cell printed and showed as plain text."""
        found = []
        for output in self.model()["cells"][number].get("outputs", ()):
            found += [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
        return "".join("".join(text) for text in found)

    def errors(self) -> list[str]:
        """Error outputs of cells, errors on the console, requests to others."""
        outputs = [
            f"cell {number}: {output['ename']}: {output['evalue']}"
            for number, cell in enumerate(self.model()["cells"])
            for output in cell.get("outputs", ())
            if output["output_type"] == "error"
        ]
        return outputs + self.console + [f"asked {address}" for address in self.foreign]

    def save(self) -> None:
        """Save the notebook, as Ctrl-S does."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        self.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
