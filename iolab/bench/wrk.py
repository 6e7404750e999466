"""Load by wrk, where it is installed: a client in C, which is never the slower half.

    wrk -t1 -c64 -d1s --latency http://127.0.0.1:PORT/   ──>   Requests/sec, 50%, 99%, errors

Two facts that surprise:
* Faster than any server in Python, it shows a rate that is the server's own. It counts statuses, and does not look at
  the bodies: so our own client has asked the server before, and has looked.
* It stops in the middle: up to N requests are handled that it does not count. So CPU time is divided by the server's own
  count. To accept the N connections is in it, too.

github.com/wg/wrk; whole seconds only.
"""

import re
import shutil
import subprocess
import time

from iolab.bench.application import Asked
from iolab.bench.client import HOST, PATIENCE_S, WrongResponse
from iolab.bench.results import Figures

_UNITS = {"us": 1e3, "ms": 1e6, "s": 1e9, "m": 6e10}
_TOTAL = re.compile(r"^\s*(\d+) requests in ([\d.]+)(us|ms|s|m),", re.MULTILINE)
_PERCENTILE = re.compile(r"^\s*(\d+)%\s+([\d.]+)(us|ms|s|m)\s*$", re.MULTILINE)
_ERRORS = re.compile(r"^\s*(Socket errors:.*|Non-2xx or 3xx responses:.*)$", re.MULTILINE)


def unavailable() -> str | None:
    """Why there is no wrk; None when there is."""
    return None if shutil.which("wrk") else "wrk is not installed"


def run(port: int, asked: Asked, connections: int, seconds: float) -> Figures:
    """One run, of whole seconds, at least one. WrongResponse for errors that it counted; RuntimeError when it fails."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    command += ["--timeout", f"{PATIENCE_S:g}s", f"http://{HOST}:{port}{asked.path}"]
    limit_s = seconds + 2 * PATIENCE_S
    before = time.monotonic()
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"wrk has not ended after {time.monotonic() - before:.0f} s") from None
    if said.returncode:
        raise RuntimeError(f"wrk has failed: {' '.join((said.stderr or said.stdout).split())}")
    return figures(said.stdout)


def figures(text: str) -> Figures:
    """What wrk has printed, in numbers."""
    if errors := _ERRORS.findall(text):
        raise WrongResponse(f"wrk: {'; '.join(errors)}")
    total = _TOTAL.search(text)
    latency = {int(share): _ns(value, unit) for share, value, unit in _PERCENTILE.findall(text)}
    if total is None or not {50, 99} <= latency.keys():
        raise RuntimeError(f"wrk has said something unknown: {text[-200:]!r}")
    return Figures(int(total[1]), _ns(total[2], total[3]), latency[50], latency[99])


def _ns(value: str, unit: str) -> int:
    return round(float(value) * _UNITS[unit])
