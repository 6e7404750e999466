"""Rung 5, the function graph: entry and exit of the copying function itself. Said only: nothing is built on it.

    function_graph   skb_copy_datagram_iter() {          42.170 us   }
    trace points     skb_copy_datagram_iovec ├─────────┤ tcp_rcv_space_adjust          the same, from outside and inside

Two facts that surprise:
* It would add nothing. On a kernel that has it the graph's entry, the first trace point, the graph's exit and the second
  trace point came in this order in each read that was compared: the trace points bracket the copy already.
* It is the heaviest of all instruments: each function that is called on the way is entered twice in a buffer.

Documentation/trace/ftrace.rst, "function graph tracer".
"""

from iolab.kernel.trace_instances import root

NAME = "function-graph"
TRACER = "function_graph"


def unavailable() -> str:
    """Why this rung is not to be had: the kernel's reason where it has one, else that no use is made of it."""
    try:
        with open(f"{root()}/available_tracers") as file:
            tracers = file.read().split()
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    if TRACER not in tracers:
        return f"available_tracers: {' '.join(tracers)}: no {TRACER} (CONFIG_FUNCTION_GRAPH_TRACER)"
    return f"this kernel has {TRACER}; the trace points tell the same, and no use is made of it"
