"""The books of a CompletionQueue: which operations are in flight, and what an event means for the program.

    begin ──> in flight ── event: a part of a send ──> in flight again, with the rest
                  │     ── event: a piece that came ──> Completion(more)
                  └─ last event ──> Completion; the descriptor is closed if somebody waits for that

Two facts that surprise:
* An operation may be owed a Completion and yet not be in flight: a send behind another one, an accept that rests,
  a receive between two pieces. Cancelling these needs no kernel, and cannot come too late.
* What was accepted but not handed out is a descriptor that nobody knows: whoever closes the queue closes it, too.
"""

import time

from iolab.models.completion import ACCEPT, RECEIVE, SEND, WRITE, Completion, Event, Operation, completion_of
from iolab.models.completion_rules import CANCELED, NO_ROOM, TRIED_AGAIN, AcceptPause, Sends, Together, closed


class Books:
    """What is owed to the program of one CompletionQueue, and what it may be told at once: `ready`."""

    def __init__(self, processor) -> None:
        self._processor, self._pause = processor, AcceptPause()
        self._owed: dict[int, list[Operation]] = {}  # by descriptor
        self._in_flight: set[Operation] = set()  # the processor has them
        self._due: list[Operation] = []  # it gets them at the next wait
        self._sends = Sends()
        self.closing: dict[int, object] = {}  # descriptors, each with the token that waits for its end
        self.ready: list[Completion] = []
        self._accepted: list[int] = []  # descriptors in `ready`, of which the program does not know yet

    def begin(self, operation: Operation) -> None:
        self._owed.setdefault(operation.fd, []).append(operation)
        if operation.kind == ACCEPT:
            self._pause.reserve()
        self._start(operation if operation.kind != SEND else self._sends.begin(operation))

    def cancel(self, operation: Operation) -> None:
        if operation not in self._owed.get(operation.fd, ()):
            return
        if operation.kind == SEND and self._sends.forget(operation):
            self._last(operation, CANCELED)
        elif (carrier := operation if operation.kind != SEND else self._sends.carrier(operation.fd)) in self._in_flight:
            carrier.cancelled = True
            self._processor.cancel(carrier)
        else:
            self._due = [each for each in self._due if each is not carrier]
            self._pause.resting.pop(carrier, None)
            self._over(carrier, CANCELED)

    def close_when_idle(self, fd: int, token) -> None:
        self.closing[fd] = token
        for operation in list(self._owed.get(fd, ())):
            self.cancel(operation)
        self._close_if_idle(fd)

    def start_what_is_due(self) -> None:
        due, self._due = self._due, []
        for operation in (*self._pause.over(), *due):
            self._start(operation)

    def at_most(self, timeout_s: float | None) -> float | None:
        """How long a wait may take: until an accept that rests is to be tried again."""
        limits = [each for each in (timeout_s, self._pause.left_s()) if each is not None]
        return 0 if self._due else min(limits, default=None)

    def book(self, event: Event) -> None:
        operation, result, more, data = event
        kind = operation.kind
        if kind == RECEIVE and result > 0 and more:  # the usual case
            self.ready.append(completion_of((operation.token, result, True, data)))
            return
        if not more:
            self._in_flight.discard(operation)
        if kind == SEND and result == len(operation.buffer):  # the other usual case
            self._over(operation, result)
            return
        goes_on = more or not operation.cancelled
        in_part = kind in (SEND, WRITE) and 0 < result < len(operation.buffer)
        no_room, again = kind == ACCEPT and result in NO_ROOM, result in TRIED_AGAIN.get(kind, ())
        if not goes_on and (in_part or no_room or again):
            self._over(operation, CANCELED)
        elif in_part:
            operation.go_on_behind(result)
            self._start(operation)
        elif no_room:
            self._pause.rest(operation)
        elif again:
            self._due += [] if more else [operation]
        elif goes_on and (kind == ACCEPT and result >= 0 or kind == RECEIVE and result > 0):
            self._accepted += [result] if kind == ACCEPT else []
            self.ready.append(Completion(operation.token, result, True, data))
            self._due += [] if more else [operation]
        else:
            self._accepted += [result] if kind == ACCEPT and result >= 0 else []
            self._over(operation, result, data)

    def hand_out(self) -> list[Completion]:
        ready, self.ready, self._accepted = self.ready, [], []
        return ready

    def close(self, limit_s: float) -> None:
        """Cancel all and wait for the last events. What cannot be cancelled, or takes longer, is abandoned."""
        deadline = time.monotonic() + limit_s
        try:
            for operation in list(self._in_flight):
                operation.cancelled = True
                if not self._processor.cancel(operation):
                    self._abandon(operation)
            while self._in_flight and (left_s := deadline - time.monotonic()) > 0:
                for operation, result, more, _ in self._processor.wait(left_s):
                    self._accepted += [result] if operation.kind == ACCEPT and result >= 0 else []
                    self._in_flight -= set() if more else {operation}
        finally:  # Ctrl-C, too: what is still in flight may write to its buffer at any time
            for operation in list(self._in_flight):
                self._abandon(operation)
            for fd in (*self._accepted, *self.closing):
                closed(fd)
            self._pause.close()

    def _start(self, operation: Operation | None) -> None:
        if operation:
            self._in_flight.add(operation)
            self._processor.start(operation)

    def _abandon(self, operation: Operation) -> None:
        self._in_flight.discard(operation)
        self._processor.abandon(operation)

    def _over(self, operation: Operation, result: int, data: memoryview | None = None) -> None:
        after = self._sends.over(operation) if operation.kind == SEND else None
        if type(operation.token) is Together:
            for each in operation.token.sends:
                self._last(each, len(each.buffer) if result == len(operation.buffer) else result)
        else:
            self._last(operation, operation.nbytes_before + result if result >= 0 else result, data)
        self._start(after)

    def _last(self, operation: Operation, result: int, data: memoryview | None = None) -> None:
        self.ready.append(completion_of((operation.token, result, False, data)))
        operation.buffer = None  # it is the program's again, whoever keeps the operation
        self._owed[operation.fd].remove(operation)
        if not self._owed[operation.fd]:
            self._close_if_idle(operation.fd)

    def _close_if_idle(self, fd: int) -> None:
        if not self._owed.get(fd):
            self._owed.pop(fd, None)
            if fd in self.closing:
                self.ready.append(Completion(self.closing.pop(fd), closed(fd)))
