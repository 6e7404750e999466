"""io_uring step by step: small experiments on one ring, each gives rows of plain data that say what the kernel did.

    put ──> SQ ── submit ──> kernel ──> CQ ──> completions()       rows: what was submitted, in which order what completed

Two facts that surprise:
* The order in which operations are submitted says nothing about the order in which they complete. user_data is all
  that connects a CQE with its SQE; a descriptor is not, two operations may have the same one.
* A cancellation is an operation as well, with a completion of its own. It may come too late, and then says so.

No row holds a time: what is here holds on a slow machine too. io_uring(7), io_uring_cancelation(7).
"""

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import monotonic

from iolab.kernel import io_uring_layout as layout
from iolab.kernel import io_uring_operations as op
from iolab.kernel.io_uring import Cqe, Ring
from iolab.kernel.io_uring_sqe import linked

LIMIT_S = 10
DEFERRED = layout.SETUP_SINGLE_ISSUER | layout.SETUP_DEFER_TASKRUN


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets; each raises TimeoutError where nothing comes for LIMIT_S."""
    ours, peer = socket.socketpair()
    with ours, peer:
        ours.settimeout(LIMIT_S)
        peer.settimeout(LIMIT_S)
        yield ours, peer


def named(res: int) -> str:
    """A result in words: the count, or the name of the error that stands behind a negative one."""
    return f"{res:,}" if res >= 0 else f"-{errno.errorcode.get(-res, -res)}"


def collect(ring: Ring, count: int) -> list[Cqe]:
    """The next `count` CQEs; RuntimeError when they do not come within LIMIT_S."""
    found = ring.wait(count, LIMIT_S)
    if len(found) < count:
        raise RuntimeError(f"{len(found)} of {count} completions came within {LIMIT_S} s: {found}")
    return found


def until(condition: Callable[[], object]) -> None:
    """Look again and again, without any system call, until it is so or LIMIT_S is over."""
    deadline = monotonic() + LIMIT_S
    while not condition() and monotonic() < deadline:
        pass


def one_read(flags: int = 0) -> list[dict]:
    """A read by hand: what lies in the queues, and in the buffer, after each step."""
    rows, buffer = [], bytearray(b"......")

    def look(after: str) -> None:
        sq, cq = ring.queues.unsubmitted, ring.queues.ready
        rows.append({"after": after, "in the SQ": sq, "in the CQ": cq, "buffer": buffer.decode(), "taken": None})

    with pair() as (ours, peer), closing(Ring(4, required=flags)) as ring:
        ring.put(op.read(ours.fileno(), buffer))
        look("put")
        ring.submit()
        look("submit")
        peer.send(b"a book")
        if not flags:
            until(lambda: ring.queues.ready)
        look("the peer sends")
        ring.enter(1, LIMIT_S)
        look("enter(1)")
        (cqe,) = ring.completions()
        look("completions")
    rows[-1]["taken"] = cqe._asdict()
    return rows


def deferred_read() -> list[dict]:
    """The same with DEFER_TASKRUN."""
    return one_read(DEFERRED)


def order() -> list[dict]:
    """Three reads, submitted by one call; the peers answer in another order."""
    with pair() as a, pair() as b, pair() as c, closing(Ring(4)) as ring:
        pairs = dict(enumerate((a, b, c), 1))
        buffers = {number: bytearray(8) for number in pairs}
        name = {ring.put(op.read(ours.fileno(), buffers[number])): number for number, (ours, _) in pairs.items()}
        ring.submit()
        for number in (3, 1, 2):
            pairs[number][1].send(b"book %d" % number)
        return [
            {"submitted": name[cqe.user_data], "bytes": cqe.res, "buffer": buffers[name[cqe.user_data]][:6].decode()}
            for cqe in collect(ring, 3)
        ]


def links() -> list[dict]:
    """Four chains: all goes well; the first fails; a read that takes too long; a read that does not."""
    rows = []

    def chain(title: str, ring: Ring, *sqes) -> None:
        names = {ring.put(linked(sqe) if sqe is not sqes[-1][1] else sqe): name for name, sqe in sqes}
        results = {cqe.user_data: cqe.res for cqe in collect(ring, len(sqes))}
        rows.extend({"chain": title, "operation": names[key], "res": named(results[key])} for key in names)

    with pair() as (ours, peer), closing(Ring(4)) as ring:
        fd = ours.detach()
        end = ("shutdown", op.shutdown(fd, socket.SHUT_WR)), ("close", op.close(fd))
        chain("goodbye", ring, ("send 7", op.send(fd, b"goodbye")), *end)
    with pair() as (ours, peer), closing(Ring(4)) as ring:
        peer.close()
        end = ("shutdown", op.shutdown(ours.fileno(), socket.SHUT_WR))
        chain("nobody listens", ring, ("send 7", op.send(ours.fileno(), b"goodbye")), end)
    with pair() as (ours, peer), closing(Ring(4)) as ring:
        limit = ("time-out of 20 ms", op.link_timeout(0.02))
        chain("nothing comes", ring, ("recv", op.recv(ours.fileno(), bytearray(4))), limit)
        peer.send(b"book")
        limit = ("time-out of 1 hour", op.link_timeout(3600))
        chain("something is there", ring, ("recv", op.recv(ours.fileno(), bytearray(4))), limit)
    return rows


def cancels() -> list[dict]:
    """Three cancellations: in time, too late, and of nothing; what becomes of the read and of its bytes."""
    rows = []
    for case in ("it still waits", "it is over", "there was none"):
        with pair() as (ours, peer), closing(Ring(4)) as ring:
            read = ring.put(op.recv(ours.fileno(), bytearray(4)))
            ring.submit()
            if case == "it is over":
                peer.send(b"book")
            cancel = ring.put(op.cancel(read + 1000 if case == "there was none" else read))
            ring.submit()
            if case == "there was none":
                peer.send(b"book")
            results = {cqe.user_data: named(cqe.res) for cqe in collect(ring, 2)}
            rows.append({"the read": case, "cancel says": results[cancel], "the read says": results[read]})
    return rows
