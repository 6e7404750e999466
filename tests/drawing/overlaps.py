"""What is wrong with the texts of a figure, by the boxes in which they are drawn: for every test of a figure."""

import itertools

from matplotlib.text import Text


def overlapping(picture, slack: int = 1) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes intersect by more than `slack` pixels, and texts that leave the figure."""
    renderer = picture.canvas.get_renderer()
    picture.draw_without_rendering()
    outside = set()  # tick labels beyond the limits exist, and are not drawn
    for axis in itertools.chain.from_iterable((axes.xaxis, axes.yaxis) for axes in picture.axes):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                outside |= {tick.label1, tick.label2}
    texts = [
        text for text in picture.findobj(Text) if text.get_visible() and text.get_text().strip() and text not in outside
    ]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    right, top = picture.bbox.x1 + slack, picture.bbox.y1 + slack
    wrong = [
        (name, "leaves the figure")
        for name, box in boxes
        if not (box.x0 >= -slack and box.y0 >= -slack and box.x1 <= right and box.y1 <= top)
    ]
    for (one, box), (other, second) in itertools.combinations(boxes, 2):
        across = box.x0 < second.x1 - slack and second.x0 < box.x1 - slack
        if across and box.y0 < second.y1 - slack and second.y0 < box.y1 - slack:
            wrong.append((one, other))
    return wrong
