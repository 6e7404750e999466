"""A Timeline in words: the title of its figure, one sentence, the line that signs it."""

from collections.abc import Sequence

from iolab.drawing.cpus import cpus
from iolab.recording.timeline import APPLICATION, HELPER, Timeline
from iolab.recording.wake_ups import COMPLETION_WAITS

_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns"))


def duration(ns: float) -> str:
    """Three figures and the unit that fits: 200 ms, 97.3 µs."""
    for size, unit in _UNITS:
        if abs(ns) >= size:
            value = ns / size
            return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.3g} {unit}"
    return "0 ns"


def size(nbytes: int) -> str:
    """Exact where short, in binary units where round: 1 byte, 1,000 bytes, 64 KiB."""
    for unit, shift in (("MiB", 20), ("KiB", 10)):
        if nbytes >= 1 << shift and nbytes % (1 << shift) == 0:
            return f"{nbytes >> shift:,} {unit}"
    return f"{nbytes:,} byte" + "s" * (nbytes != 1)


def waiting(timeline: Timeline) -> str:
    """How the thread spent the wait: "slept 200 ms in read", "asked 83,412 times in vain"."""
    blocked, refused, slices = {}, timeline.facts.get("refused", 0), timeline.facts.get("work_slices")
    for span in timeline.lane(APPLICATION):
        if span.state == "blocked" and span.start.ns < timeline.done_ns:
            blocked[span.call] = blocked.get(span.call, 0) + span.duration_ns
    between = blocked.pop("clock_nanosleep", 0) if refused > 1 else 0
    if refused > 1 and 2 * sum(blocked.values()) <= timeline.facts.get("wait_ns", 0):  # else it did sleep until then
        work = f" between {slices:,} slices of work" if slices else ""
        return f"asked {refused:,} times in vain{work}" + (
            f", sleeping {duration(between)} in between" if between else ""
        )
    if blocked:
        longest = max(blocked, key=blocked.get)
        return f"slept {duration(sum(blocked.values()))} in {longest}"
    if slices:
        return f"did {slices:,} slices of other work"
    return "never had to wait"


def fetching(timeline: Timeline) -> str:
    """What came after: "wake-up and copy 182 µs", "in a helper wake-up and copy 74 µs, then wake-up 20 µs"."""
    helpers = ", ".join(_fetched(timeline, [lane for lane in timeline.lanes if lane.startswith(HELPER)]))
    own = ", ".join(_fetched(timeline, [APPLICATION]))
    parts = [f"in a helper {helpers}"] * bool(helpers) + [f"then {own}" if helpers else own] * bool(own)
    if not parts and timeline.facts.get("nbytes"):
        return "bytes were copied; when they were ready is not known"
    return ", ".join(parts) or "nothing was copied"


def _fetched(timeline: Timeline, lanes: Sequence[str]) -> list[str]:
    fetched = {"without a CPU": [0, 0], "wake-up": [0, 0], "wake-up and copy": [0, 0], "copy": [0, 0]}
    amid = False
    spans = [span for lane in lanes for span in timeline.lane(lane)]
    for span in [span for span in spans if span.start.ns < timeline.done_ns]:  # what follows is no fetching: io_destroy
        if span.state in ("handover", "copy", "runnable"):
            waking = "wake-up and copy" if span.nbytes else "wake-up"
            entry = fetched[{"handover": waking, "copy": "copy", "runnable": "without a CPU"}[span.state]]
            entry[0] += span.duration_ns
            entry[1] += span.state != "copy" or span.nbytes is not None  # a copy that was interrupted is one
        amid = amid or (span.state == "user" and bool(span.nbytes))
    parts = []
    for what, (total, count) in fetched.items():
        often = f", {count} times" if what == "without a CPU" else f" in {count} calls"
        parts += [f"{what} {duration(total)}" + often * (count > 1)] * bool(total)
    return parts + ["copied in the midst of its own work"] * amid


def copied_by(timeline: Timeline) -> str:
    """The lanes whose threads fetched the bytes: "application", "helper-1"; "nobody" when none came, "?" if unknown."""
    threads = (APPLICATION, HELPER)
    lanes = [span.lane for span in timeline.spans if span.nbytes and span.lane.startswith(threads)]
    unknown = not timeline.facts.get("copiers_known", True) and timeline.facts.get("nbytes")
    return ", ".join(sorted(dict.fromkeys(lanes)) + ["?"] * bool(unknown)) or "nobody"


