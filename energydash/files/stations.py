"""Tables of the catalogue: every unit, and what a facility is on the whole. Pure functions."""

from collections import Counter
from typing import Any

import polars as pl

from energydash import nem, schema

BATTERY_HALVES = (nem.BATTERY_CHARGING, nem.BATTERY_DISCHARGING)

_OPERATING = "operating"
_COMMISSIONING = "commissioning"


def unit_table(catalogue: schema.FacilitiesAnswer) -> pl.DataFrame:
    """Give a row for every unit of the catalogue (`facility_units.csv`)."""
    rows = [
        {
            "facility_code": facility.code,
            "unit_code": unit.code,
            "fueltech_id": unit.fueltech_id,
            "status_id": unit.status_id,
            "capacity_registered": unit.capacity_registered,
            "capacity_maximum": unit.capacity_maximum,
            "capacity_storage": unit.capacity_storage,
            "emissions_factor_co2": unit.emissions_factor_co2,
            "dispatch_type": unit.dispatch_type,
            "data_first_seen": unit.data_first_seen and unit.data_first_seen.isoformat(),
            "data_last_seen": unit.data_last_seen and unit.data_last_seen.isoformat(),
        }
        for facility in catalogue.data
        for unit in facility.units
    ]
    numbers = {
        "capacity_registered",
        "capacity_maximum",
        "capacity_storage",
        "emissions_factor_co2",
    }
    columns: dict[str, Any] = {
        name: pl.Float64 if name in numbers else pl.String for name in (rows[0] if rows else ())
    }
    return pl.DataFrame(rows, schema=columns)


def facility_table(catalogue: schema.FacilitiesAnswer) -> pl.DataFrame:
    """Give a row for every facility of the catalogue (`facilities.csv`), by code."""
    rows = [
        (
            facility.code,
            facility.name,
            facility.network_id,
            facility.network_region,
            main_fuel(facility),
            main_status(facility),
            capacity(facility),
            facility.location.lng if facility.location else None,
            facility.location.lat if facility.location else None,
            len(facility.units),
        )
        for facility in catalogue.data
    ]
    columns = {
        "facility_code": pl.String,
        "name": pl.String,
        "network_id": pl.String,
        "network_region": pl.String,
        "fueltech": pl.String,
        "status": pl.String,
        "capacity_registered": pl.Float64,
        "longitude": pl.Float64,
        "latitude": pl.Float64,
        "unit_count": pl.Int64,
    }
    return pl.DataFrame(rows, schema=columns, orient="row").sort("facility_code")


def capacity_by_fuel(units: tuple[schema.Unit, ...]) -> dict[str, float]:
    """Give MW by fuel: a battery counts once, by its signed unit or else its discharging half; pumps not."""
    by_id: Counter[str] = Counter()
    for unit in units:
        by_id[unit.fueltech_id] += unit.capacity_registered or 0.0  # type: ignore[assignment]
    by_id.pop(nem.PUMPS, None)
    charge = by_id.pop(nem.BATTERY_CHARGING, 0)
    discharge = by_id.pop(nem.BATTERY_DISCHARGING, 0)
    battery = by_id.pop(nem.BATTERY, 0) or discharge or charge
    mix: dict[str, float] = dict(by_id)
    if battery:
        mix[nem.BATTERY] = battery
    return mix


def counted(units: tuple[schema.Unit, ...]) -> tuple[schema.Unit, ...]:
    """Give the operating units, or all where none operates."""
    running = tuple(u for u in units if u.status_id in {_OPERATING, _COMMISSIONING})
    return running or units


def capacity(facility: schema.Facility) -> float | None:
    """Give the registered capacity of the operating units, MW; None where no unit has one."""
    total = sum(capacity_by_fuel(counted(facility.units)).values())
    return round(total, 6) if total else None


def main_fuel(facility: schema.Facility) -> str:
    """Give the fuel of the largest operating capacity."""
    units = counted(facility.units)
    mix = capacity_by_fuel(units)
    if mix:
        return max(mix, key=lambda fuel: (mix[fuel], fuel))
    fuels = [unit.fueltech_id for unit in units]
    if not fuels:
        return "other"
    return nem.BATTERY if fuels[0] in BATTERY_HALVES else fuels[0]


def place(facility: schema.Facility) -> tuple[float | None, float | None, bool]:
    """Give longitude, latitude (WGS 84 degrees) and whether the units burn several fuels; a battery is one."""
    fuels = {
        nem.BATTERY if unit.fueltech_id in BATTERY_HALVES else unit.fueltech_id
        for unit in facility.units
    }
    several = len(fuels) > 1
    if facility.location is None:
        return None, None, several
    return facility.location.lng, facility.location.lat, several


def main_status(facility: schema.Facility) -> str:
    """Give `operating` or `commissioning` if any unit is so, else what most units are."""
    counts = Counter(unit.status_id for unit in facility.units)
    for status in (_OPERATING, _COMMISSIONING):
        if counts[status]:
            return status
    return counts.most_common(1)[0][0] if counts else ""
