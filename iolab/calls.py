"""How a model names the system calls that it makes; who writes them down is no concern of its own.

    with call("read", fd):                        time ──>
        nbytes = call.returned(os.readv(...))     ├────────── read ──────────┤
                                                  start_ns              end_ns

A model receives `call` and says what it calls, never what happened inside: whether the thread slept, when data came
and who copied it is for the kernel to say (iolab.recording.evidence). `unrecorded`, the default, writes nothing down;
iolab.recorder has the one that does.

An asynchronous model also says `call.completed(fd, nbytes)` when it finds that an operation is over: inside the call
that told it, or outside of any, where it saw the completion in memory that it shares with the kernel.
"""

from typing import NamedTuple, Protocol, Self


class CallNamer(Protocol):
    """What a model needs: `with call(name, fd):` around each system call, `returned` around its byte count."""

    def __call__(self, name: str, fd: int = -1) -> Self: ...
    def __enter__(self) -> object: ...
    def __exit__(self, kind, error, traceback) -> None: ...
    def returned(self, nbytes: int) -> int: ...

    def completed(self, fd: int, nbytes: int) -> None:
        """An operation on `fd`, started earlier, has brought so many bytes: found now."""

    def in_this_thread(self) -> "CallNamer":
        """For a helper thread: names its calls, apart from those of the thread that started it."""


COMPLETION = ""  # the name of what is no call: a completion that was found in shared memory


class Call(NamedTuple):
    """One system call as the calling thread saw it; times are CLOCK_MONOTONIC in nanoseconds."""

    name: str  # COMPLETION for none
    fd: int
    start_ns: int
    end_ns: int
    nbytes: int | None  # bytes it returned; None where bytes are not what it returns, or it failed
    errno: int  # 0, or why the kernel refused
    slept: int  # voluntary context switches meanwhile
    completed: tuple[tuple[int, int], ...] = ()  # (descriptor, bytes) of operations that were then found to be over


class _Unrecorded:
    """Writes nothing down."""

    __slots__ = ()

    def __call__(self, name: str, fd: int = -1) -> Self:
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback) -> None:
        pass

    def returned(self, nbytes: int) -> int:
        return nbytes

    def completed(self, fd: int, nbytes: int) -> None:
        pass

    def in_this_thread(self) -> Self:
        return self


unrecorded = _Unrecorded()
