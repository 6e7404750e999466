"""The function graph tracer: the kernel tells when one of its own functions is entered, and when it returns.

    simple_copy_to_iter:   call __fentry__ ──> funcgraph_entry      before the function's first instruction
                           ...
                           ret ────────────> funcgraph_exit         by way of the tracer: the return address was replaced

Three facts that surprise:
* Each function begins with room for a call. It is five bytes of nothing until somebody traces it; then the kernel
  patches its own code, while it runs.
* The times inside the exit's record (calltime, rettime) are by another clock than the instance's. The records'
  own times are by the instance's, and are those used here.
* Until Linux 6.11 there was one function graph for the whole machine. Only since then an instance may have its own, with
  its own filter: so before that nothing is traced here, rather than everybody's tracing disturbed.

Documentation/trace/ftrace.rst, "function graph tracer", "Instances".
"""

from contextlib import suppress

from iolab.kernel.trace_instances import QUIET, root
from iolab.kernel.tracefs import Instance

TRACER = "function_graph"
ENTRY, EXIT = "ftrace/funcgraph_entry", "ftrace/funcgraph_exit"
FUNCTIONS = "set_ftrace_filter"  # with none in it all are traced, some ten thousand


def lacking(instance: Instance) -> str | None:
    """Why there can be no function graph in the instance; None when there can."""
    tracers = instance.read("available_tracers").split()
    if TRACER in tracers:
        return None
    with suppress(PermissionError), open(f"{root()}/available_tracers") as file:  # not for a user with a lent instance
        tracers = file.read().split()
    if TRACER in tracers:
        return f"available_tracers: {TRACER} is there for the whole machine only, not for an instance (Linux 6.11)"
    return f"available_tracers: {' '.join(tracers)}: no {TRACER} (CONFIG_FUNCTION_GRAPH_TRACER)"


def trace(instance: Instance, functions: tuple[str, ...]) -> None:
    """Record these functions and no others, from the instance's start to its stop.

    OSError as the kernel says: EINVAL for a function that it does not have, or cannot trace.
    """
    for event in (ENTRY, EXIT):
        instance.understand(event)
    instance.write(FUNCTIONS, "\n".join(functions) + "\n")
    instance.write("current_tracer", TRACER)


def forget(instance: Instance) -> None:
    """Take the tracer away, then its filter: in the other order all functions would be traced for a moment."""
    instance.write("current_tracer", QUIET["current_tracer"])
    instance.write(FUNCTIONS, "\n")
