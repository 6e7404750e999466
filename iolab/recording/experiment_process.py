"""One run in a process of its own: it can be watched, waited for, and ended; whoever asked for it goes on meanwhile.

    this process    start ── go on ── take(), when fileno() is readable ──── result()
                      │                         ▲
    child             └── run(model, scenario) ─┘ the Timeline as JSON       cancel(): its stdin ends, and so does it

Two facts that surprise:
* A thread cannot be ended from outside while it sleeps in read(2); a process can. So whatever shall be cancelled runs
  in a process.
* A process that is killed leaves behind what only it could tidy up, an instance of tracefs for one. So the child is
  interrupted, by its own second thread, which finds that stdin has ended, and leaves by all its `with` statements. The
  same thread ends it when its parent is killed.

A notebook's kernel has other threads, which take the interpreter from the one that reads; the child has none that runs.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic_ns, sleep

from iolab.models import MODELS
from iolab.recording.evidence import BEST
from iolab.recording.experiment import run
from iolab.recording.scenario import MAX_SENDERS, Delivery, Scenario
from iolab.recording.timeline import Timeline

_ROOT = str(Path(__file__).resolve().parents[2])
# -S and -I start Python in a third of the time: no site-packages, no user's files. The path says where we are.
_PROGRAM = f"import runpy, sys; sys.path.insert(0, sys.argv.pop()); runpy.run_module({__name__!r}, {{}}, '__main__')"
CANCELLED = 130  # the exit code, as of a program that Ctrl-C has ended
GRACE_S, AGAIN_S = 5.0, 1.0


def scenario_of(wait_ms: float, nbytes: int, senders: int) -> Scenario:
    """As on the command line: with several senders the first one comes last, after `wait_ms`. ValueError as Scenario."""
    if not isinstance(senders, int) or not 1 <= senders <= MAX_SENDERS:
        raise ValueError(f"senders must be from 1 to {MAX_SENDERS}, not {senders!r}")
    waits = [wait_ms * (senders - number) / senders for number in range(senders)]
    return Scenario(tuple(Delivery(wait, nbytes) for wait in waits))


class ExperimentProcess:
    """A run of `model` on `scenario_of(...)`, from its making on; a context manager that leaves no process."""

    def __init__(self, model, wait_ms: float, nbytes: int, senders: int = 1, evidence: str = BEST) -> None:
        scenario_of(wait_ms, nbytes, senders)  # what is wrong is said before anything is opened
        plan = [model.NAME, wait_ms, nbytes, senders, evidence]
        self._heard = bytearray()
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, json.dumps(plan), _ROOT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            process_group=0,  # the kernel's interrupt reaches its whole group; the child ends by its stdin
        )  # fmt: skip

    def fileno(self) -> int:
        """The descriptor that is readable when there is something to take."""
        return self._child.stdout.fileno()

    def take(self) -> bool:
        """Take what the child has written, or wait for it; True when that was all."""
        piece = self._child.stdout.read(1 << 16)
        self._heard += piece
        return not piece

    def result(self) -> tuple[Timeline, int]:
        """The Timeline, and the nanoseconds that the run took, both when it is over. RuntimeError if it was not one."""
        while not self.take():
            pass
        complaint = self._child.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
        code = self._child.wait()
        if code:
            raise RuntimeError(f"the run failed: {complaint or code}")
        whole = json.loads(self._heard)
        return Timeline.from_json(whole["timeline"]), whole["run_ns"]

    def cancel(self) -> None:
        """End it, and wait until it has; nothing happens when it is over already."""
        self._child.stdin.close()
        try:
            self._child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()
        self._child.stderr.close()

    def __enter__(self) -> "ExperimentProcess":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.cancel()


def _end_with_stdin() -> None:
    os.read(0, 1)  # nobody writes: it returns at the end
    while True:  # an interrupt is lost that comes in a callback of the interpreter, which passes over exceptions
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        sleep(AGAIN_S)


def main(model_name: str, wait_ms: float, nbytes: int, senders: int, evidence: str) -> None:
    """Run it, and write the Timeline, and how long the run took, to stdout."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a parent has had it ignored
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    model = next(each for each in MODELS if model_name == each.NAME)
    start_ns = monotonic_ns()
    timeline = run(model, scenario_of(wait_ms, nbytes, senders), evidence)
    print(json.dumps({"timeline": timeline.to_json(), "run_ns": monotonic_ns() - start_ns}), flush=True)


if __name__ == "__main__":
    try:
        main(*json.loads(sys.argv[1]))
    except KeyboardInterrupt:
        os._exit(CANCELLED)
