"""The bookstore's cast: where a thread stands in the scene while it is in a state, and the words for that.

    state, call              place       in the scene
    blocked, read            counter     sleeps at the counter
    blocked, epoll_wait      telephone   sleeps beside the telephone
    call, aio_read           trays       hands in an order form
    copy, whatever call      on the way  carries the book home: whoever does this is the thread that copies

The scene is LECTURE's: customer = the application's thread, owner = the kernel, shelf = the socket's queue, telephone =
"you may read now", parcel = the book that somebody else has carried. One table for all models, and it knows none of
them: it reads calls and states only.
"""

from typing import NamedTuple

from iolab.drawing.words import size
from iolab.recording.timeline import APPLICATION, HELPER, Timeline

COUNTER, TELEPHONE, DOOR, TRAYS, HOME, BENCH, WAY = PLACES = (
    "counter", "telephone", "door", "trays", "home", "bench", "way",
)  # fmt: skip
CUSTOMER, OTHER, WORKER = ROLES = ("customer", "helper", "worker")
BESIDE = {
    COUNTER: "at the counter", TELEPHONE: "beside the telephone", DOOR: "by the door", TRAYS: "beside the order desk",
    HOME: "at home", BENCH: "in the shop", WAY: "on the way",
}  # fmt: skip
_CALLS = {  # where one goes for a call, and what one does there while awake
    "read": (COUNTER, "asks for the book"),
    "fcntl": (COUNTER, "leaves a note about this descriptor"),
    "epoll_create1": (TELEPHONE, "has a line to the telephone exchange laid"),
    "epoll_ctl": (TELEPHONE, "has the exchange's list changed"),
    "epoll_wait": (TELEPHONE, "turns to the telephone"),
    "select": (TELEPHONE, "turns to the telephone with a list"),
    "poll": (TELEPHONE, "turns to the telephone with a list"),
    "sigtimedwait": (DOOR, "listens for the doorbell"),
    "aio_read": (TRAYS, "hands in an order form"),
    "aio_suspend": (TRAYS, "asks whether an order is there"),
    "aio_error": (TRAYS, "asks whether the order is there"),
    "io_setup": (TRAYS, "opens an account at the order desk"),
    "io_submit": (TRAYS, "pushes an order card through the slot"),
    "io_getevents": (TRAYS, "looks for slips"),
    "io_destroy": (TRAYS, "closes the account"),
    "io_uring_setup": (TRAYS, "has two trays built into the wall"),
    "io_uring_enter": (TRAYS, "rings the bell at the trays"),
    "futex": (HOME, "looks whether the helper is back"),
    "clock_nanosleep": (HOME, "goes home for a while"),
}
_ELSEWHERE = (TRAYS, "is in a call")


class Person(NamedTuple):
    """One thread in one scene: `place` of PLACES, `state` of timeline.STATES, `nbytes` of `sender` in its hands.

    `going_on`: it has been in this call before, asleep, carrying, or without a CPU.
    """

    lane: str
    role: str
    place: str
    state: str
    call: str
    calls: int
    nbytes: int
    sender: int = 0
    going_on: bool = False


def role_of(timeline: Timeline, lane: str) -> str:
    """Whose thread it is: the customer himself, a helper of the program, or a worker of the kernel."""
    if lane == APPLICATION:
        return CUSTOMER
    known = next((each["evidence"] for each in timeline.facts.get("helpers", ()) if each["lane"] == lane), "")
    return WORKER if "iou-wrk" in known or "iou-sqp" in known else OTHER


def name_of(timeline: Timeline, lane: str) -> str:
    """ "The customer", "A helper", "Helper 2", "A worker of the kernel": the subject of a sentence."""
    role = role_of(timeline, lane)
    if role == CUSTOMER:
        return "The customer"
    several = sum(each.startswith(HELPER) for each in timeline.lanes) > 1
    if role == WORKER:
        return f"Worker {lane.rpartition('-')[2]} of the kernel" if several else "A worker of the kernel"
    return f"Helper {lane.rpartition('-')[2]}" if several else "A helper"


def place_of(role: str, state: str, call: str) -> str:
    """Where somebody is who carries nothing."""
    if role == WORKER:
        return BENCH
    if state == "user":
        return HOME
    return _CALLS.get(call, _ELSEWHERE)[0]


def doing(person: Person, busy: bool) -> str:
    """What somebody does, as the rest of a sentence; `busy`: the thread was given other work to do meanwhile."""
    inside = f", in {person.call}" * bool(person.call)
    where = BESIDE[person.place]
    if person.nbytes and person.place == WAY:
        return _carrying(person, inside)
    if person.state == "blocked":
        return f"sleeps {where}{inside}"
    if person.state == "runnable":
        return "is awake, and waits for a CPU"
    if person.state == "handover":
        return f"is being woken{inside}"
    if person.state == "refused":
        what = "it is not there yet (EINPROGRESS)" if person.call == "aio_error" else "“not yet” (EAGAIN)"
        often = f"again and again, {person.calls:,} times" if person.calls > 1 else "once"
        return f"asks {often}{inside}, and is told {what}"
    if person.state == "user":
        return "does other work" if busy else "is in its own code"
    if person.role == WORKER:
        return "looks for work in the shop"
    return f"{'goes on' if person.going_on else _CALLS.get(person.call, _ELSEWHERE)[1]}{inside}"


def _carrying(person: Person, inside: str) -> str:
    book = f"{size(person.nbytes)} from the shelf to the buffer"
    if person.state == "handover":
        return f"is woken and carries {book}{inside}: this evidence cannot tell the two apart"
    if person.state == "user":
        return f"is interrupted in its own work, and carries {book}; when exactly is not known"
    if person.state == "runnable":
        return f"has lost the CPU while it carried {book}"
    return f"carries {book}: the copy{inside}"
