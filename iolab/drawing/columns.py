"""One column of the comparison: what one thread did, from top to bottom, with as many words as there is room for."""

from iolab.drawing.bands import bands
from iolab.drawing.palette import INK, LOOKS
from iolab.drawing.picture import Picture
from iolab.drawing.words import duration
from iolab.recording.timeline import APPLICATION, Span, Timeline


def draw_column(
    picture: Picture, axes, place: tuple[float, float], timeline: Timeline, lane: str, zero: int, unit: float
) -> None:
    """The bars of one lane; `place`: its middle and its width."""
    column, wide = place
    low_limit, high_limit = sorted(axes.get_ylim())
    pixel = (high_limit - low_limit) / (axes.get_position().height * picture.get_figheight() * picture.dpi)
    named = []
    for span in bands(timeline.lane(lane), 3 * pixel * unit):
        low = max((span.start.ns - zero) / unit, low_limit)
        high = min((min(span.end.ns, timeline.done_ns) - zero) / unit, high_limit)
        if high <= low:
            continue
        look, tall = LOOKS[span.state], max(high - low, 0.5 * pixel)
        axes.bar(column, tall, wide, bottom=low, color=look.colour, hatch=look.hatch, edgecolor=INK,
                 linewidth=0.4 if tall > 2 * pixel else 0)  # fmt: skip
        if span.state != "user" and lane == APPLICATION:
            named.append((tall, (low + high) / 2, span))
    if named:  # the polls of a column may be many bars; together they are one thing
        polls = [each for each in named if each[2].state == "refused"]
        if sum(tall for tall, _, _ in polls) > 0.5 * (high_limit - low_limit):
            middle = (low_limit + high_limit) / 2 if unit == 1e6 else polls[0][1]
            named = [(high_limit, middle, None)] if unit == 1e6 else [each for each in named if each not in polls]
    for tall, middle, span in named:
        words = _label(span, timeline).split("\n")
        choices = ["\n".join(words)] if tall > 27 * pixel else []
        choices += [" ".join(words), *words[::-1]] if tall > 15 * pixel else []
        for choice in choices:
            text = axes.text(column, middle, choice, ha="center", va="center", fontsize=7.5,
                             bbox={"facecolor": "white", "alpha": 0.78, "edgecolor": "none", "pad": 1})  # fmt: skip
            if picture.text_fits(axes, text, column - wide / 2 - 0.02, column + wide / 2 + 0.02):
                break
            text.remove()


def _label(span: Span | None, timeline: Timeline) -> str:
    if span is None:
        return f"{timeline.facts['refused']:,}\u00d7 read\nrefused"
    if span.state == "handover":
        return f"{'wake-up + copy' if span.nbytes else 'wake-up'}\n{duration(span.duration_ns)}"
    if span.state == "refused":
        return f"{span.calls:,} polls"
    if span.state == "blocked":
        return f"asleep in\n{span.call}"
    return f"{span.state if span.state == 'copy' else span.call}\n{duration(span.duration_ns)}".strip()
