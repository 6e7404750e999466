"""What a server costs: the CPU time of its process, all threads, and of its children, by the kernel's books.

    clock_gettime(clock of PID)     all threads, those that have ended, io_uring's workers, to the nanosecond
    /proc/PID/stat, cutime          children that have ended and were waited for, in ticks of mostly 10 ms
    the same of each living child   found by /proc/*/stat

Two facts that surprise:
* Another process's CPU time can be read like a clock: clock_getcpuclockid(3) makes an id of its number, and anybody may
  ask. /proc/PID/schedstat looks similar, and tells of the main thread alone.
* Over loopback there is no network: send(2) of one side carries the packet up to the other side's socket, and wakes it,
  in the sender's time. So a part of what the server pays is its client's receiving, and the other way round.

Therefore CPU per request is the kernel's part, too. It depends less on who else is running than the rate does, but
caches and hyper-threads make it depend all the same.
"""

import os
import time
from pathlib import Path

CPUCLOCK_SCHED = 2  # linux/include/linux/posix-timers.h: the clock's id is ~PID << 3 | kind


def process_ns(process_id: int) -> int:
    """One process: its threads, without its children. ProcessLookupError when it is gone."""
    try:
        return time.clock_gettime_ns((~process_id << 3) | CPUCLOCK_SCHED)
    except OSError as error:  # EINVAL: there is no such process
        raise ProcessLookupError(error.errno, f"no process {process_id}") from error


def tree_ns(process_id: int) -> int:
    """A process and all that has come of it. ProcessLookupError when it is gone."""
    total = process_ns(process_id) + _ended_children_ns(process_id)
    for child in children(process_id):
        try:
            total += tree_ns(child)
        except ProcessLookupError:  # it has ended in this moment
            continue
    return total


def children(process_id: int) -> list[int]:
    """The living children, and those that nobody has waited for yet. proc_pid_stat(5), ppid."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if _stat(folder)[1] == str(process_id):
                found.append(int(folder.name))
        except OSError:  # it has ended
            continue
    return found


def unavailable() -> str | None:
    """Why this system does not tell; None when it does."""
    if not hasattr(time, "clock_gettime_ns") or not Path("/proc/self/stat").exists():
        return "no CPU clocks of other processes here: they are Linux's"
    try:
        process_ns(os.getpid())
    except OSError as error:
        return f"clock_gettime: {error.strerror}"
    return None


def _ended_children_ns(process_id: int) -> int:
    try:
        fields = _stat(Path(f"/proc/{process_id}"))
    except OSError as error:
        raise ProcessLookupError(error.errno, f"no process {process_id}") from error
    ticks = int(fields[13]) + int(fields[14])  # cutime, cstime
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _stat(folder: Path) -> list[str]:
    """The fields from the third one on: a name may hold spaces and parentheses."""
    return (folder / "stat").read_text(errors="replace").rpartition(") ")[2].split()
