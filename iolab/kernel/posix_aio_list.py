"""lio_listio(3): many requests in one call; it returns when all are over, or at once.

    lio_listio(wait) ┐  one thread for each descriptor            ┌─ all are over
    helper threads   └─ pread · pread · pwrite, side by side ─────┘

Two facts that surprise:
* One call is not one system call: glibc hands each request to its threads. Only the waiting is done together.
* It waits for all, aio_suspend(3) for one of them; and it fails (EIO) when one has failed, after all are over.

So it is for batches that are of use only together: the parts of one record, the pages of one answer.
"""

import ctypes
import signal
from collections.abc import Iterable

from iolab.kernel.libc import failed
from iolab.kernel.posix_aio_block import ControlBlock
from iolab.kernel.posix_aio_layout import LIO_NOP, LIO_NOWAIT, LIO_READ, LIO_WAIT, LIO_WRITE, Sigevent, library
from iolab.kernel.posix_aio_notification import BySignal, ByThread, forget_notification, set_notification


def lio_listio(
    operations: Iterable[tuple[int, ControlBlock]], wait: bool = True, notify: BySignal | ByThread | None = None
) -> None:
    """Begin many requests in one call: pairs of LIO_READ, LIO_WRITE or LIO_NOP and a block. lio_listio(3)

    With `wait` it returns once all are over; otherwise at once, and `notify` tells of the end of all, beside what each
    block has of its own. OSError (EIO) when one of them failed: ask each block. Signals, Ctrl-C too, come after the wait.
    """
    operations = tuple(operations)
    if len({block for _, block in operations}) < len(operations) or any(block.begun for _, block in operations):
        raise ValueError("operations: each block is used once")
    for opcode, block in operations:
        if opcode not in (LIO_READ, LIO_WRITE, LIO_NOP) or (opcode == LIO_READ and not block.writable):
            raise ValueError(f"operations: {opcode!r} must be LIO_READ with a writable buffer, LIO_WRITE or LIO_NOP")
    event = Sigevent()
    set_notification(event, None if wait else notify)
    blocks = [block for opcode, block in operations if opcode != LIO_NOP]
    try:
        for opcode, block in operations:
            block.structure.aio_lio_opcode = opcode
            if opcode != LIO_NOP:
                block.begin()
    except BaseException:
        for block in blocks:
            block.refused()  # none has been handed over
        raise
    addresses = (ctypes.c_void_p * len(operations))(*(block.address for _, block in operations))
    mode = LIO_WAIT if wait else LIO_NOWAIT
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        if wait:  # a signal would end glibc's wait, whose list lies on this stack, while threads still write to it
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        result = library().lio_listio(mode, addresses, len(operations), None if wait else ctypes.byref(event))
        error = failed("lio_listio") if result < 0 else None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    for block in blocks:
        block.error()  # what is over, or was not taken, is let go
    if error:
        forget_notification(event)
        raise error
