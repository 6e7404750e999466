"""Where a request's body ends: behind a number of bytes that its head says, or behind a chunk of size zero.

    Content-Length: 5             h e l l o ──────────────────────────> over after 5 bytes
    Transfer-Encoding: chunked    3\\r\\nhel\\r\\n 2\\r\\nlo\\r\\n 0\\r\\n \\r\\n ──> over at the empty line

Two facts that surprise:
* A body is not ended by the end of the stream: in a request that is an error (RFC 9112, 6.3). In a response it is not.
* Whoever is one byte wrong here reads a body as the next request: request smuggling is nothing else. So what two
  programs could understand differently (both lengths, two lengths, "+5", chunked twice) is refused, never guessed.

Therefore a body takes exactly its own bytes from the front of the buffer and leaves the next request alone. A chunked
one can end only at an empty line: the parser, which does not say how far it came, is given the bytes up to the next one,
and asked whether that was the end.

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


class ChunkedBody:
    """Chunks, decoded; extensions and trailers are checked and dropped."""

    def __init__(self, limits: Limits) -> None:
        self.content = bytearray()
        self._limits, self._chunking_left = limits, limits.chunking
        self._complete = False
        self._last = b""  # the two bytes before the buffer: an empty line may begin there
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)

    def take(self, buffer: bytearray) -> bool:
        """Take what is mine from the front of `buffer`; whether the body is complete."""
        while buffer and not self._complete:
            # No longer than what is left for chunking, and one: so an error and a limit come in the same order,
            # in whatever pieces the bytes arrive.
            end = self._empty_line(buffer, self._chunking_left + 1)
            piece = bytes(buffer[:end])
            del buffer[:end]
            self._last = (self._last + piece)[-2:]
            self._feed(piece)
        return self._complete

    def _empty_line(self, buffer: bytearray, most: int) -> int:
        """How many bytes lead up to the next empty line, inclusive; `most` where there is none before."""
        start = self._last + bytes(buffer[:2])
        for end in range(1, min(len(buffer), 2, most) + 1):
            if start[: len(self._last) + end].endswith(b"\n\r\n"):
                return end
        found = buffer.find(b"\n\r\n", 0, most)
        return found + 3 if found >= 0 else most

    def _feed(self, piece: bytes) -> None:
        before = len(self.content)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserError as error:
            self._check_size()
            raise Refused(400, f"chunked coding: {error}") from None
        self._check_size()
        self._chunking_left -= len(piece) - (len(self.content) - before)
        if self._chunking_left < 0:
            raise Refused(413, f"chunk sizes, extensions and trailers have more than {self._limits.chunking} bytes")

    def _check_size(self) -> None:
        if len(self.content) > self._limits.body:
            raise Refused(413, f"the body has more than {self._limits.body} bytes, which are allowed")

    def on_body(self, data: bytes) -> None:
        self.content += data

    def on_message_complete(self) -> None:
        self._complete = True
