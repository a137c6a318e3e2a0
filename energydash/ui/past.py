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
_LEAST_WIDTH = 64


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


class _Slot(msgspec.Struct, frozen=True):
    """An interval: MW and t CO2 by column, NaN where there is no value; `heard` is the version of the stream's last word on it."""

    tick: int
    version: int
    heard: int
    power: Numbers
    emissions: Numbers

    def widened(self, width: int) -> "_Slot":
        """Give a copy with room for so many columns, which may be written until it is handed on."""
        power, emissions = _nothing(width), _nothing(width)
        power[: len(self.power)] = self.power
        emissions[: len(self.power)] = self.emissions
        return msgspec.structs.replace(self, power=power, emissions=emissions)


class _Ring(msgspec.Struct, frozen=True):
    """A day of intervals, each in the place that its number gives it; all slots have the same width."""

    columns: dict[str, int] = {}
    width: int = _LEAST_WIDTH
    newest: int = _NEVER
    slots: tuple[_Slot | None, ...] = (None,) * _SLOTS

    def at(self, tick: int) -> _Slot | None:
        """Give an interval, if anything of it is known."""
        slot = self.slots[tick % _SLOTS]
        return slot if slot is not None and slot.tick == tick else None

    def lately(self, tick: int) -> list[_Slot]:
        """Give an interval and those before it whose values still count, the newest first."""
        back = (self.at(tick - n) for n in range(_LOOK_BACK + 1))
        return [slot for slot in back if slot is not None]


class Past:
    """MW and t CO2 by interval and station, written by one thread and read by any: what was read once does not change."""

    def __init__(self) -> None:
        self._ring = _Ring()

    @property
    def newest(self) -> datetime | None:
        """The newest interval of which anything is known."""
        last = self._ring.newest
        return None if last == _NEVER else _moment(last)

    def put(
        self, values: schema.FacilityValues, version: int, asked_at: int | None = None
    ) -> None:
        """Keep values; a later one replaces an earlier one of the same station and interval.

        An answer that was asked for at the version `asked_at` leaves alone the intervals that were heard of since.
        """
        ticks = [_tick(moment) for moment in values.times]
        ring = self._with_room(values.facility_id, max(ticks, default=_NEVER))
        # None of these share a place, because all of them are within one day.
        open_: dict[int, _Slot] = {
            tick: slot
            for tick in ticks
            if tick > ring.newest - _SLOTS
            and (slot := _opened(ring, tick, version, asked_at)) is not None
        }
        for code, at, power, emissions in zip(
            values.facility_id, values.at, values.power, values.emissions, strict=True
        ):
            slot, column = open_.get(ticks[at]), ring.columns.get(code)
            if slot is None or column is None:
                continue
            slot.power[column] = math.nan if power is None else power
            slot.emissions[column] = math.nan if emissions is None else emissions
        slots = list(ring.slots)
        for tick, slot in open_.items():
            slots[tick % _SLOTS] = slot
        self._ring = msgspec.structs.replace(ring, slots=tuple(slots))

    def _with_room(self, codes: Sequence[str], tick: int) -> _Ring:
        """Give the ring with a column for each station as far as there is room, and the newest interval noted."""
        ring = self._ring
        columns = ring.columns
        new = [code for code in dict.fromkeys(codes) if code not in columns]
        if new:
            columns = columns | {
                code: n for n, code in enumerate(new, len(columns)) if n < MAX_STATIONS
            }
        width, slots = ring.width, ring.slots
        while width < len(columns):
            width *= 2
        if width != ring.width:
            slots = tuple(slot and slot.widened(width) for slot in slots)
        return _Ring(columns, width, max(ring.newest, tick), slots)

    def instant(self, moment: datetime) -> Instant:
        """Give the grid as it stood in an interval."""
        ring = self._ring
        rows = ring.lately(_tick(moment))
        readings: dict[str, Reading] = {}
        for slot in reversed(rows):
            then = _moment(slot.tick)
            numbers = zip(
                ring.columns, slot.power.tolist(), slot.emissions.tolist(), strict=False
            )
            for code, power, emissions in numbers:
                if not math.isnan(power):
                    readings[code] = Reading(then, power, _known(emissions))
        return Instant(moment, _key(_tick(moment), rows), readings)

    def key(self, moment: datetime) -> tuple[int, int]:
        """Give what `Instant.key` would be, without making one."""
        tick = _tick(moment)
        return _key(tick, self._ring.lately(tick))

    def version(self, moment: datetime) -> int:
        """Give the version of the last change within an interval; 0 where nothing of it is known."""
        slot = self._ring.at(_tick(moment))
        return 0 if slot is None else slot.version

    def table(self, times: Sequence[datetime], codes: Sequence[str]) -> tuple[Numbers, Numbers]:
        """Give MW and t CO2, each of shape (times, codes), NaN where there is no value."""
        ring = self._ring
        columns = np.array([ring.columns.get(code, -1) for code in codes], np.intp)
        shape = (len(times), len(codes))
        power, emissions = np.full(shape, math.nan), np.full(shape, math.nan)
        known = np.flatnonzero(columns >= 0)
        where = columns[known]
        for i, moment in enumerate(times):
            slot = ring.at(_tick(moment))
            if slot is not None:
                power[i, known] = slot.power[where]
                emissions[i, known] = slot.emissions[where]
        return power, emissions


def _opened(ring: _Ring, tick: int, version: int, asked_at: int | None) -> _Slot | None:
    """Give a copy of an interval to write to; None where it was heard of since `asked_at`."""
    slot = ring.at(tick)
    if slot is None:
        slot = _Slot(tick, version, 0, _nothing(0), _nothing(0))
    elif asked_at is not None and slot.heard > asked_at:
        return None
    heard = slot.heard if asked_at is not None else version
    return msgspec.structs.replace(slot.widened(ring.width), version=version, heard=heard)


def _nothing(width: int) -> Numbers:
    return np.full(width, math.nan)


def _key(tick: int, rows: Sequence[_Slot]) -> tuple[int, int]:
    return tick, max((slot.version for slot in rows), default=0)


def _tick(moment: datetime) -> int:
    return int(moment.timestamp()) // _STEP_S


def _moment(tick: int) -> datetime:
    return datetime.fromtimestamp(tick * _STEP_S, UTC).astimezone(nem.NEM_ZONE)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
