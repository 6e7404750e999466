"""What arrives and when: the one thing that is the same for every model.

Scenario(deliveries=(Delivery(delay_ms=200, nbytes=1_048_576),), transport="tcp")

    0 ms ── nothing ── 200 ms ── all but the last byte ── the last byte: now it is ready
"""

from dataclasses import dataclass

TRANSPORTS = ("tcp", "pipe", "socketpair")
COMPLETE, CLOSE, RESET, DIE = "complete", "close", "reset", "die"
ENDINGS = (COMPLETE, CLOSE, RESET, DIE)
MAX_DELAY_MS, MAX_SENDERS = 600_000, 64
MAX_BYTES = 1 << 28  # of all deliveries together: the experiment holds them three times
MAX_PIECES = 1000  # a sender's report of them must fit into a pipe that nobody reads meanwhile


def _within(name: str, value, low, high, unit: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} must be from {low:,} to {high:,} {unit}, not {value!r}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one sender sends: `nbytes` in `pieces` of about equal size, the first after `delay_ms`, with
    `pause_ms` between two. The last byte goes alone, right after the last piece: its send() brackets "ready".

    `ending`: "complete" keeps the stream open; the others send only `sent` bytes and then "close" it in order,
    "reset" the connection (TCP only), or "die" by SIGKILL.
    """

    delay_ms: float = 200
    nbytes: int = 1 << 20
    pieces: int = 1
    pause_ms: float = 0
    ending: str = COMPLETE
    sent: int | None = None

    def __post_init__(self) -> None:
        _within("delay_ms", self.delay_ms, 0, MAX_DELAY_MS, "milliseconds")
        _within("nbytes", self.nbytes, 1, MAX_BYTES, "bytes")
        _within("pieces", self.pieces, 1, min(self.nbytes, MAX_PIECES), "pieces")
        _within("pause_ms", self.pause_ms, 0, MAX_DELAY_MS, "milliseconds")
        if self.ending not in ENDINGS:
            raise ValueError(f"ending must be one of {', '.join(ENDINGS)}, not {self.ending!r}")
        if (self.ending == COMPLETE) != (self.sent is None):
            raise ValueError(f"sent goes with an ending other than {COMPLETE!r}, not with {self.ending!r}")
        if self.sent is not None:
            _within("sent", self.sent, 0, self.nbytes, "bytes")

    def sends(self) -> list[tuple[float, int]]:
        """Pairs (pause before it in ms, bytes): one for each piece, the very last byte for itself."""
        total = self.nbytes if self.sent is None else self.sent
        sizes = [total * (i + 1) // self.pieces - total * i // self.pieces for i in range(self.pieces)]
        pauses = [self.delay_ms] + [self.pause_ms] * (self.pieces - 1)
        plan = [(pause, size) for pause, size in zip(pauses, sizes, strict=True) if size]
        if plan and plan[-1][1] > 1:
            pause, size = plan.pop()
            plan += [(pause, size - 1), (0, 1)]
        return plan or [(self.delay_ms, 0)]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One delivery for each descriptor, over a transport of TRANSPORTS.

    `one_wait` sets SO_RCVLOWAT, so that the kernel wakes the reader once, when all is there (only done
    for TCP; a pipe has no such mark). Without it the reader meets the pieces as they come. After `time_limit_s` the
    senders are killed, and the kernel ends their streams: no experiment hangs.
    """

    deliveries: tuple[Delivery, ...] = (Delivery(),)
    transport: str = "tcp"
    one_wait: bool = True
    time_limit_s: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.deliveries) <= MAX_SENDERS:
            raise ValueError(f"deliveries must be from 1 to {MAX_SENDERS}, not {len(self.deliveries)}")
        _within("nbytes of all deliveries", self.nbytes, 1, MAX_BYTES, "bytes")
        if self.transport not in TRANSPORTS:
            raise ValueError(f"transport must be one of {', '.join(TRANSPORTS)}, not {self.transport!r}")
        if self.transport != "tcp" and any(each.ending == RESET for each in self.deliveries):
            raise ValueError(f"ending 'reset' needs transport tcp, not {self.transport!r}")
        if self.time_limit_s is None:
            longest = max(sum(pause for pause, _ in each.sends()) for each in self.deliveries)
            object.__setattr__(self, "time_limit_s", longest / 1000 + 10)
        _within("time_limit_s", self.time_limit_s, 0.001, 3600, "seconds")

    @property
    def nbytes(self) -> int:
        """Bytes asked for, over all deliveries."""
        return sum(each.nbytes for each in self.deliveries)


def one_read(wait_ms: float = 200, nbytes: int = 1 << 20, **more) -> Scenario:
    """One sender, one wait, one copy; `more` are fields of Scenario."""
    return Scenario((Delivery(wait_ms, nbytes),), **more)


def many_reads(waits_ms=(300, 200, 100), nbytes: int = 1 << 16, **more) -> Scenario:
    """One sender for each wait, all with `nbytes`; `more` are fields of Scenario."""
    return Scenario(tuple(Delivery(wait, nbytes) for wait in waits_ms), **more)
