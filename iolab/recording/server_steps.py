"""The eight steps of LECTURE's example, traced: a server in its own process, its clients here, one clock.

    client a    ask (1) ·························· answered
    server              2 3 4 5 6 [7 8]                       steps.NotedSteps, in the child
    client b      ask (1) ·································· answered

Two facts that surprise:
* A trace of the first request would show imports, empty caches and the first page faults. So each client asks once
  before, and that answer also tells whose connection is which: they are made, and answered, one after the other.
* Steps 7 and 8 may come after the client has its answer: the client is told by its kernel, the server by its own loop,
  and nobody waits for anybody. So the server is stopped first, and the steps are looked at then.
"""

import select
from collections.abc import Sequence
from contextlib import ExitStack

from iolab.recording.http_client import LIMIT_S, Client
from iolab.recording.server_process import server_processes
from iolab.servers.bookstore_titles import TITLES
from iolab.servers.steps import Step

BOOK = f"/books/{TITLES[0].isbn}"  # answered by the loop's thread
ORDERED = "/recommendations?books=4"  # for a worker: 82,251 bundles are compared


def traced(kind: str, mechanism: str | None, targets: Sequence[str] = (BOOK,)) -> dict:
    """One request for each of `targets`, all asked at once, each by its own client: plain data for draw_steps.

    {"kind", "mechanism", "loop": the thread of the loop, "requests": [{"target", "sent_ns", "answered_ns",
    "steps": [[number, at_ns, thread], ...]}]}. ValueError without targets; RuntimeError, OSError as the server's.
    """
    if isinstance(targets, str) or not targets:
        raise ValueError(f"targets must be at least one path, as a list, not {targets!r}")
    with server_processes(kind, mechanism, "bookstore") as ((child,), address), ExitStack() as stack:
        *clients, last = [stack.enter_context(Client(address)) for _ in (*targets, BOOK)]
        for client, target in zip((*clients, last), (*targets, BOOK), strict=True):
            client.answer(target)  # the last one's only gives the ends of the other answers time to come
        for client, target in zip(clients, targets, strict=True):
            client.ask(target)
        hear_all(clients)
        [steps] = child.finish()["loops"]
    steps = [Step(*step) for step in steps]
    requests = [
        {"target": target, "sent_ns": client.sent_ns, "answered_ns": client.answered_ns, "steps": found}
        for client, target, found in zip(clients, targets, _second_requests(steps), strict=False)
    ]
    if len(requests) < len(targets):
        raise RuntimeError(f"the server noted the steps of {len(requests)} requests out of {len(targets)}")
    loop = next(step.thread for step in steps if step.number == 3)
    return {"kind": kind, "mechanism": mechanism, "loop": loop, "requests": requests}


def hear_all(clients: Sequence[Client]) -> None:
    """Wait until each of them has its answer; RuntimeError when that takes too long."""
    poll = select.poll()
    waiting = {client.fileno(): client for client in clients}
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    while waiting:
        ready = poll.poll(LIMIT_S * 1000)
        if not ready:
            raise RuntimeError(f"{len(waiting)} clients have heard nothing for {LIMIT_S} s")
        for fd, _ in ready:
            if waiting[fd].hear():
                poll.unregister(fd)
                del waiting[fd]


def _second_requests(steps: Sequence[Step]) -> list[list]:
    """Of each connection, in the order of their first requests, the steps of the second request."""
    found = []
    for connection in dict.fromkeys(step.connection for step in steps):
        own = [step for step in steps if step.connection == connection]
        starts = [place for place, step in enumerate(own) if step.number == 2]
        if len(starts) < 2:
            continue
        second = own[starts[1] : starts[2] if len(starts) > 2 else None]
        sent = next((place for place, step in enumerate(second) if step.number == 6), len(second))
        # 7 and 8 before the answer is sent are the end of the first answer: on a busy machine it comes as late as that.
        second = [step for step in second[:sent] if step.number < 6] + second[sent:]
        found.append([[step.number, step.at_ns, step.thread] for step in second])
    return found
