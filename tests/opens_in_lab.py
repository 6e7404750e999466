"""Start JupyterLab as the README does, and ask it over HTTP for the notebook: `python tests/opens_in_lab.py NOTEBOOK`."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

LIMIT_S = 120
ROOT = Path(__file__).parents[1]


def get(url: str):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def main(notebook: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("w") as output:
            server = subprocess.Popen(
                [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
                 "--ServerApp.port=0", "--IdentityProvider.token=", notebook],
                cwd=ROOT, stdout=output, stderr=output, process_group=0,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + LIMIT_S
            while not (found := [word for word in log.read_text().split() if word.startswith("http://127.0.0.1:")]):
                if time.monotonic() > deadline or server.poll() is not None:
                    sys.exit(f"JupyterLab did not start:\n{log.read_text()}")
                time.sleep(0.2)
            base, name = found[0].split("/lab")[0].rstrip("/") + "/", Path(notebook).name  # it serves the folder
            page = get(base + "lab/tree/" + name)
            assert b"JupyterLab" in page, "the page is not JupyterLab's"
            model = json.loads(get(base + "api/contents/" + name))
            assert model["type"] == "notebook", model["type"]
            assert model["content"]["cells"], "the notebook is empty"
            settings = json.loads(get(base + "lab/api/settings/@jupyterlab/apputils-extension:kernels-settings"))
            default = settings["schema"]["properties"]["commsOverSubshells"]["default"]
            assert default == "disabled", f"iolab's settings are not in force: {default}"
        finally:
            server.terminate()
            server.wait(20)
    print(f"JupyterLab opens {notebook}")


if __name__ == "__main__":
    main(sys.argv[1])
