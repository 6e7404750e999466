"""The stage of the bookstore: what stands where, and the shapes of people and things, as SVG paths.

      street      |  shop: the kernel      | wall |   home: user space
      van ──>     |  shelf ... owner       counter|   order desk · telephone · door · desk · buffer
      x = 0      190                      450                                            1,240

Two drawers paint from these data: the player in JavaScript and the static strip in Python; so both look alike, and no
coordinate stands twice. A path is absolute and has M, L, Q, C and Z only. Where a fill says STATE, the colour is that
of the person's state, as in every figure; the posture says the same without colour.
"""

from typing import NamedTuple

from iolab.drawing.bookstore_cast import BENCH, COUNTER, DOOR, HOME, TELEPHONE, TRAYS, WAY
from iolab.drawing.palette import INK

WIDTH, HEIGHT, FLOOR, SCALE = 1240, 415, 340, 1.45
STATE = "state"  # a fill that depends on the person
SPOTS = {COUNTER: 518, TRAYS: 780, TELEPHONE: 906, DOOR: 905, HOME: 1092, BENCH: 340, WAY: 500}
APART = {COUNTER: 58, BENCH: 34, HOME: -56, TELEPHONE: -70, TRAYS: 40, DOOR: -60}  # to the next one at the same spot
WAY_FROM, WAY_TO, OWNER, VAN = 330, 1110, 396, 110
SHELF, BUFFER, ROWS, ROW_HEIGHT, BOOKS, BOOK_WIDTH = (216, 294), (1150, 1228), 3, 62, 6, 12
LEAN = 5 * SCALE  # a sleeper's head, and what is on it
LABELS = (13, 38, 63)  # below the floor, in turn: names of neighbours never meet
SHELF_TOP = FLOOR - ROWS * ROW_HEIGHT


class Shape(NamedTuple):
    """One path: absolute, or relative to the feet of a person or to the place of a thing."""

    path: str
    fill: str
    stroke: str = INK
    width: float = 1.2


def rect(x: float, y: float, width: float, height: float) -> str:
    return f"M {x} {y} L {x + width} {y} L {x + width} {y + height} L {x} {y + height} Z"


def circle(x: float, y: float, radius: float) -> str:
    r, k = radius, round(radius * 0.5523, 2)  # four Bézier curves: nobody sees the difference
    return (
        f"M {x - r} {y} C {x - r} {y - k} {x - k} {y - r} {x} {y - r} C {x + k} {y - r} {x + r} {y - k} {x + r} {y} "
        f"C {x + r} {y + k} {x + k} {y + r} {x} {y + r} C {x - k} {y + r} {x - r} {y + k} {x - r} {y} Z"
    )


