"""axe-core in an open page: the faults that it finds, of those that shut somebody out.

npm install --no-save --no-package-lock axe-core@4         in the project's folder, once
"""

import os
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = ("serious", "critical")


def faults(page, selector: str) -> list[str]:
    """The serious and critical faults inside of what `selector` finds; skipped where axe-core is missing, not on CI."""
    if not SCRIPT.exists() and not os.environ.get("CI"):
        pytest.skip("axe-core is not installed: npm install --no-save --no-package-lock axe-core@4")
    page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    report = page.evaluate("async selector => await axe.run(selector)", selector)
    assert report["passes"], "axe looked at nothing"
    return [
        f"{fault['id']}: {fault['help']}: {node['html'][:160]}"
        for fault in report["violations"]
        if fault["impact"] in GRAVE
        for node in fault["nodes"]
    ]
