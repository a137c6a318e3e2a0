"""The bundled table of public facts about the market's units: station, region, technology, capacity and place.

Names, regions, technologies and capacities are those of AEMO's public registration list; places are WGS 84 degrees to two
decimals, empty where they are not known with confidence.
"""

import csv
from functools import cache
from importlib import resources

import msgspec

from energydash import nem


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a unit; capacity in MW."""

    unit: str
    facility: str
    name: str
    region: str
    fueltech: str
    capacity: float | None
    latitude: float | None
    longitude: float | None

    @property
    def dispatch_type(self) -> str:
        """The catalogue's word for how the unit stands in dispatch."""
        if self.fueltech == nem.BATTERY:
            return "BIDIRECTIONAL"
        return "LOAD" if self.fueltech in {nem.BATTERY_CHARGING, nem.PUMPS} else "GENERATOR"


@cache
def facts() -> dict[str, Fact]:
    """Read the table, by unit (DUID)."""
    table = resources.files("energydash.sources.nemweb") / "units.csv"
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    return {
        row["unit"]: Fact(
            unit=row["unit"],
            facility=row["facility"],
            name=row["name"],
            region=row["region"],
            fueltech=row["fueltech"],
            capacity=_number(row["capacity"]),
            latitude=_number(row["latitude"]),
            longitude=_number(row["longitude"]),
        )
        for row in rows
    }


def _number(text: str) -> float | None:
    return float(text) if text else None
