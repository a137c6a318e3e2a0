"""The grid's state and what changed in it. Pure: no sockets, no tasks; the clock is handed in.

It keeps the newest value of everything and, over the history's length of event time, every facility's value in every
interval: a late or revised value replaces the earlier one, whatever the order of arrival.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from energydash import nem, schema
from energydash.server.aggregates import Totals, series, totals

_STALE_LEAST_S = 15.0
_STALE_UNKNOWN_S = 60.0
_STALE_INTERVALS = 3
# Sums of at most this many intervals a tick: a day's backlog must not hold the loop.
_INTERVALS_A_TICK = 40

MarketKey = tuple[str, str, str | None]
_Timed = schema.FacilityRecord | schema.MarketRecord


def _wall() -> datetime:
    return datetime.now(UTC)


class Hub:
    """Takes records (as a `Sink`), gives snapshots and, once a tick, what changed since the last."""

    def __init__(
        self, history: timedelta = timedelta(hours=24), clock: Callable[[], datetime] = _wall
    ) -> None:
        self._history = history
        self._clock = clock
        # A reader that resumes with a number from before a restart must find it too old: at fewer than
        # a thousand ticks a second, no earlier hub has come as far as this one begins.
        self.seq = int(clock().timestamp() * 1000)
        self.stream = secrets.token_hex(8)
        self.version = 0
        self.changes: Counter[schema.Channel] = Counter()
        self.info: dict[str, schema.FacilityInfo] = {}
        self.source = ""
        self.simulated = False
        self.connected = False
        self.counts: Counter[tuple[str, str]] = Counter()
        self.newest: dict[str, schema.FacilityRecord] = {}
        self.newest_market: dict[MarketKey, schema.MarketRecord] = {}
        self.event_time: datetime | None = None
        self.last_record_at: datetime | None = None
        self._stale_after_s = _STALE_UNKNOWN_S
        self._cells: dict[datetime, dict[str, schema.FacilityRecord]] = {}
        self._market_cells: dict[datetime, dict[MarketKey, float | None]] = {}
        self._sums: dict[datetime, dict[str, Totals]] = {}
        self._changed: set[str] = set()
        self._changed_market: set[MarketKey] = set()
        self._changed_times: set[datetime] = set()
        self._catalogue_changed = False

    # --- what arrives ---

    def catalogue(self, catalogue: schema.Catalogue) -> None:
        """Take what the codes stand for; sums made without it are made again."""
        self.info = {facility.code: facility for facility in catalogue.facilities}
        self.source = catalogue.source
        self.simulated = catalogue.simulated
        if catalogue.speed:
            interval_s = nem.INTERVAL.total_seconds() / catalogue.speed
            self._stale_after_s = max(_STALE_LEAST_S, _STALE_INTERVALS * interval_s)
        else:
            self._stale_after_s = _STALE_LEAST_S
        self._changed_times |= self._cells.keys() | self._market_cells.keys()
        self._catalogue_changed = True
        self.version += 1
        self.changes.update(("facilities", "charts"))

    def facilities(self, records: list[schema.FacilityRecord]) -> None:
        """Take values of facilities, in any order."""
        self._arrived("facility", records)
        for record in records:
            known = self.newest.get(record.facility_id)
            if _is_news(record, known):
                self.newest[record.facility_id] = record
                self._changed.add(record.facility_id)
                self.changes["facilities"] += 1
            if self._is_too_old(record.event_time):
                continue
            cell = self._cells.setdefault(record.event_time, {})
            if cell.get(record.facility_id) != record:
                cell[record.facility_id] = record
                self._changed_times.add(record.event_time)
                self.changes.update(("facilities", "charts"))

    def market(self, records: list[schema.MarketRecord]) -> None:
        """Take values of the market, in any order."""
        self._arrived("market", records)
        for record in records:
            key = (record.network_code, record.metric, record.network_region)
            known = self.newest_market.get(key)
            if _is_news(record, known):
                self.newest_market[key] = record
                self._changed_market.add(key)
                self.changes["market"] += 1
            if self._is_too_old(record.event_time):
                continue
            cell = self._market_cells.setdefault(record.event_time, {})
            if key not in cell or cell[key] != record.value:
                cell[key] = record.value
                self._changed_times.add(record.event_time)
                self.changes.update(("market", "charts"))

    def broker_state(self, *, connected: bool) -> None:
        """Take note that the broker came or went."""
        self.connected = connected

    def rejected(self, kind: str, cause: str) -> None:
        """Count a dropped message."""
        self.counts[kind, cause] += 1

    def _arrived(self, kind: str, records: Sequence[_Timed]) -> None:
        self.counts[kind, "taken"] += len(records)
        self.last_record_at = self._clock()
        self.version += 1
        # First, so that what is too old does not depend on how the records were split.
        self._advance(record.event_time for record in records)

    def _is_too_old(self, moment: datetime) -> bool:
        return self.event_time is not None and moment <= self.event_time - self._history

    def _advance(self, moments: Iterable[datetime]) -> None:
        newest = max(moments, default=None)
        if newest is None or (self.event_time is not None and newest <= self.event_time):
            return
        self.event_time = newest
        for kept in (self._cells, self._market_cells, self._sums):
            for moment in [m for m in kept if self._is_too_old(m)]:
                del kept[moment]
        self._changed_times = {m for m in self._changed_times if not self._is_too_old(m)}

    # --- what goes out ---

    def tick(self) -> list[schema.ServerFrame]:
        """Give the frames that say what changed since the last tick; they share one new `seq`."""
        times = sorted(self._changed_times, reverse=True)[:_INTERVALS_A_TICK]
        if not (times or self._changed or self._changed_market or self._catalogue_changed):
            return []
        self._sum(times)
        self._changed_times.difference_update(times)
        self.seq += 1
        frames: list[schema.ServerFrame] = []
        if self._catalogue_changed:
            frames.append(self.initial_data())
        elif self._changed:
            frames.append(
                schema.FacilityUpdate(seq=self.seq, values=self._values(self._changed))
            )
        if self._changed_market:
            changed = tuple(self.newest_market[key] for key in _ordered(self._changed_market))
            frames.append(schema.MarketUpdate(seq=self.seq, values=changed))
        if times:
            times.sort()
            frames.append(
                schema.ChartsUpdate(
                    seq=self.seq, times=tuple(times), scopes=self._scopes(times)
                )
            )
        self._changed, self._changed_market, self._catalogue_changed = set(), set(), False
        return frames

    def initial_data(self) -> schema.InitialData:
        """Give the catalogue and the newest value of every facility."""
        return schema.InitialData(
            seq=self.seq,
            source=self.source,
            simulated=self.simulated,
            facilities=tuple(self.info[code] for code in sorted(self.info)),
            values=self._values(self.newest),
        )

    def initial_market(self) -> schema.InitialMarketData:
        """Give the newest value of the whole market."""
        values = tuple(self.newest_market[key] for key in _ordered(self.newest_market))
        return schema.InitialMarketData(seq=self.seq, values=values)

    def initial_charts(self) -> schema.InitialCharts:
        """Give the history kept, oldest first; sums that wait for a tick are made now."""
        self._sum(m for m in self._changed_times if m not in self._sums)
        times = sorted(self._sums)
        return schema.InitialCharts(
            seq=self.seq, times=tuple(times), scopes=self._scopes(times)
        )

    def status(self, clients: int = 0) -> schema.Status:
        """Give how the road behind the server is."""
        return schema.Status(
            seq=self.seq,
            broker="connected" if self.connected else "disconnected",
            publisher=self._publisher_state(),
            stale_after_s=self._stale_after_s,
            source=self.source,
            simulated=self.simulated,
            event_time=self.event_time,
            last_record_at=self.last_record_at,
            reporting=len(self._cells.get(self.event_time, ())) if self.event_time else 0,
            facilities=len(self.info),
            clients=clients,
        )

    def facility_history(self, code: str) -> schema.FacilityValues:
        """Give every value kept of one facility, oldest first."""
        records = [self._cells[m][code] for m in sorted(self._cells) if code in self._cells[m]]
        return _columns(records)

    def market_history(self, network: str, metric: str) -> tuple[schema.MarketRecord, ...]:
        """Give every value kept of one metric of a network and its regions, oldest first."""
        return tuple(
            schema.MarketRecord(
                network_code=key[0],
                metric=key[1],
                network_region=key[2],
                event_time=m,
                value=self._market_cells[m][key],
            )
            for m in sorted(self._market_cells)
            for key in _ordered(self._market_cells[m])
            if key[:2] == (network, metric)
        )

    def _publisher_state(self) -> str:
        if self.last_record_at is None:
            return "waiting"
        silent_s = (self._clock() - self.last_record_at).total_seconds()
        return "stale" if silent_s > self._stale_after_s else "live"

    def _values(self, codes: Iterable[str]) -> schema.FacilityValues:
        return _columns([self.newest[code] for code in sorted(codes)])

    def _scopes(self, times: list[datetime]) -> tuple[schema.ScopeSeries, ...]:
        rows = [self._sums[moment] for moment in times]
        return tuple(series(scope, rows) for scope in sorted({s for row in rows for s in row}))

    def _sum(self, times: Iterable[datetime]) -> None:
        for moment in times:
            self._sums[moment] = self._totals(moment)

    def _totals(self, moment: datetime) -> dict[str, Totals]:
        members: dict[str, list[tuple[schema.FacilityRecord, str]]] = {}
        for code, record in self._cells.get(moment, {}).items():
            info = self.info.get(code)
            if info is None:
                continue
            for scope in {info.network, info.region}:
                members.setdefault(scope, []).append((record, info.fueltech))
        market: dict[str, dict[str, float | None]] = {}
        values = self._market_cells.get(moment, {})
        # In order, because a network and its only region can have the same name.
        for network, metric, region in _ordered(values):
            value = values[network, metric, region]
            market.setdefault(region or network, {})[metric] = value
        return {
            scope: totals(
                # The order of arrival must not show in a sum of floats.
                sorted(members.get(scope, ()), key=lambda pair: pair[0].facility_id),
                market.get(scope, {}).get("demand"),
                market.get(scope, {}).get("price"),
            )
            for scope in members.keys() | market.keys()
        }


def _is_news(record: _Timed, known: _Timed | None) -> bool:
    """Whether a record takes the place of the newest that is known; its age alone does not matter."""
    return known is None or (record.event_time >= known.event_time and record != known)


def _ordered(keys: Iterable[MarketKey]) -> list[MarketKey]:
    return sorted(keys, key=lambda key: (key[0], key[1], key[2] or ""))


def _columns(records: list[schema.FacilityRecord]) -> schema.FacilityValues:
    times = sorted({record.event_time for record in records})
    index = {moment: i for i, moment in enumerate(times)}
    return schema.FacilityValues(
        times=tuple(times),
        at=tuple(index[record.event_time] for record in records),
        facility_id=tuple(record.facility_id for record in records),
        power=tuple(record.power for record in records),
        emissions=tuple(record.emissions for record in records),
        by_fuel={r.facility_id: r.by_fuel for r in records if r.by_fuel},
    )
