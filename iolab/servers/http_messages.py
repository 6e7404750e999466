"""One HTTP connection without its socket: bytes go in, in whatever pieces they came; requests come out.

    receive(b"GET / HT")                  []                      phase "header"
    receive(b"TP/1.1\\r\\nHost: a\\r\\n\\r\\n")  [Request("GET", ...)]   phase "idle"
    encode(response, request)             the bytes to send: http_responses
    answered()                            what had been held back, [] as a rule

Three facts that surprise:
* TCP has no messages: one receive may bring a third of a request, or two and a half. Whether the pieces were large or
  small makes no difference to what comes out here, and a test holds that against every way to split.
* A client may send the second request before the first is answered (pipelining), and never read an answer. So from
  Limits.pipelined unanswered requests on, the rest is held back: phase "full" means "do not read this socket".
* 408 is for a request that has begun. A connection on which nothing has begun is closed without a word (RFC 9110, 15.5.9).

For the server that uses it:
* Answers go out in the order of the events: a Continue and a Refusal, too, wait until all before them are sent.
* After each answer to a Request: answered(). After a Refusal, and where stays_open(response, request) says no: close,
  but linger (http_refusal). Phase "closed" means that no request will come any more.
* To close after an answer for another reason: encode(response, request._replace(keep_alive=False)).
* Time-outs count from when the phase began, not from the last byte: else one byte a minute holds a connection for ever.

RFC 9112 9.3.2, 9.6; RFC 9110 10.1.1.
"""

from typing import NamedTuple

from iolab.servers.http_bodies import ChunkedBody, SizedBody
from iolab.servers.http_heads import Head
from iolab.servers.http_limits import STANDARD, Limits
from iolab.servers.http_refusal import Refusal, Refused, refuse
from iolab.servers.http_requests import Request, known_request, read_head

IDLE, HEADER, BODY, FULL, CLOSED = "idle", "header", "body", "full", "closed"


class Continue(NamedTuple):
    """The client waits for leave to send the body: `data` goes out in its turn, and is no answer."""

    data: bytes = b"HTTP/1.1 100 Continue\r\n\r\n"


Event = Request | Refusal | Continue


class HttpConnection:
    """The receiving side of one connection; it belongs to one thread at a time.

    `phase` is what comes next: IDLE, HEADER, BODY from the client; in FULL an answer from us; in CLOSED nothing.
    """

    __slots__ = ("_limits", "_buffer", "_head", "_begin", "_request", "_body", "_unanswered", "_peer_ended", "phase")

    def __init__(self, limits: Limits = STANDARD) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._head = Head(limits)
        self._begin = b""  # of the head that is being judged
        self._request: Request | None = None  # its head is read, its body is coming
        self._body: SizedBody | ChunkedBody | None = None
        self._unanswered = 0
        self._peer_ended = False
        self.phase = IDLE

    def receive(self, data) -> list[Event]:
        """The events that `data`, behind all that came before, completes. What comes after the end is dropped."""
        if self.phase == IDLE:
            request = known_request(data, self._limits)
            if request is not None:  # the usual case: a client repeats itself, and waits for its answer
                self._unanswered += 1
                if self._unanswered == self._limits.pipelined:
                    self.phase = FULL
                return [request]
        elif self.phase == CLOSED:
            return []
        self._buffer += data
        return self._events()

    def receive_end(self) -> list[Event]:
        """The client sends no more (but may well read): a Refusal when a request remains incomplete."""
        self._peer_ended = True
        return self._events()

    def answered(self) -> list[Event]:
        """One answer has been written: what had been held back for it. ValueError where none was due."""
        if not self._unanswered:
            raise ValueError("answered() must follow a Request, and there is none unanswered")
        self._unanswered -= 1
        if self.phase == IDLE and not self._peer_ended:  # the usual case
            return []
        return self._events()

    def timed_out(self) -> list[Event]:
        """The server's patience is over: a Refusal when a request has begun; closed in any case."""
        if self.phase in (HEADER, BODY):
            return [self._refusal(408, "the request did not become complete in time")]
        self._close()
        return []

    def _events(self) -> list[Event]:
        events: list[Event] = []
        try:
            while self._buffer and self._unanswered < self._limits.pipelined and self._progress(events):
                pass
            if self._peer_ended and self._phase() in (HEADER, BODY):
                raise Refused(400, "the request ends before it is complete")
        except Refused as refused:
            events.append(self._refusal(refused.status, refused.reason))
        self.phase = self._phase()
        if self._peer_ended and self.phase == IDLE:
            self._close()
        return events

    def _phase(self) -> str:
        if self.phase == CLOSED:
            return CLOSED
        if self._unanswered >= self._limits.pipelined:
            return FULL
        return BODY if self._request is not None else HEADER if self._buffer else IDLE

    def _progress(self, events: list[Event]) -> bool:
        """One step, a head or a body; False when more bytes are needed."""
        if self._request is None:
            head = self._head.take(self._buffer)
            if head is None:
                return False
            self._begin = head
            self._request, self._body, awaited = read_head(head, self._limits)
            if awaited and not self._buffer:
                events.append(Continue())
        if self._body is not None:
            if not self._body.take(self._buffer):
                return False
            self._request = self._request._replace(body=bytes(self._body.content))
        events.append(self._request)
        self._unanswered += 1
        if not self._request.keep_alive:
            self._close()
        self._request, self._body, self._begin = None, None, b""
        return True

    def _refusal(self, status: int, reason: str) -> Refusal:
        is_head = (self._begin or self._buffer).startswith(b"HEAD ")  # whose refusal has no body either
        self._close()
        return refuse(status, reason, "HEAD" if is_head else "")

    def _close(self) -> None:
        self.phase = CLOSED
        self._buffer.clear()
        self._request, self._body, self._begin = None, None, b""
