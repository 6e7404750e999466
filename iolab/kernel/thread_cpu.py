"""How long each thread of this process has had a CPU, by the scheduler's books.

    /proc/self/task/TID/schedstat     ns on a CPU · ns runnable without one · times on one     (proc(5); Linux' sched-stats)

Two facts that surprise:
* Threads that Python knows nothing of are listed as well: the helpers of the C library, of a driver, of a BLAS.
* For a thread that is on a CPU now the number is as of the last tick, a few milliseconds old; for one asleep it is exact.
"""

import os
from contextlib import suppress


def cpu_ns_of_threads() -> dict[int, int]:
    """Nanoseconds on a CPU by thread id; {} where the kernel keeps no such books."""
    found = {}
    with suppress(FileNotFoundError):  # no /proc
        for name in os.listdir("/proc/self/task"):
            with suppress(OSError), open(f"/proc/self/task/{name}/schedstat", encoding="ascii") as file:  # it has ended
                found[int(name)] = int(file.read().split()[0])
    return found
