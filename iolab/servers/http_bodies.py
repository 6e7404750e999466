"""Where a request's body ends: behind a number of bytes that its head says, or behind a chunk of size zero.

    Content-Length: 5             h e l l o ──────────────────────────> over after 5 bytes
    Transfer-Encoding: chunked    3\\r\\nhel\\r\\n 2\\r\\nlo\\r\\n 0\\r\\n \\r\\n ──> over at the empty line

Two facts that surprise:
* A body is not ended by the end of the stream: in a request that is an error (RFC 9112, 6.3). In a response it is not.
* Whoever is one byte wrong here reads a body as the next request: request smuggling is nothing else. So what two
  programs could understand differently (both lengths, two lengths, "+5", chunked twice) is refused, never guessed.

Therefore a body takes exactly its own bytes from the front of the buffer and leaves the next request alone. The parser
of chunks does not say how far it came; but its end can only be an end of line, so it is given one line after the other,
and asked after each whether that was the last.

RFC 9112 6 and 7.1.
"""

import httptools

from iolab.servers.http_limits import Limits
from iolab.servers.http_refusal import Refused

_CHUNKED_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class SizedBody:
    """`nbytes` bytes; Refused at once when that is more than allowed."""

    def __init__(self, nbytes: int, limits: Limits) -> None:
        if nbytes > limits.body:
            raise Refused(413, f"the body has {nbytes} bytes; at most {limits.body} are allowed")
        self._missing, self.content = nbytes, bytearray()

    def take(self, buffer: bytearray) -> bool:
        """Take what is mine from the front of `buffer`; whether the body is complete."""
        piece = buffer[: self._missing]
        del buffer[: self._missing]
        self.content += piece
        self._missing -= len(piece)
        return self._missing == 0


class _Decoded:
    """What llhttp calls back. Not the body itself: parser and body would hold each other until a garbage collection."""

    def __init__(self) -> None:
        self.content, self.complete = bytearray(), False

    def on_body(self, data: bytes) -> None:
        self.content += data

    def on_message_complete(self) -> None:
        self.complete = True


class ChunkedBody:
    """Chunks, decoded; extensions and trailers are checked and dropped."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._chunking_left = limits, limits.chunking
        self._decoded = _Decoded()
        self._parser = httptools.HttpRequestParser(self._decoded)
        self._parser.feed_data(_CHUNKED_HEAD)

    @property
    def content(self) -> bytearray:
        return self._decoded.content

    def take(self, buffer: bytearray) -> bool:
        """Take what is mine from the front of `buffer`; whether the body is complete."""
        while buffer and not self._decoded.complete:
            # No longer than what is left for chunking, and one: so an error and a limit come in the same order,
            # in whatever pieces the bytes arrive.
            most = self._chunking_left + 1
            piece = bytes(buffer[: buffer.find(b"\n", 0, most) + 1 or most])
            del buffer[: len(piece)]
            self._feed(piece)
        return self._decoded.complete

    def _feed(self, piece: bytes) -> None:
        before, wrong = len(self.content), ""
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserError as error:
            wrong = f"chunked coding: {error}"
        if len(self.content) > self._limits.body:  # before what was wrong, if anything was
            raise Refused(413, f"the body has more than the {self._limits.body} bytes that are allowed")
        if wrong:
            raise Refused(400, wrong)
        self._chunking_left -= len(piece) - (len(self.content) - before)
        if self._chunking_left < 0:
            raise Refused(413, f"chunk sizes, extensions and trailers have more than {self._limits.chunking} bytes")
