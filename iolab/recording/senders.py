"""The sender processes of one experiment: started, let go together, heard, and never left behind."""

import json
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from iolab.kernel.tasks import Task, TaskLook
from iolab.kernel.thread_state import ThreadState
from iolab.recording.channel import Channel
from iolab.recording.scenario import COMPLETE, Delivery

_ROOT = str(Path(__file__).resolve().parents[2])
# -S and -I start Python in a third of the time: no site-packages, no user's files. The path says where we are.
_PROGRAM = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop()); runpy.run_module('iolab.recording.sender', {}, '__main__')"
)
START_LIMIT_S = 30
GRACE_S = 0.1  # a stream with a low-water mark ends so long after its last byte


def _state(words: list[bytes]) -> ThreadState:
    return ThreadState(int(words[0]), int(words[1]), *(word.decode() for word in words[2:]))


class Sent(NamedTuple):
    """One send() as the sender saw it (CLOCK_MONOTONIC, ns); `nbytes` 0 is the close of the stream."""

    before_ns: int
    after_ns: int
    nbytes: int


class Senders:
    """A context manager: one process a delivery. They end when their stdin does, so even a killed parent leaves
    none; after `time_limit_s` each ends by its own alarm, which ends its stream and thereby any blocked read.
    No thread watches over them: it would compete with the reader for the interpreter."""

    def __init__(self, deliveries: tuple[Delivery, ...], channels: list[Channel], time_limit_s: float) -> None:
        self._deliveries, self._channels, self._time_limit_s = deliveries, channels, time_limit_s
        self._processes: list[subprocess.Popen] = []

    def start(self, reader: tuple[int, int] | None, trailer: int) -> None:
        """Start all and wait until each is ready; `reader` (process, thread) is what the first one looks at."""
        for number, (delivery, channel) in enumerate(zip(self._deliveries, self._channels, strict=True)):
            plan = {
                "fd": channel.write_fd,
                "sends": delivery.sends(),
                "ending": delivery.ending,
                "trailer": trailer if delivery.ending == COMPLETE else 0,
                "reader": reader if number == 0 else None,
                "read_fds": [each.read_fd for each in self._channels],
                "time_limit_s": self._time_limit_s,
                "grace_s": GRACE_S if channel.low_water > 1 else None,
            }
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, json.dumps(plan), _ROOT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=[channel.write_fd],
                process_group=0,  # Ctrl-C reaches the whole foreground group; a sender ends by its stdin
            )
            self._processes.append(process)
            channel.close_write()
        for process in self._processes:
            told, _, _ = select.select([process.stdout], [], [], START_LIMIT_S)
            if not told or process.stdout.readline() != b"ready\n":
                process.kill()
                reason = process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise RuntimeError(f"a sender did not start: {reason or 'exit code ' + str(process.wait())}")

    def go(self, start_ns: int) -> None:
        """The delays count from `start_ns`, CLOCK_MONOTONIC."""
        for process in self._processes:
            process.stdin.write(b"%d\n" % start_ns)

    def stop(self) -> tuple[list[list[Sent]], list[ThreadState], list[TaskLook]]:
        """End them all; what each sent, and what the first one saw of the reader and of its helper threads."""
        sent, seen, helpers = [], [], []
        for process in self._processes:
            process.stdin.close()
            lines = process.stdout.read().splitlines()
            process.wait()
            words = [line.split(b" ", 3) for line in lines if line.startswith((b"sent", b"closed"))]
            sent.append([Sent(*map(int, line[1:4])) for line in words])
            seen += [_state(line.split(b" ", 5)[1:]) for line in lines if line.startswith(b"seen")]
            for line in (line.split(b" ", 8)[1:] for line in lines if line.startswith(b"helper")):
                helpers.append(TaskLook(Task(int(line[0]), line[2].decode(), int(line[1])), _state(line[3:])))
        return sent, seen, helpers

    @property
    def timed_out(self) -> bool:
        """Whether the time limit ended one of them; to be asked after `stop`."""
        return any(process.returncode == -signal.SIGALRM for process in self._processes)

    def __enter__(self) -> "Senders":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        for process in self._processes:
            process.kill()
            with process:  # closes its pipes and waits for it
                pass
