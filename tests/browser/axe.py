"""axe-core, which looks for faults that keep people with disabilities out: npm's package, fetched by npm itself.

    source = axe_core(folder)                                          the text of axe.min.js
    serious_faults(page, ".iolab-player", source) == []                rules broken, with the elements that break them

`IOLAB_AXE` may name an axe.min.js that is there already. Faults are counted from "serious" on, as axe-core grades them.
"""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

PACKAGE = "axe-core@4.14.1"
GRAVE = ("serious", "critical")


def axe_core(folder: Path) -> str:
    """The program; fetched into `folder` unless it is there. RuntimeError says why it cannot be had, in npm's words."""
    if named := os.environ.get("IOLAB_AXE"):
        return Path(named).read_text(encoding="utf-8")
    if shutil.which("npm") is None:
        raise RuntimeError("no npm to fetch axe-core with, and IOLAB_AXE names no axe.min.js")
    run = subprocess.run(
        ["npm", "pack", "--silent", PACKAGE], cwd=folder, capture_output=True, text=True, timeout=180,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if run.returncode:
        raise RuntimeError(f"npm pack {PACKAGE}: {run.stderr.strip()}")
    with tarfile.open(folder / run.stdout.split()[-1]) as package:
        return package.extractfile("package/axe.min.js").read().decode()


def serious_faults(page, selector: str, source: str) -> list[str]:
    """The rules that what `selector` names breaks seriously, each with the elements that do so."""
    if not page.evaluate("() => typeof window.axe === 'object'"):
        page.evaluate(source)
    found = page.evaluate("selector => axe.run(selector, {resultTypes: ['violations']})", selector)
    return [
        f"{fault['id']} ({fault['impact']}): {fault['help']}: {[node['html'][:120] for node in fault['nodes']]}"
        for fault in found["violations"]
        if fault["impact"] in GRAVE
    ]
