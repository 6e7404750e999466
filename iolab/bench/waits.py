"""What one wait costs, against the number of descriptors on which nothing happens: libevent's bench, asked anew.

    idle    [socket] [socket] [socket] ... n of them, watched, silent
    ready   [socket with a byte that nobody reads]      so each wait returns at once, with this one

Three facts that surprise:
* select and poll are told anew at each call what to watch, and look at all of it: twice the descriptors, twice the time,
  although nothing happens on them. epoll is told once, and looks at what has happened.
* select stops at FD_SETSIZE, 1024: not 1024 descriptors, but none with a number above 1023.
* A poll by io_uring or by Linux AIO is over when it has told once. So its wait includes to ask for the ready one again;
  the idle ones stay asked for, in the kernel.

The times are those of a Python program: select.select builds its bit fields from our sets before each call, and that is
part of it. All take turns, on the same sockets. poll(2), select(2), epoll(7), io_uring_enter(2), io_submit(2).
"""

import json
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median
from time import monotonic_ns

from iolab.bench.choices import IDLE, MOST_IDLE, MOST_ROUNDS, check_numbers
from iolab.bench.circumstances import circumstances, enough_descriptors
from iolab.bench.waiters import WAITERS

SAMPLE_NS = 2_000_000  # so long one sample takes, at least one wait
VERSION = 1
REFERENCE = "epoll"


@dataclass(frozen=True, slots=True)
class Wait:
    """The median over the rounds; `ratio` to epoll's with as many idle descriptors, None without one."""

    waiter: str
    idle: int
    wait_ns: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Waits:
    """`missing`: why something has no number here."""

    facts: dict
    rows: list[Wait]
    missing: dict[str, str]

    def to_json(self) -> str:
        return json.dumps({"version": VERSION} | asdict(self), indent=1)


def bench_waits(counts: Sequence[int] = IDLE, rounds: int = 5, progress: Callable[[], object] = lambda: None) -> Waits:
    """`progress` is called after each number of `counts`. ValueError for a wrong argument; OSError as the kernel says."""
    check_numbers("counts", counts, MOST_IDLE)
    check_numbers("rounds", [rounds], MOST_ROUNDS)
    missing = {waiter.name: reason for waiter in WAITERS if (reason := waiter.unavailable())}
    here = [waiter for waiter in WAITERS if waiter.name not in missing]
    rows = []
    with enough_descriptors(max(counts)):
        for count in sorted(counts):
            rows += _rows(here, count, rounds, missing)
            progress()
    return Waits(circumstances() | {"rounds": rounds}, rows, missing)


def _rows(waiters, count: int, rounds: int, missing: dict[str, str]) -> list[Wait]:
    with ExitStack() as stack:
        ready, peer = (stack.enter_context(sock) for sock in socket.socketpair())
        peer.send(b"x")
        # A datagram socket that is bound to nothing is never readable, and needs no second one.
        idle = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)).fileno() for _ in range(count)]
        waits = {}
        for waiter in waiters:
            try:
                waits[waiter.name] = stack.enter_context(waiter.open(idle, ready.fileno()))
            except (OSError, ValueError) as error:  # select's limit; a limit of the system's
                missing[f"{waiter.name} with {count:,} idle"] = str(error)
        samples = {name: [] for name in waits}
        times = {name: _how_often(wait) for name, wait in waits.items()}
        for _ in range(rounds):
            for name, wait in waits.items():
                samples[name].append(_ns_per_wait(wait, times[name]))
    medians = {name: median(each) for name, each in samples.items()}
    reference = medians.get(REFERENCE)
    return [Wait(name, count, ns, ns / reference if reference else None) for name, ns in medians.items()]


def _how_often(wait: Callable[[], None]) -> int:
    """So many waits take SAMPLE_NS; the first ones, which are slower, are over then."""
    return max(1, round(SAMPLE_NS / min(_ns_per_wait(wait, 1) for _ in range(3))))


def _ns_per_wait(wait: Callable[[], None], times: int) -> float:
    start_ns = monotonic_ns()
    for _ in range(times):
        wait()
    return (monotonic_ns() - start_ns) / times
