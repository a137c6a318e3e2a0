"""What the process knows of the grid: one writer (the feed), many readers (the sessions). Pure.

Every change gets a version; a session remembers the last one it has drawn and asks for what came after it.
"""

from bisect import insort
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from energydash import nem, schema
from energydash.ui.past import HISTORY, Instant, Past

_LATELY = 12
_UNSETTLED = 3
_FIELDS = (
    "demand",
    "price",
    "generation",
    "emissions",
    "renewable_share",
    "emissions_intensity",
    "net_import",
)


class Stage(StrEnum):
    """Where the road to the page is broken, seen from here backwards."""

    LIVE = "live"
    CONNECTING = "connecting"
    SERVER = "server"
    BROKER = "broker"
    PUBLISHER = "publisher"
    WAITING = "waiting"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A scope in one interval, as in `schema.ScopeSeries`; `fuel` is MW by fuel group id."""

    fuel: dict[str, float]
    demand: float | None = None
    price: float | None = None
    generation: float | None = None
    emissions: float | None = None
    renewable_share: float | None = None
    emissions_intensity: float | None = None
    net_import: float | None = None
    reporting: int = 0


_NOTHING = Row(fuel={})


class Store:
    """A day of every station and of every scope, and the state of the road."""

    def __init__(self) -> None:
        self.version = 0
        self.catalogue_version = 0
        self.source = ""
        self.simulated = False
        self.facilities: tuple[schema.FacilityInfo, ...] = ()
        self.by_code: dict[str, schema.FacilityInfo] = {}
        self.past = Past()
        self.history_version = 0
        self.snapshots = 0
        self.revised: set[datetime] = set()
        self.times: list[datetime] = []
        self.status: schema.Status | None = None
        self.connected = False
        self.ever_connected = False
        self._stream = ""
        self.last: tuple[str, int] | None = None
        self._rows: dict[datetime, dict[str, Row]] = {}
        self._row_versions: dict[datetime, int] = {}
        self._made: dict[Hashable, tuple[Hashable, Any]] = {}

    # --- the feed writes -----------------------------------------------------------------------------

    def link(self, *, connected: bool) -> None:
        """Note whether the server can be heard."""
        if connected != self.connected:
            self.connected = connected
            self.ever_connected |= connected
            self.version += 1

    def apply(self, frame: schema.ServerFrame) -> None:
        """Take in one frame of the server."""
        self.version += 1
        if not isinstance(frame, schema.Hello | schema.Status):
            self.history_version = self.version
        match frame:
            case schema.InitialData():
                self._begin(frame)
                self.past.put(frame.values, self.version)
            case schema.FacilityUpdate():
                self.past.put(frame.values, self.version)
            case schema.InitialCharts() | schema.ChartsUpdate():
                self._take_rows(frame.times, frame.scopes)
            case schema.Hello(stream=stream):
                self._stream = stream
            case schema.Status():
                self.status = frame
                # Only a status tells that all of what has its number has come.
                self.last = (self._stream, frame.seq)

    def _begin(self, frame: schema.InitialData) -> None:
        """Start from a snapshot; a server that came back lost its past, but this store need not."""
        if (frame.source, frame.simulated) != (self.source, self.simulated):
            self.past, self.times = Past(), []
            self._rows, self._row_versions = {}, {}
            self.source, self.simulated = frame.source, frame.simulated
        if frame.facilities and frame.facilities != self.facilities:
            self.facilities = frame.facilities
            self.by_code = {each.code: each for each in frame.facilities}
            self.catalogue_version = self.version
        self.snapshots += 1

    def remember(self, values: schema.FacilityValues, asked_at: int) -> None:
        """Take in a station's day that was asked for at a version."""
        self.version += 1
        self.history_version = self.version
        self.past.put(values, self.version, asked_at)

    def _take_rows(
        self, times: tuple[datetime, ...], scopes: tuple[schema.ScopeSeries, ...]
    ) -> None:
        for i, moment in enumerate(times):
            if moment not in self._rows:
                insort(self.times, moment)
            row = {each.scope: _row(each, i) for each in scopes}
            if moment in self._rows and self._rows[moment] != row and moment in self.settled:
                self.revised.add(moment)
            self._rows[moment] = row
            self._row_versions[moment] = self.version
        while self.times and self.times[0] <= self.times[-1] - HISTORY:
            gone = self.times.pop(0)
            del self._rows[gone], self._row_versions[gone]

    # --- the sessions read ---------------------------------------------------------------------------

    @property
    def event_time(self) -> datetime | None:
        """The newest interval."""
        return self.times[-1] if self.times else None

    @property
    def shown_time(self) -> datetime | None:
        """The newest interval that is whole enough to sum up.

        It has at least half the stations of the fullest lately, and a demand if any interval lately has one.
        """
        lately = {moment: self.row(moment, nem.NETWORK) for moment in self.times[-_LATELY:]}
        enough = max((row.reporting for row in lately.values()), default=0) / 2
        market = any(row.demand is not None for row in lately.values())
        return next(
            (
                moment
                for moment, row in reversed(lately.items())
                if row.reporting >= enough and (row.demand is not None or not market)
            ),
            None,
        )

    @property
    def settled(self) -> list[datetime]:
        """Give the intervals that nothing but a correction should change any more."""
        return self.times[:-_UNSETTLED]

    def row(self, moment: datetime, scope: str) -> Row:
        """Give a scope's interval; all None where nothing is known."""
        return self._rows.get(moment, {}).get(scope, _NOTHING)

    def rows(self, scope: str, times: Iterable[datetime] | None = None) -> list[Row]:
        """Give a scope's intervals, oldest first."""
        return [self.row(moment, scope) for moment in (self.times if times is None else times)]

    @property
    def scopes(self) -> list[str]:
        """Give what has numbers of its own: the network, its regions, and any other network that there are stations of."""
        more = sorted({each.network for each in self.facilities} - {nem.NETWORK})
        return [nem.NETWORK, *nem.NEM_REGIONS, *(n for n in more if n in nem.REGION_BY_CODE)]

    def times_changed(self, after: int, *, stations: bool = False) -> list[datetime]:
        """Give the intervals that changed after a version, oldest first; with `stations`, also those in which only they did."""
        return [
            moment
            for moment in self.times
            if self._row_versions[moment] > after
            or (stations and self.past.version(moment) > after)
        ]

    def instant(self, moment: datetime) -> Instant:
        """Give every station's value as of an interval; the pages that look at the same one share it."""
        return self.once("instant", self.past.key(moment), lambda: self.past.instant(moment))

    def once[T](self, name: Hashable, key: Hashable, make: Callable[[], T]) -> T:
        """Give what `make` gives, the same object to all pages while the key is the same.

        There is one thing kept for each name: names have to be few.
        """
        kept = self._made.get(name)
        if kept is None or kept[0] != key:
            kept = self._made[name] = (key, make())
        return kept[1]

    def state_of(self, moment: datetime) -> Hashable:
        """Give something that changes whenever what is known of an interval does, or another is the newest whole one."""
        versions = self._row_versions.get(moment), self.past.key(moment), self.catalogue_version
        return moment, *versions, self.shown_time

    def stage(self) -> Stage:
        """Say where the road is broken, or that it is not."""
        if not self.connected:
            return Stage.SERVER if self.ever_connected else Stage.CONNECTING
        if self.status is None:
            return Stage.CONNECTING
        if self.status.broker != "connected":
            return Stage.BROKER
        if self.status.publisher == "stale":
            return Stage.PUBLISHER
        if self.status.publisher != "live":
            return Stage.WAITING
        return Stage.LIVE


def _row(series: schema.ScopeSeries, i: int) -> Row:
    fuel = {group: mw for group, values in series.fuel.items() if (mw := values[i]) is not None}
    return Row(
        fuel=fuel,
        reporting=series.reporting[i] if series.reporting else 0,
        **{name: _at(getattr(series, name), i) for name in _FIELDS},
    )


def _at(values: tuple[float | None, ...], i: int) -> float | None:
    return values[i] if values else None
