"""The grid that the stand-in serves: a few awkward stations, many plain ones, values that a test can recompute.

A value depends on the unit or region and the label alone. Labels are counted in steps of five minutes.
"""

import math
import zlib
from datetime import datetime, timedelta
from itertools import pairwise

STEP = timedelta(minutes=5)
EPOCH = datetime(2000, 1, 1)
REGIONS = ("NSW1", "QLD1", "SA1", "TAS1", "VIC1")
PLAIN_STATIONS = 35
_DAY = 288
_SUN = [round(max(0.0, 90 * math.sin(math.pi * (n - 72) / 144)), 4) for n in range(_DAY)]
_FITFUL = ("GAPPY1", "EARLY1", "SILENT1")
_PLAIN_FUELTECHS = (
    "solar_utility",
    "wind",
    "coal_black",
    "gas_ocgt",
    "hydro",
    "solar_utility",
    "wind",
)
_RENEWABLE = ("solar", "wind", "hydro", "bioenergy", "biomass")


def unit(code, fueltech, status="operating", dispatch="GENERATOR", capacity=100.0, **more):
    fields = {"code": code, "fueltech_id": fueltech, "status_id": status}
    if dispatch:
        fields["dispatch_type"] = dispatch
    if capacity is not None:
        fields["capacity_registered"] = capacity
    return fields | more


def station(code, name, region, *units, network="NEM", **more):
    return {
        "code": code, "name": name, "network_id": network, "network_region": region, **more, "units": list(units),
    }  # fmt: skip


def at(lat, lng):
    return {"location": {"lat": lat, "lng": lng}}


def by_name(stations_):
    return sorted(stations_, key=lambda each: each["name"].lower())


def awkward():
    return [
        station("VBB", "Victorian Big Battery", "VIC1",
            unit("VBB1", "battery", dispatch="BIDIRECTIONAL", capacity=360.0, capacity_storage=450.0, max_generation=300.1, max_generation_interval="2025-07-01T18:00:00"),
            unit("VBBG1", "battery_discharging", capacity=360.0),
            unit("VBBL1", "battery_charging", dispatch="LOAD", capacity=360.0),
            **at(-38.06, 144.35), osm_way_id="123", description='<p>Built for <a href="https://example.org">peaks</a></p><script>alert(1)</script>',
            boundary={"type": "Polygon", "coordinates": [[[1.0, 1.0], [1.0, 2.0], [2.0, 2.0], [1.0, 1.0]]]}),
        station("WIVENHOE", "Wivenhoe", "QLD1",
            unit("W/HOE#1", "hydro", capacity=285.0), unit("W/HOE#2", "hydro", capacity=285.0), unit("PUMP1", "pumps", capacity=240.0),
            **at(-27.37, 152.63), description="<p>Pumped hydro</p>"),
        station("ERARING", "eraring", "NSW1",
            unit("ER01", "coal_black", capacity=720.0, emissions_factor_co2=0.9, data_first_seen="2024-01-01T00:05:00+10:00"),
            unit("ER02", "coal_black", status="retired", capacity=720.0, emissions_factor_co2=0.9), **at(-33.06, 151.52)),
        station("TORRIS", "Torrens Island / A & B", "SA1",
            unit("TORRB1", "gas_steam", capacity=200.0, emissions_factor_co2=0.6),
            unit("TORRA1", "gas_steam", status="retired", capacity=120.0),
            unit("TIBG1", "battery_discharging", max_generation=60.0, capacity=250.0, capacity_maximum=250.0), **at(-34.8, 138.52)),
        station("GAPPYWF", "Gappy Wind Farm", "VIC1", unit("GAPPY1", "wind"), unit("EARLY1", "wind"), **at(-37.5, 143.8)),
        station("0WAMBOWF", "Wambo", "QLD1", unit("0WAMBO1", "wind", status="committed", dispatch=None, capacity=None)),
        station("NEWSF", "New Solar Farm", "NSW1", unit("NEWSF1", "solar_utility", max_generation=30.0, capacity=100.0)),
        station("OLDPS", "Old Power Station", "NSW1", unit("OLDPS1", "coal_brown", status="retired", emissions_factor_co2=1.2)),
        station("SILENT", "Silent Station", "TAS1", unit("SILENT1", "hydro")),
        station("MUJA", "Muja", "WEM", unit("MUJA_G5", "coal_black", emissions_factor_co2=0.9), network="WEM", **at(-33.4, 116.3)),
    ]  # fmt: skip


