"""The batch job `convert`: raw answers to exact tables."""

import logging
from collections import Counter
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from energydash import nem, schema
from energydash.config import ConvertSettings
from energydash.errors import FileError
from energydash.files import arithmetic, folder, raw, tables
from energydash.files.folder import DataFolder
from energydash.progress import Progress

logger = logging.getLogger(__name__)

_OPERATING = "operating"
_COMMISSIONING = "commissioning"
_STEPS = 4


class ConvertSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversion made of the raw answers; `start` and `end` are the first and last label."""

    output_dir: str
    rows: int
    facilities: int
    market_rows: int
    start: datetime | None
    end: datetime | None
    null_power: int
    null_market_values: int
    units_without_data: int
    unknown_units: list[str]
    unknown_fuels: list[str]
    facilities_without_location: list[str]


def run(settings: ConvertSettings, progress: Progress) -> ConvertSummary:
    """Convert a data folder; each table is replaced as a whole.

    Raises:
        FileError: a file is missing, malformed or cannot be written; the tables before it stay whole.
    """
    source = DataFolder(settings.input_dir)
    progress(0, _STEPS, "catalogue")
    catalogue = raw.load_facilities(source)
    units = unit_table(catalogue)
    facilities = facility_table(catalogue)

    progress(1, _STEPS, "units to facilities")
    joined = units.select("facility_code", "unit_code", "fueltech_id")
    long = pl.concat(
        [arithmetic.long_frame(answer, joined) for answer in raw.load_units(source)]
    )
    seen = set(long["unit_code"].unique())
    wide = arithmetic.wide_frame(arithmetic.net_by_fuel(long), _places(facilities, units))
    if wide.is_empty():
        raise FileError(f"{source.batches} holds no value of any known unit: fetch again")

    progress(2, _STEPS, "market")
    market = arithmetic.market_frame(raw.load_market(source))

    progress(3, _STEPS, "writing")
    _write(settings, source, facilities, units, wide, market)
    progress(_STEPS, _STEPS, f"{wide.height:,} rows")
    logger.info("%d rows of %d facilities", wide.height, wide["facility_code"].n_unique())
    stamps = wide["timestamp"]
    return ConvertSummary(
        output_dir=str(settings.output_dir),
        rows=wide.height,
        facilities=wide["facility_code"].n_unique(),
        market_rows=market.height,
        start=datetime.fromisoformat(stamps[0]),
        end=datetime.fromisoformat(stamps[-1]),
        null_power=wide["power"].null_count(),
        null_market_values=market["value"].null_count(),
        units_without_data=units.height - len(seen),
        unknown_units=sorted(_unit_codes(source) - set(units["unit_code"])),
        unknown_fuels=sorted(set(units["fueltech_id"]) - set(nem.FUELTECHS)),
        facilities_without_location=sorted(
            facilities.filter(pl.col("longitude").is_null())["facility_code"]
        ),
    )


def _unit_codes(source: DataFolder) -> set[str]:
    return {
        series.columns.unit_code
        for answer in raw.load_units(source)
        for metric in answer.data
        for series in metric.results
        if series.columns.unit_code
    }


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


def _counted(facility: schema.Facility) -> tuple[schema.Unit, ...]:
    """Give the operating units, or all where none operates."""
    running = tuple(u for u in facility.units if u.status_id in {_OPERATING, _COMMISSIONING})
    return running or facility.units


def capacity(facility: schema.Facility) -> float | None:
    """Give the registered capacity of the operating units, MW; None where no unit has one."""
    total = sum(capacity_by_fuel(_counted(facility)).values())
    return round(total, 6) if total else None


def main_fuel(facility: schema.Facility) -> str:
    """Give the fuel of the largest operating capacity."""
    units = _counted(facility)
    mix = capacity_by_fuel(units)
    if mix:
        return max(mix, key=lambda fuel: (mix[fuel], fuel))
    fuels = [unit.fueltech_id for unit in units]
    if not fuels:
        return "other"
    return nem.BATTERY if fuels[0] in arithmetic.BATTERY_HALVES else fuels[0]


def main_status(facility: schema.Facility) -> str:
    """Give `operating` or `commissioning` if any unit is so, else what most units are."""
    counts = Counter(unit.status_id for unit in facility.units)
    for status in (_OPERATING, _COMMISSIONING):
        if counts[status]:
            return status
    return counts.most_common(1)[0][0] if counts else ""


def _places(facilities: pl.DataFrame, units: pl.DataFrame) -> pl.DataFrame:
    """Give what each row of the metrics needs of its facility."""
    battery = pl.col("fueltech_id").is_in(list(arithmetic.BATTERY_HALVES))
    fuels = (
        units.with_columns(
            fueltech_id=pl.when(battery).then(pl.lit(nem.BATTERY)).otherwise("fueltech_id")
        )
        .group_by("facility_code")
        .agg(several_fuels=pl.col("fueltech_id").n_unique() > 1)
    )
    return facilities.select("facility_code", "longitude", "latitude").join(
        fuels, on="facility_code", how="left"
    )


def _write(
    settings: ConvertSettings,
    source: DataFolder,
    facilities: pl.DataFrame,
    units: pl.DataFrame,
    wide: pl.DataFrame,
    market: pl.DataFrame,
) -> None:
    out = settings.output_dir
    provenance = raw.load_provenance(source)
    if provenance is not None:
        folder.write(out / "source.json", schema.encode(provenance))
    for name, table in (
        (tables.FACILITIES, facilities),
        (tables.UNITS, units.sort("facility_code", "unit_code")),
        (tables.MARKET_METRICS, market.drop("unit", "interval").select(
            "timestamp", "network_code", "metric", "value", "network_region")),
        (tables.MARKET_METADATA, _metadata(market)),
        # Last, because whoever follows the tables watches this one.
        (tables.FACILITY_METRICS, wide),
    ):  # fmt: skip
        tables.write(table, out / f"{name}.{settings.format}")
    folder.write(source.facility_metrics, _facility_answer(wide))


def _metadata(market: pl.DataFrame) -> pl.DataFrame:
    keys = ["network_code", "metric", "unit", "network_region", "interval"]
    return (
        market.group_by(keys)
        .agg(
            points=pl.len(),
            nulls=pl.col("value").null_count(),
            start=pl.col("timestamp").min(),
            end=pl.col("timestamp").max(),
        )
        .sort(keys)
    )


def _facility_answer(wide: pl.DataFrame) -> bytes:
    """Give the facility level in the form of the API's answers, compactly."""
    metrics = []
    for metric, unit in (("power", "MW"), ("emissions", "t")):
        results = [
            {
                "name": f"{metric}_{code}",
                "columns": {"facility_code": code},
                "data": list(rows.select("timestamp", metric).iter_rows()),
            }
            for (code,), rows in wide.partition_by(
                "facility_code", as_dict=True, maintain_order=True
            ).items()
        ]
        metrics.append({"metric": metric, "unit": unit, "interval": "5m", "results": results})
    return msgspec.json.encode({"success": True, "data": metrics})
