"""What a calibration has found, as plain data: errors read by read, and what follows from them.

    claim   earliest ├────────┼───────────┤ latest          kept as three distances from the truth: −4,000  +700  +900
    truth               ┆                                   covered: the first is not above 0, the last not below it

All times are nanoseconds. A percentile is taken between the two nearest values, in proportion.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

from iolab.recording.stamp import Stamp

VERSION = 1
ONE_SIDED = 0.9  # of the errors: then they have a sign


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of them lie. ValueError without values."""
    if not values:
        raise ValueError("values must hold at least one number")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def distances(claim: Stamp, truth: Stamp) -> tuple[int, int, int]:
    """A claim and both ends of its interval as distances from the truth; 0 for an end within the truth's own interval."""

    def outside(ns: int) -> int:
        return ns - min(max(ns, truth.earliest_ns), truth.latest_ns)

    return claim.ns - truth.ns, outside(claim.earliest_ns), outside(claim.latest_ns)


@dataclass(frozen=True, slots=True)
class Row:
    """One boundary as `rung` claims it, measured by the claims of the rung `against`.

    `claims` has the `distances` of one claim a read: (error, earliest, latest). A Row without claims is not made.
    """

    boundary: str
    rung: str
    against: str
    claims: tuple[tuple[int, int, int], ...]

    def size_ns(self, percent: float) -> float:
        """A percentile of the error, without its sign."""
        return percentile([abs(error) for error, _, _ in self.claims], percent)

    @property
    def sign(self) -> str:
        """ "late" or "early" where nine in ten errors are, else "±"."""
        late, early = (sum(error * way > 0 for error, _, _ in self.claims) for way in (1, -1))
        enough = ONE_SIDED * len(self.claims)
        return "late" if late >= enough else "early" if early >= enough else "±"

    @property
    def covered(self) -> float:
        """The share of the claimed intervals, from 0 to 1, that hold the truth."""
        return sum(earliest <= 0 <= latest for _, earliest, latest in self.claims) / len(self.claims)

    @property
    def width_ns(self) -> float:
        """How wide the claimed intervals are: the median."""
        return median(latest - earliest for _, earliest, latest in self.claims)


@dataclass(frozen=True, slots=True)
class Series:
    """`reads` reads of one model and size, and where there is a witness as many beside it.

    `discarded`: reads that could not be used, by reason; `silent`: reads of which a rung had nothing to say, by rung and
    reason. Of the `chains` that were looked at, `complete` had all boundaries by trace points, and `ordered` in the
    order of the kernel's code, too; 0 of 0 without trace points. `lost`: events that found no room, None if not told.
    `traced_ns`, `untraced_ns` and `unprepared_ns`: from the last send() to the end of the read, the same read in turn
    with trace points on, off, and without their having been prepared; those that could not be used are left out.
    """

    model: str
    nbytes: int
    reads: int
    discarded: dict[str, int]
    silent: dict[str, int]
    chains: int
    complete: int
    ordered: int
    lost: int | None
    traced_ns: tuple[int, ...]
    untraced_ns: tuple[int, ...]
    unprepared_ns: tuple[int, ...]
    rows: tuple[Row, ...]

    def row(self, boundary: str, rung: str) -> Row | None:
        """One row; None where that rung claims nothing of it."""
        return next((row for row in self.rows if (row.boundary, row.rung) == (boundary, rung)), None)

    @property
    def ratio(self) -> float | None:
        """The traced median over the untraced one; None where nothing was traced."""
        both = self.traced_ns and self.untraced_ns
        return median(self.traced_ns) / median(self.untraced_ns) if both else None


@dataclass(frozen=True, slots=True)
class Calibration:
    """All series; `best` is the best rung of this machine, `missing` says why there is no better one."""

    best: str
    missing: dict[str, str]
    facts: dict
    series: tuple[Series, ...] = field(default=())

    def to_json(self) -> str:
        """The JSON that `from_json` reads: every error of every read."""
        return json.dumps({"version": VERSION} | asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """The Calibration of `to_json`; ValueError when the text is none, or of another version."""
        whole = json.loads(text)
        if not isinstance(whole, dict) or whole.pop("version", None) != VERSION:
            raise ValueError(f"not a Calibration of version {VERSION}")
        try:
            return cls(**whole | {"series": tuple(_series(**each) for each in whole["series"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a Calibration: {error}") from None


def _series(rows, **rest) -> Series:
    found = [Row(**row | {"claims": tuple(tuple(each) for each in row["claims"])}) for row in rows]
    return Series(
        rows=tuple(found), **{key: tuple(each) if isinstance(each, list) else each for key, each in rest.items()}
    )
