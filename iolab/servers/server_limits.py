"""How long a server waits for whom, and how much it keeps for one client.

    client   GET / HT............        GET / HTTP/1.1 ...      (reads nothing)       (says nothing)
    server   └── header_s ──> 408        └─> answer ─────────────└── reader_s ──> closed
                                                                                       └── idle_s ──> closed

Two facts that surprise:
* A server without time-outs is out of service after as many silent connections as it has descriptors; one laptop
  that sends a byte a minute to each is enough (Slowloris, 2009). So header_s and body_s count from the beginning.
* TCP pushes back: who does not read makes the sender's buffer in the kernel fill up, and then what the program still
  wants to send piles up in its own memory. Unless it stops taking orders: at `high_water` no further request is
  read or answered before the pile is down to `low_water`.

RFC 9110, 15.5.9 (408) and 15.6.4 (503).
"""

from dataclasses import dataclass, field, fields

from iolab.servers.http_limits import STANDARD, Limits

IDLE, HEADER, BODY, READER, APPLICATION, LINGERING = "idle", "header", "body", "reader", "application", "lingering"
FOR_EVER = float("inf")


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Times in seconds, water marks in bytes. ValueError names the field, its value, and what is allowed."""

    connections: int = 16_384  # beyond that, 503
    idle_s: float = 60.0  # between two requests, and before the first
    header_s: float = 10.0  # from a request's first byte to its empty line
    body_s: float = 30.0  # from there to its end
    reader_s: float = 30.0  # without one byte of a response being acknowledged; looked at once in that time
    linger_s: float = 1.0  # likewise after the last response, until the client closes
    linger_nbytes: int = 1 << 20  # dropped meanwhile
    stop_s: float = 4.0  # from stop() on, for what is under way
    high_water: int = 1 << 18
    low_water: int = 1 << 16
    threads: int = 4  # of the pool for slow requests
    http: Limits = field(default=STANDARD)
    patience_s: dict[str, float] = field(init=False, repr=False, compare=False)  # how long to wait for each of IDLE ...

    def __post_init__(self) -> None:
        for each in (each for each in fields(self) if each.init):
            value = getattr(self, each.name)
            if each.type in (int, "int") and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{each.name} must be an integer from 1 on, not {value!r}")
            if each.type in (float, "float") and not value > 0:
                raise ValueError(f"{each.name} must be more than 0 seconds, not {value!r}")
        if self.low_water > self.high_water:
            raise ValueError(f"low_water must be at most high_water ({self.high_water}), not {self.low_water}")

        patience_s = {IDLE: self.idle_s, HEADER: self.header_s, BODY: self.body_s, READER: self.reader_s,
                      APPLICATION: FOR_EVER, LINGERING: self.linger_s}  # fmt: skip
        object.__setattr__(self, "patience_s", patience_s)


USUAL = ServerLimits()
