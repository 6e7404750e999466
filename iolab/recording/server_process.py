"""A server in a process of its own, so that who measures it shares no interpreter lock with it.

    this process     listen ── start ─── descriptors ──>  child: a loop for each, in a thread each
                     ask, ask, ask                        serves, notes its steps
                     close the child's stdin ──────────>  stops, and says: steps, CPU time, threads ──> report

Two facts that surprise:
* The child needs no port number: it inherits the listening sockets themselves. Connections that came before it was
  ready wait in their queues.
* CLOCK_MONOTONIC is one clock for all processes of a machine, so the steps of the server and the moments of its
  client lie on one time axis without any correction. clock_gettime(2).

The child ends when its stdin ends: also when this process is killed.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import process_time_ns

from iolab.recording.small_shops import SmallShop
from iolab.servers.bookstore import Bookstore
from iolab.servers.listening import listen
from iolab.servers.serve import new_server
from iolab.servers.serving import serving
from iolab.servers.steps import NotedSteps

ROOT = Path(__file__).parents[2]
LIMIT_S = 60
APPLICATIONS = ("bookstore", "in the loop", "in a worker")
SLOW = ("/command", "/count", "/short")


class ServerProcess:
    """One child that serves `listeners`, one loop for each, until finish(). OSError, RuntimeError as Popen."""

    def __init__(self, kind: str, mechanism: str | None, application: str, listeners: list[socket.socket]) -> None:
        if application not in APPLICATIONS:
            raise ValueError(f"application must be one of {', '.join(APPLICATIONS)}, not {application!r}")
        fds = [listener.fileno() for listener in listeners]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        what = json.dumps({"kind": kind, "mechanism": mechanism, "application": application, "fds": fds})
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, what],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=fds,
            env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
        self.process_id = self._child.pid

    def finish(self) -> dict:
        """Have it stop; its report. RuntimeError, with its last words, when it has failed."""
        try:
            answer, complaint = self._child.communicate(timeout=LIMIT_S)
        except BaseException:
            self.kill()
            raise
        if self._child.returncode:
            last = (complaint.strip().splitlines() or ["it said nothing"])[-1]
            raise RuntimeError(f"the server ended with {self._child.returncode}: {last}")
        return json.loads(answer)

    def kill(self) -> None:
        """At once, if it still runs."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            pipe.close()


@contextmanager
def server_processes(kind: str, mechanism: str | None, application: str, processes=1, loops=1) -> Iterator[tuple]:
    """So many processes with so many loops each, all on one port; yields them, and the address of the port.

    Whatever is not finished at the end is killed.
    """
    with ExitStack() as stack:
        several = processes * loops > 1
        listeners = [stack.enter_context(listen(reuse_port=several))]
        address = listeners[0].getsockname()
        for _ in range(processes * loops - 1):
            listeners.append(stack.enter_context(listen(port=address[1], reuse_port=True)))
        children = []
        for number in range(processes):
            own = listeners[number * loops : (number + 1) * loops]
            children.append(child := ServerProcess(kind, mechanism, application, own))
            stack.callback(child.kill)
        for listener in listeners:  # from now on they are the children's
            listener.close()
        yield children, address


def _serve(kind: str, mechanism: str | None, application: str, fds: list[int]) -> dict:
    with ExitStack() as stack:
        if application == "bookstore":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="iolab-bookstore-"))
            shop = stack.enter_context(Bookstore(Path(folder) / "bookstore.sqlite"))
        else:
            shop = SmallShop(SLOW if application == "in a worker" else ())
        notes = [NotedSteps() for _ in fds]
        with ExitStack() as running:
            for fd, note in zip(fds, notes, strict=True):
                listener = socket.socket(fileno=fd)
                running.enter_context(
                    serving(lambda listener=listener, note=note: new_server(kind, mechanism, listener, shop, note))
                )
            begin_ns = process_time_ns()
            sys.stdin.read()
            cpu_ns = process_time_ns() - begin_ns
        return {"cpu_ns": cpu_ns, "loops": [note.steps for note in notes]}


if __name__ == "__main__":
    print(json.dumps(_serve(**json.loads(sys.argv[1]))))
