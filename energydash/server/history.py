"""The last day of the grid in columns: a row of numbers for each interval, a column for each facility. Pure.

What is kept is bounded in event time, in intervals, in facilities and in market series, whatever arrives.
"""

import math
from array import array
from collections.abc import Iterable
from datetime import datetime, timedelta

import numpy as np

from energydash import nem, schema

MAX_FACILITIES = 2_000
"""Facilities that are known at once: some four times those of Australia."""

MAX_PARTS = 4_000
"""Fuels of facilities with several, counted over all of them."""

MAX_SERIES = 500
"""Series of the market (network, metric, region) that are known at once."""

MarketKey = tuple[str, str, str | None]

_NOTHING = math.nan


class FullError(Exception):
    """A record of something new for which there is no room."""


class Interval:
    """One interval: MW and t CO2 by column (NaN: none), MW by part for the facilities with several fuels, and the market."""

    __slots__ = ("emissions", "kind", "market", "parts", "power")
    ABSENT, PLAIN, MIXED = 0, 1, 2

    def __init__(self) -> None:
        self.kind = bytearray()
        self.power = array("d")
        self.emissions = array("d")
        self.parts = array("d")
        self.market: dict[MarketKey, float | None] = {}

    def has(self, column: int) -> bool:
        """Whether the column's facility has a record here."""
        return column < len(self.kind) and self.kind[column] != Interval.ABSENT

    def widen(self, columns: int, parts: int) -> None:
        """Make room up to a number of columns and parts."""
        missing = columns - len(self.kind)
        if missing > 0:
            self.kind.extend(bytes(missing))
            self.power.extend([_NOTHING] * missing)
            self.emissions.extend([_NOTHING] * missing)
        if parts > len(self.parts):
            self.parts.extend([_NOTHING] * (parts - len(self.parts)))


