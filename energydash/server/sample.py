"""Frames that can be shown as examples: a hub's own, of a grid of two stations. Pure."""

from datetime import UTC, datetime, timedelta

from energydash import __version__, nem, schema
from energydash.server.fanout import TICK_S
from energydash.server.hub import Hub

_STREAM = "9f2c61d08ab34e75"
_FIRST = datetime(2026, 1, 5, 12, 0, tzinfo=nem.NEM_ZONE)
_NOW = datetime(2026, 1, 5, 2, 10, 31, tzinfo=UTC)
_STATIONS = (
    schema.FacilityInfo(
        code="BAYSW",
        name="Bayswater",
        network="NEM",
        region="NSW1",
        fueltech="coal_black",
        status="operating",
        capacity=2640.0,
        longitude=150.95,
        latitude=-32.39,
        units=tuple(
            schema.UnitInfo(
                code=f"BW0{n}", fueltech="coal_black", status="operating", capacity=660.0
            )
            for n in range(1, 5)
        ),
    ),
    schema.FacilityInfo(
        code="MACARTH1",
        name="Macarthur",
        network="NEM",
        region="VIC1",
        fueltech="wind",
        status="operating",
        capacity=420.0,
        longitude=142.19,
        latitude=-38.05,
        units=(
            schema.UnitInfo(
                code="MACARTH1", fueltech="wind", status="operating", capacity=420.0
            ),
        ),
    ),
)


def server_frames() -> list[schema.ServerFrame]:
    """Give one frame of each type that a server sends."""
    hub = Hub(clock=lambda: _NOW)
    hub.broker_state(connected=True)
    hub.catalogue(
        schema.Catalogue(source="demo", simulated=True, facilities=_STATIONS, speed=60.0)
    )
    _give(hub, 0)
    hub.tick()
    snapshot: list[schema.ServerFrame] = [
        hub.initial_data(),
        hub.initial_market(),
        hub.initial_charts(),
    ]
    hello = schema.Hello(
        protocol=schema.PROTOCOL,
        stream=_STREAM,
        version=__version__,
        seq=hub.seq,
        tick_ms=round(TICK_S * 1000),
    )
    _give(hub, 1)
    error = schema.ErrorFrame(
        code="unknown_filter",
        detail=f"no fuel dilithium: give some of {', '.join(sorted(nem.FUEL_GROUP_BY_ID))}",
    )
    return [hello, *snapshot, *hub.tick(), hub.status(clients=1), error]


def client_frames() -> list[schema.ClientFrame]:
    """Give one frame of each type that a client may send."""
    wish = schema.Filter(regions=frozenset({"NSW1", "VIC1"}), fuels=frozenset({"wind"}))
    return [
        schema.Subscribe(filter=wish, channels=frozenset({"facilities", "charts"})),
        schema.Resume(seq=17, stream=_STREAM),
        schema.Ping(),
    ]


def _give(hub: Hub, interval: int) -> None:
    moment = _FIRST + timedelta(minutes=5 * interval)
    hub.facilities(
        [
            schema.FacilityRecord(
                event_time=moment, facility_id=code, power=power + interval, emissions=emissions
            )
            for code, power, emissions in (("BAYSW", 1874.2, 137.6), ("MACARTH1", 203.4, 0.0))
        ]
    )
    hub.market(
        [
            schema.MarketRecord(
                network_code="NEM",
                metric=metric,
                event_time=moment,
                value=value + interval,
                network_region=region,
            )
            for metric, region, value in (
                ("demand", "NSW1", 7412.6),
                ("price", "NSW1", 81.5),
                ("price", None, 74.9),
                (nem.FLOW, "VIC1-NSW1", 411.3),
                (nem.IMPORT_LIMIT, "VIC1-NSW1", -350.0),
                (nem.EXPORT_LIMIT, "VIC1-NSW1", 924.0),
            )
        ]
    )
