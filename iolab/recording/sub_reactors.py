"""Main and sub reactors: one loop, two loops in threads of one process, two processes; the same work for all.

    one           [loop]                      one interpreter lock
    two threads   [loop, loop]                one interpreter lock for both
    two processes [loop]  [loop]              one each; the kernel deals the connections out (SO_REUSEPORT)

Two facts that surprise:
* Two loops in two threads wait at the same time, but run in turn: while one handler computes, the other thread's wait
  is over, and it waits on for the interpreter lock.
* SO_REUSEPORT deals out connections, not work: by a hash of the addresses, whatever a loop has to do already. With few
  connections the shares are uneven.

"CPUs in use" is the servers' CPU time by the time of the clock: below one lock it is hardly more than one, whatever the
machine has: the answers to "/" are in the one, not in the other. (A Python without the lock is another matter.)

socket(7): SO_REUSEPORT.
"""

import sys
from contextlib import ExitStack
from time import monotonic_ns

from iolab.recording.http_client import Client
from iolab.recording.server_process import server_processes
from iolab.recording.server_steps import hear_all

CLIENTS, ROUNDS = 48, 4
CASES = {"one loop": (1, 1), "two threads": (1, 2), "two processes": (2, 1)}  # processes, loops in each


def sub_reactors(case: str) -> dict:
    """One of CASES: CLIENTS ask for 3 ms of computing each, ROUNDS times.

    {"case", "wall_ns", "cpu_ns" of all servers, "requests", "shares": connections of each loop}. ValueError for a wrong case.
    """
    if case not in CASES:
        raise ValueError(f"case must be one of {', '.join(CASES)}, not {case!r}")
    processes, loops = CASES[case]
    served = server_processes("reactor", "epoll", "in the loop", processes, loops)
    with served as (children, address), ExitStack() as stack:
        clients = [stack.enter_context(Client(address)) for _ in range(CLIENTS)]
        for client in clients:
            client.answer("/")
        begin_ns = monotonic_ns()
        for _ in range(ROUNDS):
            for client in clients:
                client.ask("/short")
            hear_all(clients)
        wall_ns = monotonic_ns() - begin_ns
        reports = [child.finish() for child in children]
    loops = [loop for report in reports for loop in report["loops"]]
    shares = [len({connection for number, connection, *_ in loop if number == 6}) for loop in loops]
    return {
        "case": case, "wall_ns": wall_ns, "cpu_ns": sum(report["cpu_ns"] for report in reports),
        "requests": CLIENTS * ROUNDS, "shares": shares,
    }  # fmt: skip


def one_lock() -> bool:
    """Whether this Python has the interpreter lock that the threads of a process share."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()
