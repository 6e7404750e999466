"""How an answer is tried out: under a limit, with its errors explained.

    answer   read ─ EAGAIN ─ work() ─ read ─ ...        asleep for ever
    check    set an alarm                               └ SIGALRM wakes the thread, Python's handler raises

An alarm ends a call that never returns; signal(7). Only the main thread may set a handler: elsewhere there is no limit.
"""

import ast
import inspect
import os
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from iolab.exercises.checking import unanswered, wrong

LIMIT_S = 2.0


class TooLong(BaseException):
    """An answer was still busy when the time was over. No Exception: an answer may catch all of those."""


def attempt(function: Callable, *arguments) -> tuple[object, BaseException | None]:
    """What an answer returns, and None; or None, and what it raised. In the main thread TooLong after LIMIT_S."""

    def ring(*_) -> None:
        raise TooLong(f"not back after {LIMIT_S:g} seconds")

    main = threading.current_thread() is threading.main_thread()  # only there may Python set a handler
    handler = signal.signal(signal.SIGALRM, ring) if main else None
    try:
        if main:
            signal.setitimer(signal.ITIMER_REAL, LIMIT_S, 0.2)  # again and again: `except: continue` eats some
        return function(*arguments), None
    except (Exception, TooLong) as error:
        return None, error
    finally:
        if main:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)


def is_open(function: object, task: str) -> bool:
    """Whether there is nothing to be tried yet, a gap or no function at all; says so."""
    code = getattr(function, "__code__", None)
    gap = code and (... in code.co_consts or "NotImplementedError" in code.co_names or _dots_in_its_source(function))
    if gap or not callable(function):
        unanswered(task if gap else "The check wants the function itself: its name, without parentheses behind it.")
    return bool(gap) or not callable(function)


def _dots_in_its_source(function: Callable) -> bool:
    """Whether `...` stands in the code as written: Python 3.12 and later work `a if ... else b` out when they compile."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # no source, or a part of a line
        return False
    return any(isinstance(node, ast.Constant) and node.value is ... for node in ast.walk(tree))


def raised(error: BaseException) -> None:
    """An error that has no explanation of its own."""
    why = (
        "it was still busy when the time was over" if isinstance(error, TooLong) else f"{type(error).__name__}: {error}"
    )
    wrong(f"Your function did not come to its end: {why}.")


@contextmanager
def pipe() -> Iterator[tuple[int, object]]:
    """A reading end for the answer, which may close it, and a file for the check to write to."""
    read_fd, write_fd = os.pipe()
    with open(read_fd, "rb", 0), open(write_fd, "wb", 0) as sender:
        given = os.dup(read_fd)
        try:
            yield given, sender
        finally:
            with suppress(OSError):
                os.close(given)
