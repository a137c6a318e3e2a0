"""Answers as the OpenAPI document shows them, made of the same structs as the real ones."""

from datetime import datetime

from litestar.openapi.spec import Example

from energydash import __version__, nem, schema
from energydash.server.rest.answers import (
    Charts,
    Facilities,
    FacilityHistory,
    FacilityNow,
    Health,
    Index,
    MarketValues,
    Metadata,
)

CODE = Example(summary="A coal-fired station", value="BAYSW")
NETWORK = Example(value="NEM")
METRIC = Example(value="price")

_NOON = datetime(2026, 3, 1, 12, 0, tzinfo=nem.NEM_ZONE)
_TIMES = (_NOON - nem.INTERVAL, _NOON)

FACILITY = FacilityNow(
    code="BAYSW",
    name="Bayswater",
    network="NEM",
    region="NSW1",
    fueltech="coal_black",
    fuel="coal_black",
    status="operating",
    capacity=2640.0,
    longitude=150.95,
    latitude=-32.4,
    units=(
        schema.UnitInfo(code="BW01", fueltech="coal_black", status="operating", capacity=660.0),
    ),
    event_time=_NOON,
    power=1980.0,
    emissions=148.5,
    by_fuel=None,
    capacity_factor=0.75,
    age_s=0.0,
    stale=False,
)
FACILITIES = Facilities(
    total=1, offset=0, event_time=_NOON, publisher="live", facilities=(FACILITY,)
)
FACILITY_HISTORY = FacilityHistory(
    total=2,
    times=_TIMES,
    at=(0, 1),
    facility_id=("BAYSW", "BAYSW"),
    power=(1953.6, 1980.0),
    emissions=(146.5, 148.5),
    capacity_factor=(0.74, 0.75),
    fuels={},
)


def _price(moment: datetime, value: float, region: str | None) -> schema.MarketRecord:
    return schema.MarketRecord(
        network_code="NEM",
        metric="price",
        event_time=moment,
        value=value,
        network_region=region,
    )


MARKET = MarketValues(total=1, values=(_price(_NOON, 71.3, None), _price(_NOON, 68.02, "NSW1")))
MARKET_HISTORY = MarketValues(
    total=2, values=(_price(_TIMES[0], 69.9, "NSW1"), _price(_NOON, 68.02, "NSW1"))
)
CHARTS = Charts(
    total=2,
    times=_TIMES,
    scopes=(
        schema.ScopeSeries(
            scope="NSW1",
            expected=120,
            fuel={"coal_black": (5210.0, 5188.4), "wind": (904.2, 931.7)},
            demand=(8120.5, 8133.1),
            price=(69.9, 68.02),
            generation=(6114.2, 6120.1),
            emissions=(391.2, 389.7),
            renewable_share=(0.1479, 0.1522),
            emissions_intensity=(0.7678, 0.7641),
            net_import=(2006.3, 2013.0),
            reporting=(118, 118),
        ),
    ),
)
HEALTH = Health(ready=True, reason="ok", event_time=_NOON)
INDEX = Index(health=HEALTH)
METADATA = Metadata(
    version=__version__,
    protocol=schema.PROTOCOL,
    tick_ms=100,
    source="openelectricity",
    simulated=False,
    regions=nem.REGIONS[:1],
    fuel_groups=nem.FUEL_GROUPS[:1],
    fueltechs=(nem.FUELTECHS["coal_brown"],),
    status=schema.Status(
        seq=17,
        broker="connected",
        publisher="live",
        stale_after_s=15.0,
        source="openelectricity",
        event_time=_NOON,
        last_record_at=_NOON,
        reporting=398,
        facilities=420,
        clients=3,
    ),
)
