"""Check of the chapter on the reactor: slow work goes to a real worker, and its result comes back to the loop.

check       worker pool, loop ──> learner's function: submit, post ── in which thread did what run, and for whom?
"""

import threading
from collections.abc import Callable

from iolab.exercises.attempting import attempt, is_open, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.servers.worker_pool import WorkerPool

WORK_S = 5.0


class Patient:
    """A handler whose answer takes time to find; it writes down who called what, in which thread."""

    def __init__(self) -> None:
        self.closed, self.called = False, []

    def look_up(self) -> str:
        self.called.append(("look_up", threading.get_ident()))
        return "an atlas"

    def send(self, answer: str) -> None:
        self.called.append((f"send {answer}" + " after the client had gone" * self.closed, threading.get_ident()))


def check_answer_slowly(answer_slowly: Callable) -> None:
    """Does answer_slowly(handler, reactor, pool) look up in a worker, send in the loop, and not to who has gone?"""
    if is_open(answer_slowly, "Who looks up, who sends, and who may have gone meanwhile?"):
        return None
    for gone in (False, True):
        handler, scene = Patient(), _Scene()
        _, error = attempt(scene.play, answer_slowly, handler, gone)
        if error := error or scene.error:
            return raised(error)
        calls, loop = dict(handler.called), threading.get_ident()
        if "look_up" not in calls:
            return unanswered("handler.look_up was not called.")
        if calls["look_up"] == loop:
            return wrong("look_up ran in the loop's thread: every other client waited for it. Hand it to the pool.")
        sent = [name for name in calls if name.startswith("send")]
        if any(calls[name] != loop for name in sent):
            return wrong("send ran in the worker's thread. Meanwhile the loop may be using the same handler, or closing it: "
                         "two threads in one conversation, without a lock. Hand it over: reactor.post.")  # fmt: skip
        if gone and sent:
            return wrong("While the worker looked it up the client went, the handler was closed; you sent all the same. Its "
                         "descriptor's number may be another client's by now. Ask handler.closed, in the loop.")  # fmt: skip
        if not gone and sent != ["send an atlas"]:
            return wrong(f"The answer is 'an atlas', to be sent once, in the loop. What was sent: {sent}.")
    return right("The worker looks up, the loop sends, and only to who is still there: no lock is needed anywhere.")


class _Scene:
    """Pool and reactor for one try: what is posted runs, in this thread, once the worker is done."""

    def __init__(self) -> None:
        self.error, self._posted, self._pool = None, [], WorkerPool(1)

    def post(self, callback: Callable, *arguments) -> None:
        self._posted.append((callback, arguments))

    def submit(self, work: Callable, *arguments) -> None:
        self._pool.submit(self._guarded, work, arguments)

    def play(self, answer_slowly: Callable, handler: Patient, gone: bool) -> None:
        try:
            answer_slowly(handler, self, self)
        finally:
            self._pool.close(WORK_S)
        handler.closed = gone
        for callback, arguments in self._posted:
            callback(*arguments)

    def _guarded(self, work: Callable, arguments: tuple) -> None:
        try:
            work(*arguments)
        except Exception as error:
            self.error = error
