"""How an operation is described to io_uring, and where its bytes lie while the kernel has them.

    read, write      pinned: the program's own buffer
    receive          no buffer: the kernel takes one from the pool when data is there, and it is lent
    send             copied into the outbox, if it is small and there is room; else pinned

Two facts that surprise:
* "Zero copy" is no aim in itself: to learn where a Python object's bytes lie, and to keep them there, takes longer than
  to copy a kilobyte.
* The kernel decides which buffer a receive gets, and only once there are bytes. So memory grows with what arrives at
  the same time, not with the number of clients.

Pool and outbox are made when they are needed first, and live as long as the ring.
"""

from iolab.kernel import io_uring_operations as sqes
from iolab.kernel.io_uring import Ring
from iolab.kernel.io_uring_buffers import BufferRing
from iolab.kernel.io_uring_outbox import Outbox
from iolab.kernel.io_uring_sqe import Sqe
from iolab.models.completion import ACCEPT, READ, RECEIVE, SEND, Operation

PLACES = 256  # in the outbox


class Requests:
    """For one ring; `pool`: how many buffers, of how many bytes."""

    def __init__(self, ring: Ring, pool: tuple[int, int]) -> None:
        self._ring, self._pool = ring, pool
        self.received: BufferRing | None = None
        self._outbox: Outbox | None = None
        self._addresses: dict[Operation, int] = {}  # in the outbox, of sends

    def sqe(self, operation: Operation) -> Sqe:
        """OSError as the kernel says, where a pool cannot be had."""
        kind, fd, buffer = operation.kind, operation.fd, operation.buffer
        if kind == SEND:
            address = (self._outbox or self._new_outbox()).copy_in(buffer)
            if address is None:
                return sqes.send(fd, buffer)  # MSG_WAITALL: the kernel finishes it
            self._addresses[operation] = address
            return sqes.send_at(fd, address, len(buffer))
        if kind == RECEIVE:
            self.received = self.received or BufferRing(self._ring, *self._pool)
            return sqes.recv_multishot(fd, self.received.buf_group)
        if kind == ACCEPT:
            return sqes.accept_multishot(fd)
        return (sqes.read if kind == READ else sqes.write)(fd, buffer, operation.offset)

    def read_from_pipe(self, operation: Operation) -> Sqe:
        """For a receive that recv(2) refuses: ENOTSOCK."""
        return sqes.read_selected(operation.fd, self.received.buf_group, self.received.nbytes)

    def over(self, send: Operation) -> None:
        """Its last CQE has come."""
        if send in self._addresses:
            self._outbox.free(self._addresses[send])
            del self._addresses[send]

    def _new_outbox(self) -> Outbox:
        self._outbox = Outbox(PLACES)
        self._ring.registered.append(self._outbox)
        return self._outbox
