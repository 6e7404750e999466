"""Which trace points are switched on for one run, with which filters, and which may be missing in a kernel.

    calls                        of the threads of the reader
    switches, signals, copies    of these, and of every thread that is born later
    sockets                      of those that are read, in whatever thread: the sender's context makes data ready
    io_uring, block              few, and sorted out afterwards

Three facts that surprise:
* A thread that the kernel makes for io_uring is not announced as a fork, so "trace my children" does not follow it. But
  it has one of the next numbers: a range of them is let through, and strangers are sorted out later (by task_newtask).
* Such a stranger may be a program that has just begun to work hard. Its calls, some hundred thousand in a second, would
  push everything else out of the buffer: so of the young there are switches and copies, and no calls.
* io_uring_task_work_run passes every 0.3 µs while SQPOLL spins, with a count of 0: the filter keeps those away.
"""

import os
import stat
from pathlib import Path

from iolab.kernel.tracefs import Instance
from iolab.recording.evidence.traced_sockets import RECEIVED, Sockets

READY, READY_BEFORE_6_3, PAGES = "sock/sk_data_ready", "tcp/tcp_probe", "filemap/mm_filemap_get_pages"
REQUIRED = (
    "raw_syscalls/sys_enter", "raw_syscalls/sys_exit", "sched/sched_switch", "sched/sched_waking",
    "skb/skb_copy_datagram_iovec", "tcp/tcp_rcv_space_adjust", READY,
)  # fmt: skip
MOST_THREADS = 40  # a filter is a text of at most one page
BORN_MEANWHILE = 1000  # threads of the whole machine, in one run
FIRST_ID = 300  # where numbers begin anew: RESERVED_PIDS, linux/pid.c


def of_threads(field: str, thread_ids: list[int], last_id: int, most_id: int) -> str:
    """A filter: `field` is one of the threads, or one of those that are born after the thread `last_id`.

    Numbers are given in order, up to `most_id`; then they begin anew. So the young have the next few thousand numbers.
    """
    until = last_id + BORN_MEANWHILE
    born = [f"({field}>{last_id}&&{field}<={min(until, most_id)})"]
    if until > most_id:
        born.append(f"({field}>={FIRST_ID}&&{field}<={FIRST_ID + until - most_id})")
    return "||".join([f"{field}=={each}" for each in sorted(thread_ids[:MOST_THREADS])] + born)


def switch_on(instance: Instance, thread_ids: list[int], sockets: Sockets, fds: list[int]) -> list[str]:
    """Switch on what one run needs, the reader's thread first in `thread_ids`; the names of events that are missing."""
    last_id = _number("/proc/loadavg") or max(thread_ids)  # of the youngest thread of the machine
    most_id = _number("/proc/sys/kernel/pid_max") or 1 << 22

    def ours(field: str = "common_pid") -> str:
        return of_threads(field, thread_ids, last_id, most_id)

    known = "||".join(f"common_pid=={each}" for each in sorted(thread_ids[:MOST_THREADS]))
    copying = ours() if len(thread_ids) <= MOST_THREADS else ""  # else any of them may be the one that is left out
    by_socket = "||".join(f"skaddr=={address:#x}" for address in sockets.addresses)
    wanted = {
        "raw_syscalls/sys_enter": known,
        "raw_syscalls/sys_exit": known,
        "sched/sched_switch": f"{ours('prev_pid')}||{ours('next_pid')}",
        "sched/sched_waking": ours("pid"),
        "task/task_newtask": ours(),
        "task/task_rename": ours(),
        "skb/skb_copy_datagram_iovec": copying,
        "tcp/tcp_rcv_space_adjust": by_socket,
        "skb/consume_skb": ours(),
        RECEIVED: ours(),
        READY: by_socket or "family==2&&protocol==6",
        "signal/signal_generate": ours("pid"),
        "signal/signal_deliver": ours(),
        "io_uring/io_uring_create": ours(),
        "io_uring/io_uring_task_add": "",
        "io_uring/io_uring_task_work_run": "count>0",
        "io_uring/io_uring_local_work_run": "count>0",
        "io_uring/io_uring_complete": copying,
        "io_uring/io_uring_queue_async_work": ours(),
    }
    if not instance.has(READY):
        pairs = sockets.ports or {(0, 0): -1}
        wanted[READY_BEFORE_6_3] = "||".join(f"(sport=={here}&&dport=={there}&&data_len>0)" for here, there in pairs)
    files = files_of(fds)
    if files:
        disks = {disk for each in files if (disk := disk_of(each[0])) is not None}
        by_disk = "||".join(f"dev=={disk}" for disk in disks) if len(disks) == len({dev for dev, _ in files}) else ""
        wanted[PAGES] = "||".join(f"i_ino=={inode}" for _, inode in files)
        wanted["block/block_rq_issue"] = wanted["block/block_rq_complete"] = by_disk
    missing = [event for event in wanted if not instance.has(event)]
    for event, only in wanted.items():
        if event not in missing:
            instance.enable(event, only)
    return missing


def files_of(fds: list[int]) -> dict[tuple[int, int], int]:
    """The regular files among the descriptors: {(device as the kernel writes it, inode): descriptor}."""
    found = {}
    for fd in fds:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            found[os.major(status.st_dev) << 20 | os.minor(status.st_dev), status.st_ino] = fd
    return found


def disk_of(device: int) -> int | None:
    """The disk that a file system's device lies on, itself or as a part of it; None where it cannot be told."""
    folder = Path(f"/sys/dev/block/{device >> 20}:{device & 0xFFFFF}")
    try:
        if any((folder / "slaves").glob("*")):  # a mapping onto other disks
            return None
        if (folder / "partition").exists():
            folder = folder.resolve().parent
        major, minor = (folder / "dev").read_text().split(":")
    except (OSError, ValueError):  # btrfs, overlayfs, tmpfs: a number without a device
        return None
    return int(major) << 20 | int(minor)


def _number(file: str) -> int:
    """The last word of a file of /proc; 0 where it is not a number."""
    try:
        return int(Path(file).read_text().split()[-1])
    except (OSError, ValueError, IndexError):
        return 0
