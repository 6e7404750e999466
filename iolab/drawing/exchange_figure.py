"""Who called whom, and what was said: a sequence from top to bottom, without any scale of time.

    program                 kernel and port                  peer
       │── WSARecv ─────────────>│                             │
       │<──────────── pending ───│▒ in flight                  │
       │                         │▒<──────── send ─────────────│
       │<──────────── a packet ──│                             │

Two facts that surprise:
* An operation has a life of its own, from the call that starts it until its packet is taken: the bar in the middle.
  All that time buffer and OVERLAPPED are the kernel's, whatever the program calls meanwhile.
* A figure may have no scale of time and still be measured: where times would be another system's, order is what counts.
"""

from collections.abc import Sequence

from iolab.drawing.palette import FAINT, INK, LOOKS
from iolab.drawing.picture import Picture

PROGRAM, KERNEL, PEER = "program", "kernel, with the port", "peer"
PLACES = {PROGRAM: 0.02, KERNEL: 0.62, PEER: 0.97}
HEAD_IN, ROW_IN, FOOT_IN, WIDTH_IN = 1.0, 0.47, 0.12, 9.6
PENDING, PACKET = "pending", "a packet"
BUFFER, FLIGHT = LOOKS["copy"].colour, LOOKS["queued"].colour


def draw_exchange(steps: Sequence[Sequence[str]], origin: str) -> Picture:
    """`steps`: [who, what was called, what it said], as recording.port_steps.one_read has them; `origin` signs it.

    ValueError for none, or for somebody who is neither the program nor the peer.
    """
    wrong = [who for who, *_ in steps if who not in (PROGRAM, PEER)]
    if not steps or wrong:
        raise ValueError(f"steps must hold steps of the {PROGRAM} and of the {PEER}, not {wrong or steps!r}")
    height = HEAD_IN + ROW_IN * len(steps) + FOOT_IN
    spoken = "; ".join(f"{who}: {call}: {said}" for who, call, said in steps)
    picture = Picture(WIDTH_IN, height, f"{finding(steps)}. In this order: {spoken}. {origin}")
    picture.headline(1 - 0.2 / height, finding(steps))
    lines = f"{origin} · the order is measured; times are not shown".replace(". Not run here", ".\nNot run here")
    picture.text(0.015, 1 - 0.34 / height, lines, fontsize=7.5, color=FAINT, va="top", linespacing=1.3)
    axes = picture.add_axes((0.03, FOOT_IN / height, 0.94, ROW_IN * (len(steps) + 0.6) / height))
    axes.set_xlim(0, 1)
    axes.set_ylim(len(steps) - 0.25, -0.85)
    axes.set_axis_off()
    for name, x in PLACES.items():
        axes.plot([x, x], [-0.45, len(steps) - 0.3], color=FAINT, linewidth=0.9)
        sides = {PROGRAM: "left", KERNEL: "center", PEER: "right"}
        axes.text(x, -0.55, name, fontsize=8.5, fontweight="bold", color=INK, ha=sides[name], va="bottom")
    _draw_flight(axes, steps)
    for row, (who, call, said) in enumerate(steps):
        _draw_step(axes, row, who, call, said)
    return picture


def finding(steps: Sequence[Sequence[str]]) -> str:
    """What the figure says, as its title."""
    begin, end = _flight(steps)
    if begin is None or end is None:
        return "Nothing was pending" if begin is None else "An operation is in flight"
    asked, brought = steps[begin][1].partition("(")[0], steps[end][2].rpartition(", ")[2]
    return f"{asked} asked before there was a byte; the packet says: {brought} are in the buffer"


def _flight(steps: Sequence[Sequence[str]]) -> tuple[int | None, int | None]:
    """The rows in which the operation became pending, and in which its packet was handed out."""
    begin = next((row for row, step in enumerate(steps) if step[2].startswith(PENDING)), None)
    end = next((row for row, step in enumerate(steps) if step[2].startswith(PACKET)), None)
    return begin, end


def _draw_flight(axes, steps: Sequence[Sequence[str]]) -> None:
    begin, end = _flight(steps)
    if begin is None:
        return
    low, high = begin + 0.1, (len(steps) if end is None else end) + 0.02
    axes.broken_barh(
        [(PLACES[KERNEL] - 0.006, 0.012)], (low, high - low), facecolor=FLIGHT, edgecolor=INK, linewidth=0.5
    )
    axes.text(PLACES[KERNEL] + 0.014, (low + high) / 2 - 0.5, "in flight:\nbuffer and OVERLAPPED\nare the kernel's",
              fontsize=7.5, color=FLIGHT, va="center")  # fmt: skip


def _draw_step(axes, row: int, who: str, call: str, said: str) -> None:
    """A call goes to the kernel, its answer comes back; a look at one's own memory goes nowhere."""
    here, kernel = PLACES[who], PLACES[KERNEL]
    if "(" not in call:
        axes.plot([here], [row], marker="o", markersize=4, color=BUFFER)
        axes.text(here + 0.015, row, f"{call}: {said}", fontsize=8, color=INK, va="center")
        return
    edge = 0.008 if here < kernel else -0.008
    for at, begin, end, line in ((row - 0.14, here, kernel - edge, "-"), (row + 0.14, kernel - edge, here, "--")):
        axes.annotate("", xy=(end, at), xytext=(begin, at), arrowprops={
            "arrowstyle": "-|>", "linestyle": line, "linewidth": 0.9, "color": INK, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8})  # fmt: skip
    near, side = (here + 0.015, "left") if here < kernel else (here - 0.015, "right")
    far, other = (kernel - 0.02, "right") if here < kernel else (near, side)
    back = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    axes.text(near, row - 0.14, call, fontsize=8, color=INK, ha=side, va="center", bbox=back)
    axes.text(far, row + 0.14, said, fontsize=8, color=INK, ha=other, va="center", bbox=back)
