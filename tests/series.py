"""Raw answers for the units of any catalogue: batteries in three halves, pumps, gaps, nulls, late starters.

`generate` makes them as the API would send them; `write_folder` puts them where `convert` looks. The values
depend on the unit's code and the interval alone, so that a test can ask for them again.
"""

import json
import math
import zlib
from datetime import UTC, datetime, timedelta

from energydash import schema
from energydash.files.folder import DataFolder, batch_name
from energydash.files.manifest import digest
from energydash.files.stage import Terms, begin

STEP = timedelta(minutes=5)
FETCHED_AT = datetime(2025, 10, 9, tzinfo=UTC)
TERMS = Terms(
    source="test series", url="", seed=1, network="NEM", interval="5m", status="all", batch_size=30, start=FETCHED_AT, end=FETCHED_AT
)  # fmt: skip
BATCH = 30
HALVES = {"battery_discharging", "battery_charging"}


def seed(text):
    return zlib.crc32(text.encode())


def capacity(unit):
    return unit.capacity_registered or 50.0


def reports(unit):
    """Whether a unit has telemetry: most that operate, some that retired or are being commissioned."""
    match unit.status_id:
        case "operating" | "commissioning":
            return seed(unit.code) % 11 != 3
        case "retired":
            return seed(unit.code) % 3 == 0
    return False


def _signed(facility, unit, n):
    """MW of a battery, + discharging; its three units share it by their place among their kind."""
    kin = [each for each in facility.units if each.fueltech_id == unit.fueltech_id]
    place = kin.index(unit)
    phase = seed(f"{facility.code}{place}") % 288
    return round(capacity(unit) * math.sin((n + phase) / 9), 4)


def _battery(facility, unit, n):
    signed = _signed(facility, unit, n)
    if unit.fueltech_id == "battery":
        # Before a battery moved to its bidirectional unit, only the halves reported.
        moved_late = seed(facility.code) % 4 == 0 and n % 288 < 60
        return None if moved_late else signed
    if unit.fueltech_id == "battery_discharging":
        return signed if signed >= 0 else None
    return -signed if signed < 0 else None


def power(facility, unit, n):
    """MW in the interval `n` of the window, None where there is no value."""
    if unit.fueltech_id in {"battery", *HALVES}:
        return _battery(facility, unit, n)
    if (n + seed(unit.code)) % 97 < 2:
        return None
    if unit.fueltech_id == "pumps":
        value = max(0.0, math.cos(n / 30)) * capacity(unit)
        return round(-value if seed(unit.code) % 2 else value, 4)
    return round(capacity(unit) * (0.5 + 0.4 * math.sin((n + seed(unit.code)) / 40)), 4)


def emissions(facility, unit, n):
    """Tonnes in the interval `n`; at times there although the power is not."""
    made = power(facility, unit, n)
    if made is None and n % 2:
        return None
    return round(max(made or 0.0, 0.0) / 12 * (unit.emissions_factor_co2 or 0.0), 4)


METRICS = {"power": ("MW", power), "emissions": ("t", emissions)}


def _points(facility, unit, value_of, labels):
    """The points as sent: holes of some units are null, of others missing; some begin late."""
    late = len(labels) // 3 if seed(unit.code) % 13 == 5 else 0
    omits = seed(unit.code) % 2 == 0
    points = [
        [label, value_of(facility, unit, n)] for n, label in enumerate(labels) if n >= late
    ]
    return [point for point in points if point[1] is not None] if omits else points


def _metric(name, facilities, labels):
    unit_of_measure, value_of = METRICS[name]
    results = []
    for facility in facilities:
        for unit in facility.units:
            data = _points(facility, unit, value_of, labels) if reports(unit) else []
            if data:
                results.append(_series(f"{name}_{unit.code}", {"unit_code": unit.code}, data))
    return {
        "network_code": "NEM", "metric": name, "unit": unit_of_measure, "interval": "5m",
        "groupings": [], "results": results, "network_timezone_offset": "+10:00",
    }  # fmt: skip


def _series(name, columns, data):
    return {
        "name": name, "date_start": data[0][0], "date_end": data[-1][0], "columns": columns, "data": data,
    }  # fmt: skip


def _answer(metrics):
    return json.dumps(
        {"version": "4.5.11", "success": True, "data": metrics}, separators=(",", ":")
    ).encode()


def labels_from(start, n_intervals):
    """The interval labels from `start`, in its own offset."""
    return [(start + i * STEP).isoformat() for i in range(n_intervals)]


def generate(catalogue: schema.FacilitiesAnswer, start: datetime, n_intervals: int):
    """Give raw unit-level answers, 30 facilities each, from the aware label `start` on."""
    labels = labels_from(start, n_intervals)
    pages = [catalogue.data[at : at + BATCH] for at in range(0, len(catalogue.data), BATCH)]
    return [_answer([_metric(name, page, labels) for name in METRICS]) for page in pages]


