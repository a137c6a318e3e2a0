"""The tables that are made as a whole each time, and written only where they differ: catalogue and market."""

import io
import os
import shutil
from pathlib import Path

import msgspec
import polars as pl

from energydash import schema
from energydash.config import ConvertSettings
from energydash.convert.output import part_of, put
from energydash.errors import FileError
from energydash.files import market, raw, stations, tables
from energydash.files.clock import DAY_US, SECOND_US, day_name, zone_name
from energydash.files.daily import parquet_bytes
from energydash.files.folder import DataFolder, read
from energydash.files.formulas import guarded


class SmallTables:
    """The catalogue's and the market's tables, ready to be written.

    Raises:
        FileError: the market or the provenance is missing or malformed.
    """

    def __init__(
        self,
        source: DataFolder,
        catalogue: schema.FacilitiesAnswer,
        settings: ConvertSettings,
    ) -> None:
        self._folder = settings.output_dir
        self._as_text = settings.format == "csv"
        self._provenance = raw.load_provenance(source)
        self.units = stations.unit_table(catalogue).sort("facility_code", "unit_code")
        self.facilities = stations.facility_table(catalogue)
        self.market = market.market_frame(
            source.market, read(source.market, "run `energydash fetch` first")
        )

    def write(self) -> None:
        """Write what differs.

        Raises:
            FileError: a table cannot be written.
        """
        if self._provenance is not None:
            put(self._folder / "source.json", schema.encode(self._provenance))
        self._put(tables.FACILITIES, self.facilities)
        self._put(tables.UNITS, self.units)
        self._put(tables.MARKET_METADATA, market.metadata_table(self.market))
        if self._as_text:
            self._put(tables.MARKET_METRICS, market.value_table(self.market))
        else:
            self._put_market_days(self._folder / tables.MARKET_METRICS)

    def _put(self, name: str, table: pl.DataFrame) -> None:
        if self._as_text:
            buffer = io.BytesIO()
            if "name" in table.columns:
                table = table.with_columns(guarded("name"))
            table.write_csv(buffer)
            put(self._folder / f"{name}.csv", buffer.getvalue())
        else:
            put(self._folder / f"{name}.parquet", parquet_bytes(table))

    def _put_market_days(self, folder: Path) -> None:
        """Write the market a file a day, in the network's zone, and take away days that are no more."""
        number = (pl.col("stamp") + pl.col("offset_s") * SECOND_US) // DAY_US
        zone = zone_name(self.market["offset_s"].first() or 0)  # type: ignore[arg-type]
        moment = pl.col("stamp").cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
        days = self.market.with_columns(day=number, timestamp=moment).partition_by(
            "day", as_dict=True, maintain_order=True
        )
        wanted = set()
        renewed = False
        for (day,), rows in days.items():
            path = part_of(folder, day_name(day))
            renewed |= put(path, parquet_bytes(market.value_table(rows)))
            wanted.add(path.parent)
        for left in folder.glob("date=*"):
            if left not in wanted:
                shutil.rmtree(left, ignore_errors=True)
        if renewed:
            # Whoever follows the table watches its folder.
            os.utime(folder)


def mapped_units(source: DataFolder) -> frozenset[str] | None:
    """Give the units of `facility_unit_mapping.json`; None where it is absent or no such mapping, which hurts nobody here."""
    try:
        content = read(source.mapping, "")
        mapping = msgspec.json.decode(content, type=dict[str, list[str]])
    except (FileError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return frozenset(unit for units in mapping.values() for unit in units)
