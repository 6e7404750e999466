"""Who works for the reader: threads that the C library or the kernel made, seen in /proc. A part of rung 1.

    before     12 threads                                   what was there already is not suspected ...
    looks      tid 4711 S in wait_woken, read(5, ...)       ... unless it reads one of our descriptors
    after      13 threads; tid 4711 has used 84 µs of CPU

Two facts that surprise:
* glibc's helper outlives its request by a second and takes the next one: "new" is no test for it. What it is reading
  is: /proc/PID/task/TID/syscall names call, descriptor and buffer. Where that is refused to others (Yama), the thread's
  own account of bytes read still tells, to the process itself (proc_pid_io(5), rchar).
* That no helper is seen says something too: then the thread that asked has copied by itself, inside a system call.

What this evidence cannot give is the moment at which a helper began and ended its copy: somewhere between "ready" and
the moment at which the application found the operation done.
"""

import platform
from typing import NamedTuple

from iolab.kernel.tasks import Task, TaskLook, descriptor_read, made_by_io_uring
from iolab.kernel.thread_state import ThreadState
from iolab.recording.moment import Moment


class Helper(NamedTuple):
    """A thread that worked for the reader; `fd` is the descriptor that it was seen reading, if it was."""

    thread_id: int
    comm: str
    fd: int | None
    cpu_ns: int | None  # used since before the run; None if it has ended, or where the kernel does not say
    looks: tuple[ThreadState, ...]

    @property
    def words(self) -> str:
        """What /proc said of it: "python3: S in wait_woken, read(5)"."""
        doing = ""
        if self.looks:
            last = self.looks[-1]
            known = last.wchan not in ("0", "-", "") and "_denied" not in last.wchan and " " not in last.wchan
            doing = f": {last.state}" + (f" in {last.wchan}" if known else "")
        reading = f", reading descriptor {self.fd}" if self.fd is not None else ""
        used = f", used {self.cpu_ns / 1e3:,.0f} µs of CPU" if self.cpu_ns is not None else ""
        return f"/proc: {self.comm}{doing}{reading}{used}"


def could_tell(after: dict[int, Task], looks: list[TaskLook]) -> bool:
    """Whether a helper would have been noticed: by its account of bytes read, or by the call it is in."""
    if _hidden(after, looks):
        return False
    return any(task.read_bytes for task in after.values()) or any(look.seen.syscall[:1].isdigit() for look in looks)


def _hidden(after: dict[int, Task], looks: list[TaskLook]) -> bool:
    """Whether io_uring's may have worked unseen: they show it by CPU time alone, and no thread's is known here."""
    seen = [*after.values(), *(look.task for look in looks)]
    return not _timed(after) and any(made_by_io_uring(task.comm) for task in seen)


def _timed(after: dict[int, Task]) -> bool:
    return any(task.run_ns for task in after.values())  # else a kernel without schedstat


def _used_ns(thread_id: int, before: dict[int, Task], after: dict[int, Task]) -> int | None:
    """CPU time since before the run."""
    if thread_id not in after or not _timed(after):
        return None
    return after[thread_id].run_ns - (before[thread_id].run_ns if thread_id in before else 0)


def helpers_of(
    before: dict[int, Task], after: dict[int, Task], looks: list[TaskLook], others: set[int], wanted: dict[int, int]
) -> list[Helper]:
    """The helpers among the threads seen; `others` are threads that are known to do something else.

    `wanted`: the descriptors that were read, and how many bytes of each.
    """
    machine, seen, least = platform.machine(), {}, min(wanted.values())
    for look in looks:
        seen.setdefault(look.task.thread_id, []).append(look)
    helpers = []
    books = {thread_id: task.read_bytes for thread_id, task in before.items()}
    readers = {each for each, task in after.items() if task.read_bytes - books.get(each, 0) >= max(1, least)}
    for thread_id in sorted((set(seen) | (set(after) - set(before)) | readers) - others):
        mine = seen.get(thread_id, [])
        task = after.get(thread_id) or mine[-1].task
        reads = {number: descriptor_read(look.seen.syscall, machine) for number, look in enumerate(mine)}
        ours = {number: fd for number, fd in reads.items() if fd in wanted}
        used = _used_ns(thread_id, before, after)
        elsewhere = not ours and any(fd is not None for fd in reads.values())  # it reads something else
        idle = made_by_io_uring(task.comm) and not used  # another ring's, or an earlier operation's
        if elsewhere or idle or not (ours or thread_id in after):
            continue
        relevant = tuple(look.seen for number, look in enumerate(mine) if number in ours or not ours)
        helpers.append(Helper(thread_id, task.comm, next(iter(ours.values()), None), used, relevant))
    sure = [helper for helper in helpers if helper.fd is not None or helper.thread_id in readers]
    return sure or ([] if _hidden(after, looks) else helpers)


def as_traced(
    helpers: list[Helper],
    moments: list[Moment],
    others: set[int],
    before: dict[int, Task],
    after: dict[int, Task],
    fds: list[int],
) -> list[Helper]:
    """Exactly those that copied, where trace points saw copies from each of `fds`; `others` keep records of their own."""
    copied = {(each.fd, each.thread_id) for each in moments if each.kind == "copy-start" and each.thread_id}
    if not set(fds) <= {fd for fd, _ in copied}:
        return helpers
    known = {helper.thread_id: helper for helper in helpers}
    copiers = {thread_id for fd, thread_id in copied if fd in fds} - others
    for thread_id in copiers - known.keys():
        comm = after[thread_id].comm if thread_id in after else "a thread that has ended"
        known[thread_id] = Helper(thread_id, comm, None, _used_ns(thread_id, before, after), ())
    return [known[thread_id] for thread_id in sorted(copiers)]
