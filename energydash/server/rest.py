"""REST: what the hub holds, for whoever asks once."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, get
from litestar.exceptions import NotFoundException, ValidationException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from energydash import __version__, nem, schema
from energydash.server.fanout import TICK_S, Fanout

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Health(msgspec.Struct, frozen=True):
    """Whether the server has a grid to show, up to when, and why not."""

    ready: bool
    reason: str
    event_time: datetime | None = None


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What stands at this address."""

    health: Health
    name: str = "energydash"
    version: str = __version__
    docs: str = "/schema"
    websocket: str = "/ws/realtime"


class FacilityNow(msgspec.Struct, frozen=True):
    """A facility and its newest value."""

    info: schema.FacilityInfo
    newest: schema.FacilityRecord | None


class Facilities(msgspec.Struct, frozen=True):
    """Facilities with their newest values, by code."""

    count: int
    facilities: list[FacilityNow]


class MarketValues(msgspec.Struct, frozen=True):
    """Values of the market."""

    values: tuple[schema.MarketRecord, ...]


class Metadata(msgspec.Struct, frozen=True):
    """What a client needs to label and colour what it gets."""

    version: str
    protocol: int
    tick_ms: int
    source: str
    simulated: bool
    regions: tuple[nem.Region, ...]
    fuel_groups: tuple[nem.FuelGroup, ...]
    fueltechs: tuple[nem.FuelTech, ...]
    status: schema.Status


def health_of(fanout: Fanout) -> Health:
    """Say whether there is a grid to show."""
    hub = fanout.hub
    if not hub.connected:
        return Health(ready=False, reason="the MQTT broker is not connected")
    if hub.event_time is None:
        return Health(ready=False, reason="no record has come yet")
    return Health(ready=True, reason="ok", event_time=hub.event_time)


def public_handlers(fanout: Fanout) -> list[HTTPRouteHandler]:
    """Give the routes that ask for no token."""

    @get("/health", sync_to_thread=False)
    def health() -> Response[Health]:
        """Say whether the server is ready, and why not (503)."""
        answer = health_of(fanout)
        return Response(answer, status_code=200 if answer.ready else 503)

    @get("/", sync_to_thread=False)
    def index() -> Index:
        """Say what this is, where to go, and whether there is a grid to show."""
        return Index(health=health_of(fanout))

    return [index, health]


def handlers(fanout: Fanout) -> list[HTTPRouteHandler]:
    """Give the routes that the token guards."""
    return [*_facility_handlers(fanout), *_market_handlers(fanout), *_server_handlers(fanout)]


def _facility_handlers(fanout: Fanout) -> list[HTTPRouteHandler]:
    hub = fanout.hub

    def known(code: str) -> schema.FacilityInfo:
        if code not in hub.info:
            raise NotFoundException(f"no facility has the code {code[:40]}")
        return hub.info[code]

    @get("/api/facilities", sync_to_thread=False)
    def facilities(
        region: Annotated[str | None, QueryParameter(description="A region's code")] = None,
        fuel: Annotated[str | None, QueryParameter(description="A fuel group's id")] = None,
    ) -> Facilities:
        """List facilities with their newest values."""
        regions = nem.REGION_BY_CODE.keys() | {info.region for info in hub.info.values()}
        _check_choice("region", region, regions)
        _check_choice("fuel", fuel, nem.FUEL_GROUP_BY_ID)
        chosen = [
            FacilityNow(info, hub.newest.get(code))
            for code, info in sorted(hub.info.items())
            if region in {None, info.region}
            and fuel in {None, nem.fueltech(info.fueltech).group}
        ]
        return Facilities(len(chosen), chosen)

    @get("/api/facilities/{code:str}", sync_to_thread=False)
    def facility(code: FromPath[str]) -> FacilityNow:
        """Give a facility and its newest value."""
        return FacilityNow(known(code), hub.newest.get(code))

    @get("/api/facilities/{code:str}/history", sync_to_thread=False)
    def history(code: FromPath[str]) -> schema.FacilityValues:
        """Give every value kept of a facility, oldest first, in columns."""
        return hub.facility_history(known(code).code)

    return [facilities, facility, history]


def _check_choice(name: str, word: str | None, known: Iterable[str]) -> None:
    """Refuse a filter that nothing can pass: an empty list would hide the slip."""
    choices = sorted(known)
    if word is not None and word not in choices:
        raise ValidationException(f"no {name} {word[:40]}: give one of {', '.join(choices)}")


def _market_handlers(fanout: Fanout) -> list[HTTPRouteHandler]:
    hub = fanout.hub

    @get("/api/market/latest", sync_to_thread=False)
    def latest() -> MarketValues:
        """Give the newest value of everything in the market."""
        return MarketValues(hub.initial_market().values)

    @get("/api/market/{network:str}/{metric:str}", sync_to_thread=False)
    def metric_history(network: FromPath[str], metric: FromPath[str]) -> MarketValues:
        """Give every value kept of a metric, of the network and its regions, oldest first."""
        values = hub.market_history(network, metric)
        if not values:
            raise NotFoundException(f"no value of {metric[:40]} in {network[:40]} is kept")
        return MarketValues(values)

    return [latest, metric_history]


def _server_handlers(fanout: Fanout) -> list[HTTPRouteHandler]:
    hub = fanout.hub

    @get("/api/metadata", sync_to_thread=False)
    def metadata() -> Metadata:
        """Give regions, fuels, colours, the source and the state of the road."""
        return Metadata(
            version=__version__,
            protocol=schema.PROTOCOL,
            tick_ms=round(TICK_S * 1000),
            source=hub.source,
            simulated=hub.simulated,
            regions=nem.REGIONS,
            fuel_groups=nem.FUEL_GROUPS,
            fueltechs=tuple(nem.FUELTECHS.values()),
            status=fanout.status(),
        )

    @get("/api/charts/snapshot", sync_to_thread=False)
    def charts() -> schema.InitialCharts:
        """Give the history kept: fuel mix, demand, price and more for each region."""
        return hub.initial_charts()

    @get("/metrics", media_type=_TEXT, sync_to_thread=False)
    def metrics() -> str:
        """Give counters in the Prometheus text form."""
        records = [
            f'energydash_records_total{{kind="{kind}",result="{cause}"}} {count}'
            for (kind, cause), count in sorted(hub.counts.items())
        ]
        gauges = [
            f"energydash_clients {len(fanout.clients)}",
            f"energydash_broker_connected {int(hub.connected)}",
            f"energydash_ticks_late_total {fanout.figures.ticks_late}",
            f"energydash_seq {hub.seq}",
        ]
        return "\n".join([*records, *gauges, ""])

    return [metadata, charts, metrics]
