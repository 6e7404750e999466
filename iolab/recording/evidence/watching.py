"""The witness: a process of its own that looks at the reader's buffers, over and over, on a CPU of its own.

    buffer      ff ff ff ff      05 ff ff ff       ...      05 6e d7 ff      05 6e d7 44
    looks    ·  ·  ·  ·  ·  ·  · │ first byte               3 sixteenths     │ last byte
                               earliest latest                           earliest latest

    argv    -> a line of JSON: cpu, time_limit_s, buffers (descriptor, bytes)
    stdout  <- "ready", and when all is there, or stdin has ended: saw BUFFER OFFSET EARLIEST LATEST ...

A byte that is another one than before was written between two looks, whatever happened to this process meanwhile: if
it lost its CPU, the interval becomes long, but not wrong.

Two facts that surprise:
* A thread would be a bad witness: it holds the interpreter's lock, and the reader that has been woken waits for it.
* One needs no system call to learn that stdin has ended, which would make it blind for a microsecond each time. With
  O_ASYNC the kernel sends SIGIO (fcntl(2)), also when the reader was killed; and the handler raises out of the loop.
"""

import json
import mmap
import os
import select
import signal
import sys
from time import monotonic_ns

try:
    import fcntl
except ImportError:  # no witness there; the file still imports
    fcntl = None

NEVER_SENT = 0xFF  # shared_buffer's; the buffers are full of it
PARTS, LEAST_PART = 16, 1 << 15  # a shorter part is copied before the next look; then the end would be seen late
WARM_UP = 20


class Over(Exception):
    """Whoever wanted to know has heard enough."""


def offsets(nbytes: int) -> list[int]:
    """Where to look: at the first byte, the last one, and between two parts, sixteen if the buffer is large."""
    parts = max(1, min(PARTS, nbytes // LEAST_PART))
    return sorted({nbytes * part // parts for part in range(parts)} | {nbytes - 1})


def watch(buffers: list, places: list[list[int]], missing_ns: int, saw: list) -> None:
    """Look at all `buffers` until each has bytes in all of its `places`; (buffer, offset, earliest, latest) into `saw`.

    Of each the next place is looked at, in turn. Bytes are taken to come in ascending order. At `missing_ns` none was
    there yet.
    """
    waiting = [[number, buffer, places[number], missing_ns] for number, buffer in enumerate(buffers)]
    while len(waiting) > 1:
        before_ns = monotonic_ns()
        for each in waiting:
            number, buffer, where, missing_ns = each
            if buffer[where[0]] == NEVER_SENT:
                each[3] = before_ns  # not there yet, some time after this
                continue
            saw.append((number, where[0], missing_ns, monotonic_ns()))
            each[2] = where[1:]
            if not each[2]:
                waiting.remove(each)
                break
    for each in waiting:
        watch_alone(*each, saw)


def watch_alone(number: int, buffer, places: list[int], missing_ns: int, saw: list) -> None:
    """As `watch`, of one buffer, and faster: a look takes 0.1 µs."""
    now, tell, before_ns = monotonic_ns, saw.append, missing_ns
    for offset in places:
        while buffer[offset] == NEVER_SENT:
            missing_ns, before_ns = before_ns, now()
        tell((number, offset, missing_ns, now()))


def _over(number, frame) -> None:
    raise Over


def main(plan: dict) -> None:
    """Watch as `plan` says, and tell what was seen."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started this may have blocked SIGIO
    signal.setitimer(signal.ITIMER_REAL, plan["time_limit_s"])  # SIGALRM's default action ends this process
    os.sched_setaffinity(0, {plan["cpu"]})
    buffers = [mmap.mmap(fd, nbytes, prot=mmap.PROT_READ) for fd, nbytes in plan["buffers"]]
    places = [offsets(len(buffer)) for buffer in buffers]
    for buffer, where in zip(buffers, places, strict=True):
        for offset in where:
            buffer[offset]  # brings the page into this process: no page fault later
    saw = []
    for _ in range(WARM_UP):  # code that runs for the first time takes microseconds
        watch_alone(0, bytes(PARTS), list(range(PARTS)), 0, [])
    try:
        signal.signal(signal.SIGIO, _over)
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
        begin_ns = monotonic_ns()
        os.write(1, b"ready\n")
        if not select.select([0], [], [], 0)[0]:  # it may have ended before the kernel was asked for a signal
            watch(buffers, places, begin_ns, saw)
        signal.signal(signal.SIGIO, signal.SIG_IGN)
    except Over:
        signal.signal(signal.SIGIO, signal.SIG_IGN)
    for line in saw:
        print("saw", *line)
    print("all" if len(saw) == sum(map(len, places)) else "some", flush=True)
    select.select([0], [], [])


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except BrokenPipeError:  # the reader is gone
        sys.exit(0)
