"""The history that this process has received, asked like a folder of tables: regions and fuels, no stations. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import numpy as np

from energydash.files.tracks import (  # fmt: skip
    METRICS,
    Grid,
    Kind,
    Numbers,
    Question,
    Track,
    Tracks,
    plain,
    quotient,
    share,
)
from energydash.ui.store import Row, Store

_OF_FUELS = ("power",)
_OF_REGIONS = ("power", "price", "demand", "renewables", "emissions", "intensity")


def metrics(kind: Kind) -> tuple[str, ...]:
    """Give the metrics that the stream tells; none of stations."""
    known = {"region": _OF_REGIONS, "fuel": _OF_FUELS}.get(kind, ())
    return tuple(id_ for id_ in METRICS if id_ in known)


def answer(question: Question, store: Store) -> Tracks:
    """Answer a question from the history received."""
    times = [t for t in store.times if question.start <= t <= question.end]
    grid = Grid(np.array([round(t.timestamp() * 1000) for t in times], np.int64))
    scopes = question.names if question.kind == "region" else (question.scope,)
    columns = {scope: _Columns(store.rows(scope, times), times, grid) for scope in scopes}
    tracks = (
        _of_region(name, question.metric, columns[name])
        if question.kind == "region"
        else plain(name, columns[question.scope].of(partial(_fuel, name)))
        for name in question.names
    )
    return Tracks(
        start_ms=grid.start_ms,
        step_ms=grid.step_ms,
        tracks=tuple(tracks),
        prices=tuple(_of_region(scope, "price", columns[scope]) for scope in scopes),
        renewables=tuple(_of_region(scope, "renewables", columns[scope]) for scope in scopes),
    )


def _fuel(group: str, row: Row) -> float | None:
    return row.fuel.get(group)


class _Columns:
    """A scope's intervals as columns."""

    def __init__(self, rows: Sequence[Row], times: Sequence[datetime], grid: Grid) -> None:
        self._rows = rows
        self._times = np.array([round(t.timestamp() * 1000) for t in times], np.int64)
        self._grid = grid
        self.hours = grid.hours

    def of(self, value: Callable[[Row], float | None]) -> Numbers:
        """Give a column; NaN where there is no value."""
        values = [value(row) for row in self._rows]
        known = np.array([np.nan if v is None else v for v in values], float)
        return self._grid.place(self._times, known)


def _of_region(scope: str, metric: str, columns: _Columns) -> Track:
    generation = columns.of(lambda row: row.generation)
    match metric:
        case "price":
            return plain(scope, columns.of(lambda row: row.price))
        case "demand":
            return plain(scope, columns.of(lambda row: row.demand))
        case "renewables":
            known = columns.of(lambda row: row.renewable_share)
            return share(scope, known * generation, generation)
        case "emissions":
            return plain(scope, columns.of(lambda row: row.emissions) / columns.hours)
        case "intensity":
            emitted = columns.of(lambda row: row.emissions)
            return quotient(scope, emitted, generation * columns.hours)
    return plain(scope, generation)
