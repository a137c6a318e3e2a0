"""Measures of the server's work that more than one module counts."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime

from energydash import schema

DELAY_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the histogram's buckets; what is slower still is in one more."""

LAG_BOUNDS_S = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 86400.0)
"""The same for the lag behind event time: the real grid's newest interval is some minutes old."""


class Delays:
    """A histogram of seconds."""

    def __init__(self, bounds_s: Sequence[float] = DELAY_BOUNDS_S) -> None:
        self.bounds_s = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one; a clock that was set back makes no time negative."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(self.bounds_s, seconds)] += 1
        self.total_s += seconds


def newest_in(frames: Iterable[schema.ServerFrame]) -> datetime | None:
    """Give the newest interval among new values, or None where there are none."""
    times: list[datetime] = []
    for frame in frames:
        match frame:
            case schema.InitialData() | schema.FacilityUpdate():
                times += frame.values.times
            case schema.MarketUpdate():
                times += (value.event_time for value in frame.values)
    return max(times, default=None)
