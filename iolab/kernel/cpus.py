"""On how many CPUs this program may run, and whether two of its threads really run at the same time.

    sched_getaffinity(2)   the CPUs that it may use at all         a container: {0, 1}
    cgroup cpu.max         how much CPU time a period has          "100000 100000": one CPU's worth, on whichever
    thread_siblings_list   CPUs that share one core                "0,4"

Two facts that surprise:
* os.cpu_count() tells what the machine has, not what one may use.
* A container limited to one CPU mostly sees all of them. It runs on two at once, and when half of the period is over it
  stands still on both: then a busy thread takes the time that another one needs.
"""

import os
from pathlib import Path

_OWN_CGROUPS, _CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def allowed_cpus() -> list[int]:
    """The CPUs on which the calling thread may run; [0] where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def present_cpus() -> list[int]:
    """The CPUs that are switched on, whoever may use them."""
    try:
        return numbers(Path("/sys/devices/system/cpu/online").read_text())
    except OSError:
        return list(range(os.cpu_count() or 1))


def cpu_quota() -> float | None:
    """How many CPUs' worth of time the control groups leave to this process; None without a limit. cgroups(7)."""
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers and "cpu" not in controllers.split(","):
            continue
        below = "cpu" if controllers else ""  # version 1 has a tree for each controller
        inside = [part for part in path.split("/") if part and part != ".."]
        # A limit anywhere above counts as well; inside a container the path may be that of outside, and not be there.
        for depth in range(len(inside) + 1):
            quotas.append(_quota(_CGROUPS.joinpath(below, *inside[:depth]), bool(controllers)))
    return min((quota for quota in quotas if quota), default=None)


def _quota(folder: Path, version_1: bool) -> float | None:
    try:
        if version_1:
            quota, period = ((folder / name).read_text() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
        else:
            quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # not there; "max": no limit
        return None


def cpus_of_one_core(cpu: int) -> list[int]:
    """A CPU, and those that share its core: what one of them does slows the others down."""
    try:
        return numbers(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text())
    except OSError:
        return [cpu]


def numbers(text: str) -> list[int]:
    """The kernel's lists of CPUs: "0-2,5" is [0, 1, 2, 5]."""
    ranges = [part.split("-") for part in text.strip().split(",") if part]
    return [cpu for ends in ranges for cpu in range(int(ends[0]), int(ends[-1]) + 1)]
