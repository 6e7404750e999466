"""What the kernel keeps behind a descriptor, by its own account: the interest list of an epoll, the queues of a ring.

    /proc/self/fdinfo/EPFD    tfd: 7  events: 19  data: 7 ...                 one line for each descriptor watched
    /proc/self/fdinfo/RINGFD  SqHead: 2  SqTail: 3  CqHead: 0  CqTail: 1      and the polls that are armed

Two facts that surprise:
* epoll adds EPOLLERR and EPOLLHUP to whatever is asked for: events 0x19 is IN, ERR, HUP. Nobody can leave them out; only
  an EPOLLONESHOT that has fired is silent altogether, until it is armed again.
* The *ready list* of an epoll is nowhere to be read. Only epoll_wait(2) shows it, by working it off. What can be asked
  without touching it is each descriptor itself, by poll(2).

proc_pid_fdinfo(5); for rings since Linux 5.10, in more detail since 6.0.
"""

import re
import select
from typing import NamedTuple

EVENTS = {0x1: "IN", 0x4: "OUT", 0x8: "ERR", 0x10: "HUP"}
ALWAYS = 0x8 | 0x10
OF_POLL = 0xFFFF  # the bits that poll(2) knows, too; above it are manners: EPOLLET, EPOLLONESHOT
_INTEREST = re.compile(r"tfd:\s*(\d+) events:\s*([0-9a-f]+)")
_POSITION = re.compile(r"^(SqHead|SqTail|CqHead|CqTail):\s*(\d+)$", re.MULTILINE)
_POLL = re.compile(r"^\s*op=(\d+), task_works=", re.MULTILINE)


class RingInfo(NamedTuple):
    """Heads and tails as the kernel prints them, and the opcodes of the operations that wait for readiness."""

    sq_head: int
    sq_tail: int
    cq_head: int
    cq_tail: int
    polls: tuple[int, ...]


def _info(fd: int) -> str:
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        return file.read()


def interest_list(epoll_fd: int) -> list[tuple[int, int]]:
    """Pairs (descriptor, events asked for, manners with them) in ascending order. OSError where there is no such descriptor, or no /proc."""
    found = [(int(fd), int(events, 16) & ~ALWAYS) for fd, events in _INTEREST.findall(_info(epoll_fd))]
    return sorted(found)


def ring_info(ring_fd: int) -> RingInfo | None:
    """What the kernel says of a ring; None where this kernel does not say it."""
    text = _info(ring_fd)
    positions = dict(_POSITION.findall(text))
    if len(positions) < 4:
        return None
    numbers = (int(positions[name]) for name in ("SqHead", "SqTail", "CqHead", "CqTail"))
    return RingInfo(*numbers, tuple(int(opcode) for opcode in _POLL.findall(text)))


def ready_by_poll(interests: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of pairs as interest_list gives them those that are ready now, each asked by poll(2), which changes nothing."""
    poll, armed = select.poll(), {fd: events & OF_POLL for fd, events in interests if events & OF_POLL}
    for fd, events in armed.items():
        poll.register(fd, events)
    return sorted(poll.poll(0)) if armed else []


def words(events: int) -> str:
    """ "IN", "IN OUT", "-": the names of events."""
    return " ".join(name for bit, name in EVENTS.items() if events & bit) or "-"
