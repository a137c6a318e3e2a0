"""Requests to manifest lines and back: under which name an answer is kept, and what is said of it."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from energydash import schema
from energydash.config import FetchSettings
from energydash.fetch.plan import Request
from energydash.files import manifest
from energydash.files.folder import batch_name
from energydash.sources.protocol import Source

CATALOGUE = "facilities_data.json"
MARKET = "market_data.json"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What all entries of a fetch share."""

    source: str
    url: str
    network: str
    interval: str


def origin_of(settings: FetchSettings, source: Source) -> Origin:
    """Give what all entries of a fetch share."""
    return Origin(
        source=source.name,
        url=source.url,
        network=settings.network,
        interval=settings.interval,
    )


def named(requests: Sequence[Request]) -> dict[str, Request]:
    """Give each request the name of its answer's file; the numbers count those of units and of the market apart."""
    units = (request for request in requests if request.codes is not None)
    market = (request for request in requests if request.codes is None)
    return {
        f"market/market_{n:03d}.json": request for n, request in enumerate(market, start=1)
    } | {f"batch_data/{batch_name(n)}": request for n, request in enumerate(units, start=1)}


def answers(entry: schema.Kept, request: Request) -> bool:
    """Whether what was kept is the answer to a request."""
    return (entry.start, entry.end, entry.facilities or None, entry.by_region) == (
        request.window.start,
        request.window.end,
        request.codes,
        request.by_region,
    )


def catalogue_entry(
    origin: Origin, content: bytes, catalogue: schema.FacilitiesAnswer, moment: datetime
) -> schema.Kept:
    """Say what the catalogue's file holds."""
    return schema.Kept(
        file=CATALOGUE,
        kind="catalogue",
        source=origin.source,
        url=origin.url,
        network=origin.network,
        fetched_at=moment,
        sha256=manifest.digest(content),
        size=len(content),
        points=len(catalogue.data),
    )


def entry_of(
    origin: Origin,
    name: str,
    request: Request,
    content: bytes,
    answer: schema.DataAnswer | None,
    moment: datetime,
) -> schema.Kept:
    """Say what a data answer's file holds; without an answer there is none, and its size is 0."""
    labels = list(_labels(answer)) if answer else []
    return schema.Kept(
        file=name,
        kind="market" if request.codes is None else "units",
        source=origin.source,
        url=origin.url,
        fetched_at=moment,
        sha256=manifest.digest(content),
        size=len(content),
        network=origin.network,
        interval=origin.interval,
        start=request.window.start,
        end=request.window.end,
        facilities=request.codes or (),
        by_region=request.by_region,
        points=len(labels),
        first=min(labels, default=None),
        last=max(labels, default=None),
    )


def joined(parts: Sequence[schema.Kept], name: str) -> schema.Kept:
    """Say what a file holds into which all `parts` are joined; its size and digest are not known yet."""
    whole = parts[-1]
    return msgspec.structs.replace(
        whole,
        file=name,
        fetched_at=max(part.fetched_at for part in parts),
        sha256="",
        size=0,
        start=min((part.start for part in parts if part.start), default=None),
        by_region=False,
        points=sum(part.points for part in parts),
        first=min((part.first for part in parts if part.first), default=None),
        last=max((part.last for part in parts if part.last), default=None),
    )


def _labels(answer: schema.DataAnswer) -> Iterator[datetime]:
    return (
        label for metric in answer.data for series in metric.results for label, _ in series.data
    )
