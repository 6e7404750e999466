"""Limits of glibc's POSIX AIO, each shown in a new process: few threads for a process, few signals for a user.

    20 silent sockets   aio_read × 20   ── all 20 helpers sleep in read(2)
    a file              aio_read        ── queued: nobody is free, though every byte of it is in memory

Two facts that surprise:
* A read of a file, ready at once, waits for a stranger's socket. The number of threads is aio_init(3)'s, 20 by
  default, and it can be chosen only before the first request of the process.
* When no more signals may be pending (RLIMIT_SIGPENDING; those of all processes of the user count), glibc puts the
  failure of the *notification* in place of the *result*: the byte has been taken from the socket, and its read says
  EAGAIN.

So: few requests at a time, threads enough, and for many sockets another model. aio(7), sigqueue(3), getrlimit(2),
proc_pid_status(5).
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EAGAIN, EINPROGRESS

from iolab.aio_demo_process import run_alone
from iolab.kernel.posix_aio import aio_error, aio_init, aio_read, aio_return, aio_suspend
from iolab.kernel.posix_aio_block import ControlBlock
from iolab.kernel.posix_aio_notification import BySignal
from iolab.kernel.tasks import tasks
from iolab.kernel.thread_state import thread_state

try:
    import resource
except ImportError:  # Windows has no such limits; the file still imports
    resource = None

LIMIT_S, SOON_S = 20, 3
MOST = 200
ATTEMPTS = 5


def starved(waiting: int = 20, threads: int | None = None, patience_s: float = 0.3) -> dict:
    """So many reads of silent sockets, then one of a file, with glibc's threads or with `threads` by aio_init.

    "threads": helpers that there were; "asleep": how many of them slept; "over": whether the read of the file was, after
    `patience_s` seconds at most; "after_one_byte": whether it was soon after one socket had spoken; "nbytes": its result.
    """
    if not 1 <= waiting <= MOST or (threads is not None and not 1 <= threads <= MOST):
        raise ValueError(f"waiting and threads must be from 1 to {MOST}, not {waiting!r} and {threads!r}")
    return json.loads(run_alone(__name__, {"starved": [waiting, threads, patience_s]}))


def lost_results(reads: int = 8, room: int = 4) -> dict:
    """So many reads of one byte, each to be told of by a signal, where at most `room` more signals may be pending.

    Those that other processes of this user have pending are not counted; what they queue meanwhile takes room away.
    "taken": bytes that have left the sockets; "counted": reads whose result says so; "eagain": those that say EAGAIN.
    """
    if not 1 <= reads <= 20 or not 0 <= room <= MOST:  # 20: each has a helper
        raise ValueError(f"reads must be from 1 to 20 and room from 0 to {MOST}, not {reads!r} and {room!r}")
    for _ in range(ATTEMPTS):
        found = json.loads(run_alone(__name__, {"lost_results": [reads, room]}))
        if found["counted"] <= room:  # else another process has taken a signal meanwhile, and so made room
            break
    return found


@contextmanager
def _silent_sockets(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with ExitStack() as stack:
        yield [tuple(map(stack.enter_context, socket.socketpair())) for _ in range(count)]


def _starved(waiting: int, threads: int | None, patience_s: float) -> dict:
    if threads is not None:
        aio_init(threads)
    with _silent_sockets(waiting) as pairs, open(sys.executable, "rb") as file:
        blocks = [ControlBlock(ours.fileno(), bytearray(1)) for ours, _ in pairs]
        for block in blocks:
            aio_read(block)  # starts its thread before it returns, if there is to be one
        helpers = set(tasks(os.getpid())) - {os.getpid()}
        asleep = _asleep(helpers)
        blocks.append(ControlBlock(file.fileno(), bytearray(4)))
        aio_read(blocks[-1])
        over = aio_suspend(blocks[-1:], patience_s)
        pairs[0][1].send(b"x")
        after_one_byte = aio_suspend(blocks[-1:], SOON_S)
        for _, peer in pairs[1:]:
            peer.send(b"x")
        _wait_for_all(blocks)
        nbytes = aio_return(blocks[-1])
    return {"threads": len(helpers), "asleep": asleep, "over": over, "after_one_byte": after_one_byte, "nbytes": nbytes}


def _asleep(helpers: set[int]) -> int:
    """How many of them sleep, once all do, or after LIMIT_S."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        sleeping = sum(thread_state(os.getpid(), each).state == "S" for each in helpers)
        if sleeping == len(helpers) or time.monotonic() > deadline:
            return sleeping
        time.sleep(0.001)


def _wait_for_all(blocks: list[ControlBlock]) -> None:
    for block in blocks:
        while aio_error(block) == EINPROGRESS:
            aio_suspend([block], LIMIT_S)


def _lost_results(reads: int, room: int) -> dict:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})  # and all stay pending: nobody takes one
    _, hard = resource.getrlimit(resource.RLIMIT_SIGPENDING)
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (_pending() + room, hard))
    with _silent_sockets(reads) as pairs:
        blocks = [ControlBlock(ours.fileno(), bytearray(1), notify=BySignal(signal.SIGRTMIN)) for ours, _ in pairs]
        for block in blocks:
            aio_read(block)
        for _, peer in pairs:
            peer.send(b"x")
        _wait_for_all(blocks)
        errors = [aio_error(block) for block in blocks]
        taken = 0
        for ours, _ in pairs:
            ours.setblocking(False)
            with suppress(BlockingIOError):
                taken -= len(ours.recv(1))  # still there
            taken += 1
    return {"taken": taken, "counted": errors.count(0), "eagain": errors.count(EAGAIN)}


def _pending() -> int:
    """How many signals all processes of this user have pending; 0 where the kernel does not say."""
    try:
        with open("/proc/self/status", "rb") as file:
            return next(int(line[5:].partition(b"/")[0]) for line in file if line.startswith(b"SigQ:"))
    except (OSError, StopIteration):
        return 0


if __name__ == "__main__":
    [(name, arguments)] = json.loads(sys.argv[1]).items()
    print(json.dumps({"starved": _starved, "lost_results": _lost_results}[name](*arguments)))
