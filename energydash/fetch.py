"""The batch job `fetch`: plan the requests, run them, keep the raw answers.

It does not retry and does not continue an interrupted fetch: until the last answer has come and made sense, the
folder keeps what it had.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from energydash import schema
from energydash.config import FetchSettings
from energydash.errors import ConfigError, SourceError
from energydash.files.folder import DataFolder
from energydash.files.raw import RawWriter
from energydash.progress import Progress
from energydash.sources.parse import parse_data, parse_facilities
from energydash.sources.protocol import BATCH_CODES, Source, Window

logger = logging.getLogger(__name__)

# The API answers at most 8 days of five-minute values to a free key. Longer intervals are not cut: the API
# labels them by their start, and a cut inside one would give its two halves the same label.
_SPLIT_INTERVAL = "5m"
_MAX_SPAN = timedelta(days=8)
_ALL = "all"


class FetchSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a fetch brought.

    `facilities` and `units` are those asked for, `points` the values (null included) of all units' metrics,
    `market_points` those of the market, `files` how many were written.
    """

    source: str
    simulated: bool
    start: datetime
    end: datetime
    facilities: int
    units: int
    requests: int
    points: int
    market_points: int
    files: int
    data_dir: str


class Request(msgspec.Struct, frozen=True):
    """One request: units of `codes`, or the market (`codes` None) as a whole or `by_region`."""

    window: Window
    codes: tuple[str, ...] | None = None
    by_region: bool = False


def wanted(catalogue: schema.FacilitiesAnswer, status: str) -> list[schema.Facility]:
    """Give the facilities that have a unit of one of the comma-separated `status`, or `all`.

    `operating` takes `commissioning` in: such a unit runs, if not yet at full output.

    Raises:
        ConfigError: no facility has such a unit.
    """
    asked = {word.strip().lower() for word in status.split(",")}
    if "operating" in asked:
        asked.add("commissioning")
    found = [
        facility
        for facility in catalogue.data
        if _ALL in asked or any(unit.status_id in asked for unit in facility.units)
    ]
    if not found:
        known = sorted({unit.status_id for f in catalogue.data for unit in f.units})
        raise ConfigError(
            f"no station has a unit of --status {status}: give some of {', '.join([*known, _ALL])}"
        )
    return found


def windows(whole: Window, span: timedelta = _MAX_SPAN) -> list[Window]:
    """Cut a window into half-open ones of at most `span` that touch and do not overlap."""
    parts = []
    start = whole.start
    while start < whole.end:
        end = min(start + span, whole.end)
        parts.append(Window(start, end))
        start = end
    return parts


def batches(codes: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """Cut codes into runs of at most `size`, in order.

    Raises:
        ConfigError: `size` is less than one or more than the API takes.
    """
    if not 1 <= size <= BATCH_CODES:
        raise ConfigError(f"--batch-size {size} is out of range: give 1 to {BATCH_CODES}")
    return [tuple(codes[i : i + size]) for i in range(0, len(codes), size)]


def plan(spans: Sequence[Window], groups: Sequence[tuple[str, ...]]) -> list[Request]:
    """Give the data requests in order, the market first: a wrong key or window costs one request."""
    requests = []
    for span in spans:
        requests += [Request(span), Request(span, by_region=True)]
        requests += [Request(span, codes) for codes in groups]
    return requests


async def run(settings: FetchSettings, source: Source, progress: Progress) -> FetchSummary:
    """Fetch catalogue, units and market, and keep them in the data folder as a whole.

    Closes `source`.

    Raises:
        ConfigError: no station has the status that was asked for.
        SourceError: the source fails, refuses (AuthError: the key), or has no data in the window.
        FileError: the folder cannot be written.
    """
    try:
        with RawWriter(DataFolder(settings.data_dir)) as writer:
            return await _run(settings, source, progress, writer)
    finally:
        await source.aclose()


async def _run(
    settings: FetchSettings, source: Source, progress: Progress, writer: RawWriter
) -> FetchSummary:
    progress(0, None, "catalogue")
    catalogue = await source.facilities(settings.network)
    parsed = parse_facilities(catalogue)
    facilities = wanted(parsed, settings.status)
    requests = plan(
        _spans(settings, source),
        batches([facility.code for facility in facilities], settings.batch_size),
    )
    market: list[bytes] = []
    points, market_points = 0, 0
    for done, request in enumerate(requests, start=1):
        progress(done, len(requests) + 1, f"{points:,} values")
        await asyncio.sleep(0.0 if source.simulated else settings.batch_delay_s)
        answer = await _ask(source, settings, request)
        if answer is None:
            continue
        if request.codes is None:
            market_points += _points(answer)
            market.append(answer)
        else:
            points += _points(answer)
            writer.add(answer)
    progress(len(requests) + 1, len(requests) + 1, f"{points:,} values")
    if not points and not market_points:
        raise SourceError(
            f"{source.name} has no data from {settings.start.isoformat()} to {settings.end.isoformat()}: "
            "give another --start and --end"
        )
    files = writer.finish(
        catalogue=catalogue,
        mapping={f.code: [unit.code for unit in f.units] for f in parsed.data},
        market=market,
        provenance=schema.Provenance(
            source=source.name,
            simulated=source.simulated,
            start=settings.start,
            end=settings.end,
            fetched_at=datetime.now(UTC),
        ),
    )
    logger.info(
        "%d requests, %d values of %d facilities", len(requests) + 1, points, len(facilities)
    )
    return FetchSummary(
        source=source.name,
        simulated=source.simulated,
        start=settings.start,
        end=settings.end,
        facilities=len(facilities),
        units=sum(len(facility.units) for facility in facilities),
        requests=len(requests) + 1,
        points=points,
        market_points=market_points,
        files=len(files),
        data_dir=str(settings.data_dir),
    )


def _spans(settings: FetchSettings, source: Source) -> list[Window]:
    whole = Window(settings.start, settings.end)
    if source.simulated or settings.interval != _SPLIT_INTERVAL:
        return [whole]
    return windows(whole)


async def _ask(source: Source, settings: FetchSettings, request: Request) -> bytes | None:
    network, interval = settings.network, settings.interval
    if request.codes is None:
        return await source.market_data(
            network, request.window, interval, by_region=request.by_region
        )
    return await source.facility_data(network, request.codes, request.window, interval)


def _points(answer: bytes) -> int:
    """Count an answer's values, which also finds out whether it makes sense."""
    parsed = parse_data(answer)
    return sum(len(series.data) for metric in parsed.data for series in metric.results)
