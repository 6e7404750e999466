"""The CPUs of a machine in words: how many a thread may run on, and how much of them the control groups leave.

A container with a quota of one CPU sees all of its host's (kernel.cpus): the number alone would say too much.
"""


def cpus(facts: dict) -> str:
    """ "2 CPUs"; "64 CPUs, a quota of 1". Recordings from before the quota was noted say nothing of it."""
    number, quota = facts.get("cpus") or 0, facts.get("cpu_quota")
    return f"{number} CPU{'s' * (number != 1)}" + (f", a quota of {quota:g}" if quota else "")
