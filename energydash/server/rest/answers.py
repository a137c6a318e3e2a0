"""The documents that REST answers with. A field that was not asked for is left out; null is "no value"."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from energydash import __version__, nem, schema


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


class FacilityNow(msgspec.Struct, frozen=True, kw_only=True):
    """A facility and its newest value.

    `capacity` and `power` are MW (a load is negative), `emissions` t CO2 in the interval, coordinates WGS 84 degrees; `fuel` is
    the group of `fueltech`; `capacity_factor` is power / capacity. `age_s` is how many seconds of event time the
    value lies behind the grid's newest interval; it is `stale` beyond three intervals, or when no news come any more.
    """

    code: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    network: str | UnsetType = UNSET
    region: str | UnsetType = UNSET
    fueltech: str | UnsetType = UNSET
    fuel: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    capacity: float | UnsetType | None = UNSET
    longitude: float | UnsetType | None = UNSET
    latitude: float | UnsetType | None = UNSET
    units: tuple[schema.UnitInfo, ...] | UnsetType = UNSET
    event_time: datetime | UnsetType | None = UNSET
    power: float | UnsetType | None = UNSET
    emissions: float | UnsetType | None = UNSET
    by_fuel: dict[str, float] | UnsetType | None = UNSET
    capacity_factor: float | UnsetType | None = UNSET
    age_s: float | UnsetType | None = UNSET
    stale: bool | UnsetType = UNSET


class Facilities(msgspec.Struct, frozen=True, kw_only=True):
    """Facilities by code, `offset` of `total` left out before them; `event_time` is the grid's newest interval.

    `publisher` is "live", "stale" (no news for too long) or "waiting" (nothing came yet).
    """

    total: int
    offset: int
    event_time: datetime | None
    publisher: str
    facilities: tuple[FacilityNow, ...]


class FacilityHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a facility, oldest first, in the columns of the WebSocket: row i is `facility_id[i]` at `times[at[i]]`.

    `total` intervals are in the window asked for. `power` is MW (a load is negative), `fuels` the same by fuel technology where
    there are several, `emissions` t CO2 in the interval, `capacity_factor` power / capacity.
    """

    total: int
    times: tuple[datetime, ...]
    at: tuple[int, ...]
    facility_id: tuple[str, ...]
    power: tuple[float | None, ...] | UnsetType = UNSET
    emissions: tuple[float | None, ...] | UnsetType = UNSET
    capacity_factor: tuple[float | None, ...] | UnsetType = UNSET
    fuels: dict[str, tuple[float | None, ...]] | UnsetType = UNSET


HISTORY_FIELDS = ("power", "emissions", "capacity_factor", "fuels")


class MarketValues(msgspec.Struct, frozen=True, kw_only=True):
    """Values of the market: `price` is $/MWh, `demand` MW; without a region it is the network's own.

    They are oldest first, then by network, metric and region; `total` counts the intervals in the window asked for.
    """

    total: int
    values: tuple[schema.MarketRecord, ...]


class Charts(msgspec.Struct, frozen=True, kw_only=True):
    """Sums by region and network, oldest first: every scope has one value for each of `times`.

    `total` counts the intervals in the window asked for.
    """

    total: int
    times: tuple[datetime, ...]
    scopes: tuple[schema.ScopeSeries, ...]


class Metadata(msgspec.Struct, frozen=True):
    """What a client needs to label and colour what it gets, and how the road behind the server is."""

    version: str
    protocol: int
    tick_ms: int
    source: str
    simulated: bool
    regions: tuple[nem.Region, ...]
    fuel_groups: tuple[nem.FuelGroup, ...]
    fueltechs: tuple[nem.FuelTech, ...]
    status: schema.Status
