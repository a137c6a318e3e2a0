"""The tables read back: CSV (or Parquet) that energydash writes and anybody's tools can read."""

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from energydash import schema
from energydash.errors import FileError
from energydash.files.folder import read
from energydash.files.formulas import unguarded

FACILITIES = "facilities"
UNITS = "facility_units"
UNIT_METRICS = "facility_units_metrics"
FACILITY_METRICS = "facility_metrics_wide"
MARKET_METRICS = "market_metrics_data"
MARKET_METADATA = "market_metrics_metadata"

_ADVICE = "run `energydash convert` first"

_FACILITY_COLUMNS = {
    "timestamp": pl.String,
    "facility_code": pl.String,
    "power": pl.Float64,
    "emissions": pl.Float64,
    "longitude": pl.Float64,
    "latitude": pl.Float64,
    "by_fuel": pl.String,
}
_MARKET_COLUMNS = {
    "timestamp": pl.String,
    "network_code": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "network_region": pl.String,
}

COLUMNS = {
    UNIT_METRICS: (
        "timestamp", "facility_code", "unit_code", "fueltech_id", "power", "emissions",
    ),
    FACILITY_METRICS: tuple(_FACILITY_COLUMNS),
}  # fmt: skip
"""The columns of the two big tables, in their order."""

_REQUIRED = ("timestamp", "facility_code", "network_code", "metric")
_LINE = "line"
_FIRST_LINE = 2  # the header is line 1

_decode_fuels = msgspec.json.Decoder(dict[str, float]).decode


def _table(path: Path, columns: dict[str, Any]) -> pl.DataFrame:
    """Read a table whose columns must be there, as text turned strictly into their types, after each row's line.

    Raises:
        FileError: it is missing, lacks a column or has a malformed row (named by its line).
    """
    if not path.exists():
        raise FileError(f"{path} is not there: {_ADVICE}")
    try:
        if path.suffix == ".parquet" or path.is_dir():
            files = path / "*" / "*.parquet" if path.is_dir() else path
            table = _with_text_times(pl.read_parquet(files))
        else:
            _refuse_ragged(path)
            table = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as exc:
        reason = str(exc).partition("\n")[0]
        raise FileError(f"{path} cannot be read as a table: {reason}") from exc
    missing = [name for name in columns if name not in table.columns and name != "by_fuel"]
    if missing:
        raise FileError(f"{path} has no column {', '.join(missing)}: {_ADVICE}")
    table = table.select(
        pl.col(name) if name in table.columns else pl.lit(None, pl.String).alias(name)
        for name in columns
    )
    typed = table.cast(pl.Schema(columns), strict=False)
    _refuse_malformed(path, table, typed)
    return typed.with_row_index(_LINE, offset=_FIRST_LINE)


