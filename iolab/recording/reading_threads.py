"""Which threads of this process sleep in a read of a descriptor: asked of /proc, whoever has started them.

    aio_read(fd) ── a thread of the C library ── read(fd) ── asleep
    /proc/self/task/TID/stat: S    /proc/self/task/TID/syscall: 0 0x5 ...   <── readers_of(5)

Two facts that surprise:
* A thread that Python has not started is listed all the same, and has the process's name.
* The first argument of the call that a sleeping thread is in can be read from outside: here, the descriptor.

proc_pid_syscall(5), proc_pid_stat(5).
"""

import os
import platform
import time

from iolab.kernel.tasks import TaskLook, descriptor_read, look_at, tasks

LIMIT_S = 5


def readers_of(fd: int, limit_s: float = LIMIT_S) -> list[TaskLook]:
    """Looks at the threads that sleep in a read of `fd`; it waits until there is one, [] after `limit_s` seconds."""
    deadline = time.monotonic() + limit_s
    while True:
        looks = (look_at(os.getpid(), task) for task in tasks(os.getpid()).values())
        found = [
            look
            for look in looks
            if look and look.seen.state == "S" and descriptor_read(look.seen.syscall, platform.machine()) == fd
        ]
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.001)
