"""One station as the detail pane tells it: its facts, its units, its day. Pure."""

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec

from energydash import nem, schema
from energydash.ui import marks, numbers
from energydash.ui.past import Instant
from energydash.ui.selection import group_of
from energydash.ui.store import Store


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A named value as text; `id` is for who looks it up."""

    id: str
    label: str
    text: str


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """MW by interval, oldest first, and where the page's moment stands in it; `clock` labels each interval in NEM time."""

    power: tuple[float | None, ...] = ()
    clock: tuple[str, ...] = ()
    at: int = -1


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """The pane's content; `others` are (code, name) of stations under the same click."""

    code: str
    name: str
    fuel: str
    power: str
    factor: str
    share: float | None
    when: str
    facts: tuple[Fact, ...]
    units: tuple[tuple[str, str, str, str], ...]
    day: Day
    others: tuple[tuple[str, str], ...] = ()


def card(
    store: Store,
    facility: schema.FacilityInfo,
    instant: Instant,
    others: Sequence[schema.FacilityInfo] = (),
) -> Card:
    """Give a station's pane as of an instant."""
    reading = instant.of(facility.code)
    power = reading.power if reading else None
    used = marks.factor(facility, power)
    fuel = nem.fueltech(facility.fueltech)
    region = nem.REGION_BY_CODE.get(facility.region)
    facts = (
        Fact(id="code", label="Code", text=facility.code),
        Fact(id="region", label="Region", text=f"{region.name} ({region.code})" if region else facility.region),
        Fact(id="fuel", label="Main fuel", text=fuel.label),
        Fact(id="status", label="Status", text=facility.status),
        Fact(id="capacity", label="Registered capacity", text=numbers.megawatts(facility.capacity)),
        Fact(id="emissions", label="Emissions in 5 min", text=numbers.tonnes(reading.emissions if reading else None)),
        Fact(id="intensity", label="Emissions intensity", text=numbers.intensity(marks.intensity(reading))),
        Fact(id="mean", label="Capacity factor, 24 h", text=numbers.share(_mean_factor(store, facility))),
    )  # fmt: skip
    return Card(
        code=facility.code,
        name=facility.name,
        fuel=group_of(facility),
        power=numbers.megawatts(power),
        factor=f"{numbers.share(used)} of capacity" if used is not None else "",
        share=used,
        when=_when(instant.moment, reading.event_time if reading else None),
        facts=facts,
        units=tuple(
            (u.code, nem.fueltech(u.fueltech).label, u.status, numbers.megawatts(u.capacity))
            for u in facility.units
        ),
        day=day(store, facility, instant.moment),
        others=tuple((each.code, each.name) for each in others),
    )


def day(store: Store, facility: schema.FacilityInfo, moment: datetime) -> Day:
    """Give a station's power over the day; a missing value is None."""
    power, _ = store.past.table(store.times, [facility.code])
    return Day(
        power=tuple(None if math.isnan(mw) else round(mw, 2) for mw in power[:, 0].tolist()),
        clock=tuple(numbers.clock(each) for each in store.times),
        at=store.times.index(moment) if moment in store.times else -1,
    )


def _mean_factor(store: Store, facility: schema.FacilityInfo) -> float | None:
    """Give the mean of the day's known values as a share of capacity; what is charged or pumped counts as it is."""
    power, _ = store.past.table(store.times, [facility.code])
    known = [mw for mw in power[:, 0].tolist() if not math.isnan(mw)]
    return marks.factor(facility, sum(known) / len(known)) if known else None


def _when(moment: datetime, read_at: datetime | None) -> str:
    if read_at is None:
        return f"no data at {numbers.stamp(moment)} NEM time"
    late = "" if read_at == moment else "last value, "
    return f"{late}{numbers.stamp(read_at)} NEM time"


def neighbour(stations: Sequence[schema.FacilityInfo], code: str, step: int) -> str:
    """Give the code of the station `step` places on from one, by name, round and round; "" where there is none."""
    codes = [each.code for each in sorted(stations, key=lambda each: each.name.casefold())]
    if not codes:
        return ""
    if code not in codes:
        return codes[0]
    return codes[(codes.index(code) + step) % len(codes)]
