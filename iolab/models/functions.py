"""Which functions belong to which model: the reference table, in the order in which a program calls them.

    prepare ──> start ──> wait ──> fetch ──> end        read(2) is the last three of them in one

Two facts that surprise:
* The same read(2) stands in many rows. What makes a model is not the call that fetches but the one that waits, and
  who makes them: with threads and with POSIX AIO it is another thread that reads.
* Python hides some names. epoll.poll() is epoll_wait, a queue's get() is futex, and the wrappers recv, recvfrom,
  recvmsg, readv and pread belong wherever read does.

The names are those that the models use for their calls, and what else belongs there; `also` are relatives and ways
out. A test holds the calls of real runs against this table. syscalls(2), aio(7), io_uring(7).
"""

from typing import NamedTuple


class Functions(NamedTuple):
    """The functions of one model by their part; () where it needs none."""

    prepare: tuple[str, ...]  # once for a descriptor, or for all
    start: tuple[str, ...]  # for each read: hands it over; () where fetching is all there is
    wait: tuple[str, ...]  # where the thread learns that it may go on
    fetch: tuple[str, ...]  # in which the bytes come into the buffer
    by: str  # the thread that fetches
    end: tuple[str, ...]
    also: tuple[str, ...]

    @property
    def all(self) -> set[str]:
        """Every name of the row."""
        return {*self.prepare, *self.start, *self.wait, *self.fetch, *self.end, *self.also}


OWN, HELPER = "the thread itself", "a helper thread"
FUNCTIONS = {
    "blocking": Functions((), (), ("read",), ("read",), OWN, (), ("recv", "accept", "write", "send", "connect")),
    "nonblocking": Functions(("fcntl",), (), ("read",), ("read",), OWN, (), ("clock_nanosleep", "ioctl", "recv")),
    "select": Functions(("fcntl",), (), ("select",), ("read",), OWN, (), ("pselect",)),
    "poll": Functions(("fcntl",), (), ("poll",), ("read",), OWN, (), ("ppoll",)),
    "epoll": Functions(
        ("fcntl", "epoll_create1", "epoll_ctl"), (), ("epoll_wait",), ("read",), OWN, ("epoll_ctl", "close"),
        ("epoll_pwait", "epoll_pwait2", "eventfd", "timerfd_create", "signalfd"),
    ),
    "signal-driven": Functions(
        ("sigaction", "fcntl"), (), ("signal handler", "sigtimedwait"), ("read",), OWN, ("fcntl", "sigaction"),
        ("sigprocmask", "sigwaitinfo", "signalfd"),
    ),
    "threads": Functions(
        ("pthread_create",), ("futex",), ("futex",), ("poll", "read"), HELPER, ("pthread_join",), ("eventfd",)
    ),
    "posix-aio": Functions(
        ("aio_init",), ("aio_read", "aio_write", "lio_listio"), ("aio_suspend", "aio_error"), ("pread", "read"), HELPER,
        ("aio_return",), ("aio_cancel", "aio_fsync", "sigtimedwait", "signalfd"),
    ),
    "linux-aio": Functions(
        ("io_setup",), ("io_submit",), ("io_getevents",), ("io_submit",), OWN, ("io_destroy",),
        ("io_pgetevents", "io_cancel", "eventfd"),
    ),
    "io-uring": Functions(
        ("io_uring_setup", "mmap"), ("io_uring_enter",), ("io_uring_enter",), ("io_uring_enter",), OWN, ("close",),
        ("io_uring_register",),
    ),
}  # fmt: skip
