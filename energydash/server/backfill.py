"""The hours before the server came, from a data folder on this machine: the broker keeps only the newest interval."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from energydash import schema
from energydash.errors import FileError
from energydash.files import tables
from energydash.files.recent import Interval, recent
from energydash.server.hub import Hub

logger = logging.getLogger(__name__)

_POLL_S = 0.1


async def run(hub: Hub, folder: Path, length: timedelta) -> None:
    """Wait for the stream's present, then give the hub what the tables know of the hours before it.

    A folder that cannot be read, or is of another source than the stream, is said in the log and left alone.
    """
    # Which hours are the last ones, the stream alone can say: a replay is at any time.
    while hub.event_time is None:  # noqa: ASYNC110 (the hub is pure: it sets no event)
        await asyncio.sleep(_POLL_S)
    until = hub.event_time
    try:
        source = await asyncio.to_thread(tables.provenance, folder)
        if not hub.info:
            hub.catalogue(await asyncio.to_thread(_catalogue, folder, source))
        elif source and source.source != hub.source:
            logger.warning("%s holds %s, the stream is %s: it begins without a past", folder, source.source, hub.source)  # fmt: skip
            return
        intervals = recent(folder, until - length, until)
        while (interval := await asyncio.to_thread(_next, intervals)) is not None:
            hub.past(*interval)
    except FileError as exc:
        logger.warning("the stream begins without a past: %s", exc)
        return
    logger.info("took the last %s of %s", length, folder)


def _next(intervals: Iterator[Interval]) -> Interval | None:
    return next(intervals, None)


def _catalogue(folder: Path, source: schema.Provenance | None) -> schema.Catalogue:
    return schema.Catalogue(
        source=source.source if source else "unknown",
        simulated=source.simulated if source else False,
        facilities=tables.catalogue(folder),
    )
