"""The steps of requests through a server, on a time axis: lanes for clients, the kernel's news, the loop, its workers."""

from collections.abc import Sequence

from iolab.drawing.palette import FAINT
from iolab.drawing.picture import Picture
from iolab.drawing.spreading import spread
from iolab.drawing.words import duration

COLOURS, LETTERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), "abcd"
HEAD_IN, PANEL_IN, LANE_IN, FOOT_IN = 0.62, 0.78, 0.4, 0.08
LABEL_PIXELS, ZOOM = 21, 8  # between the middles of two labels; a second panel if the quick ones take an eighth or less
CLIENTS, NEWS = "clients", "the loop's wait ends"
WORDS = {
    "reactor": "1 asked   2 told: can be read   3 handle_input, reads   4 parsed   5 business logic   6 encoded, sends"
    "   7 told: can be written   8 handle_output",
    "proactor": "1 asked   2 told: has been read   3 handle_receive   4 parsed   5 business logic   6 encoded, send started"
    "   7 told: has been sent   8 handle_send",
}


def draw_steps(traces: Sequence[dict]) -> Picture:
    """Traces of recording.server_steps.traced, below each other; of each at most four requests. ValueError for none."""
    if not traces or any(not 0 < len(trace["requests"]) <= len(LETTERS) for trace in traces):
        raise ValueError(f"traces must hold at least one trace, each with 1 to {len(LETTERS)} requests")
    panels = [(trace, low, high, after) for trace in traces for low, high, after in _views(trace)]
    heights = [PANEL_IN + LANE_IN * len(_lanes(trace)) for trace, *_ in panels]
    height = HEAD_IN + sum(heights) + FOOT_IN
    picture = Picture(9.6, height, " ".join([f"{finding(traces)}.", *map(_sentence, traces)]))
    picture.headline(1 - 0.2 / height, finding(traces))
    about = "measured now, on this machine · CLOCK_MONOTONIC · letters are clients, numbers are steps, ✓: the client has its answer"
    picture.text(0.015, 1 - 0.42 / height, about, fontsize=7.5, color=FAINT, va="center")
    top = height - HEAD_IN
    for (trace, low, high, after), inches in zip(panels, heights, strict=True):
        axes = picture.add_axes((0.17, (top - inches + 0.4) / height, 0.81, (inches - PANEL_IN) / height))
        _panel(picture, axes, trace, low, high, after)
        top -= inches
    return picture


def finding(traces: Sequence[dict]) -> str:
    """What the figure says, as its title."""
    if len(traces) > 1:
        return "; ".join(f"{_name(trace)}: {_taken(trace)}" for trace in traces)
    [trace] = traces
    if overtaken := _overtaken(trace):
        slow, quick = overtaken
        return f"{_name(trace)}: {' and '.join(quick)} answered before {slow}, which a worker had"
    first = trace["requests"][0]
    who = f"{LETTERS[0]} " if len(trace["requests"]) > 1 else ""
    return f"{_name(trace)}: {_taken(trace)}, {who}answered in {duration(first['answered_ns'] - first['sent_ns'])}"


def _name(trace: dict) -> str:
    return f"{trace['kind']} ({trace['mechanism']})"


def _taken(trace: dict) -> str:
    """Which of the eight steps the first request took; 1 is the client's, and always there."""
    taken = {1, *(number for number, *_ in trace["requests"][0]["steps"])}
    missing = [str(number) for number in range(1, 9) if number not in taken]
    return f"no step{'s' * (len(missing) > 1)} {' and '.join(missing)}" if missing else "all 8 steps"


def _overtaken(trace: dict) -> tuple[str, list[str]] | None:
    """The first request that a worker had, and those that were answered before it, by their letters."""
    requests = dict(zip(LETTERS, trace["requests"], strict=False))
    for letter, request in requests.items():
        if any(number == 5 and thread != trace["loop"] for number, _, thread in request["steps"]):
            quick = [other for other, each in requests.items() if _encoded_ns(each) < _encoded_ns(request)]
            return (letter, quick) if quick else None
    return None


def _encoded_ns(request: dict) -> int:
    return next(at_ns for number, at_ns, _ in request["steps"] if number == 6)


