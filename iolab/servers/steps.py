"""The eight steps of a request through a server, noted as they happen: number, moment, thread.

    client   1 GET ─────┐
    kernel              └ 2 ┐                                        ┌ 7 ┐
    loop                    └ 3 dispatch ── 4 parsed   6 answered ───┘   └ 8 dispatch
    worker                                  └ 5 business ┘

Two facts that surprise:
* The two patterns have the same steps in the same order. What differs is who moves the bytes: between 2 and 3 the
  proactor's have been moved already; the reactor's handler moves them itself, after 3 and after 6.
* A small response never makes a reactor take steps 7 and 8: its write is over before it could ask for leave to write.

A server calls `step(number, connection)` where there is one; `unnoted`, the default, is none. Step 1 is the client's: a server cannot
see it. 2 and 7 carry the moment at which the loop's wait ended, which is when it learned of them.
"""

import threading
from collections.abc import Callable
from time import monotonic_ns
from typing import NamedTuple, Protocol

PROACTOR = {
    1: "a client sends a request",
    2: "the kernel has put its bytes, or its end, into a buffer; the completion is on the queue",
    3: "the proactor dispatches the completion to handle_receive",
    4: "the request is parsed",
    5: "business logic runs",
    6: "the response is encoded; an asynchronous send is started",
    7: "the kernel has taken the response; the completion is on the queue",
    8: "the proactor dispatches the completion to handle_send",
}
REACTOR = PROACTOR | {
    2: "the kernel has its bytes, or its end; the demultiplexer says: can be read",
    3: "the reactor dispatches the event to handle_input, which reads",
    6: "the response is encoded, and the handler writes it itself",
    7: "there is room again; the demultiplexer says: can be written",
    8: "the reactor dispatches the event to handle_output, which writes the rest",
}
THREADS = PROACTOR | {
    2: "the kernel has copied its bytes, or its end",
    3: "recv returns in the client's own thread",
    6: "the response is encoded, and the thread calls send",
    7: "the kernel has taken the response",
    8: "send returns in the client's own thread",
}
NAMES = {"proactor": PROACTOR, "reactor": REACTOR, "threads": THREADS}


class StepNoter(Protocol):
    """What a server calls; `at_ns` is CLOCK_MONOTONIC, now unless given."""

    def __call__(self, number: int, connection: int, at_ns: int | None = None) -> None: ...


unnoted = None  # nobody writes anything down: not even a call is spent on it


class Step(NamedTuple):
    """`connection` is the descriptor of the client's socket; `thread` is who was there."""

    number: int
    connection: int
    at_ns: int
    thread: int


class NotedSteps:
    """A StepNoter that keeps the steps, or hands each to `heard` as it happens. Any thread may call it."""

    def __init__(self, heard: Callable[[Step], None] | None = None) -> None:
        self.steps: list[Step] = []
        self._heard = heard or self.steps.append

    def __call__(self, number: int, connection: int, at_ns: int | None = None) -> None:
        self._heard(Step(number, connection, monotonic_ns() if at_ns is None else at_ns, threading.get_native_id()))


def line(step: Step, names: dict[int, str], since_ns: int) -> str:
    """One step as one line: milliseconds since then, thread, connection, what happens."""
    milliseconds = (step.at_ns - since_ns) / 1e6
    return f"{milliseconds:12.3f} ms  thread {step.thread}  connection {step.connection:<4} {step.number} {names[step.number]}"
