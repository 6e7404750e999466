"""Check of the chapter on the reactor: what was ready is dispatched, although handlers come and go meanwhile.

ready: 7, 8, 9      7.handle_input()  removes 8   ── 8 is not told
                                      puts another handler at 9   ── the newcomer is not told what was the old one's
"""

from collections.abc import Callable

from iolab.exercises.attempting import attempt, is_open, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.models.readiness import READ


class Told:
    """A handler that writes its name down when it is told, and then does what the scene wants."""

    def __init__(self, name: str, told: list[str], then: Callable[[], object] = lambda: None) -> None:
        self._name, self._told, self._then = name, told, then

    def handle_input(self) -> None:
        self._told.append(self._name)
        self._then()


def _scene(*acts: Callable[[dict, list], object]) -> tuple[dict, list[str], list[tuple[int, int]]]:
    """Handlers at 7, 8 and 9, all ready; the one at 7 does `acts` when it is told."""
    told: list[str] = []
    handlers = {fd: Told(f"handler of {fd}", told) for fd in (8, 9)}
    handlers[7] = Told("handler of 7", told, lambda: [act(handlers, told) for act in acts])
    return handlers, told, [(7, READ), (8, READ), (9, READ)]


def _replace(handlers: dict, told: list) -> None:
    handlers[9] = Told("newcomer", told)


def check_dispatch(dispatch: Callable) -> None:
    """Does dispatch(ready, handlers) tell each handler that was there when the wait ended, and still is?"""
    if is_open(dispatch, "Who is told, and who is not any more?"):
        return None
    everybody = ["handler of 7", "handler of 8", "handler of 9"]
    scenes = (
        ([], everybody, ""),
        ([lambda handlers, _: handlers.pop(8)], [everybody[0], everybody[2]], "7 had removed 8 meanwhile."),
        ([_replace], everybody[:2], "9 was closed, and its number given to a newcomer: what was found is not the newcomer's."),
    )  # fmt: skip
    for acts, expected, what in scenes:
        handlers, told, ready = _scene(*acts)
        _, error = attempt(dispatch, ready, handlers)
        if isinstance(error, KeyError):
            return wrong(f"handlers has no {error}. {what} Who is no longer there is not to be told.")
        if error:
            return raised(error)
        if not told:
            return unanswered("Nobody was told.")
        if told != expected:
            return wrong(f"Told: {', '.join(told)}; expected: {', '.join(expected)}. {what}".rstrip())
    return right("Who was found is looked up before the first handler runs, and asked for again before its turn.")
