"""The check of a completion queue that callbacks of POSIX AIO fill: three sockets, one thread asleep.

check       three reads are begun ──> queue.get: asleep ── a message comes, in the order 2, 0, 1
callbacks   ── queue.put(note), each in a thread of its own ──┘
"""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from queue import Empty, SimpleQueue

from iolab.exercises import attempting
from iolab.exercises.attempting import TooLong, attempt, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.exercises.posix_aio import MESSAGE, end_reads
from iolab.kernel.posix_aio_notification import callback_errors

ORDER = (2, 0, 1)


class Shops:
    """Three sockets, and a queue: the next message comes when somebody sleeps on the queue."""

    def __init__(self, peers: list[socket.socket]) -> None:
        self._queue, self._acts = SimpleQueue(), [(peers[number], MESSAGE[: number + 1]) for number in ORDER]
        self.slept, self.notes = 0, []

    def put(self, note) -> None:
        self.notes.append(note)
        self._queue.put(note)

    def get(self, *_, **__):
        self.slept += 1
        if self._acts:
            peer, message = self._acts.pop(0)
            peer.send(message)
        return self._queue.get(timeout=attempting.LIMIT_S / 2)


def check_in_order_of_end(in_order_of_end: Callable) -> None:
    """Does in_order_of_end(fds, queue) return (number, bytes) of each read in the order in which they end?"""
    callback_errors.clear()
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in ORDER]
        for ours, _ in pairs:
            stack.enter_context(ours)
        shops = Shops([peer for _, peer in pairs])
        got, error = attempt(in_order_of_end, [ours.fileno() for ours, _ in pairs], shops)
        end_reads(*zip(*pairs, strict=True))
    failed, wanted = callback_errors[:1], [(number, MESSAGE[: number + 1]) for number in ORDER]
    if failed:
        return wrong(
            f"Your callback raised {failed[0]!r}. It runs in a thread of its own: nobody else would have seen it."
        )
    if isinstance(error, TooLong) and not shops.slept:
        return wrong("You never slept on the queue: here the messages come while you do.")
    if got != wanted and len(shops.notes) > 1 and shops.notes[0] == shops.notes[1]:
        return wrong(f"Each note says {shops.notes[0]!r}. A lambda looks a variable up when it is *called*, and by then the "
                     "loop is over: bind it, lambda number=number: ...")  # fmt: skip
    if isinstance(error, Empty):
        return wrong("You slept on the queue, a message came, and nobody put a note there: notify=ByThread(function).")
    if error:
        return raised(error)
    if not got:
        return unanswered(f"Your function returned {got!r}.")
    if got == wanted:
        return right("A completion queue: callbacks fill it, your thread sleeps on it. 2, 0, 1: the order of the ends.")
    return wrong(f"The reads ended in the order 2, 0, 1, with {[text for _, text in wanted]}; you returned {got!r}.")
