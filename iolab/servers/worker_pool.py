"""A few threads for work that would hold the event loop up: the loop gives it away, and gets the result back by post.

    loop     submit(work) ── the next event, and the next ───────── posted: the result ── send
    worker   └─ work() ── SQLite waits for the disk ── post(result) ┘

Two facts that surprise:
* The threads do not make the work faster, and with one interpreter lock hardly more than one runs at a time. They make
  it *wait* elsewhere: in fsync(2), in a lock, the interpreter lock is free, and the loop goes on.
* The queue needs no limit of its own: each client has at most one request in it, and the clients are counted.

Daemon threads: work that hangs in a device must not keep the interpreter from ending.
"""

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic

log = logging.getLogger("iolab.servers")


class WorkerPool:
    """At most `most` threads; they are started when needed."""

    def __init__(self, most: int, name: str = "worker") -> None:
        self._most, self._name = most, name
        self._work: SimpleQueue = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock, self._busy = threading.Lock(), 0  # submitted, and not done

    def submit(self, work: Callable, *arguments) -> None:
        """Have it called by one of the threads; what it raises is logged. RuntimeError where no thread can start."""
        with self._lock:
            self._busy += 1
            if self._busy > len(self._threads) < self._most:
                self._start()
        self._work.put((work, arguments))

    def close(self, limit_s: float) -> None:
        """What was submitted is still done, if it takes no more than `limit_s` seconds."""
        for _ in self._threads:
            self._work.put(None)
        deadline = monotonic() + limit_s
        for thread in self._threads:
            thread.join(max(0, deadline - monotonic()))
        self._threads.clear()

    def _start(self) -> None:
        thread = threading.Thread(target=self._serve, daemon=True, name=f"{self._name}-{len(self._threads)}")
        try:
            thread.start()
        except RuntimeError:  # pthread_create(3): EAGAIN
            if not self._threads:
                self._busy -= 1
                raise
        else:
            self._threads.append(thread)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work[0](*work[1])
            except Exception:
                log.exception("worker: %r has raised", work[0])
            del work  # an idle thread keeps nothing alive
            with self._lock:
                self._busy -= 1
