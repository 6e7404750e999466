"""A moment as evidence knows it: a number, the interval in which the truth is claimed to lie, and who says so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment: `ns`, the truth claimed to lie in [earliest_ns, latest_ns], and the source of the claim."""

    ns: int
    earliest_ns: int
    latest_ns: int
    source: str

    def __post_init__(self) -> None:
        if not self.earliest_ns <= self.ns <= self.latest_ns:
            raise ValueError(f"a stamp must lie in its interval: {self.earliest_ns} <= {self.ns} <= {self.latest_ns}")

    def within(self, earliest_ns: int, latest_ns: int) -> "Stamp":
        """The same moment, known to lie between these as well; where both cannot be, the new bounds win."""
        low = min(max(self.earliest_ns, earliest_ns), latest_ns)
        high = max(min(self.latest_ns, latest_ns), low)
        return Stamp(min(max(self.ns, low), high), low, high, self.source)


def exact(ns: int, source: str = "clock") -> Stamp:
    """A stamp that this thread took itself."""
    return Stamp(ns, ns, ns, source)