def copier(timeline: Timeline) -> str:
    """The same as a clause: "copied by the application's own thread"."""
    lanes = copied_by(timeline)
    if lanes in ("nobody", "?"):
        return "nothing was copied" if lanes == "nobody" else "who copied is not known by this evidence"
    names = ["the application's own thread"] * (APPLICATION in lanes)
    helpers = [each for each in timeline.facts.get("helpers", ()) if each["lane"] in lanes.split(", ")]
    names += [f"helper thread {', '.join(str(each['thread_id']) for each in helpers)}"] * bool(helpers)
    return "copied by " + " and ".join(names)


def by_posix(timeline: Timeline) -> str:
    """ "synchronous" where the thread that asked was held in a call that copied; "asynchronous" where it was told.

    That a thread chose to sleep until it was told makes no difference, even if it was woken up in order to copy.
    """
    asleep = held = False
    for span in timeline.lane(APPLICATION):
        asleep = span.state == "blocked" or (asleep and span.state != "user")
        held |= span.state == "copy" and bool(span.nbytes) and not (asleep and span.call in COMPLETION_WAITS)
    return "asynchronous" if timeline.facts.get("asynchronous") and not held else "synchronous"


def title(timeline: Timeline) -> str:
    """The finding, for the head of a figure."""
    return f"{timeline.model}: {waiting(timeline)}; {fetching(timeline)}"


def sentence(timeline: Timeline) -> str:
    """What happened, in one or two sentences: the alternative text of the figure."""
    facts = timeline.facts
    calls = ", ".join(f"{count:,} × {name}" for name, count in facts.get("calls", {}).items())
    wall = facts.get("wall_ns") or 1
    text = (
        f"{timeline.model}: the thread {waiting(timeline)} until {size(facts.get('nbytes', 0))} had come; "
        f"{fetching(timeline)}. It used {100 * facts.get('cpu_ns', 0) / wall:.1f} % of a CPU; calls: {calls or 'none'}."
    )
    if facts.get("asynchronous"):
        text += f" Who fetched them: {copier(timeline)}."
    if facts.get("ended", "all bytes") != "all bytes":
        text += f" The end: {facts['ended']}."
    return text


def signature(timeline: Timeline) -> list[str]:
    """What a figure must say of itself: bytes, transport, machine, evidence; and what recording cost."""
    facts = timeline.facts
    where = {"tcp": "loopback TCP", "pipe": "a pipe", "socketpair": "a socket pair"}
    runs = f"the median of {facts['runs']} runs" if facts.get("runs", 1) > 1 else "one run"
    discarded = f", {facts['discarded']} discarded" if facts.get("discarded") else ""
    discarded += f", DOUBTFUL: {facts['doubtful']}" if facts.get("doubtful") else ""
    what = f"{size(facts.get('nbytes_asked', 0))} over {where.get(facts.get('transport'), '?')}"
    recorded = facts.get("recorded")  # its label names the kernel, too
    where_and_what = f"RECORDING of {recorded} · {what}" if recorded else f"{what} · {facts.get('kernel')}"
    first = f"{where_and_what} · {cpus(facts)} · {runs}{discarded} · evidence: {facts.get('evidence')}"
    calls, each = sum(facts.get("calls", {}).values()), facts.get("recorder_ns_per_call", 0)
    share = 100 * calls * each / (facts.get("wall_ns") or 1)
    percent = f"{share:.0f}" if share >= 1 else "less than 1"
    cost = f"recording cost about {duration(each)} a call, {percent} % of this run"
    return [first, copier(timeline)] + [cost] * (facts.get("refused", 0) > 1 or share >= 1)


def joint_signature(timelines: Sequence[Timeline]) -> str:
    """The same for several Timelines of one scenario; of those that polled, what recording cost."""
    costs = [(each.model, line) for each in timelines for line in signature(each) if line.startswith("recording")]
    return "\n".join([signature(timelines[0])[0], *(f"{model}: {line}" for model, line in costs if "less" not in line)])
