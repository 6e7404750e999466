"""The end of a ring: all is cancelled, and no buffer given back before the last CQE of its operation is there.

    close() ── cancel(7) ── CQE of the cancel: 0, -EALREADY, -ENOENT ── CQE of 7 ──> the buffer is the program's again
                                              └ 20 ms later: not yet? ask again ── 5 s later: kept for ever

Two facts that surprise:
* -ENOENT is not "over". A cancel looks among what sleeps until something is ready, what a worker has, and what waits for
  a time. What a device is busy with, or what is linked and has not begun, it does not find, and that still writes.
* What is silent, and succeeds, ends without a word: even a buffer that was free long ago may still be the kernel's.

What is kept outlives the interpreter, too: at its end a module's list would be freed while the kernel still writes.
io_uring_cancelation(7).
"""

import ctypes
import errno
import os
from contextlib import suppress
from time import monotonic

from iolab.kernel import io_uring_layout as layout
from iolab.kernel.io_uring_operations import cancel

CANCEL_AGAIN_S = 0.02  # -EALREADY: it runs, and is asked again
LAST_S = 5.0  # for what cannot be cancelled


def keep_for_ever(ring) -> None:
    """With all that it pins."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(ring))


def cancel_all(ring) -> None:
    """Until nothing is in flight, for LAST_S at most; what then is left in `in_flight` or `silent` may still write."""
    deadline, untold = monotonic() + LAST_S, set()  # of these nobody will hear
    while (ring.in_flight or ring.silent.keys() - untold) and monotonic() < deadline:
        in_flight = {**ring.in_flight, **ring.silent}
        operations = {serial: sqe for serial, sqe in in_flight.items() if sqe.opcode != layout.OP_ASYNC_CANCEL}
        asked = {ring.put(cancel(serial)): serial for serial in operations}
        while (ring.in_flight or ring.silent.keys() - untold) and (found := ring.wait(1, CANCEL_AGAIN_S)):
            for user_data, res, _ in found:
                sqe = operations.get(user_data)
                if sqe and sqe.opcode == layout.OP_ACCEPT and res >= 0:  # a connection that nobody will ever know of
                    with suppress(OSError):
                        os.close(res)
                elif asked.get(user_data) in ring.silent and res == -errno.ENOENT:
                    untold.add(asked[user_data])
