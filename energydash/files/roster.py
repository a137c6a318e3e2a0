"""Who stands where: every unit of the catalogue has a row, and the sums of arithmetic are runs of rows."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from energydash import nem, schema
from energydash.errors import FileError
from energydash.files.stations import BATTERY_HALVES, place

Indexes = NDArray[np.intp]

# What a sound value may go beyond the unit's capacity, and below zero, as a share of that capacity.
_OVER = 1.1
_UNDER = -0.1
_QUOTED = frozenset(',"\r\n')
_SIGNED = frozenset({nem.BATTERY, nem.PUMPS, *BATTERY_HALVES})


class Roster(msgspec.Struct, frozen=True, kw_only=True):
    """The catalogue as arrays.

    Unit rows are sorted by facility, fuel technology and code, so that units of a facility and fuel (`group_starts`) are
    runs. The `…_texts` are what CSV says on every day: of a facility its code, of a unit its facility, code and fuel, of a facility
    its longitude and latitude. `fuels` are the facility's fuels with a battery's units as one: the group of the fuel itself (`own`) and
    of the battery's halves, -1 where there is none. `low` and `high` bound sound MW; NaN without a capacity.
    """

    facilities: tuple[str, ...]
    units: tuple[str, ...]
    fueltechs: tuple[str, ...]
    facility_texts: tuple[str, ...]
    unit_texts: tuple[str, ...]
    place_texts: tuple[str, ...]
    row_of: dict[str, int]
    facility_of: Indexes
    loads: NDArray[np.bool_]
    group_starts: Indexes
    fuels: tuple[str, ...]
    fuel_starts: Indexes
    own: Indexes
    halves: tuple[Indexes, Indexes]
    longitudes: NDArray[np.float64]
    latitudes: NDArray[np.float64]
    several_fuels: NDArray[np.bool_]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def roster(catalogue: schema.FacilitiesAnswer) -> Roster:
    """Give the rows of a catalogue; of two units with one code, the later counts.

    Raises:
        FileError: it has no unit.
    """
    known = {unit.code: (f.code, unit) for f in catalogue.data for unit in f.units}
    if not known:
        raise FileError("facilities_data.json has no unit: run `energydash fetch` again")
    rows = sorted(
        (facility, unit.fueltech_id, code, unit) for code, (facility, unit) in known.items()
    )
    groups = sorted({(facility, fuel) for facility, fuel, _, _ in rows})
    group_of = {group: index for index, group in enumerate(groups)}
    merged = sorted({(facility, _merged(fuel)) for facility, fuel in groups})
    facilities = sorted({facility for facility, _ in groups})
    places = {f.code: place(f) for f in catalogue.data}
    facility_of = _positions(facilities, [row[0] for row in rows])
    bounds = np.array([_bounds(unit) for *_, unit in rows], dtype=np.float64)
    return Roster(
        facilities=tuple(facilities),
        units=tuple(row[2] for row in rows),
        fueltechs=tuple(row[1] for row in rows),
        facility_texts=tuple(map(_csv, facilities)),
        unit_texts=tuple(
            f"{_csv(facility)},{_csv(code)},{_csv(fuel)}" for facility, fuel, code, _ in rows
        ),
        place_texts=tuple(_place_text(*places[code][:2]) for code in facilities),
        row_of={row[2]: index for index, row in enumerate(rows)},
        facility_of=facility_of,
        loads=np.array([row[1] in {nem.PUMPS, nem.BATTERY_CHARGING} for row in rows]),
        group_starts=_starts([group_of[row[0], row[1]] for row in rows]),
        fuels=tuple(fuel for _, fuel in merged),
        fuel_starts=_starts([facilities.index(facility) for facility, _ in merged]),
        own=np.array([group_of.get(fuel, -1) for fuel in merged]),
        halves=_halves(merged, group_of),
        longitudes=np.array([places[code][0] for code in facilities], dtype=np.float64),
        latitudes=np.array([places[code][1] for code in facilities], dtype=np.float64),
        several_fuels=np.array([places[code][2] for code in facilities]),
        low=bounds[:, 0],
        high=bounds[:, 1],
    )


def _csv(text: str) -> str:
    """Give a text as CSV wants it."""
    if not _QUOTED & {*text}:
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _place_text(longitude: float | None, latitude: float | None) -> str:
    return ",".join(
        "" if degrees is None else repr(degrees) for degrees in (longitude, latitude)
    )


def _merged(fueltech: str) -> str:
    return nem.BATTERY if fueltech in BATTERY_HALVES else fueltech


def _halves(
    merged: list[tuple[str, str]], group_of: dict[tuple[str, str], int]
) -> tuple[Indexes, Indexes]:
    charging, discharging = (
        np.array(
            [
                group_of.get((facility, half), -1) if fuel == nem.BATTERY else -1
                for facility, fuel in merged
            ]
        )
        for half in BATTERY_HALVES
    )
    return charging, discharging


def _positions(names: list[str], of: list[str]) -> Indexes:
    index = {name: position for position, name in enumerate(names)}
    return np.array([index[name] for name in of])


def _starts(groups: list[int]) -> Indexes:
    """Give where each run of equal numbers begins."""
    numbers = np.array(groups)
    return np.flatnonzero(np.concatenate([[True], numbers[1:] != numbers[:-1]]))


def _bounds(unit: schema.Unit) -> tuple[float, float]:
    capacity = max(unit.capacity_registered or 0.0, unit.capacity_maximum or 0.0)
    if not capacity:
        return np.nan, np.nan
    under = -_OVER if unit.fueltech_id in _SIGNED else _UNDER
    return under * capacity, _OVER * capacity
