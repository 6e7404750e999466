"""A ring of provided buffers: the kernel chooses one when data is there, not when the receive is asked for.

    add(0) add(1) add(2) publish() ──> ▓▓▓    data for connection 7 ──> CQE: buffer 0 ──> lend(cqe) ──> take_back()

Two facts that surprise:
* A thousand idle connections need no thousand buffers: none is tied up while nothing comes. With recv(2) into a
  buffer of one's own, each would be.
* When all are taken, a multishot recv ends with ENOBUFS. No byte is lost, it stays in the socket: give buffers back,
  and ask anew.

The ring's tail lies inside its first entry, in the two bytes that struct io_uring_buf does not use: an entry must be
written in its first 14 bytes only. io_uring_register(2): IORING_REGISTER_PBUF_RING, Linux 5.19.
"""

import ctypes
import errno
import mmap
from struct import Struct

from iolab.kernel import io_uring_layout as layout
from iolab.kernel.io_uring import Cqe, Ring
from iolab.kernel.libc import system_call
from iolab.kernel.pinned import Pinned

MAX_BUFFERS = 32768
_ENTRY = Struct("=QIH")  # struct io_uring_buf without its last two bytes
_STATUS, _REGISTER_PBUF_STATUS = Struct("=II32s"), 26  # struct io_uring_buf_status: buf_group, head, reserved
_TAIL = 7  # in units of two bytes, of the first entry


class BufferRing:
    """`count` buffers, a power of two, of `nbytes` each, for the operations of `ring` that name `buf_group`.

    All are the kernel's at first. ValueError for an impossible count or size, OSError as the kernel says.
    """

    def __init__(self, ring: Ring, count: int, nbytes: int, buf_group: int = 0) -> None:
        if not 1 <= count <= MAX_BUFFERS or count & (count - 1):
            raise ValueError(f"count must be a power of two from 1 to {MAX_BUFFERS:,}, not {count!r}")
        if not 1 <= nbytes < 1 << 31:
            raise ValueError(f"nbytes must be from 1 to {(1 << 31) - 1:,}, not {nbytes!r}")
        self.ring, self.count, self.nbytes, self.buf_group = ring, count, nbytes, buf_group
        # Anonymous mappings begin at a page, as the kernel demands of the ring.
        self._entries, self._pool = mmap.mmap(-1, count * layout.BUF.size), mmap.mmap(-1, count * nbytes)
        self._pins = Pinned(self._entries, writable=True), Pinned(self._pool, writable=True)
        self._halves = memoryview(self._entries).cast("H")
        self._whole = memoryview(self._pool)
        self._tail = 0
        self._lent: dict[int, memoryview] = {}
        self._register(layout.REGISTER_PBUF_RING, self._pins[0].address)
        # The kernel picks buffers for operations of the ring: they must live as long as these.
        ring.registered.append(self)
        first = self._pins[1].address
        self._records = [_ENTRY.pack(first + number * nbytes, nbytes, number) for number in range(count)]
        for number in range(count):
            self.add(number)
        self.publish()

    def lend(self, cqe: Cqe) -> memoryview:
        """What the operation has put into the buffer that its CQE names; until take_back(). It may be asked for twice."""
        _, res, flags = cqe
        number = flags >> layout.CQE_BUFFER_SHIFT
        begin = number * self.nbytes
        view = self._whole[begin : begin + res if res > 0 else begin]
        self._lent[number] = view
        return view

    def take_back(self) -> None:
        """Release every view that was lent, so that nobody reads there what comes for another; give the buffers back.

        BufferError while the program exports such a view further.
        """
        tail = self._tail
        for number, view in self._lent.items():
            view.release()
            tail = self._written(number, tail)
        # In one go, no call in between: where a handler of a signal raises, all still are lent, or none.
        self._tail, self._lent = tail, {}
        self.publish()

    def add(self, number: int) -> None:
        """Give that buffer back; the kernel sees it from the next publish() on."""
        self._tail = self._written(number, self._tail)

    def _written(self, number: int, tail: int) -> int:
        place = tail % self.count * layout.BUF.size
        self._entries[place : place + _ENTRY.size] = self._records[number]
        return (tail + 1) & 0xFFFF

    def publish(self) -> None:
        """What was added is the kernel's from here on: one store, as of every tail."""
        self.ring.queues.fence()  # the entries first
        self._halves[_TAIL] = self._tail

    def free(self) -> int | None:
        """How many the kernel has left to choose from, by its own word; None before Linux 6.8, which does not say it."""
        status = bytearray(_STATUS.pack(self.buf_group, 0, b""))
        address = ctypes.addressof(ctypes.c_char.from_buffer(status))
        try:
            system_call(
                "io_uring_register", layout.NR_IO_URING_REGISTER, self.ring.fd, _REGISTER_PBUF_STATUS, address, 1
            )
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise
        return (self._tail - _STATUS.unpack(status)[1]) & 0xFFFF

    def unregister(self) -> None:
        """The kernel takes no more from it. ValueError while an operation that would is in flight."""
        taking = [serial for serial, sqe in self.ring.in_flight.items() if sqe.flags & layout.IOSQE_BUFFER_SELECT]
        if any(self.ring.in_flight[serial].buf_group == self.buf_group for serial in taking):
            raise ValueError(f"operations {taking} still take buffers from group {self.buf_group}")
        self._register(layout.UNREGISTER_PBUF_RING, 0)
        self.ring.registered.remove(self)

    def _register(self, opcode: int, address: int) -> None:
        arg = bytearray(layout.BUF_REG.pack(address, self.count, self.buf_group, 0))
        arg_address = ctypes.addressof(ctypes.c_char.from_buffer(arg))
        self.ring.check()
        system_call("io_uring_register", layout.NR_IO_URING_REGISTER, self.ring.fd, opcode, arg_address, 1)
