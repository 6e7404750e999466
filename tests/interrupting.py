"""A signal handler that raises, at every moment at which Python may run one: Ctrl-C without luck."""

import sys
from collections.abc import Callable
from itertools import count

from iolab.kernel import libc


class Interrupted(Exception):
    """What the handler raises, as Ctrl-C raises KeyboardInterrupt."""


def interrupted_at(moment: int, action: Callable[[], object], *modules) -> bool:
    """Whether `action` was ended by Interrupted, raised at the `moment`-th moment in functions of `modules`, from 1 on.

    Moments are the beginning of a function, and the end of a call of one in C. What ctypes calls is not told of: the
    end of system_call is in its place.
    """
    left, names = moment, {module.__name__ for module in modules}

    def look(frame, event, argument) -> None:
        nonlocal left
        behind_call = event == "return" and frame.f_code is libc.system_call.__code__
        if frame.f_globals["__name__"] in names and (event in ("call", "c_return") or behind_call):
            left -= 1
            if left == 0:
                raise Interrupted

    sys.setprofile(look)
    try:
        action()
    except Interrupted:
        return True
    finally:
        sys.setprofile(None)
    return False


def moments(interrupted: Callable[[int], bool]) -> int:
    """How many there were: interrupted(1), interrupted(2), ... is called until it is False."""
    return next(moment for moment in count(1) if not interrupted(moment)) - 1
