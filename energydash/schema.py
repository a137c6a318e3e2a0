"""Every record that crosses a boundary: the API's answers, the files, MQTT, the WebSocket.

Bytes become these structs in the function that reads them, and nothing past it is a dict. Readers ignore
fields that they do not know. Power is MW (net: a load is negative), emissions are tonnes of CO2 in the
interval, coordinates are WGS 84 degrees, times carry an offset. None means "no value", never zero.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

PROTOCOL = 1
"""The version of the WebSocket protocol, said in `hello`."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of what is read leniently and written without its defaults."""


# --- the API's answers -------------------------------------------------------------------------------


class Location(Record, frozen=True, kw_only=True):
    """A point, WGS 84 degrees."""

    lat: float
    lng: float


class Unit(Record, frozen=True, kw_only=True):
    """A generating unit as the catalogue gives it; capacities in MW (storage in MWh), factor in t CO2/MWh.

    The ids are plain strings, not enumerations: the API gains new ones, and one new word must not lose
    a whole catalogue.
    """

    code: str
    fueltech_id: str = "other"
    status_id: str = "operating"
    dispatch_type: str | None = None
    capacity_registered: float | None = None
    capacity_maximum: float | None = None
    capacity_storage: float | None = None
    emissions_factor_co2: float | None = None
    data_first_seen: datetime | None = None
    data_last_seen: datetime | None = None


class Facility(Record, frozen=True, kw_only=True):
    """A power station with its units."""

    code: str
    name: str
    network_id: str = "NEM"
    network_region: str = ""
    description: str | None = None
    location: Location | None = None
    units: tuple[Unit, ...] = ()


class FacilitiesAnswer(Record, frozen=True, kw_only=True):
    """The answer of `/facilities/`."""

    data: tuple[Facility, ...]
    success: bool = True
    error: str | None = None


class Columns(Record, frozen=True, kw_only=True):
    """What distinguishes one series of an answer from the next; absent keys are None."""

    unit_code: str | None = None
    region: str | None = None
    network_region: str | None = None


Point = tuple[datetime, float | None]


class Series(Record, frozen=True, kw_only=True):
    """One series: points ascend in time; its length differs from its neighbours'."""

    name: str
    columns: Columns = Columns()
    data: tuple[Point, ...] = ()


class Metric(Record, frozen=True, kw_only=True):
    """All the series of one metric; `interval` as the API names it ("5m")."""

    metric: str
    network_code: str = "NEM"
    unit: str = ""
    interval: str = "5m"
    results: tuple[Series, ...] = ()


class DataAnswer(Record, frozen=True, kw_only=True):
    """The answer of `/data/facilities/…` and `/market/network/…`."""

    data: tuple[Metric, ...]
    success: bool = True
    error: str | None = None


# --- the data folder ---------------------------------------------------------------------------------


class Provenance(Record, frozen=True, kw_only=True):
    """Where a data folder's content comes from (`source.json`), so that every screen can say it.

    `start` and `end` are the half-open window that was asked for.
    """

    source: str
    simulated: bool
    start: datetime
    end: datetime
    fetched_at: datetime


class Kept(Record, frozen=True, kw_only=True):
    """One line of `manifest.jsonl`: what a raw file holds and where it comes from.

    `kind` is "catalogue", "units" or "market", or "report" for one of AEMO's files; `file` is relative to the manifest's folder.
    `start` and `end` are the half-open window that was asked for (no `end`: up to the newest there was), `first` and `last` the
    outermost labels that came, `points` the values, null included. `by_region` is the market's grouping, `etag` and `modified`
    are what the server gave to ask for changes with.
    """

    file: str
    kind: str
    source: str
    url: str
    fetched_at: datetime
    sha256: str
    size: int
    network: str = ""
    interval: str = ""
    start: datetime | None = None
    end: datetime | None = None
    facilities: tuple[str, ...] = ()
    by_region: bool = False
    points: int = 0
    first: datetime | None = None
    last: datetime | None = None
    etag: str = ""
    modified: str = ""


# --- MQTT --------------------------------------------------------------------------------------------


class FacilityRecord(Record, frozen=True, kw_only=True):
    """`…/facility_metrics/v1/stream`: one facility in one interval.

    `by_fuel` (MW by fueltech id) is there where the facility has more than one fuel.
    """

    event_time: datetime
    facility_id: str
    power: float | None
    emissions: float | None
    longitude: float | None = None
    latitude: float | None = None
    by_fuel: dict[str, float] | None = None


class MarketRecord(Record, frozen=True, kw_only=True):
    """`…/market_metrics/v1/stream`: one market value; without a region it is the network's own.

    `price` is $/MWh, `demand` MW. An interconnector's metrics (`nem.FLOW` and its limits) have its name as their region.
    """

    network_code: str
    metric: str
    event_time: datetime
    value: float | None
    network_region: str | None = None


