"""Where a request's head ends: at the first empty line, and not later than a limit.

    \\r\\n                       skipped: some clients send a line too many after a body
    GET /books HTTP/1.1\\r\\n    no end of line within limits.request_line ──> 414
    Host: localhost\\r\\n        no empty line within limits.head ──> 431
    \\r\\n                       here

Two facts that surprise:
* Who looks for the empty line from the beginning after each byte that arrives, works n²/2 steps for n bytes: a slow
  sender would be the cheapest attack there is. What has been searched is not searched again.
* "\\n\\n" is an empty line to some programs and not to others. It ends a head here, which is then refused for its bare
  LF: refused at once is better than waited for until the time is over.

Therefore a head is looked at as a whole, when it is complete; only its length, and its first byte, are judged before.

RFC 9112 2.2, 3; RFC 6585 5.
"""

import re

from iolab.servers.http_limits import Limits
from iolab.servers.http_refusal import Refused

_EMPTY_LINE = re.compile(rb"\n\r?\n")


class Head:
    """The search for the end of one head after the other, in a buffer that grows at its end."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._searched = 0  # of the buffer: no head ends before it

    def take(self, buffer: bytearray) -> bytes | None:
        """Take the next head, with its empty line, from the front of `buffer`; None when it is not complete.

        There is at least one byte.
        """
        if not 32 < buffer[0] < 127:
            _skip_empty_lines(buffer)
        limits, searched, nbytes = self._limits, self._searched, len(buffer)
        self._searched = nbytes
        if searched < limits.request_line <= nbytes and buffer.find(b"\n", 0, limits.request_line) < 0:
            raise Refused(414, f"the request line has more than {limits.request_line} bytes")
        empty_line = _EMPTY_LINE.search(buffer, searched - 2 if searched > 2 else 0, limits.head)
        if empty_line is not None:
            end = empty_line.end()
            head = bytes(buffer if end == nbytes else buffer[:end])  # as a rule nothing stands behind it yet
            del buffer[:end]
            self._searched = 0
            return head
        if nbytes >= limits.head:
            raise Refused(431, f"the head has more than {limits.head} bytes")
        return None


def _skip_empty_lines(buffer: bytearray) -> None:
    while buffer.startswith(b"\r\n"):
        del buffer[:2]
    if buffer and not 32 < buffer[0] < 127 and buffer != b"\r":
        raise Refused(400, "the first byte is none of HTTP's")  # but TLS's, for example, which waits for an answer
