"""Check of the chapter on the proactor: an operation is carried out elsewhere, its completion lies in a queue.

check   start(operation, handle, completions) ── returns at once
        operation: waits until the check lets it ──> (handle, result) in the queue, errors as results
"""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from iolab.exercises.attempting import TooLong, attempt, is_open, raised
from iolab.exercises.checking import right, unanswered, wrong

PATIENCE_S, HELD_S = 1.0, 30.0


def check_start(start: Callable) -> None:
    """Does start(operation, handle, completions) return at once, and the completion come by the queue?"""
    if is_open(start, "Who carries the operation out, and who hears of its end?"):
        return None
    completions, gate, seen = SimpleQueue(), threading.Event(), []

    def wait_for_the_gate() -> int:
        seen.append(("operation", threading.get_ident()))
        gate.wait(HELD_S)
        return 7

    def fail() -> int:
        raise ConnectionResetError(104, "Connection reset by peer")

    def handle(result) -> None:
        seen.append(("handle", threading.get_ident()))

    before, hook = threading.active_count(), threading.excepthook
    threading.excepthook = lambda _: None  # an operation that raises in its thread is the check's to tell of
    try:
        _, error = attempt(start, wait_for_the_gate, handle, completions)
        early = _next(completions, 0)
        gate.set()
        if isinstance(error, TooLong) or ("operation", threading.get_ident()) in seen:
            return wrong(
                "start carried the operation out itself, and waited: the loop that calls it would stand still."
            )
        if error:
            return raised(error)
        if early:
            return wrong(f"The operation still waits, and {early!r} lies in the queue: a completion says it IS over.")
        first = _next(completions, PATIENCE_S)
        if "handle" in dict(seen):
            return wrong("handle was called, by the thread that carried the operation out. The loop calls handlers, so "
                         "that they need no locks: put it into the queue.")  # fmt: skip
        if first is None:
            return (wrong if seen else unanswered)("Nothing lies in the queue after the operation's end.")
        if first != (handle, 7):
            return wrong(f"The loop expects the pair (handle, result), here (handle, 7); in the queue: {first!r}.")
        _, error = attempt(start, fail, handle, completions)
        second = _next(completions, PATIENCE_S)
        if error:
            return raised(error)
        if second is None:
            return wrong(
                "An operation that failed has no completion: the handler waits for ever. An error is a result."
            )
        if not (isinstance(second, tuple) and second[0] is handle and isinstance(second[1], OSError)):
            return wrong(
                f"For an operation that raised OSError the pair is (handle, the error); in the queue: {second!r}."
            )
        return right("Started here, carried out elsewhere, told by the queue, the failures too.")
    finally:
        gate.set()
        deadline = threading.Event()
        for _ in range(100):
            if threading.active_count() <= before:
                break
            deadline.wait(0.01)
        threading.excepthook = hook


def _next(completions: SimpleQueue, patience_s: float):
    try:
        return completions.get(timeout=patience_s) if patience_s else completions.get_nowait()
    except Empty:
        return None