class FacilityLatest(Record, frozen=True, kw_only=True):
    """`…/facility_metrics/v1/latest`, retained: the newest complete interval of every facility."""

    event_time: datetime
    facilities: tuple[FacilityRecord, ...]


class MarketLatest(Record, frozen=True, kw_only=True):
    """`…/market_metrics/v1/latest`, retained: likewise for the market."""

    event_time: datetime
    values: tuple[MarketRecord, ...]


class UnitInfo(Record, frozen=True, kw_only=True):
    """A unit as screens show it; capacity is the registered one, MW."""

    code: str
    fueltech: str
    status: str
    capacity: float | None = None


class FacilityInfo(Record, frozen=True, kw_only=True):
    """A facility as screens show it.

    `fueltech` is that of its largest operating capacity; `capacity` (MW) sums its operating units, a battery
    counted once.
    """

    code: str
    name: str
    network: str
    region: str
    fueltech: str
    status: str
    capacity: float | None = None
    longitude: float | None = None
    latitude: float | None = None
    units: tuple[UnitInfo, ...] = ()


class Catalogue(Record, frozen=True, kw_only=True):
    """`…/facility_metrics/v1/catalogue`, retained: what the stream's codes stand for, and its source.

    `speed` is event seconds per wall second of the stream that follows (None: as fast as it goes): it
    tells a reader after how long a silence is a fault. A `round_id` that was not there before says that a run of `publish`, or a
    round of its loop, begins at its beginning: earlier values that follow are no old news. An empty one goes on.
    """

    source: str
    simulated: bool
    facilities: tuple[FacilityInfo, ...]
    speed: float | None = None
    round_id: str = ""


# --- WebSocket, server to client ---------------------------------------------------------------------


class Hello(Record, frozen=True, kw_only=True, tag="hello"):
    """The first frame: the protocol's version, the newest `seq`, the tick in milliseconds.

    `stream` names the numbering that `seq` belongs to: another server, or the same one started again, counts anew.
    """

    protocol: int
    stream: str
    version: str
    seq: int
    tick_ms: int


class FacilityValues(Record, frozen=True, kw_only=True):
    """Values by facility, in columns: row i is `facility_id[i]`, whose time is `times[at[i]]`."""

    times: tuple[datetime, ...] = ()
    at: tuple[int, ...] = ()
    facility_id: tuple[str, ...] = ()
    power: tuple[float | None, ...] = ()
    emissions: tuple[float | None, ...] = ()
    by_fuel: dict[str, dict[str, float]] = {}


class InitialData(Record, frozen=True, kw_only=True, tag="initial_data"):
    """The catalogue and the newest value of every facility.

    A `round_id` other than the last one says that event time has begun again: what was known of it is another round's.
    """

    seq: int
    source: str
    simulated: bool
    facilities: tuple[FacilityInfo, ...]
    values: FacilityValues
    round_id: str = ""


class InitialMarketData(Record, frozen=True, kw_only=True, tag="initial_market_data"):
    """The newest value of every (network, region, metric)."""

    seq: int
    values: tuple[MarketRecord, ...]


class ScopeSeries(Record, frozen=True, kw_only=True):
    """One scope's series over the frame's `times`; MW, $/MWh, t CO2, None where there is no value.

    `scope` is a region's code or a network's ("NEM"). `fuel` holds MW by fuel group id; batteries are
    signed, pumps negative. `generation` sums what generates (batteries and pumps left out),
    `renewable_share` (0 to 1) and `emissions_intensity` (t/MWh) are as in `nem`. `net_import` is demand - net
    supply of the scope's facilities, None where either is unknown. `reporting` counts facilities with a
    value in the interval, of the `expected` ones that had a value in any interval kept.
    """

    scope: str
    expected: int = 0
    fuel: dict[str, tuple[float | None, ...]] = {}
    demand: tuple[float | None, ...] = ()
    price: tuple[float | None, ...] = ()
    generation: tuple[float | None, ...] = ()
    emissions: tuple[float | None, ...] = ()
    renewable_share: tuple[float | None, ...] = ()
    emissions_intensity: tuple[float | None, ...] = ()
    net_import: tuple[float | None, ...] = ()
    reporting: tuple[int, ...] = ()


class LinkSeries(Record, frozen=True, kw_only=True):
    """One interconnector's series over the frame's `times`: MW, positive from the first of `ends` to the second.

    `export_limit` bounds a flow from above, `import_limit` (as a rule negative) from below.
    """

    link: str
    ends: tuple[str, str]
    flow: tuple[float | None, ...] = ()
    import_limit: tuple[float | None, ...] = ()
    export_limit: tuple[float | None, ...] = ()


class InitialCharts(Record, frozen=True, kw_only=True, tag="initial_charts"):
    """The history kept, oldest first: every scope and link has one value for each of `times`."""

    seq: int
    times: tuple[datetime, ...]
    scopes: tuple[ScopeSeries, ...]
    links: tuple[LinkSeries, ...] = ()


