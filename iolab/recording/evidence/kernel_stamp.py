"""Rung 1, the kernel's stamp: when the last segment came in, and what state the waiting thread was in.

    sender    before ├──── send() ────┤ after
    kernel               ┆ netif_rx: stamped        later than `before`, and a little earlier than "ready"
    looks         S wait_woken ·  ·  ·            /proc, from the sender's process, while the reader waits

A receive time stamp is taken before TCP has worked on the segment, so it is a lower bound of "ready", as a rule
by 2 to 20 µs. It narrows the sender's bracket from below. /proc tells that the thread was asleep, and where.

Pipes and stream sockets of one machine have no such stamp: for them the rung consists of /proc alone.
"""

from iolab.kernel import socket_timestamps, thread_state
from iolab.kernel.socket_timestamps import ClockOffset
from iolab.kernel.thread_state import ThreadState
from iolab.recording.channel import Channel
from iolab.recording.stamp import Stamp

NAME = "kernel-stamp"
TRAILER = 1  # bytes beyond those that the reader wants, in the same segment; they fetch the stamp
FAR = 1 << 62  # some moment later; whoever knows more narrows it
CLOCK_WAS_SET_NS = 1_000_000


def last_segment(channel: Channel, before: ClockOffset, after: ClockOffset) -> Stamp | None:
    """When the segment with the last byte came in. None without one, or when somebody set the clock meanwhile."""
    if abs(after.offset_ns - before.offset_ns) > CLOCK_WAS_SET_NS:
        return None
    try:
        _, realtime_ns = socket_timestamps.receive_with_timestamp(channel.socket, TRAILER)
    except OSError:  # the stream ended early, or was reset: there is no trailer
        return None
    if realtime_ns is None:
        return None
    ns = realtime_ns - before.offset_ns
    width = (before.width_ns + after.width_ns) // 2 + abs(after.offset_ns - before.offset_ns)
    return Stamp(ns, ns - width, ns + width, "receive time stamp")


def narrowed(bracket: Stamp | None, received: Stamp | None) -> Stamp | None:
    """The sender's bracket of the last send(), with the kernel's stamp as its lower bound and best guess.

    A stamp after the bracket is possible (the softirq was put off to ksoftirqd): then the stamp is right, and how
    much later the data was ready is not known: the caller's own bounds must say.
    """
    if bracket is None or received is None:
        return bracket
    if received.latest_ns < bracket.earliest_ns:  # not this segment's
        return bracket
    ns = max(received.ns, bracket.earliest_ns)
    latest = bracket.latest_ns if received.ns <= bracket.latest_ns else FAR
    return Stamp(ns, max(received.earliest_ns, bracket.earliest_ns), latest, "receive time stamp, sender's bracket")


def state_during(looks: list[ThreadState], start_ns: int, end_ns: int) -> str:
    """What /proc said of the thread between two moments: "S in wait_woken", or "" when nobody looked."""
    for look in looks:
        if start_ns <= look.before_ns and look.after_ns <= end_ns:
            known = look.wchan not in ("0", "-", "") and " " not in look.wchan
            return f"{look.state} in {look.wchan}" if known else look.state
    return ""


def unavailable() -> str | None:
    """Why this machine gives neither stamp, in the kernel's words; None when it gives one of them."""
    stamps, states = socket_timestamps.unavailable(), thread_state.unavailable()
    return f"{stamps}; {states}" if stamps and states else None
