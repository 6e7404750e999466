"""The two queues in the memory that program and kernel share: one writes the tail, the other the head.

    SQ   program: SQE at tail, tail + 1 ──>  ▓▓▓▓░░░░  ──> kernel: takes at head, head + 1      (in io_uring_enter)
    CQ   program: takes at head, head + 1 <──  ▓▓░░░░  <── kernel: CQE at tail, tail + 1       (at any moment)

Two facts that surprise:
* struct.pack_into("<I") writes a number byte by byte; a kernel that looks meanwhile sees a tail that never was.
  Assigning to an element of memoryview.cast("I") is one store.
* mmap.mmap(fd) keeps a duplicate of the descriptor. Closing the ring's own leaves the ring alive, with all its
  operations, until the mappings are closed too.

Heads and tails only grow, modulo 2^32; the position in the queue is their lower bits. io_uring(7).
"""

import mmap
import os
from collections import deque
from threading import Lock

from iolab.kernel import io_uring_layout as layout
from iolab.kernel.io_uring_setup import SetUp

_WRAP = 0xFFFF_FFFF


class Queues:
    """Submission and completion queue of one ring. One thread uses them; it also closes them and the descriptor."""

    def __init__(self, set_up: SetUp) -> None:
        self._fd = set_up.fd
        self.sq_entries, self.cq_entries = set_up.sq_entries, set_up.cq_entries
        # One mapping holds both queues' heads and tails and the CQEs (FEAT_SINGLE_MMAP), a second one the SQEs.
        self._mappings: list[mmap.mmap] = []
        self._views: list[memoryview] = []
        sq_head, sq_tail, _, _, sq_flags, _, sq_array = (offset // 4 for offset in set_up.sq_offsets)
        cq_head, cq_tail, _, _, _, cqes, _ = set_up.cq_offsets
        size = max(cqes + self.cq_entries * layout.CQE.size, set_up.sq_offsets[6] + self.sq_entries * 4)
        try:
            shared = self._mapped(size, layout.OFF_SQ_RING)
            self._sqes = self._mapped(self.sq_entries * layout.SQE.size, layout.OFF_SQES)
        except BaseException:
            self.close()
            raise
        self._words = shared[: size // 4 * 4].cast("I")
        self._cqes = shared[cqes : cqes + self.cq_entries * layout.CQE.size]
        self._views += [self._words, self._cqes]
        self._sq_head, self._sq_tail, self._sq_flags = sq_head, sq_tail, sq_flags
        self._cq_head, self._cq_tail = cq_head // 4, cq_tail // 4
        if not set_up.flags & layout.SETUP_NO_SQARRAY:
            # An index between queue and SQEs, for programs that fill them out of order: here the n-th is the n-th.
            for number in range(self.sq_entries):
                self._words[sq_array + number] = number
        self._polled = bool(set_up.flags & layout.SETUP_SQPOLL)  # else the kernel looks in io_uring_enter alone
        self._order = Lock()
        self._order.acquire()

    def _mapped(self, size: int, offset: int) -> memoryview:
        mapping = mmap.mmap(
            self._fd, size, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset
        )
        self._mappings.append(mapping)
        self._views.append(memoryview(mapping))
        return self._views[-1]

    def fence(self) -> None:
        """Stores and loads before it stay before those after it: the other side may run on another CPU.

        Python has no memory barrier; to release a lock and to take it again is one.
        """
        if self._order.locked():  # not if a handler that raised has come between the two
            self._order.release()
        self._order.acquire(blocking=False)

    @property
    def unsubmitted(self) -> int:
        """SQEs that the kernel has not taken yet."""
        return (self._words[self._sq_tail] - self._words[self._sq_head]) & _WRAP

    @property
    def full(self) -> bool:
        """There is no room for one SQE more until the kernel takes some."""
        words = self._words
        return (words[self._sq_tail] - words[self._sq_head]) & _WRAP == self.sq_entries

    @property
    def overflown(self) -> bool:
        """The CQ was full: more completions wait in the kernel, and come with the next io_uring_enter(GETEVENTS)."""
        return bool(self._words[self._sq_flags] & layout.SQ_CQ_OVERFLOW)

    @property
    def must_enter(self) -> bool:
        """Without io_uring_enter nothing would come of what was put, or what overflowed."""
        return bool(self.unsubmitted or self.overflown)

    @property
    def ready(self) -> int:
        """CQEs that can be taken without any system call."""
        return (self._words[self._cq_tail] - self._words[self._cq_head]) & _WRAP

    @property
    def positions(self) -> tuple[int, int, int, int]:
        """Head and tail of the SQ, head and tail of the CQ, as they stand in the shared memory."""
        return tuple(self._words[at] for at in (self._sq_head, self._sq_tail, self._cq_head, self._cq_tail))

    def peek(self) -> list[tuple[int, int, int]]:
        """The CQEs that are there, as (user_data, res, flags), in the kernel's order; they stay there."""
        head = self._words[self._cq_head]
        places = [(head + number) % self.cq_entries * layout.CQE.size for number in range(self.ready)]
        return [layout.CQE.unpack_from(self._cqes, place) for place in places]

    def push(self, sqe: bytes) -> bool:
        """Write one SQE behind the last one; False where there is no room until the kernel takes some."""
        words = self._words
        tail = words[self._sq_tail]
        if (tail - words[self._sq_head]) & _WRAP == self.sq_entries:
            return False
        place = tail % self.sq_entries * 64
        self._sqes[place : place + 64] = sqe
        if self._polled:  # a kernel thread that sees the new tail must find the SQE written
            self.fence()
        words[self._sq_tail] = (tail + 1) & _WRAP
        return True

    def take_all(self, taken: deque[tuple[int, int, int]]) -> None:
        """Lay the CQEs that are there behind those in `taken`, as (user_data, res, flags), in the kernel's order."""
        count = self.ready
        if not count:
            return
        self.fence()
        head = self._words[self._cq_head]
        size, first = layout.CQE.size, head % self.cq_entries
        last = min(first + count, self.cq_entries)
        found = [*layout.CQE.iter_unpack(self._cqes[first * size : last * size])]
        found += layout.CQE.iter_unpack(self._cqes[: (count - (last - first)) * size])
        self.fence()
        taken += found  # and without a call in between, after which a handler might raise: neither lost nor taken twice
        self._words[self._cq_head] = (head + count) & _WRAP  # from here on the kernel may write over them

    def close(self) -> None:
        """Unmap, and close every descriptor of the ring; the kernel then ends what is still in flight, later."""
        for view in reversed(self._views):
            view.release()
        for mapping in self._mappings:
            mapping.close()
        if self._fd >= 0:
            os.close(self._fd)
        self._views, self._mappings, self._fd = [], [], -1
