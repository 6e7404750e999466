"""Why a request is refused: with a status code and a sentence, after which the connection closes.

    bytes ──> http_messages ──> Refused(413, "the body has ...") ──> Refusal ──> encode ──> send, close

Two facts that surprise:
* A refusal often comes before the request is complete. A server that closes at once, with unread bytes in its receive
  buffer, sends a reset, and the reset overtakes the refusal: a client may never read why (RFC 9112, 9.6). So the
  sending side is shut down first, and what still comes is read and dropped for a while.
* After a refusal nothing behind it can be believed: where the next request begins is exactly what is not known.

Therefore a Refusal has keep_alive False, and a connection that has refused takes no more bytes.
"""

from typing import NamedTuple

from iolab.servers.http_responses import Response, plain


class Refusal(NamedTuple):
    """`response` is to be sent in its turn; then the connection closes. encode(refusal.response, refusal)."""

    response: Response
    method: str = ""
    version: str = "1.1"
    keep_alive: bool = False


class Refused(Exception):
    """Raised where the fault is seen, within http_messages and its parts only."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status, self.reason = status, reason


def refuse(status: int, reason: str, method: str = "") -> Refusal:
    """A refusal for a server's own reasons, such as 503 when it has too many connections."""
    return Refusal(plain(status, reason), method)
