"""io_uring_enter: the one call of a ring's life, to submit, to wait, or both at once.

    enter(to_submit=3, min_complete=1, timeout=0.2) ┐ takes 3 SQEs                  ┌ 3: one CQE is there, or 0.2 s are over,
                                                    └ ......... asleep ......... ───┘    or a signal came: the CQ tells

Two facts that surprise:
* Having submitted something, the call returns how much, even if its wait was cut short: EINTR and ETIME show only
  when there was nothing to submit. So whoever waits looks at the CQ and the clock, not at the result.
* Without GETEVENTS it carries out no completions of a ring with DEFER_TASKRUN, and brings no overflown ones.

io_uring_enter(2).
"""

import ctypes
import errno

from iolab.kernel import io_uring_layout as layout
from iolab.kernel.libc import system_call

_SIGSET_BYTES = 8  # sizeof(sigset_t) of the kernel


class Enter:
    """io_uring_enter(2) on one ring; for one thread."""

    def __init__(self, fd: int, flags: int) -> None:
        self._fd = fd
        # The polling thread goes to sleep when nothing comes. To tell whether it does would take a memory barrier;
        # to wake one that is awake costs a call and does no harm.
        self._always = layout.ENTER_SQ_WAKEUP if flags & layout.SETUP_SQPOLL else 0
        self._when_full = layout.ENTER_SQ_WAIT if flags & layout.SETUP_SQPOLL else 0
        self._arg, self._timespec = bytearray(layout.GETEVENTS_ARG.size), bytearray(layout.TIMESPEC.size)
        self._arg_address = ctypes.addressof(ctypes.c_char.from_buffer(self._arg))
        timespec_address = ctypes.addressof(ctypes.c_char.from_buffer(self._timespec))
        layout.GETEVENTS_ARG.pack_into(self._arg, 0, 0, _SIGSET_BYTES, 0, timespec_address)

    def make_room(self, to_submit: int) -> int:
        """Submit; a polling thread is waited for until it has taken some."""
        return self._call(to_submit, 0, self._when_full, None, _SIGSET_BYTES)

    def submit(self, to_submit: int) -> int:
        """Submit and ask for nothing."""
        return self._call(to_submit, 0, 0, None, _SIGSET_BYTES)

    def wait(self, to_submit: int, min_complete: int, timeout: float | None) -> int:
        """Submit, then sleep until so many CQEs are there, `timeout` seconds are over, or a signal comes."""
        if timeout is None or not min_complete:
            return self._call(to_submit, min_complete, layout.ENTER_GETEVENTS, None, _SIGSET_BYTES)
        layout.TIMESPEC.pack_into(self._timespec, 0, int(timeout), int(timeout % 1 * 1e9))
        flags = layout.ENTER_GETEVENTS | layout.ENTER_EXT_ARG
        return self._call(to_submit, min_complete, flags, self._arg_address, layout.GETEVENTS_ARG.size)

    def _call(self, to_submit: int, min_complete: int, flags: int, arg: int | None, size: int) -> int:
        numbers = (self._fd, to_submit, min_complete, flags | self._always, arg, size)
        try:
            return system_call("io_uring_enter", layout.NR_IO_URING_ENTER, *numbers)
        except OSError as error:
            # Between two bytecodes, that is here, the interpreter runs the handlers of signals that came.
            if error.errno in (errno.ETIME, errno.EINTR):
                return 0
            raise
