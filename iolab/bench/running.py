"""A contestant from outside: started, asked for its count, ended, whatever happens here.

    with running("uvloop", "plain") as server:
        server.port, server.process_id          run load ...
        server.handled()                        its own count of the requests it has handled
                                                stdin closed ──> it ends; else killed

Two facts that surprise:
* Ctrl-C in a terminal is sent to the whole foreground process group: to the children, too, and all at the same time.
  So each contestant is in a group of its own, and is ended by the one that started it.
* What a child writes to a pipe that nobody reads stops it once the pipe is full. So its complaints go to a file.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

END_S = 10.0  # then it is killed


class Running:
    """A contestant's process; `port` is where it listens on 127.0.0.1."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self._process, self.port, self.process_id = process, port, process.pid

    def handled(self) -> int:
        """How many requests its handler has answered so far. ConnectionError if it has died."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        if not (answer := self._process.stdout.readline()):
            raise ConnectionError("it was asked for its count, and has ended instead")
        return int(answer)


@contextmanager
def running(name: str, requests: str) -> Iterator[Running]:
    """RuntimeError, with its last words, for one that does not start, or has not lived to the end."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # The contestant removes the folder, if this process cannot; this one, if the contestant cannot.
    with _folder() as folder, tempfile.TemporaryFile("w+") as complaints:
        command = [sys.executable, "-m", "iolab.bench.contestant", name, requests, folder]
        process, failure = subprocess.Popen(command, stderr=complaints, process_group=0, **pipes), None
        try:
            port = process.stdout.readline()
            if not port:
                process.wait(END_S)
                raise RuntimeError(f"{name} did not start: {_last_line(complaints)}")
            try:
                yield Running(process, int(port))
            except Exception as error:  # perhaps of its death: the client sees a reset before anybody knows why
                failure = error
        finally:
            _end(process)
        if process.returncode:
            words = f"{name} has ended too early, with {process.returncode}: {_last_line(complaints)}"
            raise RuntimeError(words) from failure
        if failure:
            raise failure


def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="iolab-bench-", ignore_cleanup_errors=True)


def _end(process: subprocess.Popen) -> None:
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(END_S)
    except BaseException:  # it does not end, or Ctrl-C once more
        process.kill()
        process.wait()
        raise
    finally:
        process.stdout.close()


def _last_line(complaints) -> str:
    complaints.seek(0)
    lines = complaints.read().splitlines()
    return lines[-1] if lines else "it said nothing"
