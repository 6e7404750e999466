"""An outside authority: what strace(1) sees a model call, and what the Recorder wrote down, name by name."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from iolab.calls import COMPLETION
from tests.streams import every_variant

TRACED = (
    "read,readv,select,pselect6,poll,ppoll,epoll_create1,epoll_ctl,epoll_wait,epoll_pwait,epoll_pwait2,"
    "rt_sigtimedwait,fcntl,clock_nanosleep,getppid,"
    "pread64,preadv,io_setup,io_submit,io_getevents,io_pgetevents,io_cancel,io_destroy,io_uring_setup,io_uring_enter"
)
# Names of the C library's functions, and of the lock in which a blocking queue sleeps: no system calls that are traced.
UNTRACED = ("futex", "aio_read", "aio_error", "aio_suspend")
# What puts all back at the end is not part of the story that a model tells.
PUTS_BACK = ("fcntl", "rt_sigtimedwait", "io_uring_enter", "io_cancel")
# Of these strace(1) shows a ring, a context or a list where the model names the descriptor that it is about.
ABOUT = ("io_submit", "io_cancel", "io_uring_enter", "poll")
# What the C library and Python make of a name: readv(2) into one buffer is read(2) without a copy in between.
NAMED = {
    "readv": "read",
    "pselect6": "select",
    "ppoll": "poll",
    "epoll_pwait": "epoll_wait",
    "epoll_pwait2": "epoll_wait",
    "rt_sigtimedwait": "sigtimedwait",
    "io_pgetevents": "io_getevents",
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
print(json.dumps([os.getpid(), fd, recorder.calls(), [[each.thread_id, each.calls()] for each in recorder.helpers]]))
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
    process_id, fd, calls, helpers = json.loads(run.stdout)
    lines = {int(path.suffix[1:]): path.read_text().splitlines() for path in tmp_path.glob("trace.*")}
    own = between_the_marks(lines[process_id])
    compare(own, calls)
    for thread_id, helpers_calls in helpers:
        compare(lines[thread_id], helpers_calls)

    # Who has fetched the bytes? The calling thread, another one, or the kernel without a read(2) of anybody.
    arrived = {"own": bytes_read(own, fd), "others": 0, "completed": 0}
    arrived["others"] = sum(bytes_read(lines[each], fd) for each in lines if each != process_id)
    arrived["completed"] = sum(nbytes for call in calls for of, nbytes in call[-1] if of == fd)
    assert arrived == {"own": 0, "others": 0, "completed": 0, **FETCHED.get(variant.model.NAME, {"own": 5})}


FETCHED = {
    "threads": {"others": 5, "completed": 5},
    "posix-aio": {"others": 5, "completed": 5},
    "linux-aio": {"completed": 5},
    "io-uring": {"completed": 5},
}


def compare(lines: list[str], calls: list[list]) -> None:
    """What strace saw of a thread, and what its recorder wrote down."""
    recorded = [call for call in calls if call[0] not in (*UNTRACED, COMPLETION)]
    lines = [line for line in lines if re.match(r"\w+\(", line) and not re.match(r"fcntl\(\d+, F_(GET|DUPFD)", line)]
    while len(lines) > len(recorded) and lines[-1].startswith(PUTS_BACK):
        lines.pop()
    seen = [as_recorded(line) for line in lines]
    assert [call[0] for call in seen] == [call[0] for call in recorded]
    assert [call[1] for call in seen] == [-1 if name in ABOUT else fd for name, fd, *_ in recorded]
    assert [call[2] for call in seen] == [nbytes for *_, nbytes, _, _, _ in recorded]
    assert [call[3] for call in seen] == ["EAGAIN" if errno else None for *_, errno, _, _ in recorded]


def bytes_read(lines: list[str], fd: int) -> int:
    found = [re.match(rf"p?readv?(?:64)?\({fd}, .* = (\d+)$", line) for line in lines]
    return sum(int(each[1]) for each in found if each)