class FacilityUpdate(Record, frozen=True, kw_only=True, tag="facility_update"):
    """What changed among the facilities within a tick."""

    seq: int
    values: FacilityValues


class MarketUpdate(Record, frozen=True, kw_only=True, tag="market_update"):
    """What changed in the market within a tick."""

    seq: int
    values: tuple[MarketRecord, ...]


class ChartsUpdate(Record, frozen=True, kw_only=True, tag="charts_update"):
    """The intervals whose aggregates changed; each replaces what a reader holds for that time."""

    seq: int
    times: tuple[datetime, ...]
    scopes: tuple[ScopeSeries, ...]
    links: tuple[LinkSeries, ...] = ()


BrokerState = Literal["connected", "disconnected"]
PublisherState = Literal["live", "stale", "waiting"]


class Status(Record, frozen=True, kw_only=True, tag="status"):
    """How the road behind the server is; sent on change, each second, and behind each answer.

    `broker` is "connected" or "disconnected"; `publisher` is "live", "stale" (no news for longer than
    `stale_after_s`) or "waiting" (nothing came yet). `last_record_at` is the wall time of the last news, `event_time` the newest
    interval seen; `reporting` of `facilities` have a value in it.
    """

    seq: int
    broker: BrokerState
    publisher: PublisherState
    stale_after_s: float
    source: str = ""
    simulated: bool = False
    event_time: datetime | None = None
    last_record_at: datetime | None = None
    reporting: int = 0
    facilities: int = 0
    clients: int = 0


ErrorCode = Literal[
    "malformed", "too_large", "too_frequent", "unknown_filter", "too_many_views"
]


class ErrorFrame(Record, frozen=True, kw_only=True, tag="error"):
    """Why the server did not do what a client asked, just before it closes; `code` is for programs, `detail` for people."""

    code: ErrorCode
    detail: str


ServerFrame = (
    Hello
    | InitialData
    | InitialMarketData
    | InitialCharts
    | FacilityUpdate
    | MarketUpdate
    | ChartsUpdate
    | Status
    | ErrorFrame
)


# --- WebSocket, client to server ---------------------------------------------------------------------


Channel = Literal["facilities", "market", "charts"]
_Name = Annotated[str, msgspec.Meta(max_length=64)]


class Filter(Record, frozen=True, kw_only=True):
    """What a client wants to see; an empty field means all, and what passes has to pass each field.

    `regions` are codes of regions; a network's code stands for the network's own totals. `fuels` are ids of fuel groups:
    facilities pass by their main fuel, charts keep these fuels' columns. `facilities` are codes, and narrow facilities alone.
    """

    regions: Annotated[frozenset[_Name], msgspec.Meta(max_length=64)] = frozenset()
    fuels: Annotated[frozenset[_Name], msgspec.Meta(max_length=64)] = frozenset()
    facilities: Annotated[frozenset[_Name], msgspec.Meta(max_length=1000)] = frozenset()


class Subscribe(Record, frozen=True, kw_only=True, tag="subscribe"):
    """Choose what to receive, all channels by default; the answer is a snapshot of it."""

    filter: Filter = Filter()
    channels: frozenset[Channel] = frozenset({"facilities", "market", "charts"})


class Resume(Record, frozen=True, kw_only=True, tag="resume"):
    """Ask for what came after `seq` of `stream`; the server answers with that, or with fresh snapshots.

    Give the `stream` of the `hello` and the `seq` of the last `status`: the frames of one change, or of a snapshot, share
    theirs, and only the `status` behind them tells that all of it has come. A server that did not count that stream,
    or remembers less far back, answers with snapshots.
    """

    seq: int
    stream: str = ""


class Ping(Record, frozen=True, kw_only=True, tag="ping"):
    """Ask for a `status` now."""


ClientFrame = Subscribe | Resume | Ping


encode = msgspec.json.Encoder().encode
"""Give any struct of this module as compact JSON bytes."""

decode_facilities = msgspec.json.Decoder(FacilitiesAnswer).decode
decode_data = msgspec.json.Decoder(DataAnswer).decode
decode_provenance = msgspec.json.Decoder(Provenance).decode
decode_kept = msgspec.json.Decoder(Kept).decode
decode_facility_record = msgspec.json.Decoder(FacilityRecord).decode
decode_market_record = msgspec.json.Decoder(MarketRecord).decode
decode_facility_latest = msgspec.json.Decoder(FacilityLatest).decode
decode_market_latest = msgspec.json.Decoder(MarketLatest).decode
decode_catalogue = msgspec.json.Decoder(Catalogue).decode
decode_server_frame: msgspec.json.Decoder[Any] = msgspec.json.Decoder(ServerFrame)
decode_client_frame: msgspec.json.Decoder[Any] = msgspec.json.Decoder(ClientFrame)
unpack_client_frame: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(ClientFrame)
