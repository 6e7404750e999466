"""HTTP for the peers, which have loops but no HTTP of their own: bytes in, bytes out, no sockets.

    received(b"GET / HTTP/1.1 ...") ──> request ──> application.handle ──> encode ──> the bytes to send

Three facts that surprise:
* Most of a small request's time in Python is not in the event loop, but in what is made of the bytes: so "asyncio
  against uvloop" is mostly a comparison of what they have in common.
* What makes a server fit for the world outside, limits, strictness, time-outs, is paid for with every request. A
  benchmark's server that has none of it wins, and should not be put on a public port.

* A server that remembers is fast for those who repeat themselves, and a benchmark does nothing else: the heads that our
  HTTP has judged once (http_requests) it finds again each time here, while llhttp parses each one anew.

So there are two: LeanHttp, httptools and nothing else, as a benchmark's server has it; and SameHttp, the servers' own
Conversation with its limits. With SameHttp only the loops differ (and the time-outs, which only our servers set).
Both write the response by the same encode().
"""

import httptools

from iolab.servers.http_conversation import Conversation
from iolab.servers.http_requests import Request
from iolab.servers.http_responses import encode


class LeanHttp:
    """One connection by httptools alone: no limits, no refusals. The methods on_... are what llhttp calls back."""

    def __init__(self, application) -> None:
        self._handle = application.handle
        self._parser = httptools.HttpRequestParser(self)
        self._answers: list[bytes] = []
        self.over = False  # close when the answer is sent

    def received(self, data: bytes) -> bytes:
        """The answers to all that is complete; b"" for none. httptools.HttpParserError for what is not HTTP."""
        self._parser.feed_data(data)
        answers = self._answers
        if len(answers) == 1:
            return answers.pop()
        self._answers = []
        return b"".join(answers)

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", {}, b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("ascii").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        parser, target = self._parser, self._url.decode("ascii")
        method, version = parser.get_method().decode("ascii"), parser.get_http_version()
        path, _, query = target.partition("?")
        keep_alive = parser.should_keep_alive()
        request = Request(method, target, path, query, version, self._headers, self._body, keep_alive)
        self._answers.append(encode(self._handle(request), request))
        self.over = self.over or not keep_alive


class SameHttp:
    """One connection by the Conversation of our servers."""

    def __init__(self, application) -> None:
        self._handle, self._conversation = application.handle, Conversation()

    def received(self, data: bytes) -> bytes:
        """The answers to all that is complete."""
        conversation = self._conversation
        conversation.received(data)
        while (request := conversation.next_request()) is not None:
            conversation.answer(self._handle(request))
        answers = conversation.output()
        conversation.sent(len(answers))
        return bytes(answers)

    @property
    def over(self) -> bool:
        return self._conversation.finished
