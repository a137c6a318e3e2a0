"""Every station's values over the last day, in a ring of intervals: what the page can travel through. Pure."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt

from energydash import nem, schema

Numbers = npt.NDArray[np.float64]

HISTORY = timedelta(hours=24)
"""How much event time is kept."""

FRESH = timedelta(minutes=30)
"""A station's value older than this is no longer its present one."""

MAX_STATIONS = 4_000
"""Stations that are kept at once; whoever comes after them has no past."""

_STEP_S = int(nem.INTERVAL.total_seconds())
_SLOTS = HISTORY // nem.INTERVAL
_LOOK_BACK = FRESH // nem.INTERVAL
_NEVER = -1


class Reading(msgspec.Struct, frozen=True):
    """A station's value: MW, t CO2 in the interval (None: unknown), and the interval that it is from."""

    event_time: datetime
    power: float | None
    emissions: float | None


class Instant(msgspec.Struct, frozen=True):
    """The whole grid as it stood in one interval; `key` is another one when anything in it has changed."""

    moment: datetime
    key: tuple[int, int]
    _readings: dict[str, Reading]

    def of(self, code: str) -> Reading | None:
        """Give a station's value in the interval, or its last one where that is not older than `FRESH`."""
        return self._readings.get(code)


class Past:
    """MW and t CO2 by interval and station; NaN where there is no value."""

    def __init__(self) -> None:
        self.columns: dict[str, int] = {}
        self._tick = np.full(_SLOTS, _NEVER, np.int64)
        self._version = np.zeros(_SLOTS, np.int64)
        self._heard = np.zeros(_SLOTS, np.int64)
        self._power = np.full((_SLOTS, 64), math.nan)
        self._emissions = np.full((_SLOTS, 64), math.nan)

    @property
    def newest(self) -> datetime | None:
        """The newest interval of which anything is known."""
        last = int(self._tick.max())
        return None if last == _NEVER else _moment(last)

    def put(
        self, values: schema.FacilityValues, version: int, asked_at: int | None = None
    ) -> None:
        """Keep values; a later one replaces an earlier one of the same station and interval.

        An answer that was asked for at the version `asked_at` leaves alone the intervals that were heard of since.
        """
        ticks = [_tick(moment) for moment in values.times]
        slots = [self._slot(tick, version, asked_at) for tick in ticks]
        for i, tick in enumerate(ticks):
            slot = slots[i]
            # Of two that are a day apart, the newer one has taken the older one's place.
            if slot is not None and self._tick[slot] != tick:
                slots[i] = None
        for code, at, power, emissions in zip(
            values.facility_id, values.at, values.power, values.emissions, strict=True
        ):
            slot, column = slots[at], self._column(code)
            if slot is None or column is None:
                continue
            self._power[slot, column] = math.nan if power is None else power
            self._emissions[slot, column] = math.nan if emissions is None else emissions

    def _slot(self, tick: int, version: int, asked_at: int | None) -> int | None:
        """Give an interval's row, cleared of the day before; None where it may not be written."""
        slot = tick % _SLOTS
        if self._tick[slot] > tick or tick <= int(self._tick.max()) - _SLOTS:
            return None
        if self._tick[slot] != tick:
            self._tick[slot] = tick
            self._power[slot] = self._emissions[slot] = math.nan
            self._heard[slot] = 0
        if asked_at is None:
            self._heard[slot] = version
        elif self._heard[slot] > asked_at:
            return None
        self._version[slot] = version
        return slot

    def _column(self, code: str) -> int | None:
        column = self.columns.get(code)
        if column is not None:
            return column
        if len(self.columns) >= MAX_STATIONS:
            return None
        column = self.columns[code] = len(self.columns)
        if column >= self._power.shape[1]:
            room = np.full(self._power.shape, math.nan)
            self._power = np.hstack([self._power, room])
            self._emissions = np.hstack([self._emissions, room])
        return column

    def instant(self, moment: datetime) -> Instant:
        """Give the grid as it stood in an interval."""
        tick = _tick(moment)
        rows = [
            slot
            for back in range(_LOOK_BACK + 1)
            if (slot := self._at(tick - back)) is not None
        ]
        readings: dict[str, Reading] = {}
        for slot in reversed(rows):
            then = _moment(int(self._tick[slot]))
            there = ~np.isnan(self._power[slot])
            power, emissions = self._power[slot].tolist(), self._emissions[slot].tolist()
            for code, column in self.columns.items():
                if there[column]:
                    readings[code] = Reading(then, power[column], _known(emissions[column]))
        return Instant(moment, self.key(moment), readings)

    def key(self, moment: datetime) -> tuple[int, int]:
        """Give what `Instant.key` would be, without making one."""
        tick = _tick(moment)
        rows = [
            slot
            for back in range(_LOOK_BACK + 1)
            if (slot := self._at(tick - back)) is not None
        ]
        return tick, int(self._version[rows].max(initial=0)) if rows else 0

    def version(self, moment: datetime) -> int:
        """Give the version of the last change within an interval; 0 where nothing of it is known."""
        slot = self._at(_tick(moment))
        return 0 if slot is None else int(self._version[slot])

    def _at(self, tick: int) -> int | None:
        slot = tick % _SLOTS
        return slot if self._tick[slot] == tick else None

    def table(self, times: Sequence[datetime], codes: Sequence[str]) -> tuple[Numbers, Numbers]:
        """Give MW and t CO2, each of shape (times, codes), NaN where there is no value."""
        columns = [self.columns.get(code, -1) for code in codes]
        shape = (len(times), len(codes))
        power, emissions = np.full(shape, math.nan), np.full(shape, math.nan)
        known = np.flatnonzero(np.array(columns) >= 0)
        where = np.array(columns, np.intp)[known]
        for i, moment in enumerate(times):
            slot = self._at(_tick(moment))
            if slot is not None:
                power[i, known] = self._power[slot, where]
                emissions[i, known] = self._emissions[slot, where]
        return power, emissions


def _tick(moment: datetime) -> int:
    return int(moment.timestamp()) // _STEP_S


def _moment(tick: int) -> datetime:
    return datetime.fromtimestamp(tick * _STEP_S, UTC).astimezone(nem.NEM_ZONE)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
