"""What one client may make a server hold: every part of a request has a limit, and each limit its status code.

    GET /books?author=... HTTP/1.1\\r\\n      request_line ──> 414 URI Too Long
    Host: ...\\r\\n  User-Agent: ...\\r\\n     head, fields ──> 431 Request Header Fields Too Large
    \\r\\n
    5;extension\\r\\n ... 0\\r\\nTrailer: ...   chunking     ──> 413
    {"isbn": ...}                           body         ──> 413 Content Too Large
    GET / ...  GET / ...  GET / ...         pipelined    ──> no error: the rest waits until answers are written

Two facts that surprise:
* The standard sets no limits, it only recommends that a request line of 8,000 bytes be understood (RFC 9112, 3);
  a parser does not set them either: llhttp reads a header of 10 MB without complaint.
* One byte of body may cost six on the wire ("1\\r\\nx\\r\\n"), and a chunk extension may be as long as its sender likes:
  a limit on the body alone bounds neither the traffic nor the time.

Therefore a connection holds at most one head and `pipelined` bodies, and what has not been looked at yet.

RFC 9110 2.3, 15.5.14, 15.5.15; RFC 6585 5; RFC 9112 3, 7.1.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """In bytes, but for `fields` and `pipelined`, which are counts. ValueError for anything but an integer from 1 on."""

    request_line: int = 8_192
    head: int = 16_384  # request line and fields, up to the empty line
    fields: int = 100
    body: int = 65_536
    chunking: int = 65_536  # of one chunked body: sizes, extensions and trailers together
    pipelined: int = 16  # requests whose answers have not been written

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{field.name} must be an integer from 1 on, not {value!r}")
        if self.request_line > self.head:
            raise ValueError(f"request_line must be at most head ({self.head}), not {self.request_line}")


STANDARD = Limits()
