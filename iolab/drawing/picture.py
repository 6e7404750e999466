"""A figure that shows itself in a notebook without pyplot, and says in words what it shows."""

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from iolab.drawing.palette import ARROWS, INK, LOOKS

SHADES = 8
HEADLINE = 11
NARROWEST_LABEL = 14  # pixels: no word fits into less, and measuring text takes time


def _palette() -> Image.Image:
    """The colours that occur, and their ways to black and to white: a PNG of a third of the size, exact colours."""
    colours = [tuple(range_of * 255 // 31 for _ in range(3)) for range_of in range(32)]
    for look in LOOKS.values():
        base = [int(look.colour[at : at + 2], 16) for at in (1, 3, 5)]
        for shade in range(SHADES if len(set(base)) > 1 else 0):  # greys are there already
            colours.append(tuple(channel * (SHADES - shade) // SHADES for channel in base))
            colours.append(tuple(channel + (255 - channel) * shade // SHADES for channel in base))
    image = Image.new("P", (1, 1))
    image.putpalette([channel for colour in list(dict.fromkeys(colours))[:256] for channel in colour])
    return image


class Picture(Figure):
    """matplotlib's Figure with `alternative_text`: one or two sentences, for a reader who does not see it."""

    def __init__(self, width: float, height: float, alternative_text: str) -> None:
        super().__init__(figsize=(width, height), dpi=100, facecolor="white")
        FigureCanvasAgg(self)
        self.alternative_text = alternative_text

    def _repr_png_(self) -> bytes:
        raw = io.BytesIO()
        self.savefig(raw, format="png")
        small = io.BytesIO()
        image = Image.open(raw).convert("RGB").quantize(palette=_palette(), dither=Image.Dither.NONE)
        image.save(small, format="png", optimize=True)
        return small.getvalue()

    def __repr__(self) -> str:
        return self.alternative_text

    __str__ = __repr__

    def save(self, path: str) -> None:
        """Write a PNG, SVG or PDF, by the ending of `path`; text in an SVG stays text."""
        from matplotlib import rc_context

        with rc_context({"svg.fonttype": "none"}):
            self.savefig(path, metadata={"Title": self.alternative_text} if path.endswith(("svg", "png")) else None)

    def headline(self, height: float, text: str) -> None:
        """The finding, bold, at `height` of 1; smaller where it would not fit into the picture."""
        written = self.text(0.015, height, text, fontsize=HEADLINE, fontweight="bold", color=INK, va="center")
        while (
            written.get_window_extent(self.canvas.get_renderer()).x1 > 0.99 * self.bbox.x1
            and written.get_fontsize() > 6
        ):
            written.set_fontsize(written.get_fontsize() - 0.5)

    def text_fits(self, axes, text, low: float, high: float) -> bool:
        """Whether a Text lies within [low, high] of the axes' x, with a little air."""
        box = text.get_window_extent(self.canvas.get_renderer())
        edges = axes.transData.transform([(low, 0), (high, 0)])[:, 0]
        return box.x0 >= min(edges) + 2 and box.x1 <= max(edges) - 2


def graph_paper(axes) -> None:
    """Faint lines for the values on y, no frame above and on the right; the legend where there is room for it."""
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="upper left", frameon=False, fontsize=8.5)


def bar(axes, state: str, low: float, high: float, middle: float, height: float = 0.62, edge: float = 0.4) -> None:
    """One bar, horizontal, in the look of its state."""
    look = LOOKS[state]
    axes.broken_barh(
        [(low, high - low)], (middle - height / 2, height), facecolor=look.colour, hatch=look.hatch,
        edgecolor=INK, linewidth=edge,
    )  # fmt: skip


def label(picture: Picture, axes, low: float, high: float, middle: float, *choices: str, size: float = 8) -> bool:
    """Write the first of `choices` that fits between `low` and `high`; False when none does."""
    left, right = axes.get_xlim()
    low, high = max(low, left), min(high, right)
    if (high - low) / (right - left) * axes.bbox.width < NARROWEST_LABEL:
        return False
    for choice in choices:
        text = axes.text((low + high) / 2, middle, choice, ha="center", va="center", fontsize=size, color="black")
        text.set_bbox({"facecolor": "white", "alpha": 0.78, "edgecolor": "none", "pad": 1.2})
        if picture.text_fits(axes, text, low, high):
            return True
        text.remove()
    return False


def arrow(axes, kind: str, from_xy: tuple[float, float], to_xy: tuple[float, float]) -> None:
    """An arrow between two lanes in the look of its kind; `complete` has a second head."""
    style, line, _, _ = ARROWS[kind]
    for points_back in (0, 5) if kind == "complete" else (0,):
        axes.annotate(
            "", xy=to_xy, xytext=from_xy, annotation_clip=True, zorder=5,
            arrowprops={"arrowstyle": style, "linestyle": line, "linewidth": 1, "color": INK, "shrinkA": 0,
                        "shrinkB": points_back, "mutation_scale": 8},
        )  # fmt: skip


def legend(picture: Picture, states, arrows=(), bottom_inches: float = 0.12) -> None:
    """The states and arrows that occur, with their meaning, at the foot of the figure."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=look.colour, hatch=look.hatch, edgecolor=INK, linewidth=0.4, label=look.meaning)
        for state, look in LOOKS.items()
        if state in states
    ]
    for kind in (kind for kind in ARROWS if kind in arrows):
        _, _, sign, meaning = ARROWS[kind]
        handles.append(
            Line2D(
                [], [], color=INK, linewidth=0, marker=f"${sign}$", markersize=13, markeredgewidth=0.3, label=meaning
            )
        )
    picture.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.015, bottom_inches / picture.get_figheight()), ncols=3,
        frameon=False, fontsize=7.5, handlelength=2.2, handleheight=1.1, columnspacing=1.4, borderaxespad=0,
    )  # fmt: skip


def legend_inches(states, arrows=()) -> float:
    """How much room `legend` takes."""
    return 0.2 * -(-(len(set(states)) + len(set(arrows))) // 3) + 0.12
