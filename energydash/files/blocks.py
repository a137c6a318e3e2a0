"""A raw answer as blocks: series that share their times are rows of one matrix."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from energydash.errors import FileError
from energydash.files.answers import Content, Series, Values, read_series
from energydash.files.clock import Clock, Stamps

METRICS = ("power", "emissions")
"""What is summed: MW, and t CO2 in the interval."""

_Key = tuple[int, int]


class Block(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Values (units x times; NaN for null) of one metric, an index of `METRICS`; times ascend strictly, no row twice."""

    metric: int
    stamps: Stamps
    rows: NDArray[np.intp]
    values: Values


class UnitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All that one file holds: of two blocks with the same point, the later counts.

    `first` and `last` are its outermost stamps, None where it has no point of a known unit; `unknown` are the units
    that no catalogue knows.
    """

    blocks: tuple[Block, ...]
    first: int | None
    last: int | None
    interval: str
    offset_s: int
    unknown: tuple[str, ...]


class _Pile:
    """Series on their way to blocks; a unit that comes again begins new ones, since a later value counts."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._open: dict[_Key, tuple[Stamps, list[int], list[Values]]] = {}
        self._taken: set[_Key] = set()

    def add(self, metric: int, row: int, stamps: Stamps, values: Values) -> None:
        if (metric, row) in self._taken:
            self.close()
        self._taken.add((metric, row))
        # The array itself tells which series share their times; `_open` keeps it alive.
        _, rows, parts = self._open.setdefault((metric, id(stamps)), (stamps, [], []))
        rows.append(row)
        parts.append(values)

    def close(self) -> None:
        for (metric, _), (stamps, rows, parts) in self._open.items():
            self.blocks.append(
                Block(
                    metric=metric, stamps=stamps, rows=np.array(rows), values=np.vstack(parts)
                )
            )
        self._open.clear()
        self._taken.clear()


def read_blocks(
    path: Path, content: Content, row_of: Mapping[str, int], clock: Clock
) -> UnitAnswer:
    """Give a file's power and emissions by the rows of its units; `path` is for errors.

    Raises:
        FileError: it is malformed, or holds intervals of several lengths.
    """
    pile = _Pile()
    unknown: set[str] = set()
    interval, offset_s = "", 0
    for series in read_series(path, content, clock):
        if series.metric not in METRICS or series.unit_code is None:
            continue
        if interval and series.interval != interval:
            raise mixed(path, series.interval, interval)
        if not interval:
            interval, offset_s = series.interval, series.offset_s
        row = row_of.get(series.unit_code)
        if row is None:
            unknown.add(series.unit_code)
        else:
            _pile_up(pile, row, series)
    pile.close()
    return UnitAnswer(
        blocks=tuple(pile.blocks),
        first=min((int(block.stamps[0]) for block in pile.blocks), default=None),
        last=max((int(block.stamps[-1]) for block in pile.blocks), default=None),
        interval=interval,
        offset_s=offset_s,
        unknown=tuple(sorted(unknown)),
    )


def mixed(path: Path, found: str, wanted: str) -> FileError:
    """Give the error for a file whose intervals differ from the others'."""
    return FileError(
        f"{path} holds intervals of {found}, others of {wanted}: fetch each into its own folder"
    )


def _pile_up(pile: _Pile, row: int, series: Series) -> None:
    """Add a series in runs whose times ascend: the API's is one run, a dump's may repeat itself."""
    metric = METRICS.index(series.metric)
    breaks = np.flatnonzero(np.diff(series.stamps) <= 0) + 1
    if not breaks.size:
        pile.add(metric, row, series.stamps, series.values)
        return
    for stamps, values in zip(
        np.split(series.stamps, breaks), np.split(series.values, breaks), strict=True
    ):
        pile.add(metric, row, stamps, values)
