"""What one model did with one regular file: plain data, from which tables, sentences and figures are made.

    calls     io_submit ├──── 900 µs, slept 2× ────┤ io_getevents ├ 12 µs ┤        submit_ns, wait_ns
    device    1 MiB, asked for by this thread          helpers: none               who did the work

Two facts that surprise:
* "It returned at once" is a number here: the time inside the call that submits. For a file that is not in memory it may
  be all the time there is, whatever the call is named.
* Bytes from the device are booked on the thread that asked for them. So the books tell whether this thread went
  down to the block device, or somebody else did for it.
"""

from dataclasses import asdict, dataclass
from typing import NamedTuple

from iolab.calls import Call

ASKS = {"read", "aio_read", "lio_listio", "io_submit"}  # the call that hands a read over, or carries it out
WAITS = {"select", "poll", "epoll_wait", "sigtimedwait", "aio_suspend", "futex", "io_getevents", "io_pgetevents"}
RING = "io_uring_enter"  # both in one


class Helper(NamedTuple):
    """A thread that is not the reader's, and had part in the read."""

    thread_id: int
    comm: str
    run_ns: int  # CPU time that it took for the read; 0 where the kernel keeps no count
    new: bool  # it was not there before


@dataclass(frozen=True)
class FileObservation:
    """One read of a file by one model. Times are CLOCK_MONOTONIC in nanoseconds, of the reading thread."""

    model: str
    state: str  # "hit", "miss" or "direct"
    nbytes: int
    folder: str
    filesystem: str
    pages: int
    pages_before: int  # of them in memory, by mincore
    pages_after: int
    read_bytes: int  # what the model returned; 0 when it refused
    same_bytes: bool  # what is in the buffer is what is in the file
    error: str | None  # the kernel's refusal: "epoll_ctl: Operation not permitted"
    begin_ns: int
    wall_ns: int  # until the model returned
    done_ns: int | None  # until the call ended that brought or told the last bytes
    cpu_ns: int
    switches: int  # how often the thread went to sleep
    device_bytes: int  # asked of the device on this thread's behalf, getrusage(2)
    device_bytes_of_others: int  # on behalf of the process's other threads
    helpers: tuple[Helper, ...]
    fd: int  # of the file, in `calls`
    calls: tuple[Call, ...]
    helper_calls: tuple[Call, ...]  # those that the model's own helper threads have named
    options: dict
    kernel: str

    @property
    def submit_ns(self) -> int:
        """Time inside the calls that hand the read over; of a synchronous read that is all of it."""
        return sum(call.end_ns - call.start_ns for call in self._asking())

    @property
    def wait_ns(self) -> int:
        """Time inside the calls that wait for an event."""
        return sum(call.end_ns - call.start_ns for call in self.calls if call.name in WAITS)

    @property
    def ring_ns(self) -> int:
        """Time inside io_uring_enter, which hands over and waits in one call."""
        return sum(call.end_ns - call.start_ns for call in self.calls if call.name == RING)

    @property
    def slept_in_submit(self) -> int:
        """How often the thread went to sleep inside the calls that hand the read over."""
        return sum(call.slept for call in self._asking())

    @property
    def completed_in_submit(self) -> bool:
        """Whether the bytes were there, all of them, when a call that hands over returned: it had carried the read out."""
        there = sum(call.nbytes or sum(nbytes for _, nbytes in call.completed) for call in self._asking())
        return 0 < self.read_bytes <= there

    def as_json(self) -> dict:
        """All of it, what is computed as well, as plain data."""
        computed = ("submit_ns", "wait_ns", "ring_ns", "slept_in_submit", "completed_in_submit")
        return {
            **asdict(self),
            "helpers": [helper._asdict() for helper in self.helpers],
            "calls": [_plain(call) for call in self.calls],
            "helper_calls": [_plain(call) for call in self.helper_calls],
            **{name: getattr(self, name) for name in computed},
        }

    def _asking(self) -> list[Call]:
        return [call for call in self.calls if call.name in ASKS and call.fd == self.fd]


def _plain(call: Call) -> dict:
    return call._asdict() | {"completed": [list(each) for each in call.completed]}
