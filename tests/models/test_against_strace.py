"""An outside authority: what strace(1) sees a model call, and what the Recorder wrote down, name by name."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.streams import every_variant

TRACED = (
    "read,readv,select,pselect6,poll,ppoll,epoll_create1,epoll_ctl,epoll_wait,epoll_pwait,epoll_pwait2,"
    "rt_sigtimedwait,fcntl,clock_nanosleep,getppid"
)
# What the C library and Python make of a name: readv(2) into one buffer is read(2) without a copy in between.
NAMED = {
    "readv": "read",
    "pselect6": "select",
    "ppoll": "poll",
    "epoll_pwait": "epoll_wait",
    "epoll_pwait2": "epoll_wait",
    "rt_sigtimedwait": "sigtimedwait",
}
# The child reads from a process of its own. That one lives as long as the child: its SIGCHLD would interrupt the
# traced calls. getppid(2) marks where the model begins and ends.
READER = """
import importlib, json, os, sys, time
from iolab.recorder import Recorder
model, options = importlib.import_module(sys.argv[1]), json.loads(sys.argv[2])
fd, peer = os.pipe()
end, child_waits_here = os.pipe()
if os.fork() == 0:
    os.close(child_waits_here)
    for piece in b"12", b"345":
        time.sleep(0.02)
        os.write(peer, piece)
    os.read(end, 1)
    os._exit(0)
recorder = Recorder()
os.getppid()
assert model.read_into(fd, bytearray(5), recorder, **options) == 5
os.getppid()
print(json.dumps([os.getpid(), fd, [(call.name, call.fd, call.nbytes, call.errno) for call in recorder.calls()]]))
"""


def between_the_marks(lines: list[str]) -> list[str]:
    marks = [number for number, line in enumerate(lines) if line.startswith("getppid")]
    return lines[marks[-2] + 1 : marks[-1]]


def as_recorded(line: str) -> tuple:
    """Name, descriptor, bytes, errno, of one line of strace."""
    name, arguments, result, error = re.match(r"(\w+)\((.*)\) += (-?\d+)(?: (E\w+))?", line).groups()
    name = NAMED.get(name, name)
    fd = arguments.split(", ")[2 if name == "epoll_ctl" else 0] if name in ("read", "fcntl", "epoll_ctl") else -1
    return name, int(fd), int(result) if name == "read" and not error else None, error


@every_variant
def test_the_recorder_wrote_down_what_strace_saw(variant, tmp_path):
    strace = shutil.which("strace")
    if strace is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no strace on this machine: apt install strace")
    program = [sys.executable, "-c", READER, variant.model.__name__, json.dumps(variant.options)]
    run = subprocess.run(
        [strace, "-ff", "-e", f"trace={TRACED}", "-e", "signal=none", "-o", tmp_path / "trace", *program],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    if "ptrace" in run.stderr:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(run.stderr.splitlines()[0])
    assert run.returncode == 0, run.stderr
    process_id, fd, recorded = json.loads(run.stdout)
    lines = between_the_marks((tmp_path / f"trace.{process_id}").read_text().splitlines())

    # What puts all back at the end, and fcntl that only asks, is not part of the story that a model tells.
    while lines and lines[-1].startswith(("fcntl", "rt_sigtimedwait")):
        lines.pop()
    seen = [as_recorded(line) for line in lines if not re.match(r"fcntl\(\d+, F_GET", line)]

    assert [call[:2] for call in seen] == [tuple(call[:2]) for call in recorded]
    assert [call[2] for call in seen] == [nbytes for _, _, nbytes, _ in recorded]
    assert [call[3] for call in seen] == ["EAGAIN" if errno else None for *_, errno in recorded]
    assert sum(nbytes for name, of, nbytes, _ in seen if (name, of) == ("read", fd) and nbytes) == 5
