"""Rung 5, the function graph: entry and exit of the kernel's own function that copies, inside the trace points.

    trace points     skb_copy_datagram_iovec ├──────────────────────────────┤ tcp_rcv_space_adjust
    function graph                             simple_copy_to_iter() {   }    for each fragment: 2.9 µs, 65.5 µs, ...

Two facts that surprise:
* The function that moves the bytes, _copy_to_iter, cannot be traced: all of the kernel's lib/ is compiled without the
  room for it. simple_copy_to_iter calls it and does nothing else; but only sockets copy by it. Files and pipes do
  not, and of them this rung knows what the trace points know.
* What is measured more closely is disturbed more: the tracer works twice in each call, between a copy's fragments. On an
  emulated machine (QEMU, Linux 6.12; medians of 40 reads) the way from the first trace point to the last took 333 µs
  instead of 230 for 64 KiB in 4 calls, and 2,830 instead of 2,615 for 1 MiB in 48. In all 80 reads the calls lay within.

So this rung, which has the trace points with it, is used when it is asked for by name, and for calibration.

net/core/datagram.c, lib/Makefile.
"""

from iolab.kernel import function_graph, tracefs
from iolab.kernel.trace_instances import where
from iolab.recording.evidence import trace_points
from iolab.recording.evidence.traced_functions import NAME
from iolab.recording.moment import Moment

COPYING = ("simple_copy_to_iter",)
_lacking: dict[str, str | None] = {}  # by place: what the kernel will not have until it is started anew
_passed: set[str] = set()  # the places in which the self-test has succeeded


class Observer(trace_points.Observer):
    """As the trace points' Observer, and the copying functions in the same instance."""

    def __init__(self, reader: tuple[int, int], buffers: list, fds: list[int]) -> None:
        super().__init__(reader, buffers, fds)
        try:
            function_graph.trace(self._instance, COPYING)
        except BaseException:
            self.close()
            raise

    def _take(self, instance: tracefs.Instance) -> None:
        try:
            super()._take(instance)
        finally:
            function_graph.forget(instance)  # another tracer empties the buffer: so at the very end


def unavailable() -> str | None:
    """Why this machine gives no function graph, in the kernel's words; None when a copy was traced within its bounds."""
    if reason := trace_points.unavailable():
        return reason
    try:
        place, _ = where()
        if place not in _lacking:
            with tracefs.opened() as instance:
                _lacking[place] = function_graph.lacking(instance)
        if place not in _passed:
            if problem := _lacking[place] or _problem(trace_points.of_a_read(Observer)[0]):
                return problem
            _passed.add(place)
    except OSError as error:
        return f"{error.filename or 'function graph'}: {error.strerror}"
    return None


def _problem(read: list[Moment]) -> str | None:
    """What is wrong with the trace of a read, if anything."""
    copies = [each for each in read if each.kind.startswith("copy")]
    called = [each for each in copies if each.source == NAME]
    if not called:
        return f"self-test: of a copy that was traced no call of {', '.join(COPYING)} was seen"
    if copies[0] in called or copies[-1] in called:
        return "self-test: a function copied before the first trace point of its copy, or after the last"
    return None
