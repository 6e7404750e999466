"""No garbage collection while something is measured: the collector would be measured, too, and nobody would know it.

    recorded calls   ················────────────────────────······      70,000 new objects: it is time to collect
    the thread       asks, asks, asks │ walks through all objects │ asks: 23 ms of its own code, in a notebook 95

Two facts that surprise:
* It is the record itself that calls the collector: objects that are kept are what it counts. A loop that records nothing
  never meets it.
* All of it is the thread's own CPU time, in a gap between two calls, and so looks like the program's own code.

timeit of the standard library does the same. Without the collector only cycles are kept for longer; a run makes none.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's cyclic garbage collector is off in this process; afterwards it is on again, if it was."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
