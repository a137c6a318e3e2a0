"""Routes of the server itself: whether it is ready, what stands here, what codes and colours mean, its measures."""

from collections.abc import Hashable
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from energydash import __version__, nem, schema
from energydash.server.fanout import TICK_S, Fanout
from energydash.server.metrics import MEDIA_TYPE, Metrics
from energydash.server.rest import examples
from energydash.server.rest.answers import Health, Index, Metadata
from energydash.server.rest.describe import described
from energydash.server.rest.desk import Ask, Desk, Pages

_FRESH = {"cache-control": "no-store"}


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

    @get(
        "/health",
        operation_id="getHealth",
        **described(examples.HEALTH, kept=False, unready=True),
        sync_to_thread=False,
    )
    def health() -> Response[Health]:
        """Say whether the server is ready, and why not (503)."""
        answer = health_of(fanout)
        return Response(answer, status_code=200 if answer.ready else 503, headers=_FRESH)

    @get(
        "/",
        operation_id="getIndex",
        **described(examples.INDEX, kept=False),
        sync_to_thread=False,
    )
    def index() -> Response[Index]:
        """Say what this is, where to go, and whether there is a grid to show."""
        return Response(Index(health=health_of(fanout)), headers=_FRESH)

    return [index, health]


def handlers(desk: Desk, metrics: Metrics) -> list[HTTPRouteHandler]:
    """Give the routes that the token guards."""
    fanout, hub = desk.fanout, desk.hub

    def moment() -> Hashable:
        return fanout.status(), hub.source

    def make() -> tuple[Metadata, Pages]:
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
        ), {}

    @get(
        "/api/metadata",
        operation_id="getMetadata",
        **described(examples.METADATA),
    )
    async def metadata(request: Request[Any, Any, Any]) -> Response[Metadata]:
        """Give regions, fuels, colours, the source and the state of the road."""
        return await desk.answer(request, Ask(moment, make))

    @get(
        "/metrics",
        operation_id="getMetrics",
        **described(None, kept=False),
        media_type=MEDIA_TYPE,
        sync_to_thread=False,
    )
    def measures() -> Response[str]:
        """Give the server's measures in the Prometheus text form."""
        return Response(
            metrics.text(), media_type=MEDIA_TYPE, headers=_FRESH | {"content-type": MEDIA_TYPE}
        )

    return [metadata, measures]
