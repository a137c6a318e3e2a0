"""What can be asked of a span of time, and the columns that answer it. Pure.

A value is kept as a quotient of two columns: the mean of a span is then the sum of the one by the sum of the other, exact
for prices, shares and intensities alike, however long the span.
"""

from datetime import datetime
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from energydash import nem

Kind = Literal["region", "fuel", "station"]
Numbers = npt.NDArray[np.float64]

HOUR_MS = 3_600_000
INTERVAL_MS = round(nem.INTERVAL.total_seconds() * 1000)


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured, its unit, and of what."""

    id: str
    label: str
    unit: str
    kinds: tuple[Kind, ...]


METRICS = {
    metric.id: metric
    for metric in (
        Metric(id="power", label="Power", unit="MW", kinds=("region", "fuel", "station")),
        Metric(id="price", label="Price", unit="$/MWh", kinds=("region",)),
        Metric(id="demand", label="Demand", unit="MW", kinds=("region",)),
        Metric(id="renewables", label="Renewable share", unit="%", kinds=("region",)),
        Metric(id="emissions", label="Emissions", unit="t/h", kinds=("region", "fuel", "station")),
        Metric(
            id="intensity", label="Emissions intensity", unit="t/MWh", kinds=("region", "fuel", "station")
        ),
        Metric(
            id="capacity_factor", label="Capacity factor", unit="%", kinds=("region", "fuel", "station")
        ),
    )
}  # fmt: skip
"""By id. A region's power is what it generates, batteries and pumps left out; a fuel's and a station's is net."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of regions (or networks), of fuel groups in a `scope`, or of stations, over aware [start, end]."""

    kind: Kind
    names: tuple[str, ...]
    metric: str
    start: datetime
    end: datetime
    scope: str = nem.NETWORK


class Track(msgspec.Struct, frozen=True):
    """One line of an answer: a value for each interval is `over / under`; both are NaN where there is none."""

    name: str
    over: Numbers
    under: Numbers


class Tracks(msgspec.Struct, frozen=True, kw_only=True):
    """An answer on an even grid: interval i begins at `start_ms + i * step_ms` (milliseconds since 1970, UTC).

    `prices` ($/MWh) and `renewables` (%) are of the regions that the question is about.
    """

    start_ms: int
    step_ms: int
    tracks: tuple[Track, ...]
    prices: tuple[Track, ...] = ()
    renewables: tuple[Track, ...] = ()

    @property
    def length(self) -> int:
        """How many intervals there are."""
        return len(self.tracks[0].over) if self.tracks else 0


class Grid:
    """The even grid that holds some times; a time between two of its intervals belongs to the earlier one."""

    def __init__(self, times_ms: npt.NDArray[np.int64]) -> None:
        known = np.unique(times_ms)
        steps = np.diff(known)
        self.step_ms = (
            int(max(steps.min(initial=HOUR_MS * 24), INTERVAL_MS))
            if steps.size
            else INTERVAL_MS
        )
        self.start_ms = int(known[0]) if known.size else 0
        self.length = int((known[-1] - known[0]) // self.step_ms) + 1 if known.size else 0

    def place(self, times_ms: npt.NDArray[np.int64], values: Numbers) -> Numbers:
        """Give the values by interval; NaN where there is none."""
        row = np.full(self.length, np.nan)
        row[(times_ms - self.start_ms) // self.step_ms] = values
        return row

    @property
    def hours(self) -> float:
        """An interval's length, h."""
        return self.step_ms / HOUR_MS


def plain(name: str, values: Numbers) -> Track:
    """Give a track of values whose mean is a plain one."""
    return Track(name, values, np.where(np.isnan(values), np.nan, 1.0))


def quotient(name: str, over: Numbers, under: Numbers | float) -> Track:
    """Give a track of quotients; there is no value where either is missing or the divisor is not above zero."""
    below = np.broadcast_to(np.asarray(under, float), over.shape)
    there = ~np.isnan(over) & (below > 0)
    return Track(name, np.where(there, over, np.nan), np.where(there, below, np.nan))


def share(name: str, part: Numbers, whole: Numbers | float) -> Track:
    """Give a track of percentages."""
    return quotient(name, 100 * part, whole)
