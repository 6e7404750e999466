"""Whose a ring or a queue is: the thread that made it, in the process that made it, until it is closed.

    made ── check() ── check() ── close() ── check(): ValueError
            other thread, or a child after fork(2): RuntimeError

Two facts that surprise:
* A child made by fork(2) has the parent's memory, with all that the parent knows about its descriptors: which requests
  are under way, and where their answers are to be written. But the answers are written into the parent's memory.
* Its thread even has the number of the one that forked. And since glibc no longer remembers it, getpid(2) is a system
  call each time: too much for a question asked twice in each request. So the children are told, once, by fork itself.

Python calls what os.register_at_fork has noted; a fork inside of a C library goes unseen. pthread_atfork(3).
"""

import os
from threading import get_ident
from weakref import WeakSet

_all: "WeakSet[Owner]" = WeakSet()


class Owner:
    """Of `what`, for the messages."""

    __slots__ = ("_what", "process", "thread", "_may_use", "__weakref__")

    def __init__(self, what: str) -> None:
        self._what, self.process, self.thread = what, os.getpid(), get_ident()
        self._may_use: int | None = self.thread
        _all.add(self)

    def check(self) -> None:
        """RuntimeError for another thread or process, ValueError after close()."""
        if get_ident() != self._may_use:
            self.check_process()
            if self._may_use is None:
                raise ValueError(f"{self._what} is closed")
            raise RuntimeError(f"{self._what} belongs to thread {self.thread}, this is thread {get_ident()}")

    def check_process(self) -> None:
        """RuntimeError for another process."""
        if os.getpid() != self.process:
            raise RuntimeError(f"{self._what} belongs to process {self.process}, this is process {os.getpid()}")

    def close(self) -> None:
        """From now on it is nobody's."""
        self._may_use = None


def _in_child() -> None:
    for owner in _all:
        owner.close()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_in_child)