def _with_text_times(table: pl.DataFrame) -> pl.DataFrame:
    """Give real times as the ISO 8601 texts that CSV has."""
    return table.with_columns(pl.selectors.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S%.f%:z"))


def _refuse_ragged(path: Path) -> None:
    """Raise for the first row of another length than the header: Polars would end a short one with nulls."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file, strict=True)
        line = 1
        try:
            width = len(next(rows, ()))
            line = rows.line_num + 1
            for row in rows:
                if len(row) != width:
                    raise FileError(
                        f"{path} line {line}: {len(row)} fields where the header has {width}"
                    )
                line = rows.line_num + 1
        except csv.Error as exc:
            raise FileError(f"{path} line {line}: not a row of CSV ({exc})") from exc


def _refuse_malformed(path: Path, table: pl.DataFrame, typed: pl.DataFrame) -> None:
    """Raise for the first value that its type cannot hold, or that is missing where a row needs one."""
    for name in typed.columns:
        values = typed[name]
        wrong = table[name].is_not_null() & values.is_null()
        if name in _REQUIRED:
            wrong = values.is_null()
        elif values.dtype.is_float():
            wrong |= ~values.is_finite().fill_null(value=True)
        row = wrong.arg_max()
        if row is not None and wrong[row]:
            raise _nonsense(path, row + _FIRST_LINE, name, str(table[name][row] or ""))


def _nonsense(path: Path, line: int, name: str, text: str) -> FileError:
    return FileError(f"{path} line {line}: {name} is {text[:40]!r}, which makes no sense")


def _moment(path: Path, line: int, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _nonsense(path, line, "timestamp", text) from None
    if moment.tzinfo is None:
        raise FileError(f"{path} line {line}: timestamp {text[:40]!r} has no offset")
    return moment


def _fuels(path: Path, line: int, text: str | None) -> dict[str, float] | None:
    if not text:
        return None
    try:
        return _decode_fuels(text)
    except msgspec.MsgspecError:
        raise _nonsense(path, line, "by_fuel", text) from None


def _intervals(path: Path, columns: dict[str, Any]) -> Iterator[tuple[datetime, pl.DataFrame]]:
    """Yield each interval's rows, in event-time order."""
    table = _table(path, columns)
    first_lines = table.unique("timestamp", keep="first", maintain_order=True)
    moments = {
        text: _moment(path, line, text)
        for line, text in first_lines.select(_LINE, "timestamp").iter_rows()
    }
    groups = table.partition_by("timestamp", as_dict=True, maintain_order=True)
    for text in sorted(moments, key=moments.__getitem__):
        yield moments[text], groups[(text,)]


def facility_intervals(
    path: Path, after: datetime | None = None
) -> Iterator[tuple[datetime, list[schema.FacilityRecord]]]:
    """Yield (interval, its records by facility code), in event-time order, later than `after`.

    Raises:
        FileError: the table is missing or malformed.
    """
    for moment, rows in _intervals(path, _FACILITY_COLUMNS):
        if after is not None and moment <= after:
            continue
        yield (
            moment,
            [
                schema.FacilityRecord(
                    event_time=moment,
                    facility_id=code,
                    power=power,
                    emissions=emissions,
                    longitude=longitude,
                    latitude=latitude,
                    by_fuel=_fuels(path, line, fuels),
                )
                for line, _, code, power, emissions, longitude, latitude, fuels in rows.sort(
                    "facility_code"
                ).iter_rows()
            ],
        )


def market_intervals(
    path: Path, after: datetime | None = None
) -> Iterator[tuple[datetime, list[schema.MarketRecord]]]:
    """Yield (interval, its market records), in event-time order, later than `after`.

    Raises:
        FileError: the table is missing or malformed.
    """
    for moment, rows in _intervals(path, _MARKET_COLUMNS):
        if after is not None and moment <= after:
            continue
        yield (
            moment,
            [
                schema.MarketRecord(
                    network_code=network,
                    metric=metric,
                    event_time=moment,
                    value=value,
                    network_region=region or None,
                )
                for _, _, network, metric, value, region in rows.iter_rows()
            ],
        )


def catalogue(folder: Path) -> tuple[schema.FacilityInfo, ...]:
    """Read the stations and their units from the tables in `folder`.

    Raises:
        FileError: a table is missing or malformed.
    """
    try:
        facilities = _sibling(folder, FACILITIES)
        units = _sibling(folder, UNITS).partition_by("facility_code", as_dict=True)
        return tuple(
            schema.FacilityInfo(
                code=row["facility_code"],
                name=row["name"] or row["facility_code"],
                network=row["network_id"] or "",
                region=row["network_region"] or "",
                fueltech=row["fueltech"] or "other",
                status=row["status"] or "",
                capacity=_number(row["capacity_registered"]),
                longitude=_number(row["longitude"]),
                latitude=_number(row["latitude"]),
                units=_units(units.get((row["facility_code"],))),
            )
            for row in facilities.iter_rows(named=True)
        )
    except (KeyError, ValueError, pl.exceptions.PolarsError) as exc:
        raise FileError(f"the catalogue in {folder} is malformed ({exc}): {_ADVICE}") from exc


def _sibling(folder: Path, name: str) -> pl.DataFrame:
    path = folder / f"{name}.csv"
    if not path.exists():
        path = folder / f"{name}.parquet"
    if not path.exists():
        raise FileError(f"{folder / name}.csv is not there: {_ADVICE}")
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    table = pl.read_csv(path, infer_schema=False)
    return table.with_columns(unguarded("name")) if "name" in table.columns else table


def _units(rows: pl.DataFrame | None) -> tuple[schema.UnitInfo, ...]:
    if rows is None:
        return ()
    return tuple(
        schema.UnitInfo(
            code=row["unit_code"],
            fueltech=row["fueltech_id"] or "other",
            status=row["status_id"] or "",
            capacity=_number(row["capacity_registered"]),
        )
        for row in rows.iter_rows(named=True)
    )


def _number(value: str | float | None) -> float | None:
    return None if value is None else float(value)


def provenance(folder: Path) -> schema.Provenance | None:
    """Read where the tables' content comes from; None where nobody said so.

    Raises:
        FileError: the file is malformed.
    """
    path = folder / "source.json"
    if not path.exists():
        return None
    try:
        return schema.decode_provenance(read(path, _ADVICE))
    except msgspec.MsgspecError as exc:
        raise FileError(f"{path} is malformed ({exc}): {_ADVICE}") from exc
