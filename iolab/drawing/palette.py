"""One look for each state, everywhere: a colour that colour-blind readers can tell apart, and a hatch as well.

The colours are Okabe and Ito's (2008), the standard palette for figures that everybody should be able to read.
"""

from typing import NamedTuple

INK, FAINT = "#222222", "#6A6A6A"  # on white 16 : 1 and 5.4 : 1; WCAG 2.2 asks 4.5 : 1 of small text


class Look(NamedTuple):
    """`colour` and `hatch` of a bar, and what the state means, in the words of a legend."""

    colour: str
    hatch: str
    meaning: str


LOOKS = {
    "peer": Look("#CC79A7", "", "the sender sends"),
    "device": Look("#CC79A7", "xx", "the device works"),
    "queued": Look("#0072B2", "", "bytes lie in the kernel"),
    "user": Look("#009E73", "", "between named calls: own code, or no CPU"),
    "call": Look("#56B4E9", "", "in a call, awake"),
    "refused": Look("#E69F00", "||", "polls: asked, and got \u201cnot yet\u201d (EAGAIN)"),
    "blocked": Look("#DDDDDD", "//", "asleep in a call"),
    "runnable": Look("#F0E442", "..", "waits for a CPU"),
    "handover": Look("#E8B48C", "\\\\", "handover: wake-up, or wake-up + copy not told apart"),
    "copy": Look("#D55E00", "", "copy (by the clock alone: a whole call, never asleep)"),
}

# Ready says "you may call", complete says "it is done": the heads differ.
# Each: the head, the line, a sign for the legend, the meaning.
ARROWS = {
    "data": ("-|>", "-", "—▶", "data comes"),
    "wake-up": ("-|>", "-", "—▶", "wake-up: go on"),
    "ready": ("->", "-", "→", "ready: you may call"),
    "signal": ("->", "--", "⇢", "signal: you may call"),
    "complete": ("-|>", "-", "▶▶", "complete: it is done"),
}
