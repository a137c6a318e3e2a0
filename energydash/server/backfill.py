"""What the server has not heard, from a data folder on this machine: the broker keeps only the newest interval."""

import asyncio
import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from energydash import schema
from energydash.errors import FileError
from energydash.files import tables
from energydash.files.recent import Interval, recent
from energydash.server.hub import Hub

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_AGAIN_S = 5.0
# So long after the first record of a connection, what is retained has come.
_SETTLE_S = 2.0


class _AnotherSourceError(Exception):
    """The tables are of another grid than the stream."""


async def run(hub: Hub, folder: Path, length: timedelta) -> None:
    """Give the hub what the tables know of the hours before the stream's present, once it is heard on each connection, and again.

    What came between two connections is lost at QoS 0, and what was under way when the broker died. What is retained may be a second
    old, and what was sent between it and our subscription is lost as well: once the stream has moved on from where it was heard
    first, its past is taken a second time. What cannot be read, or is of another source, is said once in the log and tried again: the
    tables may be made, or made anew, at any time. Runs until cancelled.
    """
    filled, since = 0, 0.0
    moved_from: datetime | None = None
    told: set[type[Exception]] = set()
    while True:
        # Which hours are the last ones, the stream alone can say: a replay is at any time.
        while hub.heard == filled and (  # noqa: ASYNC110 (the hub is pure: it sets no event)
            moved_from in {None, hub.event_time} or time.monotonic() < since + _SETTLE_S
        ):
            await asyncio.sleep(_POLL_S)
        heard, began, at_first = hub.heard, time.monotonic(), hub.event_time
        try:
            if hub.event_time is not None:
                await _fill(hub, folder, hub.event_time, length)
        except (FileError, _AnotherSourceError) as exc:
            if type(exc) not in told:
                logger.warning("the stream goes on without a past: %s", exc)
            told.add(type(exc))
            await asyncio.sleep(_AGAIN_S)
        else:
            moved_from = None if heard == filled else at_first
            filled, since = heard, began
            told.clear()


async def _fill(hub: Hub, folder: Path, until: datetime, length: timedelta) -> None:
    """Read the hours before `until`.

    Raises:
        FileError: the tables are missing or malformed.
        _AnotherSourceError: they are of another source.
    """
    source = await asyncio.to_thread(tables.provenance, folder)
    if not hub.info:
        hub.catalogue(await asyncio.to_thread(_catalogue, folder, source))
    elif source and source.source != hub.source:
        raise _AnotherSourceError(f"{folder} holds {source.source}, the stream is {hub.source}")
    intervals = recent(folder, until - length, until)
    while (interval := await asyncio.to_thread(_next, intervals)) is not None:
        hub.past(*interval)
    logger.info("took the last %s of %s", length, folder)


def _next(intervals: Iterator[Interval]) -> Interval | None:
    return next(intervals, None)


def _catalogue(folder: Path, source: schema.Provenance | None) -> schema.Catalogue:
    return schema.Catalogue(
        source=source.source if source else "unknown",
        simulated=source.simulated if source else False,
        facilities=tables.catalogue(folder),
    )
