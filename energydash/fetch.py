"""The batch job `fetch`: plan the requests, run them, keep the raw answers."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from energydash import schema
from energydash.config import FetchSettings
from energydash.errors import SourceError
from energydash.files import raw
from energydash.files.folder import DataFolder
from energydash.progress import Progress
from energydash.sources.parse import parse_data, parse_facilities
from energydash.sources.protocol import Source, Window

logger = logging.getLogger(__name__)

# The API answers at most 8 days of five-minute values to a free key; see its plans.
_MAX_SPAN = timedelta(days=8)
_ALL = "all"


class FetchSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a fetch brought; `facilities` are those asked for, `points` values of all metrics."""

    source: str
    simulated: bool
    start: datetime
    end: datetime
    facilities: int
    units: int
    requests: int
    points: int
    market_points: int
    data_dir: str


def wanted(catalogue: schema.FacilitiesAnswer, status: str) -> list[schema.Facility]:
    """Give the facilities that have a unit of one of the comma-separated `status`, or `all`.

    `operating` takes `commissioning` in: such a unit runs, if not yet at full output.
    """
    asked = {word.strip() for word in status.split(",")}
    if "operating" in asked:
        asked.add("commissioning")
    return [
        facility
        for facility in catalogue.data
        if _ALL in asked or any(unit.status_id in asked for unit in facility.units)
    ]


def windows(whole: Window, span: timedelta = _MAX_SPAN) -> list[Window]:
    """Cut a window into half-open ones of at most `span` that touch and do not overlap."""
    parts = []
    start = whole.start
    while start < whole.end:
        end = min(start + span, whole.end)
        parts.append(Window(start, end))
        start = end
    return parts


def batches(codes: Sequence[str], size: int) -> list[Sequence[str]]:
    """Cut codes into runs of at most `size`, in order."""
    return [codes[i : i + size] for i in range(0, len(codes), size)]


async def run(settings: FetchSettings, source: Source, progress: Progress) -> FetchSummary:
    """Fetch catalogue, units and market, and keep them in the data folder as a whole.

    Nothing is written before the last answer has come and made sense.

    Raises:
        SourceError: the source fails, refuses (AuthError: the key), or has no data in the window.
        FileError: the folder cannot be written.
    """
    try:
        return await _run(settings, source, progress)
    finally:
        await source.aclose()


async def _run(settings: FetchSettings, source: Source, progress: Progress) -> FetchSummary:
    progress(0, None, "catalogue")
    catalogue = await source.facilities(settings.network)
    facilities = wanted(parse_facilities(catalogue), settings.status)
    whole = Window(settings.start, settings.end)
    spans = [whole] if source.simulated else windows(whole)
    groups = batches([facility.code for facility in facilities], settings.batch_size)
    total = 1 + len(spans) * (len(groups) + 2)
    pause = 0.0 if source.simulated else settings.batch_delay_s
    requests = 1
    points = 0
    answers: list[bytes] = []
    market: list[bytes] = []
    for span in spans:
        for by_region in (False, True):
            progress(requests, total, "market")
            answer = await source.market_data(
                settings.network, span, settings.interval, by_region=by_region
            )
            requests += 1
            if answer is not None:
                market.append(answer)
            await asyncio.sleep(pause)
        for group in groups:
            progress(requests, total, f"{points:,} values")
            answer = await source.facility_data(
                settings.network, group, span, settings.interval
            )
            requests += 1
            if answer is not None:
                points += _points(answer)
                answers.append(answer)
            await asyncio.sleep(pause)
    progress(total, total, f"{points:,} values")
    market_points = sum(_points(answer) for answer in market)
    if not points and not market_points:
        raise SourceError(
            f"{source.name} has no data from {whole.start.isoformat()} to {whole.end.isoformat()}"
        )
    raw.save(
        DataFolder(settings.data_dir),
        catalogue=catalogue,
        mapping={f.code: [unit.code for unit in f.units] for f in facilities},
        batches=answers,
        market=market,
        provenance=schema.Provenance(
            source=source.name,
            simulated=source.simulated,
            start=whole.start,
            end=whole.end,
            fetched_at=datetime.now(UTC),
        ),
    )
    logger.info("%d requests, %d points, %d facilities", requests, points, len(facilities))
    return FetchSummary(
        source=source.name,
        simulated=source.simulated,
        start=whole.start,
        end=whole.end,
        facilities=len(facilities),
        units=sum(len(facility.units) for facility in facilities),
        requests=requests,
        points=points,
        market_points=market_points,
        data_dir=str(settings.data_dir),
    )


def _points(answer: bytes) -> int:
    parsed = parse_data(answer)
    return sum(len(series.data) for metric in parsed.data for series in metric.results)
