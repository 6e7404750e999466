"""What the kernel says of a thread at this moment: running or asleep, in which function, in which call.

    /proc/PID/task/TID/stat      field 3: R running or runnable, S asleep, D asleep on a device   proc_pid_stat(5)
    /proc/PID/task/TID/wchan     the kernel function in which it sleeps, "0" when it does not     proc_pid_wchan(5)
    /proc/PID/task/TID/syscall   number and arguments of the call it is in; "running" if in none  proc_pid_syscall(5)

Two facts that surprise:
* R means "has a CPU or wants one". Nothing here tells the two apart.
* `wchan` and `syscall` are guarded like a debugger's rights (ptrace(2)); a container may show `stat` alone. Then
  the other two are the kernel's refusal, in its words.

Whoever looks must not be the thread that is looked at, nor hold the interpreter lock that it needs: in an
experiment the sender's process looks.
"""

import os
from time import monotonic_ns
from typing import NamedTuple


class ThreadState(NamedTuple):
    """One look at a thread; it was taken between the two times (CLOCK_MONOTONIC, nanoseconds)."""

    before_ns: int
    after_ns: int
    state: str  # one letter of proc_pid_stat(5)
    wchan: str
    syscall: str


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        return error.strerror


def thread_state(process_id: int, thread_id: int) -> ThreadState:
    """Look once. OSError when there is no such thread (any more), or no /proc."""
    folder = f"/proc/{process_id}/task/{thread_id}"
    before_ns = monotonic_ns()
    with open(f"{folder}/stat", "rb") as file:
        # The name in parentheses may itself contain spaces and parentheses: the last one ends it.
        state = file.read().rpartition(b") ")[2][:1].decode()
    wchan, syscall = _read(f"{folder}/wchan"), _read(f"{folder}/syscall")
    return ThreadState(before_ns, monotonic_ns(), state, wchan, syscall)


def unavailable() -> str | None:
    """Why this machine cannot say, in the kernel's words; None when it can."""
    try:
        thread_state(os.getpid(), os.getpid())
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return None
