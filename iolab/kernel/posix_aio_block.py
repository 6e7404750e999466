"""A request of POSIX AIO with all that must live as long as it does: control block, buffer, callback.

    ControlBlock(fd, buffer) ── aio_read ──> in progress: held here ── aio_error: over ──> let go
                                                │ a helper thread writes to the buffer

Two facts that surprise:
* Dropping a request does not end it. The helper thread goes on and writes to the address it was given: so a request
  in progress is held here, whoever else has dropped it, and its buffer cannot be resized.
* fork(2) copies the request but not the thread that works on it: in the child it is "in progress" for ever. Hence
  a child whose parent had begun is refused.

aio(7), sigevent(3type), pthreads(7).
"""

import atexit
import ctypes
import os
from errno import EINPROGRESS

from iolab.kernel.pinned import Pinned
from iolab.kernel.posix_aio_layout import Aiocb, library
from iolab.kernel.posix_aio_notification import (
    BySignal,
    ByThread,
    forget_notification,
    set_notification,
    wait_for_callbacks,
)

_in_progress: set["ControlBlock"] = set()
_state = {"begun": False, "forked": False, "sweep at": 64}


class ControlBlock:
    """struct aiocb for one request on `fd`: used once, zeroed, with its buffer.

    `buffer` None is for aio_fsync. `offset` counts only where the file has positions. `keep`, whatever it is, lives as
    long as the request. ValueError for what cannot be meant.
    """

    __slots__ = ("structure", "writable", "notify", "keep", "begun", "over", "collected", "_pinned", "__weakref__")

    def __init__(self, fd: int, buffer=None, offset: int = 0, notify: BySignal | ByThread | None = None, keep=None):
        if not isinstance(fd, int) or fd < 0:
            raise ValueError(f"fd must be an integer of at least 0, not {fd!r}")
        if offset < 0:
            raise ValueError(f"offset must be at least 0, not {offset}")
        self.notify, self.keep = notify, keep
        self.begun = self.over = self.collected = False
        view = memoryview(b"" if buffer is None else buffer)
        self.writable = not view.readonly
        self._pinned = Pinned(view)
        self.structure = Aiocb(aio_fildes=fd, aio_buf=self._pinned.address, aio_nbytes=view.nbytes, aio_offset=offset)

    @property
    def address(self) -> int:
        """Where the control block lies; the C library knows a request by it."""
        return ctypes.addressof(self.structure)

    def begin(self) -> None:
        """Hold it until it is over. ValueError if it was used before, RuntimeError in a forked child."""
        refuse_after_fork()
        if self.begun:
            raise ValueError("a control block is used once: make a new one (aio_read(3): it must be zeroed)")
        set_notification(self.structure.aio_sigevent, self.notify)
        self.begun = _state["begun"] = True
        self.structure._error_code = EINPROGRESS  # as the library will say: who looks now must not let it go
        _in_progress.add(self)
        if len(_in_progress) >= _state["sweep at"]:
            _state["sweep at"] = 64 + 2 * len(in_progress())

    def error(self) -> int:
        """aio_error(3). Whatever it says but EINPROGRESS, no thread touches the memory any more: it is let go."""
        number = library().aio_error(self.address)
        if number != EINPROGRESS and not self.over:
            # The helper notes the error first and then looks at sigevent, both under a lock; aio_error itself takes the
            # lock with newer versions of glibc only, aio_suspend with all.
            library().aio_suspend(ctypes.byref(ctypes.c_void_p(self.address)), 1, None)
            self.let_go()
        return number

    def refused(self) -> None:
        """The library did not take it: nobody will be told."""
        forget_notification(self.structure.aio_sigevent)
        self.let_go()

    def let_go(self) -> None:
        """No helper thread knows it: the buffer is the program's again."""
        self.over, self.keep, self._pinned = True, None, None
        _in_progress.discard(self)


def refuse_after_fork() -> None:
    """RuntimeError in a process whose parent used POSIX AIO before fork(2)."""
    if _state["forked"]:
        raise RuntimeError(
            "POSIX AIO was in use before fork: the helper threads do not survive it; start a new process"
        )


def begun() -> bool:
    """Whether this process has made a request, so that the pool of the C library exists."""
    return _state["begun"]


def in_progress() -> tuple[ControlBlock, ...]:
    """All requests of this process that are not over, abandoned ones included."""
    return tuple(block for block in tuple(_in_progress) if block.error() == EINPROGRESS)


def _forked() -> None:
    _state["forked"] = _state["begun"]
    _in_progress.clear()  # nobody writes to this process's copy of the buffers


def _last_moment() -> None:
    """What helper threads may still write to outlives the interpreter; callbacks on their way get their turn."""
    unfinished = in_progress()
    for block in unfinished:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(block))
    wait_for_callbacks(but=sum(isinstance(block.notify, ByThread) for block in unfinished))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
atexit.register(_last_moment)
