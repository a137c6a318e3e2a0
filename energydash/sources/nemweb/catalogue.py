"""AEMO's own list of units, the bundled facts and what reports: one catalogue in the form that all sources share. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

import msgspec

from energydash import nem, schema
from energydash.sources.nemweb import mms
from energydash.sources.nemweb.facts import Fact

_TABLE = ("CO2EII", "PUBLISHING")
_COLUMNS = mms.Columns(
    ("STATIONNAME", "DUID", "REGIONID", "CO2E_EMISSIONS_FACTOR"), ("CO2E_ENERGY_SOURCE",)
)
# AEMO's words for what a unit burns. The list does not tell turbines from engines: of gas, it is the group that screens show.
_FUELTECHS = {
    "black coal": "coal_black",
    "brown coal": "coal_brown",
    "natural gas (pipeline)": "gas_ocgt",
    "natural gas": "gas_ocgt",
    "coal seam methane": "gas_ocgt",
    "ethane": "gas_recip",
    "coal mine waste gas": "gas_wcmg",
    "diesel oil": "distillate",
    "kerosene - non aviation": "distillate",
    "bagasse": "bioenergy_biomass",
    "biomass and industrial materials": "bioenergy_biomass",
    "primary solid biomass fuels": "bioenergy_biomass",
    "landfill biogas methane": "bioenergy_biogas",
    "sludge biogas methane": "bioenergy_biogas",
    "other biofuels": "bioenergy_biogas",
    "hydro": "hydro",
    "water": "hydro",
    "wind": "wind",
    "solar": "solar_utility",
    "battery storage": nem.BATTERY,
}


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A unit as AEMO lists it; the factor in t CO2/MWh, None where it is not known."""

    unit: str
    station: str
    region: str
    energy_source: str
    factor: float | None


def parse_list(content: bytes) -> dict[str, Listed]:
    """Read AEMO's list of units with their emissions factors, by unit; of several gensets of a unit, the mean factor.

    Raises:
        SourceError: it is no such list, or cut off.
    """
    rows = mms.rows(content, {_TABLE: _COLUMNS})[_TABLE]
    gensets: defaultdict[str, list[Listed]] = defaultdict(list)
    for station, unit, region, factor, energy_source in rows:
        if unit:
            gensets[unit].append(
                Listed(
                    unit=unit,
                    station=" ".join(station.split()),
                    region=region,
                    energy_source=energy_source,
                    factor=mms.number(factor),
                )
            )
    listed = {}
    for unit, entries in gensets.items():
        factors = [each.factor for each in entries if each.factor is not None]
        mean = fmean(factors) if factors else None
        listed[unit] = msgspec.structs.replace(entries[0], factor=mean)
    return listed


def catalogue(
    listed: Mapping[str, Listed], reporting: Iterable[str], facts: Mapping[str, Fact]
) -> schema.FacilitiesAnswer:
    """Give every unit that AEMO lists or that reports a value.

    What the bundled facts know of a unit goes before AEMO's shorter list; a unit of neither is a station of its own, whose
    fuel is `other`. A station without a known place has no location.
    """
    stations: defaultdict[str, list[tuple[Fact, float | None]]] = defaultdict(list)
    codes: dict[tuple[str, str], str] = {}
    for unit in sorted({*listed, *reporting}):
        entry = listed.get(unit)
        fact = _known(facts.get(unit), entry) or _fact_of(unit, entry, codes)
        stations[fact.facility].append((fact, entry.factor if entry else None))
    data = [_facility(code, units) for code, units in stations.items()]
    return schema.FacilitiesAnswer(data=tuple(sorted(data, key=lambda each: each.name.lower())))


def _known(fact: Fact | None, entry: Listed | None) -> Fact | None:
    """Give the bundled fact, in which AEMO's list of today has the last word on the region."""
    if fact is None or entry is None or entry.region in {"", fact.region}:
        return fact
    return msgspec.structs.replace(fact, region=entry.region)


def encoded(answer: schema.FacilitiesAnswer) -> bytes:
    """Write a catalogue as the sources do: a key without a value is absent, one with a usual value is not."""
    data = [
        {
            "code": each.code,
            "name": each.name,
            "network_id": each.network_id,
            "network_region": each.network_region,
            **({"location": each.location} if each.location else {}),
            "units": [_without_nulls(msgspec.structs.asdict(unit)) for unit in each.units],
        }
        for each in answer.data
    ]
    return msgspec.json.encode({"success": True, "data": data, "total_records": len(data)})


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _fact_of(unit: str, entry: Listed | None, codes: dict[tuple[str, str], str]) -> Fact:
    """Give what AEMO's list alone says of a unit; the first unit of a station gives the station its code."""
    station, region, energy_source = (
        (entry.station, entry.region, entry.energy_source) if entry else ("", "", "")
    )
    facility = codes.setdefault((station, region), unit) if station else unit
    return Fact(
        unit=unit,
        facility=facility,
        name=_title(station) or unit,
        region=region,
        fueltech=_FUELTECHS.get(energy_source.strip().lower(), "other"),
        capacity=None,
        latitude=None,
        longitude=None,
    )


def _title(name: str) -> str:
    """Give a name as people write it: AEMO shouts some."""
    return name.title() if name.isupper() else name


def _facility(code: str, units: list[tuple[Fact, float | None]]) -> schema.Facility:
    first = units[0][0]
    location = None
    if first.latitude is not None and first.longitude is not None:
        location = schema.Location(lat=first.latitude, lng=first.longitude)
    return schema.Facility(
        code=code,
        name=first.name,
        network_id=nem.NETWORK,
        network_region=first.region,
        location=location,
        units=tuple(_unit(fact, factor) for fact, factor in units),
    )


def _unit(fact: Fact, factor: float | None) -> schema.Unit:
    return schema.Unit(
        code=fact.unit,
        fueltech_id=fact.fueltech,
        status_id="operating",
        dispatch_type=fact.dispatch_type,
        capacity_registered=fact.capacity,
        emissions_factor_co2=factor,
    )
