"""From trace points to copies: who copied, from when to when, from which descriptor.

    skb_copy_datagram_iovec ├── copy ──┤ tcp_rcv_space_adjust          TCP: both ends, once for each piece
                            ├── copy ──┤ consume_skb                   a local stream socket
    mm_filemap_get_pages    ├── copy ┄┄┄┄┄┤ the thread's next event    a file: the end lies somewhere before that

Two facts that surprise:
* The two ends of a TCP copy are trace points that were made for something else: the first and the last statement
  around the copy in the kernel's code. No probe is needed.
* Who copies is not asked of anybody: each event says which thread was on the CPU.
"""

from dataclasses import dataclass

from iolab.kernel.call_numbers import READING, call_name
from iolab.kernel.trace_format import Event
from iolab.recording.evidence.traced_events import PAGES
from iolab.recording.evidence.traced_scheduling import IN_INTERRUPT, Threads
from iolab.recording.evidence.traced_sockets import RECEIVED, Sockets
from iolab.recording.moment import Moment

COPY, COPIED, FREED = "skb/skb_copy_datagram_iovec", "tcp/tcp_rcv_space_adjust", "skb/consume_skb"
ENTER, EXIT = "raw_syscalls/sys_enter", "raw_syscalls/sys_exit"
FOREIGN = -2  # another socket of the same program


@dataclass
class Piece:
    thread_id: int
    start_ns: int
    nbytes: int
    skb: int | None
    fd: int = -1
    earliest_ns: int = 0
    latest_ns: int = 0
    source: str = ""


class Copies:
    """Takes all events in the order of time; `moments` are the copies that `ours` made."""

    def __init__(self, ours: Threads, sockets: Sockets, files: dict[tuple[int, int], int], fds: list[int]) -> None:
        self._ours, self._sockets, self._files, self._fds = ours, sockets, files, fds
        self._open: dict[int, Piece] = {}  # by thread
        self._unnamed: dict[int, list[Piece]] = {}  # ended, of a descriptor that is not known yet
        self._calls: dict[int, int] = {}  # the descriptor that a thread is reading, -1 for another call
        self._pieces: list[Piece] = []

    def take(self, event: Event) -> None:
        """One more event, of any thread."""
        if event.thread_id not in self._ours or event.fields["common_flags"] & IN_INTERRUPT:
            return
        thread_id, fields = event.thread_id, event.fields
        if event.name == COPY:
            self._ends(event, exact=False)
            self._open[thread_id] = Piece(thread_id, event.ns, fields["len"], fields["skbaddr"])
        elif event.name == PAGES:
            self._ends(event, exact=False)
            fd = self._files.get((fields["s_dev"], fields["i_ino"]))
            if fd is not None:
                self._open[thread_id] = Piece(thread_id, event.ns, 0, None, fd)
        elif event.name == COPIED:
            self._ends(event, exact=True)
            self._belong(thread_id, self._named(fields))
        elif event.name == FREED:
            piece = self._open.get(thread_id)
            if piece and piece.skb == fields["skbaddr"]:
                self._ends(event, exact=True)
        elif event.name == RECEIVED:
            self._ends(event, exact=False)
            self._belong(thread_id, self._named(fields))
        elif event.name == ENTER:
            fd = fields["args"][0] if fields["args"][0] in self._fds else FOREIGN
            self._calls[thread_id] = fd if call_name(fields["id"]) in READING else -1
        elif event.name == EXIT:
            self._ends(event, exact=False)
            self._belong(thread_id, self._calls.pop(thread_id, -1))
        elif thread_id in self._open and self._open[thread_id].skb is None:  # of a file: anything else ends it
            self._ends(event, exact=False)

    def open_of(self, thread_id: int) -> Piece | None:
        """The piece that a thread is copying at the moment; whose it is may come out later."""
        return self._open.get(thread_id)

    def _named(self, fields: dict) -> int:
        known = self._sockets.addresses or "sport" in fields or not self._sockets.number
        fd = self._sockets.fd(fields)
        return fd if fd >= 0 else FOREIGN if known else -1

    def _ends(self, event: Event, exact: bool) -> None:
        piece = self._open.pop(event.thread_id, None)
        if piece is None:
            return
        piece.earliest_ns, piece.latest_ns = event.ns if exact else piece.start_ns, event.ns
        piece.source = f"trace point {event.name}" + ("" if exact else ": at the latest")
        self._pieces.append(piece)
        self._unnamed.setdefault(event.thread_id, []).append(piece)

    def _belong(self, thread_id: int, fd: int) -> None:
        for piece in self._unnamed.pop(thread_id, []):
            piece.fd = piece.fd if piece.fd >= 0 else fd

    @property
    def moments(self) -> list[Moment]:
        """Begin and end of each piece that was copied from one of the descriptors, or from one that is not known."""
        found = []
        for piece in self._pieces:
            if piece.fd == FOREIGN:
                continue
            begun = f"trace point {COPY if piece.skb is not None else PAGES}"
            start, end = piece.start_ns, piece.latest_ns
            found.append(Moment("copy-start", piece.thread_id, start, start, start, begun, piece.fd, piece.nbytes))
            found.append(
                Moment("copy-end", piece.thread_id, end, piece.earliest_ns, end, piece.source, piece.fd, piece.nbytes)
            )
        return found
