"""The simulated grid's stations: real ones by name, place, fuel and registered capacity."""

import csv
from functools import cache
from importlib import resources

import msgspec

# Typical factors by technology, t CO2/MWh, of the order that AEMO publishes for such plant.
_FACTORS = {
    "coal_black": 0.90,
    "coal_brown": 1.20,
    "gas_ccgt": 0.40,
    "gas_ocgt": 0.62,
    "gas_recip": 0.55,
    "gas_steam": 0.60,
    "gas_wcmg": 0.55,
    "distillate": 0.75,
    "bioenergy_biogas": 0.05,
    "bioenergy_biomass": 0.04,
}


class Unit(msgspec.Struct, frozen=True):
    """A unit; capacity in MW."""

    code: str
    fueltech: str
    capacity: float

    @property
    def emissions_factor(self) -> float:
        """T CO2 per MWh; 0 where nothing burns."""
        return _FACTORS.get(self.fueltech, 0.0)

    @property
    def dispatch_type(self) -> str:
        """The word that the catalogue has for it; the real one calls pumps generators too."""
        if self.fueltech == "battery":
            return "BIDIRECTIONAL"
        return "LOAD" if self.fueltech == "battery_charging" else "GENERATOR"


class Station(msgspec.Struct, frozen=True):
    """A station; WGS 84 degrees."""

    code: str
    name: str
    region: str
    latitude: float
    longitude: float
    units: tuple[Unit, ...]


@cache
def stations() -> tuple[Station, ...]:
    """Read the bundled table, by code."""
    table = resources.files("energydash.sources") / "demo_stations.csv"
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    return tuple(
        Station(
            row["facility"],
            row["name"],
            row["region"],
            float(row["latitude"]),
            float(row["longitude"]),
            tuple(_unit(text) for text in row["units"].split()),
        )
        for row in rows
    )


def _unit(text: str) -> Unit:
    code, fueltech, capacity = text.split(":")
    return Unit(code, fueltech, float(capacity))
