"""From the function graph to copies: each call of the function that copies, within the piece that trace points tell of.

    skb_copy_datagram_iovec ┆  ├─ simple_copy_to_iter ─┤ ├─ simple_copy_to_iter ─┤  ┆ tcp_rcv_space_adjust
                               entry              exit   one for each fragment

Two facts that surprise:
* One piece of a stream is copied by several calls: an sk_buff has a head and up to seventeen fragments. Between them
  the kernel walks a list, and copies nothing.
* The records name neither socket nor bytes, only function and thread. Whose copy it is the trace points around it know.
"""

from iolab.kernel.function_graph import ENTRY, EXIT
from iolab.kernel.trace_format import Event
from iolab.recording.evidence.traced_copies import FOREIGN, Copies, Piece
from iolab.recording.moment import Moment

NAME = "function-graph"


class FunctionCopies:
    """Takes all events in the order of time, each of them after `copies` has had it."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._entered: dict[int, tuple[Piece, int]] = {}  # by thread: in which piece, and when
        self._calls: list[tuple[Piece, int, int]] = []

    def take(self, event: Event) -> None:
        """One more event, of any thread."""
        if event.name == ENTRY:
            piece = self._copies.open_of(event.thread_id)
            if piece:
                self._entered[event.thread_id] = piece, event.ns
        elif event.name == EXIT and event.thread_id in self._entered:
            self._calls.append((*self._entered.pop(event.thread_id), event.ns))

    @property
    def moments(self) -> list[Moment]:
        """Entry and exit of each call that copied from one of the descriptors, or from one that is not known."""
        return [
            Moment(kind, piece.thread_id, ns, ns, ns, NAME, piece.fd)
            for piece, *ends in self._calls
            for kind, ns in zip(("copy-start", "copy-end"), ends, strict=True)
            if piece.fd != FOREIGN
        ]