class History:
    """Intervals by event time (NEM time), and which column is whose."""

    def __init__(self, length: timedelta) -> None:
        self.length = length
        # Labels off the five-minute grid are kept too, but not without end.
        self._most = max(64, 2 * math.ceil(length / nem.INTERVAL))
        self.newest: datetime | None = None
        self.columns: dict[str, int] = {}
        self.parts: dict[tuple[int, str], int] = {}
        self.rows: dict[datetime, Interval] = {}
        self._parts_of: dict[int, list[tuple[str, int]]] = {}
        self._series: set[MarketKey] = set()
        self._floor: datetime | None = None
        self._values_kept = array("l")

    # --- what arrives ---

    def advance(self, moment: datetime) -> None:
        """Move on to an interval, if it is newer, and forget those that are too old beside it."""
        if self.newest is not None and moment <= self.newest:
            return
        self.newest = moment
        horizon = moment - self.length
        if self._floor is None or self._floor < horizon:
            self._floor = horizon
        self._forget([m for m in self.rows if not self.keeps(m)])

    def keeps(self, moment: datetime) -> bool:
        """Whether an interval is young enough to be kept."""
        return self._floor is None or moment > self._floor

    def column(self, code: str) -> int:
        """Give a facility's column, a new one to a new facility.

        Raises:
            FullError: there are too many facilities.
        """
        column = self.columns.get(code)
        if column is None:
            if len(self.columns) >= MAX_FACILITIES:
                raise FullError
            column = self.columns[code] = len(self.columns)
            self._values_kept.append(0)
        return column

    def put(self, record: schema.FacilityRecord, moment: datetime, column: int) -> bool:
        """Keep a facility's value; False where it says what was there.

        Raises:
            FullError: it has too many fuels.
        """
        mix = record.by_fuel if record.by_fuel and record.power is not None else {}
        parts = [self._part(column, fuel) for fuel in mix]
        row = self._row(moment)
        if row is None:
            return False
        row.widen(column + 1, max(parts, default=-1) + 1)
        power = _NOTHING if record.power is None else record.power
        emissions = _NOTHING if record.emissions is None else record.emissions
        same = (
            row.kind[column] == (Interval.MIXED if mix else Interval.PLAIN)
            and _same(row.power[column], power)
            and _same(row.emissions[column], emissions)
            and self._mix(row, column) == mix
        )
        if same:
            return False
        self._values_kept[column] += (power == power) - _is_there(row.power[column])  # noqa: PLR0124 (NaN)
        row.kind[column] = Interval.MIXED if mix else Interval.PLAIN
        row.power[column] = power
        row.emissions[column] = emissions
        for _, part in self._parts_of.get(column, ()):
            if part < len(row.parts):
                row.parts[part] = _NOTHING
        for part, value in zip(parts, mix.values(), strict=True):
            row.parts[part] = value
        return True

    def put_market(self, record: schema.MarketRecord, moment: datetime, key: MarketKey) -> bool:
        """Keep a value of the market; False where it says what was there."""
        row = self._row(moment)
        if row is None or (key in row.market and row.market[key] == record.value):
            return False
        row.market[key] = record.value
        return True

    def know(self, key: MarketKey) -> None:
        """Make sure that there is room for a series of the market.

        Raises:
            FullError: there are too many.
        """
        if key not in self._series:
            if len(self._series) >= MAX_SERIES:
                raise FullError
            self._series.add(key)

    # --- what is asked ---

    def has(self, moment: datetime, code: str) -> bool:
        """Whether a facility has a record in an interval."""
        row, column = self.rows.get(moment), self.columns.get(code)
        return row is not None and column is not None and row.has(column)

    def reporting(self, moment: datetime | None) -> int:
        """Count the facilities with a value in an interval."""
        row = self.rows.get(moment) if moment else None
        return sum(map(_is_there, row.power)) if row else 0

    def reports(self, code: str) -> bool:
        """Whether a facility has had a value in any interval kept."""
        column = self.columns.get(code)
        return column is not None and self._values_kept[column] > 0

    def facility(self, code: str) -> schema.FacilityValues:
        """Give every value kept of one facility, oldest first."""
        column = self.columns.get(code, -1)
        moments = [m for m in sorted(self.rows) if column >= 0 and self.rows[m].has(column)]
        rows = [self.rows[m] for m in moments]
        # One facility has one mix at a time: the newest stands for all.
        mixes = [mix for row in rows if (mix := self._mix(row, column))]
        return schema.FacilityValues(
            times=tuple(moments),
            at=tuple(range(len(moments))),
            facility_id=(code,) * len(moments),
            power=tuple(_or_none(row.power[column]) for row in rows),
            emissions=tuple(_or_none(row.emissions[column]) for row in rows),
            by_fuel={code: mixes[-1]} if mixes else {},
        )

    def mixes(self, code: str) -> list[dict[str, float]]:
        """Give MW by fuel for each value of `facility`; empty where it has one fuel."""
        column = self.columns.get(code, -1)
        rows = (self.rows[m] for m in sorted(self.rows))
        return [self._mix(row, column) for row in rows if column >= 0 and row.has(column)]

    def market(self, network: str, metric: str) -> tuple[schema.MarketRecord, ...]:
        """Give every value kept of one metric of a network and its regions, oldest first."""
        return tuple(
            schema.MarketRecord(
                network_code=key[0],
                metric=key[1],
                network_region=key[2],
                event_time=moment,
                value=self.rows[moment].market[key],
            )
            for moment in sorted(self.rows)
            for key in ordered(self.rows[moment].market)
            if key[:2] == (network, metric)
        )

    def _mix(self, row: Interval, column: int) -> dict[str, float]:
        return {
            fuel: row.parts[part]
            for fuel, part in sorted(self._parts_of.get(column, ()))
            if part < len(row.parts) and _is_there(row.parts[part])
        }

    def _part(self, column: int, fuel: str) -> int:
        key = (column, fuel)
        part = self.parts.get(key)
        if part is None:
            if len(self.parts) >= MAX_PARTS:
                raise FullError
            part = self.parts[key] = len(self.parts)
            self._parts_of.setdefault(column, []).append((fuel, part))
        return part

    def _row(self, moment: datetime) -> Interval | None:
        """Give an interval's row; None where it is older than the oldest of as many as may be kept."""
        if not self.keeps(moment):
            return None
        row = self.rows.get(moment)
        if row is None:
            row = self.rows[moment] = Interval()
            if len(self.rows) > self._most:
                oldest = min(self.rows)
                self._floor = oldest
                self._forget([oldest])
                if oldest == moment:
                    return None
        return row

    def _forget(self, moments: Iterable[datetime]) -> None:
        for moment in moments:
            there = ~np.isnan(np.frombuffer(self.rows.pop(moment).power, float))
            kept = np.frombuffer(self._values_kept, np.dtype("l"))
            kept[: len(there)] -= there


def ordered(keys: Iterable[MarketKey]) -> list[MarketKey]:
    """Give keys of the market by network, metric and region, the network's own first."""
    return sorted(keys, key=lambda key: (key[0], key[1], key[2] or ""))


def _is_there(value: float) -> bool:
    return not math.isnan(value)


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
