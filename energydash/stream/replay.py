"""Event time to wall time: what is sent when. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from energydash import nem
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
            there = sorted(values[1], key=_closes)
            values = next(right, None)
        yield Interval(moment, here, there)


def _closes(record: MarketRecord) -> bool:
    """Whether a value is a network's demand: it goes last, for a reader takes an interval that has it for whole."""
    return record.metric == "demand" and record.network_region is None


def market_key(record: MarketRecord) -> tuple[str, str, str | None]:
    """Give what tells a market value from the others of its interval."""
    return record.network_code, record.metric, record.network_region


def shifted(interval: Interval, by: timedelta) -> Interval:
    """Give an interval as if it had happened `by` later."""
    if not by:
        return interval
    replace = msgspec.structs.replace
    moment = interval.moment + by
    return Interval(
        moment,
        [replace(record, event_time=moment) for record in interval.facilities],
        [replace(value, event_time=moment) for value in interval.market],
    )


def rebase(first: datetime, now: datetime, last_sent: datetime | None) -> timedelta:
    """Give the shift that has a round which begins at `first` begin at the interval of `now`.

    Where an earlier round ran ahead of the present it begins right after it: for who listens, time never goes back.
    """
    begin = nem.floor_interval(now)
    if last_sent is not None:
        begin = max(begin, last_sent + nem.INTERVAL)
    return begin - nem.floor_interval(first)


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

    def pause(self, seconds: float) -> None:
        """Have all that is still to come wait for so much longer: a pause is not made up for."""
        self._started += seconds
