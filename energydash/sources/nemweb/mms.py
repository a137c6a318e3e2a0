"""AEMO's record format: lines that begin with C (comment), I (a table's header) or D (its data). Pure.

Each I line names the columns of the D lines with the same package, table and version, so that a new column, another order or a
new version of a table costs nothing; only a column that is needed and gone is an error. A report ends with a C line of
its own, without which it is half a report.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

import msgspec

from energydash.errors import SourceError
from energydash.nem import NEM_ZONE

Table = tuple[str, str]
"""A package and a table, such as ("DISPATCH", "PRICE")."""

Row = tuple[str, ...]

_END = "END OF REPORT"
_HEAD = 4  # record, package, table, version


class Columns(msgspec.Struct, frozen=True):
    """What is wanted of a table: columns that must be there, and columns that are empty where they are not."""

    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()


_Pick = tuple[Table, list[int]]


def rows(content: bytes, wanted: Mapping[Table, Columns]) -> dict[Table, list[Row]]:
    """Give the rows of the wanted tables in the report's order: the needed columns, then the optional ones.

    A table that the report does not have is empty; a field that its line does not reach is too.

    Raises:
        SourceError: this is no such report, its end is missing, or a needed column is.
    """
    found: dict[Table, list[Row]] = {table: [] for table in wanted}
    picks: dict[tuple[str, ...], _Pick | None] = {}
    ended = False
    try:
        for record in csv.reader(_lines(content, wanted)):
            kind = record[0] if record else ""
            if kind == "I":
                picks[tuple(record[1:_HEAD])] = _pick(record, wanted)
            elif kind == "D":
                pick = picks.get(tuple(record[1:_HEAD]))
                if pick is not None:
                    found[pick[0]].append(_picked(record, pick[1]))
            elif kind == "C":
                ended = len(record) > 1 and record[1].strip().upper() == _END
    except csv.Error as exc:
        raise SourceError(f"a report makes no sense: {exc}") from exc
    if not ended:
        raise SourceError("a report has no end: it is cut off, or it is none")
    return found


def _lines(content: bytes, wanted: Mapping[Table, Columns]) -> Iterator[str]:
    """Yield the lines that matter: most of a dispatch report are constraints, and to read them takes most of the time."""
    starts = tuple(f"D,{package},{table}," for package, table in wanted)
    text = content.decode("utf-8-sig", errors="replace")
    # Not `splitlines`, which cuts a field at a stray form feed.
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.startswith("D,") or line.startswith(starts):
            yield line


def _pick(header: list[str], wanted: Mapping[Table, Columns]) -> _Pick | None:
    table = (header[1], header[2]) if len(header) > _HEAD else ("", "")
    columns = wanted.get(table)
    if columns is None:
        return None
    places = {name.strip().upper(): index for index, name in enumerate(header)}
    missing = [name for name in columns.needed if name not in places]
    if missing:
        raise SourceError(
            f"AEMO's table {'.'.join(table)} has no column {', '.join(missing)} any more"
        )
    return table, [places.get(name, -1) for name in (*columns.needed, *columns.optional)]


def _picked(record: Sequence[str], places: Sequence[int]) -> Row:
    return tuple(record[place] if 0 <= place < len(record) else "" for place in places)


@lru_cache(maxsize=4096)
def moment(text: str) -> datetime:
    """Read `2026/03/01 00:05:00`, which is NEM time (UTC+10 all year).

    Raises:
        SourceError: it is no such time.
    """
    try:
        return datetime.strptime(text, "%Y/%m/%d %H:%M:%S").replace(tzinfo=NEM_ZONE)
    except ValueError:
        raise SourceError(
            f"a report has the time {text[:30]!r}, which makes no sense"
        ) from None


def number(text: str) -> float | None:
    """Read a number; an empty field is no value.

    Raises:
        SourceError: it is no number, or not a finite one.
    """
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SourceError(f"a report has {text[:30]!r} where a number should be")
    return value
