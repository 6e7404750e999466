"""Small applications for measuring servers: each answers at once, but for one address, which takes its time.

    /            "a book", at once
    /command     a shell command, sleep 0.4: the thread waits for another process, and holds no lock meanwhile
    /count       the same time, spent in Python: the thread holds the interpreter lock whenever it runs
    /page        8 MiB: more than the kernel takes at once

Two facts that surprise:
* To the client both slow ones look alike. To the other threads of the server they do not: one gives the interpreter
  lock away, the other only lends it out, every 5 ms (sys.getswitchinterval).
* Where the work is done is the shop's word, slow(request), and the handler's code is the same: in the loop, or in a
  worker.
"""

import subprocess
from time import thread_time

from iolab.servers.http_requests import Request
from iolab.servers.http_responses import Response, plain

COMMAND, COMMAND_S = ("sh", "-c", "sleep 0.4"), 0.4
SHORT_S = 0.003
PAGE_NBYTES = 8 << 20


class SmallShop:
    """An application as bookstore.Bookstore is one; the targets in `in_worker` are for the server's worker pool."""

    def __init__(self, in_worker: tuple[str, ...] = (), short_s: float = SHORT_S) -> None:
        self._in_worker, self._short_s = in_worker, short_s

    def slow(self, request: Request) -> bool:
        """Whether a worker shall handle it."""
        return request.path in self._in_worker

    def handle(self, request: Request) -> Response:
        """The answer, after what the path asks for."""
        if request.path == "/command":
            subprocess.run(COMMAND, check=True, stdin=subprocess.DEVNULL)
        elif request.path == "/count":
            count(COMMAND_S)
        elif request.path == "/short":
            count(self._short_s)
        elif request.path == "/page":
            return Response(200, bytes(PAGE_NBYTES), "application/octet-stream")
        return plain(200, "a book")


def count(cpu_s: float) -> int:
    """Compute in Python until this thread has had a CPU for so long; how far it came."""
    number, end = 0, thread_time() + cpu_s
    while thread_time() < end:
        number += 1
    return number
