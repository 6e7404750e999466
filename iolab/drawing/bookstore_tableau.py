"""One scene as a picture: who stands where in which posture, how many books lie on which board, what is said aloud.

    Scene: asleep, read ──> Actor("application", posture "asleep", x = 505, the colour of the state)
    Scene: carries      ──> Actor(..., "carrying", x = 338, to_x = 1000, books in its hands)

Plain data again: the player moves the actors from x to to_x while the scene lasts, the strip draws them half-way. A book
is a sixth of what one sender sends, and a part of one counts as one: where a single byte lies, a book lies.
"""

from typing import NamedTuple

from iolab.drawing import bookstore_stage as stage
from iolab.drawing.bookstore_cast import (
    CUSTOMER,
    DOOR,
    HOME,
    OTHER,
    TELEPHONE,
    TRAYS,
    WAY,
    WORKER,
    Person,
    name_of,
    place_of,
    role_of,
)
from iolab.drawing.bookstore_score import Scene
from iolab.drawing.palette import LOOKS
from iolab.recording.timeline import Timeline

MOST_IN_HANDS = 9  # one call may bring what several senders have sent
RINGS = {"ready": TELEPHONE, "signal": DOOR}  # what rings for a link of this kind
_POSTURES = {
    "user": "working", "call": "asking", "blocked": "asleep", "runnable": "awake", "copy": "carrying", "handover": "awake",
    "refused": "asking",
}  # fmt: skip


class Actor(NamedTuple):
    """Somebody at `x`, on the way to `to_x`; `books` pairs (sender, how many) in its hands, `says` is its bubble."""

    name: str
    role: str
    posture: str
    x: int
    to_x: int
    colour: str
    label: str
    books: tuple[int, int]
    says: str


def props(timeline: Timeline) -> list[str]:
    """The things that this run needs on the stage."""
    used = {
        place_of(role_of(timeline, span.lane), span.state, span.call)
        for span in timeline.spans
        if not span.lane.startswith(("peer", "kernel"))
    }
    used |= {RINGS[link.kind] for link in timeline.links if link.kind in RINGS}
    return [HOME, *(place for place in (TRAYS, TELEPHONE, DOOR) if place in used)]


def books(nbytes: int, whole: int) -> int:
    """How many books stand for so many bytes of `whole`."""
    return -(-stage.BOOKS * nbytes // whole) if whole else 0


def actors(timeline: Timeline, scene: Scene) -> list[Actor]:
    """Everybody on the stage, the owner first."""
    wholes = [max(each["nbytes"], 1) for each in timeline.facts["deliveries"]]
    taken: dict[str, int] = {}
    found = [_owner(scene)]
    for person in scene.people:
        number = taken[person.place] = taken.get(person.place, -1) + 1
        x = stage.SPOTS[person.place] + number * stage.APART.get(person.place, 0)
        to_x, hands = x, (0, 0)
        if person.place == WAY:
            x, to_x = stage.WAY_FROM, stage.WAY_TO
            hands = (person.sender, min(books(person.nbytes, wholes[person.sender]), MOST_IN_HANDS))
        found.append(
            Actor(person.lane, person.role, _posture(person), x, to_x, LOOKS[person.state].colour,
                  _label(timeline, person), hands, "")
        )  # fmt: skip
    return found


def _posture(person: Person) -> str:
    if person.place == WAY:
        return "carrying"
    if person.role == WORKER and person.state == "user":
        return "standing"
    return _POSTURES[person.state]


def _label(timeline: Timeline, person: Person) -> str:
    name = {CUSTOMER: "the customer", OTHER: "a helper", WORKER: "kernel worker"}[person.role]
    several = name_of(timeline, person.lane)[-1].isdigit()
    return name_of(timeline, person.lane).lower() if several else name


def _owner(scene: Scene) -> Actor:
    kinds = [kind for kind, _ in scene.news]
    says = ""
    if any(person.state == "refused" for person in scene.people):
        says = "not yet"
    if "wake-up" in kinds:
        says = "it is here!"
    if "ready" in kinds or "signal" in kinds:
        says = "you may read!" if "ready" in kinds else "ring!"
    if "complete" in kinds:
        says = "done!"
    return Actor("owner", "owner", "standing", stage.OWNER, stage.OWNER, stage.OWNER_COLOUR, "the owner", (0, 0), says)


def shown(timeline: Timeline, scene: Scene) -> dict:
    """A scene as the player and the strip need it: the actors, and the books on the boards."""
    wholes = [max(each["nbytes"], 1) for each in timeline.facts["deliveries"]]
    return {
        "actors": actors(timeline, scene),
        "shelf": [books(nbytes, whole) for nbytes, whole in zip(scene.shelf, wholes, strict=True)],
        "home": [books(nbytes, whole) for nbytes, whole in zip(scene.home, wholes, strict=True)],
        "vans": [books(nbytes, whole) for nbytes, whole in zip(scene.vans, wholes, strict=True)],
        "rings": [RINGS[kind] for kind, _ in scene.news if kind in RINGS],
    }
