"""What every model is asked to do: fill buffers from descriptors. The one check of the arguments.

A read is a pair (descriptor, buffer). The buffer belongs to the caller, is writable and says by its length how
many bytes are wanted; a model reads until it is full or the stream ends, and returns the count.
"""

from collections.abc import Callable, Iterable

Work = Callable[[], object]  # one slice of other work, for a model that has time while it waits


def prepared(reads: Iterable[tuple[int, object]]) -> list[tuple[int, memoryview]]:
    """The reads with their buffers as flat views of bytes; ValueError names what is wrong, before any call."""
    result, seen = [], set()
    for number, (fd, buffer) in enumerate(reads):
        view = memoryview(buffer)
        if not isinstance(fd, int) or fd < 0:
            raise ValueError(f"reads[{number}]: the descriptor must be an integer of at least 0, not {fd!r}")
        if fd in seen:
            raise ValueError(f"reads[{number}]: descriptor {fd} is there twice; one buffer for each")
        if view.readonly or not view.nbytes or not view.c_contiguous:
            raise ValueError(f"reads[{number}]: the buffer must be writable, contiguous and hold at least 1 byte")
        seen.add(fd)
        result.append((fd, view.cast("B")))
    return result
