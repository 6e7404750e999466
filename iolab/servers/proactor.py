"""The proactor: a loop that waits for completions, and tells each one's handler that its I/O *has been done*.

    receive(7, h) ──> started ──> wait() ┐                              ┌─ 1,000 bytes ──> h.handle_receive(1000, data)
    CompletionQueue                      └─ waits for any, and copies ──┘                  └ which starts the next one

Two facts that surprise:
* Turn the reactor inside out, and this is it: there the handler is told first and reads then, here it reads first, so
  to say, and is told then. What was one call, read, is two places in the program: the start and the completion.
* A completion says neither whose it is nor what was asked: it brings back the token that went along, untouched. POSA2
  calls it the asynchronous completion token. Here it is the handler with its method: to dispatch is to call it.

POSA2, Proactor: Initiator (whoever calls accept, receive, send), Asynchronous Operation Processor, Completion Event
Queue, Completion Handler. The loop itself does no I/O, and no handler may: what it wants done, it starts.
"""

import logging
from collections import deque
from collections.abc import Callable
from time import monotonic, monotonic_ns
from typing import Protocol

from iolab.models.completion import Completion, Operation
from iolab.models.completion_queue import CompletionQueue
from iolab.servers.timers import Timer, Timers

log = logging.getLogger("iolab.servers")


class CompletionHandler(Protocol):
    """POSA2: Completion Handler. It needs the methods for what it starts, and handle_error: one of them has raised.

    A completion has a `result`: a count or a descriptor, or below zero -errno; and `more`, whether others will follow
    of the same operation. `data` is on loan until the method returns: what is to be kept is copied, bytes(data).
    """

    def handle_accept(self, completion: Completion) -> None: ...
    def handle_receive(self, completion: Completion) -> None: ...
    def handle_send(self, completion: Completion) -> None: ...
    def handle_close(self, completion: Completion) -> None: ...
    def handle_error(self, error: Exception) -> None: ...


class Proactor:
    """POSA2: Proactor, over a CompletionQueue that it closes with itself. For one thread; others may only post()."""

    def __init__(self, queue: CompletionQueue) -> None:
        self._queue, self._timers = queue, Timers()
        self._completions: deque[Completion] = deque()  # not dispatched yet
        self._running, self.woken_ns = False, 0  # when the last wait was over, CLOCK_MONOTONIC
        self.cancel: Callable[[Operation], None] = queue.cancel  # it may come too late; the last completion still comes

    def accept(self, fd: int, handler: CompletionHandler) -> Operation:
        """Connections of the listening socket `fd`, again and again."""
        return self._queue.accept(fd, (handler.handle_accept, handler))

    def receive(self, fd: int, handler: CompletionHandler) -> Operation:
        """What comes, again and again until the end (result 0)."""
        return self._queue.receive(fd, (handler.handle_receive, handler))

    def send(self, fd: int, data, handler: CompletionHandler) -> Operation:
        """All of `data`, which must not change until it is complete."""
        return self._queue.send(fd, data, (handler.handle_send, handler))

    def close_connection(self, fd: int, handler: CompletionHandler) -> None:
        """End what is under way on `fd`; when that is over, close it and complete: its number is not used too early."""
        self._queue.close_connection(fd, (handler.handle_close, handler))

    def post(self, callback: Callable, *arguments) -> None:
        """Call it from the loop. Any thread may call this; ValueError if the queue is closed."""
        self._queue.post((lambda _: callback(*arguments), None))

    def call_after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call it from the loop once `delay_s` seconds are over, unless the timer is cancelled."""
        return self._timers.after(delay_s, callback)

    def handle_events(self, timeout: float | None = None) -> None:
        """One turn: wait, for `timeout` seconds at most, dispatch what has been done, ring the timers that are due."""
        completions = self._completions
        if not completions:  # else Ctrl-C has ended the turn before this one in the middle
            completions.extend(self._queue.wait(self._timers.left_s(timeout)))
            self.woken_ns = monotonic_ns()
        while completions:
            completion = completions.popleft()
            handle, handler = completion[0]
            try:
                handle(completion)
            except Exception as error:  # one client's trouble is not the others'
                log.exception("proactor: %r has raised", handle)
                if handler is not None:
                    self._call(handler.handle_error, error)
        now = monotonic()
        while (callback := self._timers.due(now)) is not None:
            self._call(callback)

    def run(self) -> None:
        """Turn by turn until stop(). Ctrl-C, too, ends it; then it may be run again, or closed."""
        self._running = True
        while self._running:
            self.handle_events()

    def stop(self) -> None:
        """The present turn is the last, or the next one, if it is not running yet. Any thread may call it."""
        self.post(setattr, self, "_running", False)

    def close(self) -> None:
        """Cancel what is in flight, wait for its end, and give back what the kernel lent."""
        self._queue.close()

    def _call(self, callback: Callable, *arguments) -> None:
        try:
            callback(*arguments)
        except Exception:
            log.exception("proactor: %r has raised", callback)
