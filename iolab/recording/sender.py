"""The sender: a process of its own, so that it shares no interpreter lock with the reader that it is timed with.

    stdin   <- one line: when to begin (CLOCK_MONOTONIC, ns); its end means: stop
    stdout  -> "ready", then what happened, each line when it is over:
               sent BEFORE AFTER BYTES · closed BEFORE AFTER 0 · seen BEFORE AFTER STATE WCHAN SYSCALL
               helper THREAD CPU_NS COMM BEFORE AFTER STATE WCHAN SYSCALL

While it waits it also looks at the reader's thread in /proc, from outside (kernel.thread_state), and at threads that
work for it: those that came since the sender was started, io_uring's, and whoever reads one of its descriptors.
The stream stays open until stdin ends, or for `grace_s`. Not shorter: the FIN of an early close would carry a
younger time stamp into the reader's queue. Not for ever: TCP counts a low-water mark from what is still unread, so a
reader that began with a part of the bytes in the queue, and took it, sleeps on although the rest has come. The
end of the stream wakes it; the experiment discards that run.
"""

import json
import os
import platform
import select
import signal
import socket
import struct
import sys
from time import monotonic_ns

from iolab.kernel.tasks import descriptor_read, look_at, made_by_io_uring, tasks
from iolab.kernel.thread_state import ThreadState, thread_state

LOOKS = (0.25, 0.5, 0.75)  # at these parts of the first wait
SHORTEST_WAIT_WITH_LOOKS_NS = 4_000_000
START_LIMIT_S = 30


def _tell(*words) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def _sleep_until(deadline_ns: int) -> None:
    """Sleep; leave the process at once when nobody waits for it any more."""
    while (left := deadline_ns - monotonic_ns()) > 0:
        if select.select([0], [], [], left / 1e9)[0]:
            raise SystemExit


def _look(reader: list[int], fds: list[int], before: dict, start_ns: int, wait_ns: float) -> None:
    for part in LOOKS if wait_ns >= SHORTEST_WAIT_WITH_LOOKS_NS else ():
        _sleep_until(start_ns + int(wait_ns * part))
        try:
            seen = thread_state(*reader)
        except OSError:  # no /proc here, or the thread is gone: nothing seen
            return
        _tell("seen", *_words(seen))
        for task in tasks(reader[0]).values():
            look = look_at(reader[0], task)
            if task.thread_id == reader[1] or look is None:
                continue
            reads = descriptor_read(look.seen.syscall, platform.machine())
            if task.thread_id not in before or made_by_io_uring(task.comm) or reads in fds:
                _tell("helper", task.thread_id, task.run_ns, task.comm.replace(" ", "_"), *_words(look.seen))


def _words(seen: ThreadState) -> tuple:
    return seen.before_ns, seen.after_ns, seen.state, seen.wchan.replace(" ", "_") or "-", seen.syscall


def _write_all(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _end(fd: int, ending: str, grace_s: float | None) -> None:
    if ending == "complete":
        if not select.select([0], [], [], grace_s)[0]:
            before_ns = monotonic_ns()
            os.close(fd)
            _tell("closed", before_ns, monotonic_ns(), 0)
            select.select([0], [], [])
        return
    if ending == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if ending == "reset":  # SO_LINGER of 0 seconds: close() sends RST instead of FIN
        with socket.socket(fileno=os.dup(fd)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    before_ns = monotonic_ns()
    os.close(fd)
    _tell("closed", before_ns, monotonic_ns(), 0)
    select.select([0], [], [])


def payload(nbytes: int) -> bytes:
    """What is sent: the numbers 0 to 250 over and over, so that lost, doubled and swapped bytes show."""
    return (bytes(range(251)) * (nbytes // 251 + 1))[:nbytes]


def main(plan: dict) -> None:
    """Carry out `plan`: fd, sends (pause ms, bytes), trailer, ending, grace_s, time_limit_s, reader (process, thread)
    and the descriptors that it reads, read_fds."""
    fd, sends = plan["fd"], plan["sends"]
    data = memoryview(payload(sum(nbytes for _, nbytes in sends) + plan["trailer"]))
    signal.setitimer(signal.ITIMER_REAL, START_LIMIT_S)  # SIGALRM's default action ends this process
    before = tasks(plan["reader"][0]) if plan["reader"] else {}
    _tell("ready")
    first = sys.stdin.buffer.raw.readline()
    if not first:
        return
    signal.setitimer(signal.ITIMER_REAL, plan["time_limit_s"])
    start_ns = due_ns = int(first)
    if plan["reader"]:
        _look(plan["reader"], plan["read_fds"], before, start_ns, sends[0][0] * 1e6)
    offset = 0
    for number, (pause_ms, nbytes) in enumerate(sends, 1):
        due_ns = max(due_ns + int(pause_ms * 1e6), monotonic_ns() if number > 1 and pause_ms else 0)
        _sleep_until(due_ns)
        # The trailer rides in the last segment: with it the experiment fetches the kernel's time stamp.
        piece = data[offset : offset + nbytes + (plan["trailer"] if number == len(sends) else 0)]
        before_ns = monotonic_ns()
        _write_all(fd, piece)
        after_ns = monotonic_ns()
        offset += nbytes
        _tell("sent", before_ns, after_ns, nbytes)
    _end(fd, plan["ending"], plan["grace_s"])


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except (BrokenPipeError, ConnectionResetError):  # the reader is gone: so is the reason to send
        sys.exit(0)
