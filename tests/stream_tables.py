"""Small tables as `convert` writes them."""

from datetime import datetime, timedelta
from pathlib import Path

from energydash import nem, schema
from energydash.config import Broker, PublishSettings

START = datetime(2026, 1, 5, 12, 0, tzinfo=nem.NEM_ZONE)
CODES = ("ALPHA", "BRAVO", "CHARLIE")


def at(index: int) -> datetime:
    return START + index * timedelta(minutes=5)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def write_facilities(folder: Path, indexes: range, *, plus: float = 0.0) -> None:
    rows = [
        f"{at(i).isoformat()},{code},{100 * n + i + plus},{i / 10},150.0,-33.0,"
        for i in indexes
        for n, code in enumerate(CODES)
    ]
    head = "timestamp,facility_code,power,emissions,longitude,latitude,by_fuel"
    _replace(folder / "facility_metrics_wide.csv", "\n".join([head, *rows]) + "\n")


def write_market(folder: Path, indexes: range) -> None:
    rows = [f"{at(i).isoformat()},NEM,price,{50 + i}.5,NSW1" for i in indexes]
    head = "timestamp,network_code,metric,value,network_region"
    _replace(folder / "market_metrics_data.csv", "\n".join([head, *rows]) + "\n")


def write_all(folder: Path, count: int) -> None:
    write_facilities(folder, range(count))
    write_market(folder, range(count))
    stations = [
        f"{code},{code.title()},NEM,NSW1,wind,operating,100,150,-33,1" for code in CODES
    ]
    head = (
        "facility_code,name,network_id,network_region,fueltech,status,"
        "capacity_registered,longitude,latitude,unit_count"
    )
    _replace(folder / "facilities.csv", "\n".join([head, *stations]) + "\n")
    _replace(
        folder / "facility_units.csv",
        "facility_code,unit_code,fueltech_id,status_id,capacity_registered,capacity_maximum,"
        "capacity_storage,emissions_factor_co2,dispatch_type,data_first_seen,data_last_seen\n"
        "ALPHA,A1,wind,operating,100,,,,GENERATOR,,\n",
    )
    source = schema.Provenance(
        source="demo", simulated=True, start=at(0), end=at(count), fetched_at=at(count)
    )
    (folder / "source.json").write_bytes(schema.encode(source))


def settings(folder: Path, broker: Broker, **more: object) -> PublishSettings:
    given = {"speed": None, **more}
    return PublishSettings(
        broker=broker,
        facility_csv=folder / "facility_metrics_wide.csv",
        market_csv=folder / "market_metrics_data.csv",
        **given,
    )
