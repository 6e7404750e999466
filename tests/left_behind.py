"""What a run must not leave behind: descriptors, threads, child processes, listening ports; counted by /proc."""

import os
import threading
from contextlib import contextmanager
from pathlib import Path

from tests.portable import WINDOWS, open_numbers


def children(process_id: int | None = None) -> set[int]:
    """Processes whose parent is `process_id`, zombies included."""
    wanted = process_id or os.getpid()
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(") ")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(after_name[1]) == wanted:
            found.add(int(stat.parent.name))
    return found


def descriptors() -> set[str]:
    """The open descriptors of this process, as `number -> what`, without the one that looks."""
    if WINDOWS:
        return open_numbers()
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{link.name} -> {os.readlink(link)}")
        except OSError:
            continue
    return found


@contextmanager
def nothing_left_behind():
    """The body leaves no descriptor, thread or child process that was not there before."""
    before = descriptors(), threading.active_count(), children()
    yield
    assert descriptors() == before[0]
    assert threading.active_count() == before[1]
    assert children() == before[2]