def generate_market(start: datetime, n_intervals: int, regions=("NSW1", "VIC1")):
    """Give raw market answers: the network's own, then by region; some values are null."""
    labels = labels_from(start, n_intervals)

    def series(metric, columns, salt):
        data = [
            [
                label,
                None if (n + salt) % 50 == 7 else round(60 + 90 * math.sin((n + salt) / 20), 2),
            ]
            for n, label in enumerate(labels)
        ]
        return _series(f"{metric}_{columns.get('region', 'total')}", columns, data)

    def metrics(places):
        return _answer([
            {"network_code": "NEM", "metric": name, "unit": unit, "interval": "5m", "groupings": [],
             "results": [series(name, place, seed(str(place)) % 40) for place in places]}
            for name, unit in (("price", "$/MWh"), ("demand", "MW"))
        ])  # fmt: skip

    return [metrics([{}]), metrics([{"region": region} for region in regions])]


def _unit(code, fueltech, status="operating", capacity=100.0, **more):
    return {"code": code, "fueltech_id": fueltech, "status_id": status, "capacity_registered": capacity} | more  # fmt: skip


def mini_catalogue() -> bytes:
    """Give a small catalogue with one of everything that goes wrong."""

    def facility(code, *units, location=True, region="NSW1"):
        place = {"location": {"lat": -33.5, "lng": 150.25}} if location else {}
        return {"code": code, "name": f"{code} station", "network_id": "NEM", "network_region": region, "units": list(units)} | place  # fmt: skip

    facilities = [
        facility("BATT", _unit("BATT1", "battery", capacity=300.0), _unit("BATTG1", "battery_discharging", capacity=300.0), _unit("BATTL1", "battery_charging", capacity=300.0)),
        facility("PAIR", _unit("PAIRG1", "battery_discharging", capacity=20.0), _unit("PAIRL1", "battery_charging", capacity=20.0)),
        facility("TWINS", *(_unit(f"TWINS{k}{n}", f"battery{half}", capacity=100.0 * n) for n in (1, 2) for k, half in (("B", ""), ("G", "_discharging"), ("L", "_charging")))),
        facility("HYBRID", _unit("HYW1", "wind", capacity=200.0), _unit("HYB1", "battery", capacity=150.0), _unit("HYBG1", "battery_discharging", capacity=150.0), _unit("HYBL1", "battery_charging", capacity=150.0)),
        facility("PUMPED", _unit("W/HOE#1", "hydro", capacity=285.0), _unit("W/HOE#2", "hydro", capacity=285.0), _unit("PUMP1", "pumps", capacity=900.0), region="QLD1"),
        facility("COAL", _unit("COAL1", "coal_black", capacity=660.0, emissions_factor_co2=0.9), _unit("COAL2", "coal_black", "retired", capacity=660.0, emissions_factor_co2=0.95)),
        facility("GASGT", _unit("GT1", "gas_ocgt", "retired", capacity=500.0, emissions_factor_co2=0.6), _unit("GT2", "distillate", capacity=30.0, emissions_factor_co2=0.8), location=False),
        facility("NEWSF", _unit("NEWSF1", "solar_utility", "commissioning", capacity=80.0)),
        facility("PLAN", _unit("0PLAN1", "wind", "committed", capacity=None)),
        facility("ODD", _unit("ODD1", "wave_energy", capacity=5.0)),
    ]  # fmt: skip
    return json.dumps({"success": True, "data": facilities}).encode()


def write_folder(root, catalogue: bytes, start: datetime, n_intervals: int, answers=None):
    """Write a fetched data folder, and give it; `answers` replaces the generated unit answers."""
    folder = DataFolder(root)
    end = start + n_intervals * STEP
    parsed = schema.decode_facilities(catalogue)
    if answers is None:
        answers = generate(parsed, start, n_intervals)
    stage = begin(folder, TERMS, FETCHED_AT)
    keep(stage, "facilities_data.json", "catalogue", catalogue)
    for n, answer in enumerate(generate_market(start, n_intervals), start=1):
        keep(stage, f"market/market_{n:03d}.json", "market", answer)
    for n, answer in enumerate(answers, start=1):
        keep(stage, f"batch_data/{batch_name(n)}", "units", answer)
    stage.commit(
        mapping={each.code: [unit.code for unit in each.units] for each in parsed.data},
        market=entry("market_data.json", "market", b""),
        provenance=schema.Provenance(
            source="test series", simulated=True, start=start, end=end, fetched_at=FETCHED_AT
        ),
    )
    return folder


def entry(name, kind, content):
    return schema.Kept(
        file=name, kind=kind, source="test series", url="", fetched_at=FETCHED_AT, sha256=digest(content), size=len(content)
    )  # fmt: skip


def keep(stage, name, kind, content):
    stage.keep(entry(name, kind, content), content)
