"""What was sent: the newest of everything, and what a later reading of the tables adds. Pure."""

from array import array
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime, timedelta
from hashlib import blake2b

from energydash import schema
from energydash.schema import FacilityLatest, FacilityRecord, MarketLatest, MarketRecord
from energydash.stream.replay import Interval, market_key

REVISED_WITHIN = timedelta(hours=48)
"""How far back values that come late or are revised are looked for: as far as `fetch --follow` looks."""

_MarketKey = tuple[str, str, str | None]


class Newest:
    """The newest record of every facility and of every market value."""

    def __init__(self) -> None:
        self._facilities: dict[str, FacilityRecord] = {}
        self._market: dict[_MarketKey, MarketRecord] = {}

    def take(self, interval: Interval) -> None:
        """Keep what is at least as new as what is there."""
        for record in interval.facilities:
            held = self._facilities.get(record.facility_id)
            if held is None or held.event_time <= record.event_time:
                self._facilities[record.facility_id] = record
        for value in interval.market:
            key = market_key(value)
            there = self._market.get(key)
            if there is None or there.event_time <= value.event_time:
                self._market[key] = value

    def facilities(self) -> FacilityLatest | None:
        """Give every facility's newest record, by code; None before the first."""
        if not self._facilities:
            return None
        records = tuple(self._facilities[code] for code in sorted(self._facilities))
        return FacilityLatest(
            event_time=max(record.event_time for record in records), facilities=records
        )

    def market(self) -> MarketLatest | None:
        """Give every market value's newest record; None before the first."""
        if not self._market:
            return None
        values = tuple(self._market.values())
        return MarketLatest(event_time=max(value.event_time for value in values), values=values)


class _Digests[R: FacilityRecord | MarketRecord]:
    """A digest of each record that was sent lately: a row of numbers for an interval, a column for a key.

    Two days of the NEM are 240,000 records: as numbers 2 MB, as records thirty times that.
    """

    def __init__(self, key: Callable[[R], Hashable]) -> None:
        self._key = key
        self._columns: dict[Hashable, int] = {}
        self.rows: dict[datetime, array[int]] = {}

    @property
    def after(self) -> datetime | None:
        return max(self.rows) - REVISED_WITHIN if self.rows else None

    def news(self, moment: datetime, records: list[R]) -> list[R]:
        row = self.rows.get(moment)
        if row is None:
            return records
        return [each for each in records if self._at(row, self._key(each)) != _digest(each)]

    def _at(self, row: "array[int]", key: Hashable) -> int:
        column = self._columns.get(key, len(row))
        return row[column] if column < len(row) else 0

    def sent(self, moment: datetime, records: Iterable[R]) -> None:
        row = self.rows.setdefault(moment, array("q"))
        for each in records:
            column = self._columns.setdefault(self._key(each), len(self._columns))
            if column >= len(row):
                row.extend([0] * (column + 1 - len(row)))
            row[column] = _digest(each)
        horizon = max(self.rows) - REVISED_WITHIN
        while (oldest := min(self.rows)) <= horizon:
            del self.rows[oldest]


def _digest(record: schema.Record) -> int:
    # Not `hash`, which another run would not know again.
    digest = blake2b(schema.encode(record), digest_size=8).digest()
    return int.from_bytes(digest, signed=True) or 1


def sum_of(interval: Interval) -> str:
    """Give a text that any other content of the interval, whatever its order, would have different."""
    return _sum(map(_digest, (*interval.facilities, *interval.market)))


def _sum(digests: Iterable[int]) -> str:
    return f"{sum(digests) % 2**64:016x}"


class Ledger:
    """What was sent lately, so that tables read again give only what is new, late or revised."""

    def __init__(self) -> None:
        self._facilities = _Digests[FacilityRecord](lambda record: record.facility_id)
        self._market = _Digests[MarketRecord](market_key)

    @property
    def facilities_after(self) -> datetime | None:
        """The time after which facilities are to be read again; None for all of it."""
        return self._facilities.after

    @property
    def market_after(self) -> datetime | None:
        """Likewise for the market, whose table may be renewed a moment later."""
        return self._market.after

    def news(self, interval: Interval) -> Interval | None:
        """Give the interval without what was sent in the same words; None if nothing is left."""
        stations = self._facilities.news(interval.moment, interval.facilities)
        values = self._market.news(interval.moment, interval.market)
        return Interval(interval.moment, stations, values) if stations or values else None

    def sums(self) -> dict[str, str]:
        """Give the sum (see `sum_of`) of what was sent of each interval, by its time."""
        moments = self._facilities.rows.keys() | self._market.rows.keys()
        return {
            moment.isoformat(): _sum(
                (*self._facilities.rows.get(moment, ()), *self._market.rows.get(moment, ()))
            )
            for moment in moments
        }

    def sent(self, interval: Interval) -> None:
        """Remember an interval, and forget what is too old to be revised."""
        if interval.facilities:
            self._facilities.sent(interval.moment, interval.facilities)
        if interval.market:
            self._market.sent(interval.moment, interval.market)