def stations():
    """Every station as its database has it; null keys are simply not there."""
    plain = [
        station(f"SF{n:02d}", f"Solar Farm {n:02d}", REGIONS[n % 5], unit(f"SF{n:02d}_1", "solar_utility"), **at(-30.0 - n / 10, 145.0 + n / 10))
        for n in range(PLAIN_STATIONS)
    ]  # fmt: skip
    return by_name(awkward() + plain)


def many(count):
    """Give `count` stations: the awkward ones and as many of mixed fuels as it takes, of one unit or two."""
    plain = []
    for n in range(count - len(awkward())):
        fueltech = _PLAIN_FUELTECHS[n % len(_PLAIN_FUELTECHS)]
        factor = {"emissions_factor_co2": 0.8} if fueltech in {"coal_black", "gas_ocgt"} else {}
        units = [
            unit(f"ST{n:03d}_{k}", fueltech, **factor) for k in range(1 + n % 3 // 2 + n % 2)
        ]
        plain.append(station(f"ST{n:03d}", f"Station {n:03d}", REGIONS[n % 5], *units, **at(-17.0 - n % 26, 138.0 + n % 15)))  # fmt: skip
    return by_name(awkward() + plain)


def future():
    """Stations as a later version of the API may tell of them: unknown words, unknown keys, and known keys gone."""
    return [
        station("FUSION", "Fusion One", "NSW1",
            unit("FUS1", "fusion", status="standby", dispatch="VIRTUAL", hydrogen={"kg_per_h": 3}, commencement_date_specificity="decade"),
            unit("FUS2", "wind", dispatch=None, capacity=None), {"code": "FUS3"},
            **at(-32.0, 150.0), owners=[{"name": "Someone", "share": 0.5}]),
        station("DARWIN", "Darwin", "NT1", unit("DAR1", "gas_ocgt", emissions_factor_co2=0.6), network="DKIS"),
    ]  # fmt: skip


def status_of(unit_):
    """Give the status as served: a unit that never came near its capacity is `commissioning`."""
    limit = unit_.get("capacity_maximum") or unit_.get("capacity_registered")
    peak = unit_.get("max_generation")
    if unit_.get("status_id") == "operating" and limit and peak and peak <= 0.9 * limit:
        return "commissioning"
    return unit_.get("status_id")


def group_of(fueltech):
    """Give the fuel technology's group."""
    if fueltech.startswith("battery") or fueltech == "pumps":
        return fueltech
    return fueltech.split("_")[0]


def is_renewable(fueltech):
    return group_of(fueltech) in _RENEWABLE


def step_of(label):
    return (label - EPOCH) // STEP


def label_of(step):
    return EPOCH + step * STEP


# --- units -------------------------------------------------------------------------------------------


def _sends(unit_, n):
    match unit_["code"]:
        case "GAPPY1":
            return n % 12 not in {5, 6}
        case "EARLY1":
            return n % _DAY < 12
        case "SILENT1":
            return False
    return unit_.get("status_id") != "committed"


def has_row(unit_, label):
    """Whether the unit sent anything in this interval."""
    return _sends(unit_, step_of(label))


def _signed(n):
    return round(100 * math.sin(n / 7), 4)


def _wave(unit_):
    """Give the unit's MW as a function of the step, without regard to what it sends."""
    match unit_.get("fueltech_id"):
        case "battery":
            return _signed
        case "battery_discharging":
            return lambda n: mw if (mw := _signed(n)) >= 0 else None
        case "battery_charging":
            return lambda n: -mw if (mw := _signed(n)) < 0 else None
        case "pumps":
            return lambda n: round(50 + 10 * math.sin(n / 5), 4)
        case "solar_utility":
            return lambda n: _SUN[n % _DAY]
    phase = zlib.crc32(unit_["code"].rstrip("GL1").encode()) % 97
    hour = [round(phase + k * 1.25, 4) for k in range(12)]
    return lambda n: hour[n % 12]


def powers(unit_, steps):
    """Give MW at each step, or None where there is no row: the inactive half of a battery has none."""
    wave = _wave(unit_)
    if unit_.get("status_id") != "committed" and unit_["code"] not in _FITFUL:
        return [wave(n) for n in steps]
    return [wave(n) if _sends(unit_, n) else None for n in steps]


def energies(unit_, steps):
    """Give MWh of each interval: half the sum of the MW at its two ends; without the earlier end, the later alone."""
    found = powers(unit_, range(steps.start - 1, steps.stop))
    return [_trapezoid(before, mw) for before, mw in pairwise(found)]


def _trapezoid(before, mw):
    if mw is None:
        return None
    return round((mw if before is None else (mw + before) / 2) / 12, 4)


def tonnes(unit_, steps):
    """Give t of CO2 of each interval: never None where a row exists, 0 where the unit emits or makes nothing."""
    factor = unit_.get("emissions_factor_co2", 0.0)
    if not factor:
        return [None if mw is None else 0.0 for mw in powers(unit_, steps)]
    return [None if mwh is None else round(max(mwh, 0.0) * factor, 4) for mwh in energies(unit_, steps)]  # fmt: skip


def stored(unit_, steps):
    """Give MWh in store: a battery's signed unit alone tells them."""
    if unit_.get("fueltech_id") != "battery":
        return [None] * len(steps)
    half = unit_.get("capacity_storage", 0.0) / 2
    return [round(half + half * math.sin(n / 50), 4) for n in steps]


def _only(values_of, unit_, label):
    n = step_of(label)
    return values_of(unit_, range(n, n + 1))[0]


def power(unit_, label):
    """MW at a label, or None: the inactive half of a battery has no value."""
    return _wave(unit_)(step_of(label))


def energy(unit_, label):
    return _only(energies, unit_, label)


def emissions(unit_, label):
    """Tonnes in the interval: never None where a row exists."""
    return _only(tonnes, unit_, label)


def storage(unit_, label):
    return _only(stored, unit_, label)


# --- regions -----------------------------------------------------------------------------------------


def region_price(region, label):
    n = step_of(label)
    if n % 100 == 7:
        return None
    return round(40 + 70 * math.sin(n / 11 + _index(region)), 2)


def region_demand(region, label):
    n = step_of(label)
    if n % 250 == 3:
        return None
    return round(4000 + 500 * _index(region) + 300 * math.sin(n / 40), 2)


def _index(region):
    return REGIONS.index(region) if region in REGIONS else len(REGIONS)


def market_value(unit_, region, label):
    """$ of the interval: 0 where nothing was made, None where there is no price."""
    return _value(energy(unit_, label), region_price(region, label))


def market_values(unit_, region, steps):
    prices = _prices(region, steps)
    return [
        _value(mwh, price) for mwh, price in zip(energies(unit_, steps), prices, strict=True)
    ]


def _prices(region, steps):
    return [region_price(region, label_of(n)) for n in steps]


def _value(mwh, price):
    if mwh is None or price is None:
        return None
    return round(mwh * price, 4) if mwh > 0 else 0.0


def network_price(label):
    """The plain mean over the regions, not weighted by demand."""
    prices = [region_price(region, label) for region in REGIONS]
    return None if None in prices else round(sum(prices) / len(prices), 6)


def network_demand(label):
    demands = [region_demand(region, label) for region in REGIONS]
    return None if None in demands else round(sum(demands), 6)
