"""The process that watches buffers for rung 2: started, asked, and never left behind.

    Watcher(cpu, buffers) ── ready ── reader runs ── stop() ── what it saw ── close()
      stdin stays open ─────────────────────────────┘ its end means: tell, and go

It ends when its stdin does, so even a reader that was killed leaves none.
"""

import json
import select
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from iolab.recording.shared_buffer import SharedBuffer

START_LIMIT_S, TIME_LIMIT_S = 30, 3600
_ROOT = str(Path(__file__).resolve().parents[3])
# As with the senders: -S and -I start Python in a third of the time.
_PROGRAM = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop()); "
    "runpy.run_module('iolab.recording.evidence.watching', {}, '__main__')"
)


class Saw(NamedTuple):
    """A byte that came into buffer number `buffer` at `offset`, between two times (CLOCK_MONOTONIC, ns)."""

    buffer: int
    offset: int
    earliest_ns: int
    latest_ns: int


class Watcher:
    """A process on CPU `cpu` that looks at `buffers`. A context manager; RuntimeError when it does not start."""

    def __init__(self, cpu: int, buffers: list[SharedBuffer]) -> None:
        self.saw: list[Saw] = []  # known after `stop`
        plan = {
            "cpu": cpu,
            "time_limit_s": TIME_LIMIT_S,
            "buffers": [(buffer.fd, len(buffer)) for buffer in buffers],
        }
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, json.dumps(plan), _ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=[buffer.fd for buffer in buffers],
            process_group=0,  # Ctrl-C reaches the whole foreground group; a watcher ends by its stdin
        )
        try:
            told, _, _ = select.select([self._process.stdout], [], [], START_LIMIT_S)
            if not told or self._process.stdout.readline() != b"ready\n":
                self._process.kill()
                reason = self._process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise RuntimeError(f"the witness did not start: {reason or 'exit code ' + str(self._process.wait())}")
        except BaseException:
            self.close()
            raise

    @property
    def process_id(self) -> int:
        return self._process.pid

    def seen_all(self, timeout_s: float) -> bool:
        """Whether, within a time, the last byte of every buffer is seen."""
        return bool(select.select([self._process.stdout], [], [], timeout_s)[0])

    def stop(self) -> list[Saw]:
        """End the watch; what was seen."""
        if not self._process.stdin.closed:
            self._process.stdin.close()
            lines = [line.split() for line in self._process.stdout.read().splitlines()]
            self.saw = [Saw(*map(int, line[1:])) for line in lines if line[0] == b"saw"]
        return self.saw

    def close(self) -> None:
        """End the process; again is harmless."""
        self._process.kill()
        with self._process:  # closes its pipes and waits for it
            pass

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.close()
