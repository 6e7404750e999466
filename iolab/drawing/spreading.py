"""Labels that stand side by side although what they mark lies close together."""

from collections.abc import Sequence


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places in the order of `wanted`, at least `gap` apart, in [low, high], near where they are wanted.

    ValueError when so many do not fit.
    """
    if gap * (len(wanted) - 1) > high - low:
        raise ValueError(f"{len(wanted)} labels with {gap} between them do not fit from {low} to {high}")
    groups: list[list[float]] = []  # each: the sum of wanted places of its first label, and how many it has
    for number, place in enumerate(wanted):
        groups.append([place - number * gap, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, count = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += count
    first = [total / count for total, count in groups for _ in range(count)]
    room = high - gap * (len(wanted) - 1)
    return [min(max(low, base), room) + number * gap for number, base in enumerate(first)]
