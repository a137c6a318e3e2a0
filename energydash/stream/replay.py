"""Event time to wall time: what is sent when. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from energydash.schema import FacilityRecord, MarketRecord


class Interval(msgspec.Struct, frozen=True):
    """All records of one interval."""

    moment: datetime
    facilities: list[FacilityRecord]
    market: list[MarketRecord]


def merged(
    facilities: Iterable[tuple[datetime, list[FacilityRecord]]],
    market: Iterable[tuple[datetime, list[MarketRecord]]],
) -> Iterator[Interval]:
    """Merge two streams, each in event-time order, so that all of an interval comes before any of the next."""
    left, right = iter(facilities), iter(market)
    stations, values = next(left, None), next(right, None)
    while stations or values:
        moment = min(head[0] for head in (stations, values) if head)
        here: list[FacilityRecord] = []
        there: list[MarketRecord] = []
        if stations and stations[0] == moment:
            here = stations[1]
            stations = next(left, None)
        if values and values[0] == moment:
            there = values[1]
            values = next(right, None)
        yield Interval(moment, here, there)


class Pacer:
    """An absolute clock: event `e` is due at `started + (e - origin) / speed`, so that nothing drifts.

    What lies at or before the origin is due at once, and what is late is due at once too. `speed` is event seconds
    per wall second, None for no waiting at all; `started` is a monotonic time in seconds.
    """

    def __init__(self, speed: float | None, started: float, origin: datetime) -> None:
        self._speed = speed
        self._started = started
        self._origin = origin

    def due(self, moment: datetime) -> float:
        """Give the monotonic time at which an event is to be sent."""
        if self._speed is None:
            return self._started
        return self._started + max((moment - self._origin).total_seconds(), 0.0) / self._speed