def _sentence(trace: dict) -> str:
    parts = []
    for letter, request in zip(LETTERS, trace["requests"], strict=False):
        steps = ", ".join(f"{number} after {duration(at - request['sent_ns'])}" for number, at, _ in request["steps"])
        took = duration(request["answered_ns"] - request["sent_ns"])
        parts.append(f"{letter} asked for {request['target']}: step {steps}; answered after {took}.")
    return f"{_name(trace)}, loop in thread {trace['loop']}: {' '.join(parts)}"


def _views(trace: dict) -> list[tuple[int, int, int]]:
    """Panels: from, to, and from where on steps get labels; the whole, and where most are quick, their part of it."""
    begin = min(request["sent_ns"] for request in trace["requests"])
    ends = sorted(
        max(request["answered_ns"], *(at_ns for _, at_ns, _ in request["steps"])) for request in trace["requests"]
    )
    whole, quick = ends[-1] - begin, ends[(len(ends) - 1) // 2] - begin
    if len(ends) < 2 or quick * ZOOM > whole:
        return [(begin, begin + round(whole * 1.02), begin)]
    cut = begin + round(max(end - begin for end in ends if (end - begin) * ZOOM <= whole) * 1.05)
    return [(begin, cut, begin), (begin, begin + round(whole * 1.02), cut)]


def _lanes(trace: dict) -> list[object]:
    threads = dict.fromkeys(thread for request in trace["requests"] for number, _, thread in request["steps"])
    return [CLIENTS, NEWS, trace["loop"], *(thread for thread in threads if thread != trace["loop"])]


def _panel(picture: Picture, axes, trace: dict, low: int, high: int, labelled_from: int) -> None:
    lanes = _lanes(trace)
    unit, word = (1e6, "milliseconds") if high - low >= 3e6 else (1e3, "microseconds")
    axes.set_xlim(-(high - low) * 0.01 / unit, (high - low) / unit)
    axes.set_ylim(len(lanes) - 0.55, -0.75)
    names = [lane if isinstance(lane, str) else f"thread {lane}" for lane in lanes]
    names[2] = f"loop, thread {lanes[2]}"
    names[3:] = [f"worker, thread {lane}" for lane in lanes[3:]]
    axes.set_yticks(range(len(lanes)), names, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    title = f"{_name(trace)}: the whole" if labelled_from > low else f"{_name(trace)}   {WORDS[trace['kind']]}"
    axes.set_title(title, fontsize=6.8, loc="left", pad=3)
    axes.set_xlabel(f"{word} since the first client asked", fontsize=8, labelpad=1)
    marks: dict[int, list[tuple[float, str, str]]] = {}
    for number, request in enumerate(trace["requests"]):
        colour, letter = COLOURS[number], LETTERS[number]
        row = {1: 0, 2: 1, 7: 1}
        steps = [(1, request["sent_ns"], None), *request["steps"]]
        points = [((at - low) / unit, row.get(n, lanes.index(thread) if thread else 0)) for n, at, thread in steps]
        end = (request["answered_ns"] - low) / unit
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=0.8, alpha=0.8)
        axes.plot([points[0][0], end], [0.1 + 0.09 * number] * 2, color=colour, linewidth=2.5, solid_capstyle="butt")
        for (n, at, _), (x, lane) in zip(steps, points, strict=True):
            if labelled_from <= at <= high or (n == 1 and labelled_from > low):
                marks.setdefault(lane, []).append((x, f"{letter}{n}", colour))
        if labelled_from <= request["answered_ns"] <= high:
            marks.setdefault(0, []).append((end, f"{letter}✓", colour))
    pixel = (axes.get_xlim()[1] - axes.get_xlim()[0]) / axes.bbox.width
    for lane, found in marks.items():
        found.sort()
        gap, edges = LABEL_PIXELS * pixel, axes.get_xlim()
        places = spread([x for x, *_ in found], gap, edges[0] + gap / 2, edges[1] - gap / 2)
        for (x, text, colour), place in zip(found, places, strict=True):
            axes.plot([x, x, place], [lane + 0.1, lane - 0.1, lane - 0.24], color=colour, linewidth=0.8)
            axes.text(place, lane - 0.27, text, fontsize=7, color=colour, ha="center", va="bottom")
