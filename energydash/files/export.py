"""A small table as bytes for another program: CSV text, or a stream of Apache Arrow's IPC format."""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
import polars as pl

from energydash import nem
from energydash.files.clock import zone_name

Kind = Literal["text", "number", "count", "flag", "time"]

# A spreadsheet takes a text that begins so for a formula (OWASP, "CSV injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_ZONE_S = int(nem.NEM_ZONE.utcoffset(None).total_seconds())
_TYPES: dict[Kind, Any] = {
    "text": pl.String,
    "number": pl.Float64,
    "count": pl.Int64,
    "flag": pl.Boolean,
    "time": pl.Datetime("us", zone_name(_ZONE_S)),
}


class Column(msgspec.Struct, frozen=True):
    """A column: its name, with the unit where it has one, the kind of its values, and the values (None: none)."""

    name: str
    kind: Kind
    values: Sequence[Any]


def csv(columns: Sequence[Column]) -> bytes:
    """Give CSV (RFC 4180, UTF-8): times as ISO 8601 with an offset, no value as an empty field.

    A text or a name that a spreadsheet would run as a formula begins with an apostrophe.
    """
    types = [pl.String if each.kind == "time" else _TYPES[each.kind] for each in columns]
    names = [_harmless(each.name) for each in columns]
    frame = pl.DataFrame(
        {name: _cells(each) for name, each in zip(names, columns, strict=True)},
        schema=dict(zip(names, types, strict=True)),
    )
    return frame.write_csv(line_terminator="\r\n").encode()


def arrow(columns: Sequence[Column]) -> bytes:
    """Give an Arrow IPC stream; times are in the NEM's zone (UTC+10, as `Etc/GMT-10`)."""
    stream = io.BytesIO()
    frame = pl.DataFrame(
        {column.name: list(column.values) for column in columns},
        schema={column.name: _TYPES[column.kind] for column in columns},
    )
    # Plain strings rather than views, which older readers do not know.
    frame.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    return stream.getvalue()


def _cells(column: Column) -> list[Any]:
    match column.kind:
        case "time":
            return [_iso(moment) for moment in column.values]
        case "text":
            return [text if text is None else _harmless(text) for text in column.values]
    return list(column.values)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
