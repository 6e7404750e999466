"""The experiments on a completion port: live on Windows, or in a Wine that is at hand; else the recording of a run.

    experiments()   Windows: here, now
                    IOLAB_WINE names a folder that tests/wine.py has prepared: Windows' Python, in Wine
                    neither: iocp.experiments.json, labelled

Two facts that surprise:
* Wine is not an emulator: it is Windows' functions written anew over Linux's. The completion port is a list in Wine's
  server; below it a socket is polled. The interface is Windows'; what is seen is what this Wine does with it.
* Its wake-ups differ: Windows wakes the thread that came last, Wine 8 the one that waits longest, and as many run as
  there are. So nothing that depends on it is claimed here, and no time.

As a program it prints the experiments' values as JSON: the folder's Python runs it.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import date
from pathlib import Path

from iolab.kernel.iocp import unavailable as no_ports
from iolab.kernel.iocp_abi import wine_version
from iolab.recorded import path_of, value_of

NAME, FOLDER, LIMIT_S, ENDING_S = "iocp.experiments", "IOLAB_WINE", 180, 20
ROOT = Path(__file__).resolve().parents[2]


def all_values() -> dict:
    """Every experiment's value by its name, run in this process. OSError where there are no completion ports."""
    from iolab.recording import port_endings, port_servers, port_steps

    steps = (port_steps.one_read, port_steps.order, port_steps.at_once, port_steps.file_read, port_endings.cancelled,
             port_endings.closed, port_endings.one_port_for_ever, port_servers.eight_steps, port_servers.event_loop)  # fmt: skip
    return {"label": label()} | {step.__name__: step() for step in steps}


def label() -> str:
    """What this Python runs on: never "Windows" for Wine."""
    python = f"Windows CPython {platform.python_version()}"
    if version := wine_version():
        return f"Wine {version} on Linux, {python}; not Windows"
    return f"{platform.system()} {platform.release()}, {platform.machine()}, {python}"


def experiments() -> tuple[dict, str]:
    """The values, and where they are from. RuntimeError when the Wine that IOLAB_WINE names fails."""
    refusal = no_ports()
    if refusal is None:
        values = all_values()
        return values, f"run now, on {values['label']}"
    if folder := os.environ.get(FOLDER):
        values = in_wine(Path(folder))
        return values, f"run now, on {values['label']}"
    whole = value_of(NAME)
    return whole["value"], f"a RECORDING ({whole['recorded']}). Not run here: {refusal}"


def record() -> None:
    """Run them, and keep the values. RuntimeError where there is neither Windows nor IOLAB_WINE."""
    if no_ports() and not os.environ.get(FOLDER):
        raise RuntimeError(f"iocp: {no_ports()}, and {FOLDER} names no folder that tests/wine.py has prepared")
    values, _ = experiments()
    whole = {"recorded": f"{date.today().isoformat()}, {values['label']}", "value": values}
    path_of(NAME).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def in_wine(folder: Path) -> dict:
    """all_values() of the Windows Python in `folder`; afterwards none of this folder's Wine is left. RuntimeError."""
    folder = folder.expanduser().resolve()
    wine, server, python = program("wine"), program("wineserver"), folder / "python" / "python.exe"
    if not (wine and server and python.exists()):
        raise RuntimeError(f"{FOLDER} must name a folder that tests/wine.py has prepared, and Wine be installed")
    try:
        done = subprocess.run([wine, python, "-m", __name__], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, env=environment(folder), timeout=LIMIT_S, cwd=folder)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"Wine: the experiments were not over after {LIMIT_S} s") from None
    finally:
        end_all(folder)
    if done.returncode:
        raise RuntimeError(f"Wine: {done.stderr.strip().rpartition(chr(10))[2]}")
    return json.loads(done.stdout)


def program(name: str) -> str | None:
    """Of Wine's; Debian keeps the server beside its libraries."""
    return shutil.which(name) or shutil.which(name, path="/usr/lib/wine")


def windows_path(path: Path) -> str:
    """Wine shows the whole of Linux as drive Z."""
    return "Z:" + str(path.resolve()).replace("/", "\\")


def environment(folder: Path) -> dict[str, str]:
    """In which Wine keeps to `folder`, and its Python finds this package."""
    return os.environ | {
        "WINEPREFIX": str(folder / "prefix"), "WINEDEBUG": "-all", "DISPLAY": "", "PYTHONUTF8": "1",
        "PYTHONPATH": f"{windows_path(ROOT)};{windows_path(folder / 'site')}", "PYTHONDONTWRITEBYTECODE": "1",
        "WINEDLLOVERRIDES": "mscoree,mshtml=",  # else a new prefix asks for Mono and Gecko
    }  # fmt: skip


def end_all(folder: Path) -> None:
    """End what runs in this folder's Wine, whoever has started it there, and wait until it has ended."""
    for option in ("-k", "-w"):
        with suppress(subprocess.TimeoutExpired):
            subprocess.run([program("wineserver"), option], env=environment(folder), timeout=ENDING_S)


if __name__ == "__main__":
    json.dump(all_values(), sys.stdout)
