"""How often to ask again, and for what, so that a day's quota lasts the day. No I/O, no clock.

The figures follow from the API: a value appears 7 to 17 minutes after its interval, market values change for an hour,
missing units come within 12 hours, and next-day dispatch settles the last 48.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from energydash import nem, schema
from energydash.fetch.plan import duration

MARKET_REQUESTS = 2
"""The market as a whole, and by region."""

LEAST = timedelta(minutes=5)
"""The API has nothing new sooner."""

_HALVES = {nem.BATTERY_CHARGING, nem.BATTERY_DISCHARGING}
# For retries, the catalogue once a day, and a count that is five minutes old.
_SHARE = 0.96
_GROUPS_A_ROUND = 2.5
_OVERLAP = timedelta(minutes=60)
_DEEP, _DEEP_EVERY = timedelta(hours=12), timedelta(hours=2)
_FULL, _FULL_EVERY = timedelta(hours=48), timedelta(hours=24)
# One request of five-minute values may span eight days; who was away for longer fetches anew.
_LONGEST = timedelta(days=7)


class Cadence(msgspec.Struct, frozen=True, kw_only=True):
    """A round every `every`: the market and `groups` of the station groups, on average."""

    every: timedelta
    groups: float


def choose(
    *, every: timedelta, groups: int, budget: int | None, lasts: timedelta
) -> Cadence | None:
    """Give the shortest round of whole five minutes, no shorter than `every`, that `budget` requests allow until `lasts` is over.

    A round asks for the market and for two or three groups or, where the budget allows, for more. None where the budget is
    too small for a single round. Without a budget every round asks for everything.
    """
    shortest = max(1, math.ceil(every / LEAST))
    if budget is None:
        return Cadence(every=shortest * LEAST, groups=groups)
    least = MARKET_REQUESTS + min(groups, _GROUPS_A_ROUND)
    spare = budget * _SHARE
    for count in range(shortest, max(shortest, math.ceil(lasts / LEAST)) + 1):
        afforded = spare * (count * LEAST) / max(lasts, count * LEAST)
        if afforded >= least:
            return Cadence(every=count * LEAST, groups=min(groups, afforded - MARKET_REQUESTS))
    return None


def describe(cadence: Cadence, groups: int, *, plan: str, budget: int | None) -> str:
    """Say a cadence and why it is so."""
    every = duration(cadence.every.total_seconds())
    rest, at_once = groups - 1, cadence.groups - 1
    if at_once >= rest:
        text = f"a round every {every}: the market and all stations"
    else:
        sweep = duration(cadence.every.total_seconds() * rest / at_once)
        text = (
            f"a round every {every}: the market, the largest and most changing stations, and of the {rest} groups of "
            f"others {at_once:.2g} in turn, each about every {sweep}"
        )
    if budget is None:
        return text
    return (
        f"{text}; that is what the {budget} requests that the key ({plan}) has left today allow"
    )


class Turns:
    """Whose turn it is: the first group always, the others in turn."""

    def __init__(self, groups: Sequence[tuple[str, ...]]) -> None:
        self._groups = groups
        self._next = 0
        self._owed = 0.0

    def take(self, average: float) -> list[tuple[str, ...]]:
        """Give the groups of this round, so many that they are `average` (at least 1) over many rounds."""
        self._owed += average
        # Sums of fractions fall short of whole numbers by a hair.
        count = min(len(self._groups), math.floor(self._owed + 1e-9))
        self._owed -= count
        first, rest = self._groups[:1], self._groups[1:]
        chosen = [rest[(self._next + n) % len(rest)] for n in range(count - 1)]
        self._next += len(chosen)
        return [*first, *chosen]


class Reading(msgspec.Struct, frozen=True):
    """When something was last read 12 hours and 48 hours deep, and the newest label that there was."""

    deep: datetime
    full: datetime
    newest: datetime | None


class Overlaps:
    """From when on to read again what may have changed since it was last read: stations by code, or the market."""

    def __init__(self, newest: datetime | None) -> None:
        self._newest = newest
        self._readings: dict[Hashable, Reading] = {}

    def start(self, what: Iterable[Hashable], now: datetime) -> datetime:
        """Give the first label to ask for so that none of `what` lacks anything."""
        return max(now - _LONGEST, min(self._start(each, now) for each in what))

    def read(self, what: Iterable[Hashable], now: datetime, newest: datetime | None) -> None:
        """Note that these were read from `start` on, and the newest label that came."""
        for each in what:
            before = self._readings.get(each)
            overlap = _overlap(before, now)
            labels = (newest, before.newest if before else self._newest)
            self._readings[each] = Reading(
                deep=before.deep if before and overlap < _DEEP else now,
                full=before.full if before and overlap < _FULL else now,
                newest=max(filter(None, labels), default=None),
            )

    def _start(self, each: Hashable, now: datetime) -> datetime:
        reading = self._readings.get(each)
        newest = reading.newest if reading else self._newest
        return min(newest or now, now) - _overlap(reading, now)


def _overlap(reading: Reading | None, now: datetime) -> timedelta:
    if reading is None or now - reading.full >= _FULL_EVERY:
        return _FULL
    return _DEEP if now - reading.deep >= _DEEP_EVERY else _OVERLAP


def ranked(facilities: Sequence[schema.Facility], movement: Mapping[str, float]) -> list[str]:
    """Give the facilities' codes, those first whose values matter most and change most.

    The measure is MW: registered capacity, a battery counted once, plus what the units' power moves in an hour.
    """

    def weight(facility: schema.Facility) -> float:
        capacity = sum(
            unit.capacity_registered or 0.0
            for unit in facility.units
            if unit.fueltech_id not in _HALVES
            and unit.status_id in {"operating", "commissioning"}
        )
        moved = sum(movement.get(unit.code, 0.0) for unit in facility.units)
        return capacity + moved / nem.INTERVAL_HOURS

    return [each.code for each in sorted(facilities, key=lambda f: (-weight(f), f.code))]
