"""What the process knows of the grid: one writer (the feed), many readers (the sessions). Pure.

Every change gets a version; a session remembers the last one it has drawn and asks for what came after it.

The writer is the event loop. Most readers are there too, but Bokeh builds new pages in worker threads: so nothing that can be read
here is ever changed, only replaced, and a version is told after what it stands for.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
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


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """An interconnector in one interval, MW from the first of `ends` to the second: what flows, at least and at most."""

    ends: tuple[str, str]
    mw: float | None
    least: float | None = None
    most: float | None = None


_NOTHING = Row(fuel={})


class _Day(msgspec.Struct, frozen=True):
    """The intervals that are kept, oldest first; of each the row by scope, the version that brought it, and the flow by link."""

    times: tuple[datetime, ...] = ()
    rows: dict[datetime, dict[str, Row]] = {}
    versions: dict[datetime, int] = {}
    flows: dict[datetime, dict[str, Flow]] = {}


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
        self.status: schema.Status | None = None
        self.connected = False
        self.ever_connected = False
        self._stream = ""
        self._round_id: str | None = None
        self.last: tuple[str, int] | None = None
        self._day = _Day()
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
        version = self.version + 1
        match frame:
            case schema.InitialData():
                self._begin(frame, version)
                self.past.put(frame.values, version)
            case schema.FacilityUpdate():
                self.past.put(frame.values, version)
            case schema.InitialCharts() | schema.ChartsUpdate():
                self._take_rows(frame, version)
            case schema.Hello(stream=stream):
                self._stream = stream
            case schema.Status():
                self.status = frame
                # Only a status tells that all of what has its number has come.
                self.last = (self._stream, frame.seq)
        if not isinstance(frame, schema.Hello | schema.Status):
            self.history_version = version
        self.version = version

    def _begin(self, frame: schema.InitialData, version: int) -> None:
        """Start from a snapshot; a server that came back lost its past, but this store need not."""
        turned = self._is_another_round(frame.round_id)
        # A server without a source has not heard of any catalogue yet.
        told = (
            (frame.source, frame.simulated) if frame.source else (self.source, self.simulated)
        )
        if turned or told != (self.source, self.simulated):
            self.past, self._day, self.revised = Past(), _Day(), set()
            self.source, self.simulated = told
            self.catalogue_version = version
        if frame.facilities and frame.facilities != self.facilities:
            self.facilities = frame.facilities
            self.by_code = {each.code: each for each in frame.facilities}
            self.catalogue_version = version
        self.snapshots += 1

    def _is_another_round(self, round_id: str) -> bool:
        """Whether event time has begun again; a server that has not heard of any round says nothing."""
        known = self._round_id
        self._round_id = round_id or known or ""
        return bool(round_id) and known not in {None, round_id}

    def remember(self, values: schema.FacilityValues, asked_at: int) -> None:
        """Take in a station's day that was asked for at a version."""
        version = self.version + 1
        self.past.put(values, version, asked_at)
        self.history_version = self.version = version

    def _take_rows(
        self, frame: schema.InitialCharts | schema.ChartsUpdate, version: int
    ) -> None:
        settled, day = frozenset(self.settled), self._day
        rows, versions, flows = dict(day.rows), dict(day.versions), dict(day.flows)
        for i, moment in enumerate(frame.times):
            row = {each.scope: _row(each, i) for each in frame.scopes}
            if moment in settled and rows[moment] != row:
                self.revised.add(moment)
            rows[moment], versions[moment] = row, version
            flows[moment] = {
                each.link: _flow(each, i)
                for each in frame.links
                if _at(each.flow, i) is not None
            }
        if not rows:
            return
        oldest = max(rows) - HISTORY
        kept = sorted(moment for moment in rows if moment > oldest)
        self._day = _Day(
            tuple(kept),
            {moment: rows[moment] for moment in kept},
            {moment: versions[moment] for moment in kept},
            {moment: flows[moment] for moment in kept},
        )

    # --- the sessions read ---------------------------------------------------------------------------

    @property
    def times(self) -> tuple[datetime, ...]:
        """The intervals of which sums are known, oldest first."""
        return self._day.times

    @property
    def event_time(self) -> datetime | None:
        """The newest interval."""
        times = self.times
        return times[-1] if times else None

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
    def settled(self) -> tuple[datetime, ...]:
        """Give the intervals that nothing but a correction should change any more."""
        return self.times[:-_UNSETTLED]

    def row(self, moment: datetime, scope: str) -> Row:
        """Give a scope's interval; all None where nothing is known."""
        return self._day.rows.get(moment, {}).get(scope, _NOTHING)

    def flows(self, moment: datetime) -> Mapping[str, Flow]:
        """Give what flowed through each interconnector in an interval; nothing where the source does not tell."""
        return self._day.flows.get(moment, {})

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
        day, past = self._day, self.past
        return [
            moment
            for moment in day.times
            if day.versions[moment] > after or (stations and past.version(moment) > after)
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
        versions = self._day.versions.get(moment), self.past.key(moment), self.catalogue_version
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


def _flow(series: schema.LinkSeries, i: int) -> Flow:
    return Flow(
        ends=series.ends,
        mw=_at(series.flow, i),
        least=_at(series.import_limit, i),
        most=_at(series.export_limit, i),
    )


def _at(values: tuple[float | None, ...], i: int) -> float | None:
    return values[i] if values else None
