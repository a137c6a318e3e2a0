"""The grid that the stand-in serves: a few awkward stations, many plain ones, values that a test can recompute."""

import math
import zlib
from datetime import datetime, timedelta

STEP = timedelta(minutes=5)
EPOCH = datetime(2000, 1, 1)
REGIONS = ("NSW1", "QLD1", "SA1", "TAS1", "VIC1")
PLAIN_STATIONS = 35


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


def stations():
    """Every station as its database has it; null keys are simply not there."""
    awkward = [
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
    plain = [
        station(f"SF{n:02d}", f"Solar Farm {n:02d}", REGIONS[n % 5], unit(f"SF{n:02d}_1", "solar_utility"), **at(-30.0 - n / 10, 145.0 + n / 10))
        for n in range(PLAIN_STATIONS)
    ]  # fmt: skip
    return sorted(awkward + plain, key=lambda each: each["name"].lower())


def status_of(unit_):
    """Give the status as served: a unit that never came near its capacity is `commissioning`."""
    limit = unit_.get("capacity_maximum") or unit_.get("capacity_registered")
    peak = unit_.get("max_generation")
    if unit_["status_id"] == "operating" and limit and peak and peak <= 0.9 * limit:
        return "commissioning"
    return unit_["status_id"]


def step_of(label):
    return (label - EPOCH) // STEP


def has_row(unit_, label):
    """Whether the unit sent anything in this interval."""
    minute_of_day = label.hour * 60 + label.minute
    match unit_["code"]:
        case "GAPPY1":
            return step_of(label) % 12 not in {5, 6}
        case "EARLY1":
            return minute_of_day < 60
        case "SILENT1":
            return False
    return unit_["status_id"] != "committed"


def power(unit_, label):
    """MW at a label, or None: the inactive half of a battery has no value."""
    n = step_of(label)
    phase = zlib.crc32(unit_["code"].rstrip("GL1").encode()) % 97
    signed = round(100 * math.sin(n / 7), 4)
    match unit_["fueltech_id"]:
        case "battery":
            return signed
        case "battery_discharging":
            return signed if signed >= 0 else None
        case "battery_charging":
            return -signed if signed < 0 else None
        case "pumps":
            return round(50 + 10 * math.sin(n / 5), 4)
        case "solar_utility":
            return round(max(0.0, 90 * math.sin(math.pi * (n % 288 - 72) / 144)), 4)
    return round(phase + (n % 12) * 1.25, 4)


def emissions(unit_, label):
    """Tonnes in the interval: never None where a row exists."""
    made = power(unit_, label)
    if made is None:
        return None
    return round(max(made, 0.0) / 12 * unit_.get("emissions_factor_co2", 0.0), 4)


def region_price(region, label):
    n = step_of(label)
    if n % 100 == 7:
        return None
    return round(40 + 70 * math.sin(n / 11 + REGIONS.index(region)), 2)


def region_demand(region, label):
    n = step_of(label)
    if n % 250 == 3:
        return None
    return round(4000 + 500 * REGIONS.index(region) + 300 * math.sin(n / 40), 2)


def network_price(label):
    """The plain mean over the regions, not weighted by demand."""
    prices = [region_price(region, label) for region in REGIONS]
    return None if None in prices else round(sum(prices) / len(prices), 6)


def network_demand(label):
    demands = [region_demand(region, label) for region in REGIONS]
    return None if None in demands else round(sum(demands), 6)


UNIT_METRICS = {"power": ("MW", power), "emissions": ("t", emissions)}
MARKET_METRICS = {
    "price": ("$/MWh", network_price, region_price),
    "demand": ("MW", network_demand, region_demand),
}
