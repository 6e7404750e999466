"""One client's requests and the answers to them, in order, without a socket: what all three servers have in common.

    received(data) ──> http_messages ──> next_request() ──> the application ──> answer(response) ──> output() ──> sent(n)
                       at most 16 wait   one at a time                          high water: no next_request

Two facts that surprise:
* "In the order of the requests" needs no bookkeeping if the second is not begun before the first is answered. It also
  spares the client a riddle: what would a pipelined GET see of the POST before it?
* To close right after the last answer may destroy it: so it lingers, and drops what comes until the client closes, too.

It never waits, and asks no clock: `waiting_for` says for what, and the server knows for how long.
"""

from collections import deque

from iolab.servers.http_messages import CLOSED, Continue, Event, HttpConnection
from iolab.servers.http_refusal import refuse
from iolab.servers.http_requests import Request
from iolab.servers.http_responses import Response, encode, stays_open
from iolab.servers.server_limits import APPLICATION, BODY, HEADER, IDLE, LINGERING, READER, USUAL, ServerLimits

SLICE = 1 << 18  # bytes of a large response that go out at once: others wait, too
_READABLE = (IDLE, HEADER, BODY)  # phases in which the connection takes more


class Conversation:
    """The state of one connection; it belongs to one thread at a time."""

    __slots__ = (
        "_limits", "_connection", "_answering", "_answers", "_answers_ready", "_leaving", "_nbytes_sent",
        "_full", "_last_answer_given", "_dropped", "_acknowledged", "asked", "ended", "ending", "lingering", "unsent",
    )  # fmt: skip

    def __init__(self, limits: ServerLimits = USUAL) -> None:
        self._limits, self._connection = limits, HttpConnection(limits.http)
        self.asked: deque[Event] = deque()  # and not answered yet
        self._answering: Request | None = None
        self._answers, self._answers_ready = 0, []
        self._leaving: bytes | memoryview = b""
        self._nbytes_sent = self._acknowledged = self._dropped = 0
        self._full = self._last_answer_given = False
        self.ended = False  # the client sends no more
        self.ending = False  # set by the server: it stops; what has been asked by now is answered
        self.lingering = False  # set by the server: the sending side is shut down, what still comes is dropped
        self.unsent = 0  # bytes

    def received(self, data: bytes) -> None:
        """What came from the client; b"" is the end."""
        self.ended |= not data
        if self.lingering or self._last_answer_given:
            self._dropped += len(data)
        else:
            self.asked += self._connection.receive(data) if data else self._connection.receive_end()

    def refuse(self, status: int, reason: str) -> None:
        """Answer before anything is asked; nothing else will be."""
        self.asked.append(refuse(status, reason))

    def next_request(self) -> Request | None:
        """The request that is to be answered now, by answer(); None while there is none."""
        while self.asked and self._answering is None and not self._full:
            event = self.asked.popleft()
            if type(event) is Request:
                self._answering = event
                return event
            if type(event) is Continue:
                self._put(event.data)
            else:
                self._last_answer(encode(event.response, event))
        return None

    def answer(self, response: Response) -> None:
        """To the request that next_request() gave."""
        request, self._answering = self._answering, None
        request = request._replace(keep_alive=False) if self.ending and not self.asked else request
        data = encode(response, request)
        if stays_open(response, request):
            self._put(data)
            if held_back := self._connection.answered():
                self.asked += held_back
        else:
            self._last_answer(data)

    def output(self) -> bytes | memoryview:
        """What is to be sent next, b"" for nothing; the same until sent() says how much of it has gone."""
        if not self._leaving and self._answers_ready:
            ready, self._answers_ready = self._answers_ready, []
            self._leaving = ready[0] if len(ready) == 1 else b"".join(ready)
        return self._leaving if len(self._leaving) <= SLICE else memoryview(self._leaving)[:SLICE]

    def sent(self, nbytes: int) -> None:
        """So much of output() is with the kernel."""
        self._leaving = memoryview(self._leaving)[nbytes:] if nbytes < len(self._leaving) else b""
        self.unsent -= nbytes
        self._nbytes_sent += nbytes
        self._full = self._full and self.unsent > self._limits.low_water

    @property
    def wants_input(self) -> bool:
        """Whether to read what the client sends; if not, TCP makes it wait."""
        return not self.ended and (self.lingering or (not self._full and self._connection.phase in _READABLE))

    @property
    def wants_output(self) -> bool:
        """Whether there is something to send, or will be as soon as there is room."""
        return bool(self.unsent or (self.asked and self._answering is None))

    @property
    def finished(self) -> bool:
        """Nothing is left to be sent, and nothing will be: to be closed if the client has ended, else to linger."""
        busy = self.unsent or self.asked or self._answering
        return not busy and (self._last_answer_given or self._connection.phase == CLOSED)

    @property
    def silent(self) -> bool:
        """Nothing has begun, and nothing is to be sent."""
        return self._connection.phase == IDLE and not (self.unsent or self.asked or self._answering)

    @property
    def over(self) -> bool:
        """To be closed now: the client has ended, too, or sends more than one needs to drop."""
        return self.finished and (self.ended or self._dropped > self._limits.linger_nbytes)

    def waiting_for(self) -> tuple[str, int]:
        """For what the server waits (IDLE: all is answered and sent), and a number that changes when it begins anew."""
        if self._answering is not None:
            return APPLICATION, self._answers
        if self.unsent or self.asked:
            return READER, self._nbytes_sent + self._acknowledged
        phase = CLOSED if self._last_answer_given else self._connection.phase
        return (LINGERING, self._acknowledged) if self.lingering else (phase, self._answers)

    def timed_out(self, acknowledged: int) -> bool:
        """The patience for that is over; whether to go on, since the client reads or is to be told 408; or else close."""
        what, before, self._acknowledged = self.waiting_for()[0], self._acknowledged, acknowledged
        if what in (READER, LINGERING):
            return acknowledged > before
        self.asked += self._connection.timed_out() if what in (HEADER, BODY) else ()
        return what in (HEADER, BODY)

    def _put(self, data: bytes) -> None:
        self._answers += 1
        self._answers_ready.append(data)
        self.unsent += len(data)
        self._full |= self.unsent >= self._limits.high_water

    def _last_answer(self, data: bytes) -> None:
        self._put(data)
        self._last_answer_given = True
        self.asked.clear()