WOOD, DARK_WOOD, SKIN, NONE = "#C8A27A", "#8A6844", "#F3D3B3", "none"
_head = [
    Shape(circle(0, -82, 13), SKIN),
    Shape("M -5 -84 L -5 -82 M 5 -84 L 5 -82 M -4 -76 Q 0 -73 4 -76", NONE, INK, 1.6),
]
_body = [Shape("M -17 -58 Q -17 -68 -8 -68 L 8 -68 Q 17 -68 17 -58 L 14 -24 L -14 -24 Z", STATE)]
_legs = [Shape("M -12 -24 L -12 0 L -3 0 L -2 -24 Z M 2 -24 L 3 0 L 12 0 L 12 -24 Z", "#4B5563")]
_stool = [Shape(rect(-16, -24, 34, 6), DARK_WOOD), Shape("M -12 -18 L -14 0 M 14 -18 L 16 0", NONE, DARK_WOOD, 3)]
_sitting = [
    Shape("M -13 -30 L 16 -30 L 16 0 L 8 0 L 8 -20 L -13 -20 Z", "#4B5563"),
    Shape("M -16 -62 Q -16 -71 -7 -71 L 6 -71 Q 14 -71 15 -62 L 13 -27 L -14 -27 Z", STATE),
]
_asleep = [
    Shape(circle(5, -83, 13), SKIN),
    Shape("M -3 -84 Q 0 -81 3 -84 M 8 -84 Q 11 -81 14 -84 M 3 -76 Q 5 -74 8 -76", NONE, INK, 1.6),
    Shape("M 22 -102 L 30 -102 L 22 -93 L 30 -93 M 33 -117 L 44 -117 L 33 -105 L 44 -105", NONE, INK, 2),
]
POSTURES = {
    "standing": [*_legs, *_body, *_head, Shape("M -16 -62 Q -24 -48 -18 -36 M 16 -62 Q 24 -48 18 -36", NONE, INK, 3)],
    "asking": [*_legs, *_body, *_head, Shape("M -15 -62 Q -28 -58 -34 -66 M 16 -62 Q 24 -48 18 -36", NONE, INK, 3)],
    "asleep": [*_stool, *_sitting, *_asleep, Shape("M -14 -60 Q -14 -44 2 -40 M 13 -60 Q 16 -46 4 -38", NONE, INK, 3)],
    "awake": [
        *_legs, *_body, *_head, Shape("M -16 -62 Q -30 -74 -22 -88 M 16 -62 Q 30 -74 22 -88", NONE, INK, 3),
        Shape("M -9 -122 L 9 -122 L -9 -100 L 9 -100 Z", "#FFFFFF", INK, 1.6),
    ],  # an hour-glass above the head
    "working": [*_stool, *_sitting, *_head, Shape("M -14 -60 Q -20 -46 -26 -48 M 13 -60 Q 2 -44 -26 -46", NONE, INK, 3)],
    "carrying": [
        Shape("M -12 -24 L -18 -1 L -9 0 L -1 -24 Z M 2 -24 L 12 0 L 21 -2 L 12 -24 Z", "#4B5563"),
        *_body, *_head, Shape("M -14 -60 Q 2 -42 26 -44 M 14 -60 Q 18 -50 28 -46", NONE, INK, 3),
    ],
}  # fmt: skip
ROLES = {
    "customer": [Shape("M -14 -84 Q -14 -98 0 -98 Q 14 -98 14 -84 Q 6 -92 -2 -91 Q -10 -90 -14 -84 Z", "#5B3A1E")],
    "helper": [Shape("M -14 -88 Q -12 -99 0 -99 Q 12 -99 14 -88 L 23 -86 L 23 -84 L -14 -86 Z", "#2F6F4F")],
    "worker": [Shape("M -15 -87 Q -13 -102 0 -102 Q 13 -102 15 -87 Z", "#E0A800"), Shape(rect(-18, -88, 36, 4), "#E0A800")],
    "owner": [
        Shape("M -13 -86 Q -16 -96 -9 -93 M 13 -86 Q 16 -96 9 -93", NONE, "#888888", 4),
        Shape(circle(-5, -83, 4.5), NONE, INK, 1.2), Shape(circle(5, -83, 4.5), NONE, INK, 1.2),
        Shape("M -10 -54 L 10 -54 L 12 -22 L -12 -22 Z", "#FFFFFF"),
    ],
}  # fmt: skip
OWNER_COLOUR = "#7A8CA3"
_shelf = [
    shape
    for low, high in (SHELF, BUFFER)
    for shape in [
        Shape(rect(low - 6, SHELF_TOP - 6, high - low + 12, FLOOR - SHELF_TOP + 6), "#F7EBDD"),
        *[
            Shape(rect(low - 6, FLOOR - row * ROW_HEIGHT - 5, high - low + 12, 5), DARK_WOOD, NONE, 0)
            for row in range(ROWS)
        ],
        Shape(rect(low - 6, SHELF_TOP - 6, high - low + 12, FLOOR - SHELF_TOP + 6), NONE, DARK_WOOD, 4),
    ]
]
SET = [
    Shape(rect(0, 0, 190, FLOOR), "#EAF2F8", NONE, 0),
    Shape(rect(190, 0, 260, FLOOR), "#DFE7F0", NONE, 0),
    Shape(rect(450, 0, 790, FLOOR), "#FCF6EA", NONE, 0),
    Shape(rect(0, FLOOR, 190, 75), "#C3C9D1", NONE, 0),
    Shape(rect(190, FLOOR, 260, 75), "#B9C4D2", NONE, 0),
    Shape(rect(450, FLOOR, 790, 75), "#E6D7BC", NONE, 0),
    *[Shape(f"M {x} 36 L {x + 26} 36 L {x + 26} 58 Q {x + 13} 74 {x} 58 Z", "#3D6F9E" if x % 4 else "#FFFFFF", INK, 0.8)
      for x in range(190, 450, 26)],
    Shape("M 0 370 L 30 370 M 60 370 L 90 370 M 120 370 L 150 370", NONE, "#FFFFFF", 4),
    Shape(circle(44, 84, 20), "#F8D96B", NONE, 0),
    Shape("M 96 112 Q 92 92 112 92 Q 118 76 136 84 Q 154 80 156 96 Q 170 98 168 112 Z", "#FFFFFF", "#B9C4D2"),
    *[Shape(rect(x, 68, 84, 84), fill, "#B9A98C", 3) for x, fill in ((560, "#DCEBF5"), (700, "#DCEBF5"))],
    Shape("M 602 68 L 602 152 M 560 110 L 644 110 M 742 68 L 742 152 M 700 110 L 784 110", NONE, "#B9A98C", 3),
    *_shelf,
    Shape("M 450 36 L 450 262", NONE, "#6B7787", 5),
]  # fmt: skip
COUNTER_TOP = [Shape(rect(430, 272, 40, FLOOR - 272), WOOD), Shape(rect(424, 264, 52, 9), DARK_WOOD)]
PROPS = {
    TRAYS: [
        Shape(rect(690, 288, 50, 52), WOOD), Shape("M 686 262 L 744 262 L 740 288 L 690 288 Z", "#FFFFFF"),
        Shape("M 684 236 L 746 236 L 741 256 L 689 256 Z", "#FFFFFF"), Shape("M 702 248 L 728 248 M 702 275 L 728 275", NONE, INK, 1.6),
    ],
    TELEPHONE: [
        Shape(rect(828, 296, 40, 6), DARK_WOOD), Shape("M 832 302 L 832 340 M 864 302 L 864 340", NONE, DARK_WOOD, 4),
        Shape("M 834 296 Q 836 280 842 280 L 854 280 Q 860 280 862 296 Z", "#333A44"), Shape(circle(848, 288, 5), "#FFFFFF"),
        Shape("M 830 278 Q 830 270 836 270 L 860 270 Q 866 270 866 278 L 859 278 L 857 275 L 839 275 L 837 278 Z", "#333A44"),
    ],
    DOOR: [
        Shape(rect(948, 238, 52, 102), "#B8895A"), Shape(circle(992, 292, 3), "#FFD54A"),
        Shape("M 964 226 Q 964 212 974 212 Q 984 212 984 226 Z", "#FFD54A"), Shape(circle(974, 228, 3), INK),
    ],
    HOME: [
        Shape(rect(1040, 292, 40, 5), DARK_WOOD), Shape("M 1044 297 L 1044 340 M 1076 297 L 1076 340", NONE, DARK_WOOD, 3),
        Shape("M 1044 291 L 1064 291 L 1062 274 L 1041 274 Z", "#6B7787"),
    ],
}  # fmt: skip
RINGING = {  # beside a thing that rings
    TELEPHONE: [Shape("M 822 266 Q 816 272 820 280 M 814 260 Q 804 272 812 284 M 874 266 Q 880 272 876 280 M 882 260 Q 892 272 884 284", NONE, "#B3261E", 2.5)],
    DOOR: [Shape("M 958 214 Q 952 220 956 228 M 990 214 Q 996 220 992 228 M 951 208 Q 942 220 949 232 M 997 208 Q 1006 220 999 232", NONE, "#B3261E", 2.5)],
}  # fmt: skip
VAN_SHAPES = [  # relative to its front wheel's place on the road
    Shape("M -84 -58 L 18 -58 L 18 -8 L -84 -8 Z", "#CC79A7"),
    Shape("M 18 -46 L 40 -46 Q 52 -30 54 -22 L 54 -8 L 18 -8 Z", "#B05C8C"),
    Shape("M 24 -40 L 37 -40 Q 44 -32 46 -26 L 24 -26 Z", "#EAF2F8"),
    Shape(circle(-58, -6, 10), "#333A44"), Shape(circle(32, -6, 10), "#333A44"),
    Shape(circle(-58, -6, 4), "#DDDDDD"), Shape(circle(32, -6, 4), "#DDDDDD"),
]  # fmt: skip
