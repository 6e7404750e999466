"""The demo in a process of its own: for the way that ends a process with more than one thread, SIGEV_SIGNAL.

    notebook's process ── starts ──> python -m iolab.aio_demo ── one thread, signal blocked ── demo ──> JSON ──┐
    AioDemo <──────────────────────────────────────────────────────────────────────────────────────────────────┘

Two facts that surprise:
* Blocking the signal in this thread is not enough: a notebook's kernel has threads of its own, started before.
* glibc's helper threads do no harm here: they block all signals (pthread_sigmask(3)).

Ctrl-C ends the child first, with SIGTERM, so that it removes its file.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT_S = 120  # what is run so takes a few seconds


def run_alone(module: str, options: dict) -> str:
    """What `python -m module` answers to `options`: a JSON text.

    OSError if it tells of one, RuntimeError if it died, or was not done within LIMIT_S; then it is ended.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    # -P: a file of the current folder that is named like a module is not to be imported instead.
    command = [sys.executable, "-P", "-m", module, json.dumps(options)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        try:
            answer, complaint = child.communicate(timeout=LIMIT_S)
        except BaseException as error:
            child.terminate()
            child.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise RuntimeError(f"{module} was not done within {LIMIT_S} s") from None
            raise
    if child.returncode:
        last = (complaint.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"{module} ended with {child.returncode}: {last}")
    if error := json.loads(answer).get("error"):
        raise OSError(*error)
    return answer
