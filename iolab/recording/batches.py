"""How many system calls some reads take, when all the data lies there already.

    blocking    read read read read ...                                one for each
    epoll       epoll_ctl epoll_ctl ... epoll_wait ... read read ...   told of, then one for each
    io_uring    io_uring_enter                                         one for all

Two facts that surprise:
* A ring saves calls only to a program that has several operations to submit. With one at a time it makes a call for
  each, as read(2) does, and has the ring to look after besides.
* Calls are counted here, not time: what a call costs differs between machines, and a count holds on all of them.
"""

import socket
from collections import Counter
from contextlib import ExitStack

from iolab.models import asynchronous_io_uring, blocking, multiplexing_epoll
from iolab.recorder import Recorder

NBYTES = 100


def calls_of(model, reads: int) -> dict[str, int]:
    """How often `model` makes which call for so many reads of NBYTES, each from a socket where they lie already."""
    with ExitStack() as stack:
        pairs = [tuple(map(stack.enter_context, socket.socketpair())) for _ in range(reads)]
        for _, peer in pairs:
            peer.sendall(bytes(NBYTES))
        recorder = Recorder()
        model.read_many([(ours.fileno(), bytearray(NBYTES)) for ours, _ in pairs], recorder)
    return dict(Counter(call.name for call in recorder.calls() if call.name))


def batches(reads: tuple[int, ...] = (1, 32)) -> list[dict]:
    """One row for each model and number of reads: calls by name, and all together."""
    rows = []
    for count in reads:
        for model in (blocking, multiplexing_epoll, asynchronous_io_uring):
            calls = calls_of(model, count)
            rows.append({"reads": count, "model": model.NAME, "calls": calls, "together": sum(calls.values())})
    return rows
