"""The last hours of the tables, for who joins late: only the rows of a window are read."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import polars as pl

from energydash import nem, schema
from energydash.errors import FileError
from energydash.files.tables import FACILITY_METRICS, MARKET_METRICS

Interval = tuple[list[schema.FacilityRecord], list[schema.MarketRecord]]

_NUMBERS = ("power", "emissions", "longitude", "latitude", "value")
_decode_fuels = msgspec.json.Decoder(dict[str, float] | None).decode


def recent(folder: Path, after: datetime, until: datetime) -> Iterator[Interval]:
    """Yield each interval later than `after`, up to `until`, with its records; the newest comes first.

    Raises:
        FileError: a table is missing or malformed.
    """
    try:
        stations = _window(folder, FACILITY_METRICS, after, until)
        market = _window(folder, MARKET_METRICS, after, until)
        for second in sorted(stations.keys() | market.keys(), reverse=True):
            moment = datetime.fromtimestamp(second, nem.NEM_ZONE)
            yield _stations(moment, stations.get(second)), _market(moment, market.get(second))
    except (pl.exceptions.PolarsError, msgspec.MsgspecError, OSError, KeyError) as exc:
        reason = str(exc).partition("\n")[0]
        raise FileError(f"the tables in {folder} cannot be read: {reason}") from exc


def _window(
    folder: Path, name: str, after: datetime, until: datetime
) -> dict[int, pl.DataFrame]:
    """Read the rows of a window, by the second that their interval is labelled with."""
    time = pl.col("timestamp")
    if (folder / name).is_dir():
        table = pl.scan_parquet(folder / name / "*" / "*.parquet", hive_partitioning=False)
    else:
        table = pl.scan_csv(folder / f"{name}.csv", infer_schema=False)
        time = time.str.to_datetime("%Y-%m-%dT%H:%M:%S%#z", time_zone="UTC")
    rows = (
        table.with_columns(time.dt.epoch("s").alias("second"))
        .filter(
            pl.col("second").is_between(after.timestamp(), until.timestamp(), closed="right")
        )
        .collect()
    )
    numbers = [pl.col(n).cast(pl.Float64) for n in _NUMBERS if n in rows.columns]
    rows = rows.with_columns(pl.when(number.is_finite()).then(number) for number in numbers)
    groups = rows.partition_by("second", as_dict=True)
    return {int(second): group for (second,), group in groups.items()}


def _stations(moment: datetime, rows: pl.DataFrame | None) -> list[schema.FacilityRecord]:
    if rows is None:
        return []
    return [
        schema.FacilityRecord(
            event_time=moment,
            facility_id=row["facility_code"],
            power=row["power"],
            emissions=row["emissions"],
            longitude=row["longitude"],
            latitude=row["latitude"],
            by_fuel=_decode_fuels(row.get("by_fuel") or "null"),
        )
        for row in rows.iter_rows(named=True)
    ]


def _market(moment: datetime, rows: pl.DataFrame | None) -> list[schema.MarketRecord]:
    if rows is None:
        return []
    return [
        schema.MarketRecord(
            network_code=row["network_code"],
            metric=row["metric"],
            event_time=moment,
            value=row["value"],
            network_region=row["network_region"] or None,
        )
        for row in rows.iter_rows(named=True)
    ]
