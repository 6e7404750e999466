"""The score of a run: the measured Timeline as the scene of the lecture, cut wherever anything in it changes.

    Timeline   blocked ////////////////////|runnable|copy ▓▓▓▓▓▓|call
    scenes     |    5.2 s                  | 1.3 s  |   4.3 s   | 1 s |      what is played, at a tempo of its own each
               sleeps at the counter       | awake  | carries   | ...

It is computed from the Timeline alone, for every model, live or recorded; nothing is invented and nothing is left out
but what bookstore_acts draws together. A scene is played the longer the longer it took, by the logarithm: a wait of
150 ms is played for five seconds, a copy of 40 µs for three, and each scene says by how much it is slowed down.
"""

from dataclasses import asdict, dataclass
from math import log10

from iolab.drawing.bookstore_acts import SHORTEST_NS, Carry, carries, people, stays
from iolab.drawing.bookstore_bringing import brought
from iolab.drawing.bookstore_cast import WAY, Person, doing, name_of, place_of, role_of
from iolab.drawing.words import size
from iolab.recording.timeline import APPLICATION, Link, Span, Timeline

LONGEST_S, COPY_WEIGHT = 40, 2.0  # all scenes together at normal speed; the carrying is what one came to see
_NEWS = {
    "ready": "The telephone rings for {who}: you may read.",
    "signal": "The doorbell rings for {who}: you may read.",
    "wake-up": "“It is here”: {who} is called.",
    "wake-up, awake": "“It is here”, for {who}.",
    "complete": "It is done: the bytes are in the buffer.",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What holds from `start_ns` to `end_ns`, counted from the first call; it is played for `seconds`.

    `shelf`, `home`: for each sender the bytes that lie in the kernel at the scene's end, and in the buffer at its begin
    (of the last scene at its end); `vans`: the bytes that a sender brings; `news`: pairs (kind of a link, lane that it reaches).
    """

    start_ns: int
    end_ns: int
    seconds: float
    people: tuple[Person, ...]
    shelf: tuple[int, ...]
    home: tuple[int, ...]
    vans: tuple[int, ...]
    news: tuple[tuple[str, str], ...]
    caption: str

    def to_dict(self) -> dict:
        """Plain data for JSON; a person as a dict, too."""
        return asdict(self) | {"people": [person._asdict() for person in self.people]}


def score(timeline: Timeline) -> list[Scene]:
    """The scenes of a run in their order: gapless, from the first call to the end."""
    begin, wall = timeline.facts["begin_ns"], timeline.facts["wall_ns"]
    lanes = {lane: stays(timeline, lane) for lane in people(timeline)}
    carried = carries(timeline)
    sends = brought(timeline)
    moments = {begin, begin + wall}
    for span in [span for each in lanes.values() for span in each]:
        moments |= {span.start.ns, span.end.ns}
    for each in (*carried, *(send for sender in sends for send in sender)):
        moments |= {each.start_ns, each.end_ns}
    for link in timeline.links:
        moments |= {link.from_ns, link.to_ns}
    cuts = sorted(moment for moment in moments if begin <= moment <= begin + wall)
    scenes = [_scene(timeline, start, end, lanes, carried, sends) for start, end in zip(cuts, cuts[1:], strict=False)]
    total = sum(scene.seconds for scene in scenes)
    return [_paced(scene, begin, min(1.0, LONGEST_S / total)) for scene in scenes]


def _scene(timeline: Timeline, start: int, end: int, lanes: dict, carried: list[Carry], sends: list) -> Scene:
    cast = [_person(timeline, lane, spans, carried, start, end) for lane, spans in lanes.items()]
    cast = tuple(person for person in cast if person)
    senders = range(len(timeline.facts["deliveries"]))
    taken = [sum(each.nbytes for each in carried if each.sender == n and each.start_ns < end) for n in senders]
    last = end == timeline.facts["begin_ns"] + timeline.facts["wall_ns"]
    seen_ns = end if last else start
    home = [sum(each.nbytes for each in carried if each.sender == n and each.end_ns <= seen_ns) for n in senders]
    sent = [sum(send.by(end) for send in sends[n]) if n < len(sends) else 0 for n in senders]
    vans = [sum(send.nbytes for send in sends[n] if _within(send.start_ns, send.end_ns, start, end))
            if n < len(sends) else 0 for n in senders]  # fmt: skip
    here = {person.lane for person in cast}
    news = [
        link
        for link in timeline.links
        if link.kind in _NEWS and _heard(link, start, end, last) and link.to_lane in here
    ]
    shelf = [max(0, there - gone) for there, gone in zip(sent, taken, strict=True)]
    seconds = log10(1 + max(end - start, SHORTEST_NS) / 1000) * (COPY_WEIGHT if any(p.nbytes for p in cast) else 1)
    unseen = [each for each in carried if not each.lane and _within(each.start_ns, each.end_ns, start, end)]
    caption = _caption(timeline, cast, vans, news, unseen)
    reached = tuple(dict.fromkeys((link.kind, link.to_lane) for link in news))
    return Scene(start, end, seconds, cast, tuple(shelf), tuple(home), tuple(vans), reached, caption)


def _within(start: int, end: int, low: int, high: int) -> bool:
    return start <= low and high <= end and start < end


def _heard(link: Link, start: int, end: int, last: bool) -> bool:
    """A link is heard while it is under way; "it is done", and what takes no time, in the scene that it begins, or the last."""
    if link.from_ns < link.to_ns and link.kind != "complete":
        return _within(link.from_ns, link.to_ns, start, end)
    return link.to_ns == start or (last and link.to_ns == end)


def _person(timeline: Timeline, lane: str, spans: list[Span], carried: list[Carry], start: int, end: int):
    """Somebody in a scene; None before its thread is seen first and after it is seen last."""
    found = [number for number, span in enumerate(spans) if _within(span.start.ns, span.end.ns, start, end)]
    if not found:
        return None
    span, before = spans[found[0]], spans[found[0] - 1] if found[0] else None
    going_on = bool(before and before.call == span.call and before.state not in ("call", "refused"))
    hands = [each for each in carried if each.lane == lane and _within(each.start_ns, each.end_ns, start, end)]
    nbytes, sender = sum(each.nbytes for each in hands), hands[0].sender if hands else 0
    role = role_of(timeline, lane)
    place = WAY if hands else place_of(role, span.state, span.call)
    return Person(lane, role, place, span.state, span.call, span.calls, nbytes, sender, going_on)


def _caption(timeline: Timeline, cast, vans, news: list[Link], unseen: list[Carry]) -> str:
    busy, several = bool(timeline.facts.get("work_slices")), len(vans) > 1
    parts = []
    for number, nbytes in enumerate(vans, 1):
        if nbytes:
            parts.append(f"{f'Publisher {number}' if several else 'The publisher'} brings {size(nbytes)} to the shelf.")
    for link in {(each.kind, each.to_lane): each for each in news}.values():
        who = name_of(timeline, link.to_lane)
        asleep = any(person.lane == link.to_lane and person.state == "blocked" for person in cast)
        words = _NEWS[link.kind if asleep or link.kind != "wake-up" else "wake-up, awake"]
        parts.append(words.format(who=who[0].lower() + who[1:]))
    for person in sorted(cast, key=lambda each: each.lane != APPLICATION):
        parts.append(f"{name_of(timeline, person.lane)} {doing(person, busy)}.")
    parts += [f"{size(each.nbytes)} get into the buffer; who carries them is not known here." for each in unseen]
    return " ".join(parts)


def _paced(scene: Scene, begin: int, factor: float) -> Scene:
    pace = round(scene.seconds * factor, 3)
    return Scene(scene.start_ns - begin, scene.end_ns - begin, pace, scene.people, scene.shelf, scene.home, scene.vans,
                 scene.news, scene.caption)  # fmt: skip
