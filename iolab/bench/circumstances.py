"""The machine on which a bench runs: what is noted of it, and how many descriptors it grants.

    ulimit -Sn  1024 ──> enough_descriptors(10,000) ──> 10,256 ──> as it was
    ulimit -Hn  the most that a user may raise it to

Two facts that surprise:
* The usual soft limit of 1024 is there for the sake of select(2), whose bit fields end there; any process may raise it.
* A load average counts who runs and who waits for a CPU or a disk, in the mean of the last minute: a bench itself makes
  it rise. So it is noted before and after.

getrlimit(2), proc_loadavg(5).
"""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from iolab.kernel.cpus import allowed_cpus, cpu_quota

SPARE_DESCRIPTORS = 256


def circumstances() -> dict:
    """Kernel, machine, CPUs and how many of them a control group leaves, Python, and the load of the minute before."""
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": len(allowed_cpus()),
        "cpu_quota": cpu_quota(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "load_before": load(),
    }


def load() -> float | None:
    """The mean number of those that ran, or wanted to, in the last minute; None where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


@contextmanager
def enough_descriptors(count: int) -> Iterator[None]:
    """Inside, this process and those that it starts may have `count` and a few more. OSError where they may not."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise OSError(f"{count:,} descriptors and some spare ones are needed, {needed:,}, and ulimit -Hn is {hard:,}")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
