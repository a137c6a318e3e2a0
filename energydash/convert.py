"""The batch job `convert`: raw answers to exact tables."""

import logging
from datetime import datetime

import msgspec
import polars as pl

from energydash import nem, schema
from energydash.config import ConvertSettings
from energydash.errors import FileError
from energydash.files import arithmetic, folder, raw, stations, tables
from energydash.files.folder import DataFolder
from energydash.progress import Progress

logger = logging.getLogger(__name__)

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
    units = stations.unit_table(catalogue)
    facilities = stations.facility_table(catalogue)

    progress(1, _STEPS, "units to facilities")
    found = arithmetic.collect(
        raw.load_units(source),
        {u.code: (f.code, u.fueltech_id) for f in catalogue.data for u in f.units},
    )
    wide = arithmetic.wide_frame(found, {f.code: stations.place(f) for f in catalogue.data})
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
        units_without_data=units.height - len(_reporting(found)),
        unknown_units=sorted(found.unknown_units),
        unknown_fuels=sorted(set(units["fueltech_id"]) - set(nem.FUELTECHS)),
        facilities_without_location=sorted(
            facilities.filter(pl.col("longitude").is_null())["facility_code"]
        ),
    )


def _reporting(found: arithmetic.Collected) -> set[str]:
    return {each.unit for series in found.by_facility.values() for each in series}


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
