"""The books of a CompletionQueue: which operations are in flight, and what an event means for the program.

    begin ──> in flight ── event: a part of a send ──> in flight again, with the rest
                  │     ── event: a piece that came ──> Completion(more)
                  └─ last event ──> Completion; the descriptor is closed if somebody waits for that

Two facts that surprise:
* An operation may be owed a Completion and yet not be in flight: a send behind another one, an accept that rests,
  a receive between two pieces. Cancelling these needs no kernel, and cannot come too late.
* What was accepted but not handed out is a descriptor that nobody knows: whoever closes the queue closes it, too.
"""

from collections import defaultdict, deque

from iolab.models.completion import ACCEPT, RECEIVE, SEND, WRITE, Completion, Event, Operation, completion_of
from iolab.models.completion_rules import CANCELED, NO_ROOM, TRIED_AGAIN, AcceptPause, Owed, Together, closed, end_all


class Books:
    """What is owed to the program of one CompletionQueue, and what it may be told at once: `ready`."""

    def __init__(self, processor) -> None:
        self._processor, self._pause = processor, AcceptPause()
        self._owed: dict[int, Owed] = defaultdict(Owed)  # by descriptor
        self._in_flight: set[Operation] = set()  # the processor has them
        self._due: list[Operation] = []  # it gets them at the next wait
        self.closing: dict[int, object] = {}  # descriptors, each with the token that waits for its end
        self.ready: list[Completion] = []
        self._accepted: list[int] = []  # descriptors in `ready`, of which the program does not know yet

    def begin(self, operation: Operation) -> None:
        owed = self._owed[operation.fd]
        owed.operations.append(operation)
        if operation.kind == SEND:
            if owed.carrier is not None:
                owed.waiting.append(operation)
                return
            owed.carrier = operation
        elif operation.kind == ACCEPT:
            self._pause.reserve()
        self._start(operation)

    def cancel(self, operation: Operation) -> None:
        owed = self._owed.get(operation.fd)
        if owed is None or operation not in owed.operations:
            return
        if operation in owed.waiting:
            owed.waiting.remove(operation)
            self._last(operation, CANCELED)
        elif (carrier := operation if operation.kind != SEND else owed.carrier) in self._in_flight:
            carrier.cancelled = True
            self._processor.cancel(carrier)
        else:
            self._due = [each for each in self._due if each is not carrier]
            self._pause.resting.pop(carrier, None)
            self._over(carrier, CANCELED)

    def close_when_idle(self, fd: int, token) -> None:
        self.closing[fd] = token
        for operation in [*self._owed[fd].operations]:
            self.cancel(operation)
        self._close_if_idle(fd)

    def start_what_is_due(self) -> None:
        self._due += self._pause.over()
        while self._due:
            self._start(self._due[0])
            del self._due[0]

    def at_most(self, timeout_s: float | None) -> float | None:
        """How long a wait may take: until an accept that rests is to be tried again."""
        limits = [each for each in (timeout_s, self._pause.left_s()) if each is not None]
        return 0 if self._due else min(limits, default=None)

    def book(self, events: deque[Event]) -> None:
        """The first of `events`. Behind a call a handler may raise: what came is told, and not a call later removed."""
        operation, result, more, data = events[0]
        kind = operation.kind
        if more and kind == RECEIVE and result > 0:  # the usual case
            self.ready += (completion_of((operation.token, result, True, data)),)
            events.popleft()
            return
        if kind == SEND and result == len(operation.buffer):  # the other usual case
            events.popleft()
            self._in_flight.discard(operation)
            self._over(operation, result)
            return
        goes_on, over = more or not operation.cancelled, set() if more else {operation}
        in_part = kind in (SEND, WRITE) and 0 < result < len(operation.buffer)
        no_room, again = kind == ACCEPT and result in NO_ROOM, result in TRIED_AGAIN.get(kind, ())
        came = goes_on and (kind == ACCEPT and result >= 0 or kind == RECEIVE and result > 0)
        self.ready += (Completion(operation.token, result, True, data),) if came else ()
        self._accepted += (result,) if kind == ACCEPT and result >= 0 else ()
        self._due += over if goes_on and (came or again) else ()
        self._in_flight -= over
        events.popleft()
        if not goes_on and (in_part or no_room or again):
            self._over(operation, CANCELED)
        elif in_part:
            operation.go_on_behind(result)
            self._start(operation)
        elif no_room:
            self._pause.rest(operation)
        elif not (came or again):
            self._over(operation, result, data)

    def hand_out(self) -> list[Completion]:
        ready, self.ready, self._accepted = self.ready, [], []
        return ready

    def close(self, limit_s: float) -> None:
        """Nothing is in flight any more, unless it was abandoned; nobody will know of what was accepted."""
        try:
            end_all(self._in_flight, self._processor, limit_s, self._accepted)
        finally:
            for fd in (*self._accepted, *self.closing):
                closed(fd)
            self._pause.close()

    def _start(self, operation: Operation) -> None:
        self._in_flight.add(operation)
        self._processor.start(operation)

    def _over(self, operation: Operation, result: int, data: memoryview | None = None) -> None:
        after = self._owed[operation.fd].next_carrier() if operation.kind == SEND else None
        if type(operation.token) is Together:
            for each in operation.token.sends:
                self._last(each, len(each.buffer) if result == len(operation.buffer) else result)
        else:
            self._last(operation, operation.nbytes_before + result if result >= 0 else result, data)
        if after is not None:
            self._start(after)

    def _last(self, operation: Operation, result: int, data: memoryview | None = None) -> None:
        self.ready.append(completion_of((operation.token, result, False, data)))
        operation.buffer = None  # it is the program's again, whoever keeps the operation
        operations = self._owed[operation.fd].operations
        operations.remove(operation)
        if not operations:
            self._close_if_idle(operation.fd)

    def _close_if_idle(self, fd: int) -> None:
        if not self._owed[fd].operations:
            del self._owed[fd]
            if fd in self.closing:
                self.ready.append(Completion(self.closing.pop(fd), closed(fd)))
