"""io_uring's later steps, one by one: operations that complete many times, buffers on loan, and what belongs to whom.

    accept_multishot ──> CQE, more ──> CQE, more ──> ... ──> CQE without "more": that was the last, ask anew

Two facts that surprise:
* A multishot operation ends when its queue is full or its buffers are used up, in the midst of the best business. No
  connection and no byte is lost by it, if the program takes the missing "more" for what it is and asks anew.
* close(2) of a descriptor ends nothing that is in flight on it. The operation holds the open file, not its number.

As in ring_steps: rows of plain data, and no times. io_uring_enter(2), io_uring_register(2).
"""

import os
import select
import socket
import threading
from contextlib import ExitStack, closing

from iolab.kernel import io_uring_layout as layout
from iolab.kernel import io_uring_operations as op
from iolab.kernel.io_uring import Ring
from iolab.kernel.io_uring_buffers import BufferRing
from iolab.kernel.io_uring_enter import Enter
from iolab.recording.ring_steps import DEFERRED, LIMIT_S, collect, named, pair, until


def accepts(clients: int = 10, cq_entries: int = 4) -> dict:
    """So many clients connect while one multishot accept is armed, and the completion queue is small."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=clients))
        ring = stack.enter_context(closing(Ring(min(4, cq_entries), cq_entries)))
        armed, ended, rows = 1, 0, []
        ring.put(op.accept_multishot(listener.fileno()))
        ring.submit()
        for _ in range(clients):
            stack.enter_context(socket.create_connection(listener.getsockname(), LIMIT_S))
        while len(rows) < clients:
            for cqe in collect(ring, 1):
                if cqe.res >= 0:
                    os.close(cqe.res)
                    rows.append(cqe.res)
                if not cqe.flags & layout.CQE_F_MORE:
                    ring.put(op.accept_multishot(listener.fileno()))
                    armed, ended = armed + 1, ended + 1
    return {"clients": clients, "room in the CQ": cq_entries, "accepted": len(rows), "armed": armed, "ended": ended}


def receives() -> list[dict]:
    """One multishot receive, four buffers, six messages; then the buffers go back, and it is armed anew."""
    rows = []
    with pair() as (ours, peer), closing(Ring(4)) as ring:
        buffers = BufferRing(ring, count=4, nbytes=8)

        def arm() -> None:
            ring.put(op.recv_multishot(ours.fileno(), buffers.buf_group))
            ring.submit()

        def take(step: str) -> None:
            (cqe,) = collect(ring, 1)
            buffer = cqe.flags >> layout.CQE_BUFFER_SHIFT if cqe.flags & layout.CQE_F_BUFFER else None
            data = bytes(buffers.lend(cqe)).decode() if buffer is not None else ""
            more = bool(cqe.flags & layout.CQE_F_MORE)
            rows.append({"step": step, "res": named(cqe.res), "buffer": buffer, "more": more, "data": data})

        arm()
        for number in range(1, 6):
            peer.send(b"msg%d" % number)
            take(f"message {number}")
        peer.send(b"msg6")
        buffers.take_back()
        arm()
        take("buffers back, armed anew")
        peer.shutdown(socket.SHUT_WR)
        take("the peer has ended")
    return rows


def overflow(operations: int = 12, entries: int = 4) -> dict:
    """More one-shot operations complete than the CQ has room for."""
    with closing(Ring(entries, cq_entries=entries)) as ring:
        submitted = [ring.put(op.nop()) for _ in range(operations)]
        ring.submit()
        ready, overflown = ring.queues.ready, ring.queues.overflown
        found = [cqe.user_data for cqe in collect(ring, operations)]
        return {"room in the CQ": entries, "completed": operations, "seen without a call": ready,
                "kernel keeps more": overflown, "all came in the end": sorted(found) == submitted}  # fmt: skip


def closed_in_flight(cancelled: bool) -> dict:
    """A descriptor is closed while a receive is in flight on it; then data comes, or it is cancelled."""
    with pair() as (ours, peer), closing(Ring(4)) as ring:
        receive = ring.put(op.recv(ours.fileno(), bytearray(4)))
        ring.submit()
        ours.close()
        told_by_close = bool(select.select([peer], [], [], 0)[0])
        if cancelled:
            ring.put(op.cancel(receive))
        else:
            peer.send(b"late")
        results = {cqe.user_data: named(cqe.res) for cqe in collect(ring, 1 + cancelled)}
        told_at_last = peer.recv(1) == b""
    return {"then": "cancelled" if cancelled else "4 bytes come", "peer told by close": told_by_close,
            "receive says": results[receive], "peer told at last": told_at_last}  # fmt: skip


def closed() -> list[dict]:
    return [closed_in_flight(cancelled) for cancelled in (False, True)]


def borrowed() -> list[dict]:
    """Can a buffer be resized, while a read into it is in flight and after it?"""
    rows, buffer = [], bytearray(4)

    def resized(when: str) -> None:
        try:
            buffer.extend(b"!")
            rows.append({"when": when, "resized": True})
        except BufferError:
            rows.append({"when": when, "resized": False})

    with pair() as (ours, peer), closing(Ring(4)) as ring:
        ring.put(op.read(ours.fileno(), buffer))
        ring.submit()
        resized("in flight")
        peer.send(b"book")
        until(lambda: ring.queues.ready)
        resized("complete, the CQE not taken yet")
        ring.completions()
        resized("the CQE is taken")
    return rows


def strangers() -> dict:
    """Another thread enters a ring with SINGLE_ISSUER: what the kernel says."""
    said = []

    def enter(ring: Ring) -> None:
        try:
            Enter(ring.fd, ring.flags).submit(1)  # past our own check
            said.append("nothing")
        except OSError as error:
            said.append(named(-error.errno))

    with closing(Ring(4, required=DEFERRED)) as ring:
        ring.put(op.nop())
        thread = threading.Thread(target=enter, args=(ring,))
        thread.start()
        thread.join()
        own = [cqe.res for cqe in collect(ring, 1)]
    return {"another thread": said[0], "its own thread": named(own[0])}
