"""The tables as a sequence of intervals that goes on when they are renewed."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from energydash import schema
from energydash.files import tables
from energydash.stream.replay import Interval, merged
from energydash.stream.selection import Selection

_POLL_S = 0.5
_RESTLESS_S = 30.0


class Tail:
    """Where in the tables the reading stands; reading never blocks the loop."""

    def __init__(self, facility_csv: Path, market_csv: Path) -> None:
        self._facility_csv = facility_csv
        self._market_csv = market_csv
        self._folder = facility_csv.parent
        self._watched = (
            facility_csv,
            market_csv,
            *(
                self._folder / f"{name}.{suffix}"
                for name in (tables.FACILITIES, tables.UNITS)
                for suffix in ("csv", "parquet")
            ),
            self._folder / "source.json",
        )
        self._seen = self._stamps()
        self._intervals: Iterator[Interval] = iter(())
        self._head: asyncio.Task[Interval | None] | None = None

    def open(
        self,
        selection: Selection,
        facilities_after: datetime | None = None,
        market_after: datetime | None = None,
    ) -> None:
        """Begin again, with what was selected and is later than the given times."""
        self._seen = self._stamps()
        intervals = merged(
            tables.facility_intervals(self._facility_csv, facilities_after),
            tables.market_intervals(self._market_csv, market_after),
        )
        self._intervals = filter(None, map(selection.narrowed, intervals))
        self._head = None

    async def peek(self) -> Interval | None:
        """Give the interval that is next, None at the end; a cancelled wait loses nothing.

        Raises:
            FileError: a table is missing or malformed.
        """
        if self._head is None:
            self._head = asyncio.create_task(self._read(), name="read-tables")
        return await asyncio.shield(self._head)

    def drop(self) -> None:
        """Be done with the interval that was next."""
        self._head = None

    async def close(self) -> None:
        """Let a read that is under way end."""
        if self._head is not None:
            await asyncio.gather(self._head, return_exceptions=True)

    async def _read(self) -> Interval | None:
        return await asyncio.to_thread(next, self._intervals, None)

    async def catalogue(self, speed: float | None) -> schema.Catalogue:
        """Read what the tables' codes stand for; empty where tables came without it.

        Raises:
            FileError: it is malformed.
        """
        folder = self._folder
        source = await asyncio.to_thread(tables.provenance, folder)
        has_stations = any(folder.glob(f"{tables.FACILITIES}.*"))
        return schema.Catalogue(
            source=source.source if source else "unknown",
            simulated=source.simulated if source else False,
            facilities=await asyncio.to_thread(tables.catalogue, folder)
            if has_stations
            else (),
            speed=speed,
        )

    async def renewed(self) -> None:
        """Wait until the tables have changed and are still: they are replaced one after the other."""
        while self._stamps() == self._seen:  # noqa: ASYNC110 (a file sets no event)
            await asyncio.sleep(_POLL_S)
        deadline = time.monotonic() + _RESTLESS_S
        stamps = None
        while stamps != (now := self._stamps()) and time.monotonic() < deadline:
            stamps = now
            await asyncio.sleep(_POLL_S)

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._watched)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
