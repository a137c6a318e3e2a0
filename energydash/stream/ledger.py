"""What was sent: the newest of everything, and what a later reading of the tables adds. Pure."""

from datetime import datetime, timedelta

from energydash.schema import FacilityLatest, FacilityRecord, MarketLatest, MarketRecord
from energydash.stream.replay import Interval

REVISED_WITHIN = timedelta(hours=2)
"""How far back values that come late or are revised are looked for."""

_MarketKey = tuple[str, str, str | None]


def _market_key(record: MarketRecord) -> _MarketKey:
    return record.network_code, record.metric, record.network_region


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
            key = _market_key(value)
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


class Ledger:
    """What was sent lately, so that tables read again give only what is new, late or revised."""

    def __init__(self) -> None:
        self._facilities: dict[datetime, dict[str, FacilityRecord]] = {}
        self._market: dict[datetime, dict[_MarketKey, MarketRecord]] = {}

    @property
    def facilities_after(self) -> datetime | None:
        """The time after which facilities are to be read again; None for all of it."""
        return _after(self._facilities)

    @property
    def market_after(self) -> datetime | None:
        """Likewise for the market, whose table may be renewed a moment later."""
        return _after(self._market)

    def news(self, interval: Interval) -> Interval | None:
        """Give the interval without what was sent in the same words; None if nothing is left."""
        facilities = self._facilities.get(interval.moment, {})
        market = self._market.get(interval.moment, {})
        if not facilities and not market:
            return interval
        stations = [r for r in interval.facilities if facilities.get(r.facility_id) != r]
        values = [v for v in interval.market if market.get(_market_key(v)) != v]
        return Interval(interval.moment, stations, values) if stations or values else None

    def sent(self, interval: Interval) -> None:
        """Remember an interval, and forget what is too old to be revised."""
        moment = interval.moment
        if interval.facilities:
            sent = {record.facility_id: record for record in interval.facilities}
            self._facilities[moment] = self._facilities.get(moment, {}) | sent
            _forget(self._facilities)
        if interval.market:
            values = {_market_key(value): value for value in interval.market}
            self._market[moment] = self._market.get(moment, {}) | values
            _forget(self._market)


def _after[T](sent: dict[datetime, T]) -> datetime | None:
    return max(sent) - REVISED_WITHIN if sent else None


def _forget[T](sent: dict[datetime, T]) -> None:
    horizon = max(sent) - REVISED_WITHIN
    while (oldest := min(sent)) <= horizon:
        del sent[oldest]
