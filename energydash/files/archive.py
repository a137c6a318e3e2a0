"""A folder of tables as a place to ask: any span of it, of which only the rows and columns that matter are read."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl

from energydash import nem, schema
from energydash.errors import FileError
from energydash.files import sums, tables
from energydash.files.tracks import Question, Tracks

_ADVICE = "run `energydash convert`, or name the folder of the tables with --history"
_NUMBERS = ("power", "emissions", "value")
_TEXTS = (
    "facility_code", "fueltech_id", "by_fuel", "network_code", "metric", "network_region",
)  # fmt: skip
# A day's folder is named in the network's own zone: this much around a span holds it in every zone.
_AROUND = timedelta(days=1)


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder holds: its stations, its first and last interval (aware), and whose numbers they are."""

    facilities: tuple[schema.FacilityInfo, ...]
    start: datetime
    end: datetime
    source: str
    simulated: bool


class Archive:
    """The tables of a folder; nothing is kept in memory, so they may be rewritten at any time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def contents(self) -> Contents:
        """Say what there is.

        Raises:
            FileError: a table is missing, empty or malformed.
        """
        facilities = tables.catalogue(self.folder)
        provenance = tables.provenance(self.folder)
        with self._reading():
            ends = self._rows(tables.FACILITY_METRICS, None).select(
                pl.col("ms").min().alias("first"), pl.col("ms").max().alias("last")
            )
            first, last = ends.collect().row(0)
        if first is None:
            raise FileError(f"the tables in {self.folder} are empty: {_ADVICE}")
        return Contents(
            facilities=facilities,
            start=_moment(first),
            end=_moment(last),
            source=provenance.source if provenance else "unknown",
            simulated=bool(provenance and provenance.simulated),
        )

    def ask(self, question: Question) -> Tracks:
        """Answer a question; where there is nothing in the span, the answer has no intervals.

        Raises:
            FileError: a table is missing or malformed.
        """
        facilities = tables.catalogue(self.folder)
        with self._reading():
            return sums.answer(question, facilities, lambda name: self._rows(name, question))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pl.exceptions.PolarsError, OSError) as exc:
            reason = str(exc).partition("\n")[0]
            raise FileError(
                f"the tables in {self.folder} cannot be read ({reason}): {_ADVICE}"
            ) from exc

    def _rows(self, name: str, span: Question | None) -> pl.LazyFrame:
        """Give a table's rows in a span, with `ms`, the time of their interval in milliseconds since 1970 (UTC)."""
        if (self.folder / name).is_dir():
            table, time = self._partitions(name, span), pl.col("timestamp")
        else:
            table = pl.scan_csv(self._csv(name), infer_schema=False)
            time = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%#z", time_zone="UTC")
        there = set(table.collect_schema().names())
        rows = table.select(
            time.dt.epoch("ms").alias("ms"),
            *(pl.col(n) if n in there else pl.lit(None, pl.String).alias(n) for n in _TEXTS),
            *(_finite(n) for n in _NUMBERS if n in there),
        )
        if span is None:
            return rows
        low, high = (round(t.timestamp() * 1000) for t in (span.start, span.end))
        return rows.filter(pl.col("ms").is_between(low, high))

    def _csv(self, name: str) -> Path:
        path = self.folder / f"{name}.csv"
        if not path.exists():
            raise FileError(f"{path} is not there: {_ADVICE}")
        return path

    def _partitions(self, name: str, span: Question | None) -> pl.LazyFrame:
        days = {_day(path): path for path in (self.folder / name).glob("date=*/*.parquet")}
        if span is not None:
            first, last = (
                (moment.astimezone(nem.NEM_ZONE) + around).date()
                for moment, around in ((span.start, -_AROUND), (span.end, _AROUND))
            )
            # At least one, so that the columns are known.
            days = {day: p for day, p in days.items() if first <= day <= last} or dict([*days.items()][:1])  # fmt: skip
        if not days:
            raise FileError(f"{self.folder / name} is empty: {_ADVICE}")
        return pl.scan_parquet([days[day] for day in sorted(days)], hive_partitioning=False)


def _finite(name: str) -> pl.Expr:
    value = pl.col(name).cast(pl.Float64)
    return pl.when(value.is_finite()).then(value).alias(name)


def _day(path: Path) -> date:
    try:
        return date.fromisoformat(path.parent.name.removeprefix("date="))
    except ValueError as exc:
        raise FileError(f"{path.parent} is no day's folder: {_ADVICE}") from exc


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(nem.NEM_ZONE)
