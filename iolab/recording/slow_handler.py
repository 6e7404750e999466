"""What a slow handler does to the other clients: one asks for something slow, five others for what is at once there.

    slow client                    ask /command ───────────────── 400 ms ───────────────── answered
    others        . . . . . . . . .│ in the loop:                                          │:::: . . . . .
                  . . . . . . . . .│. . . . . . . . in a worker . . . . . . . . . . . . . .│. . . . . . . .

Two facts that surprise:
* The others do nothing slow, need nothing that the slow one needs, and the machine is idle. What they lack is the
  attention of one thread.
* It is not enough to move the work to another thread. If it holds the interpreter lock whenever it runs, the loop waits
  for that lock after each of its waits: up to sys.getswitchinterval, 5 ms, each time.

The server is another process: it shares no lock with the client that measures. Every moment is CLOCK_MONOTONIC.
"""

import select
from collections.abc import Sequence
from contextlib import ExitStack
from time import monotonic_ns

from iolab.recording.http_client import LIMIT_S, Client
from iolab.recording.server_process import server_processes
from iolab.servers.steps import Step

OTHERS, PACE_NS = 5, 10_000_000
BEFORE, AFTER = 50, 50  # answers to the others before the slow request is sent, and after its answer
CASES = {
    "command, in the loop": ("in the loop", "/command"),
    "command, in a worker": ("in a worker", "/command"),
    "Python, in a worker": ("in a worker", "/count"),
}


def slow_handler(case: str, kind: str = "reactor", mechanism: str | None = "epoll") -> dict:
    """One of CASES, measured: plain data for draw_answers.

    {"case", "slow": [begin_ns, answered_ns] of the handler by the server's clock, "answers": [the moments at which the
    server answered the others], "waits_ns": [how long each of the others' requests took, by the client]}.
    ValueError for a case that is none.
    """
    if case not in CASES:
        raise ValueError(f"case must be one of {', '.join(CASES)}, not {case!r}")
    application, target = CASES[case]
    with server_processes(kind, mechanism, application) as ((child,), address), ExitStack() as stack:
        slow, *others = [stack.enter_context(Client(address)) for _ in range(1 + OTHERS)]
        slow.answer("/")  # the first connection that the server hears of
        waits_ns = _ask_in_turn(slow, target, others)
        [steps] = child.finish()["loops"]
    steps = [Step(*step) for step in steps]
    connection = steps[0].connection
    begin = next(step.at_ns for step in reversed(steps) if step.number == 5 and step.connection == connection)
    end = next(step.at_ns for step in reversed(steps) if step.number == 6 and step.connection == connection)
    answers = [step.at_ns for step in steps if step.number == 6 and step.connection != connection]
    return {"case": case, "slow": [begin, end], "answers": answers, "waits_ns": waits_ns}


def answered_meanwhile(measured: dict) -> int:
    """How many of the others were answered while the slow handler was at work."""
    begin, end = measured["slow"]
    return sum(begin < moment < end for moment in measured["answers"])


def _ask_in_turn(slow: Client, target: str, others: Sequence[Client]) -> list[int]:
    """Each of the others asks, hears, rests until PACE_NS are over, asks again; the slow one asks once."""
    poll, by_fd, waits_ns, after = select.poll(), {}, [], 0
    for client in (slow, *others):
        by_fd[client.fileno()] = client
        poll.register(client, select.POLLIN)
    sent = False
    while after < AFTER or any(client.asked for client in by_fd.values()):
        now = monotonic_ns()
        if not sent and len(waits_ns) >= BEFORE:
            slow.ask(target)
            sent = True
        finished = sent and not slow.asked
        for client in others:
            if not client.asked and after < AFTER and now - client.sent_ns >= PACE_NS:
                client.ask("/")
        rest_ns = min((PACE_NS - (now - client.sent_ns) for client in others if not client.asked), default=None)
        for fd, _ in poll.poll(LIMIT_S * 1000 if rest_ns is None else max(0, rest_ns // 1_000_000)):
            if by_fd[fd].hear() and by_fd[fd] is not slow:
                waits_ns.append(by_fd[fd].answered_ns - by_fd[fd].sent_ns)
                after += finished
    return waits_ns
