"""`iolab bench ...` as a person starts it, in a session of its own; and which processes of that session are left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


def environment(folder: Path) -> dict[str, str]:
    """Temporary files are made in `folder`."""
    return os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}


def session_processes(session: int) -> list[int]:
    """Processes of a session that are alive, by /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def listening(processes: list[int]) -> list[str]:
    """The sockets in state LISTEN that these processes hold. proc_net_tcp(5)."""
    inodes = set()
    for process in processes:
        for link in Path(f"/proc/{process}/fd").glob("*"):
            try:
                inodes.add(os.readlink(link))
            except OSError:
                continue
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in inodes]


def listens(address: str) -> bool:
    """Whether anybody still listens there."""
    return any(line.split()[1:4:2] == [address, "0A"] for line in Path("/proc/net/tcp").read_text().splitlines()[1:])


def eventually(condition: Callable[[], object], limit_s: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def started(folder: Path, *arguments):
    """A process that leads its session; killed, with all of the session, if it is still there at the end."""
    command = [sys.executable, "-m", "iolab", "bench", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(folder), start_new_session=True
    )  # fmt: skip
    try:
        yield process
    finally:
        for left in session_processes(process.pid):
            os.kill(left, signal.SIGKILL)
        process.communicate()
