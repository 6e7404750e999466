"""A contestant as a program: python -m iolab.bench.contestant NAME plain|database FOLDER; it ends with its stdin.

    stdout   40321                        the port, once it listens
    stdin    \\n ──> stdout 12345          how many requests its handler has answered so far
    stdin    end ──> the folder is removed, it ends

Two facts that surprise:
* A parent that is killed cannot stop its children. But the kernel closes its pipes, and a child that reads one learns
  of it, whatever the parent died of.
* os._exit in one thread ends all of them, without asking those that wait in the kernel.
"""

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from iolab.bench.application import CountedApplication, new_application
from iolab.bench.contestants import contestant
from iolab.servers.listening import listen


def _obey(application: CountedApplication, folder: str) -> None:
    for _ in sys.stdin:
        print(application.handled(), flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def main(name: str, requests: str, folder: str) -> None:
    """Serve until stdin ends; what files there are, are in `folder`, which is then removed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end ends this, too
    serve = contestant(name).serve
    try:
        application = new_application(requests, Path(folder))
        listener = listen()
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=_obey, args=(application, folder), daemon=True).start()
        serve(listener, application)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
