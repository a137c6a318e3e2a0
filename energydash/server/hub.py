"""The grid's state and what changed in it. Pure: no sockets, no tasks; the clock is handed in.

It keeps the newest value of everything and, over the history's length of event time, every facility's value in every
interval: a late or revised value replaces the earlier one, whatever the order of arrival.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from energydash import nem, schema
from energydash.server.aggregates import Plan, Totals, series
from energydash.server.history import FullError, History, MarketKey, ordered
from energydash.server.links import links
from energydash.server.records import Timed, at, columns, is_news, key_of, nem_time
from energydash.server.rounds import Rounds

_STALE_LEAST_S = 15.0
_STALE_UNKNOWN_S = 60.0
_STALE_INTERVALS = 3
# The real grid is asked no more often than a key's quota allows: every quarter of an hour with a free one, and a round takes its time.
_STALE_REAL_S = 1200.0
# Sums of at most this many intervals a tick: a day's backlog must not hold the loop.
_INTERVALS_A_TICK = 40


def _wall() -> datetime:
    return datetime.now(UTC)


class Hub:
    """Takes records (as a `Sink`), gives snapshots and, once a tick, what changed since the last.

    `stream` names the numbering of its ticks, `seq` is the newest tick's number. `changes` counts what changed in each channel,
    also between ticks: an answer made at the same counts is still good. `heard` is on which connection to the broker, counted
    from 1, the newest record came.
    """

    def __init__(
        self, history: timedelta = timedelta(hours=24), clock: Callable[[], datetime] = _wall
    ) -> None:
        self._clock = clock
        self.stream = secrets.token_hex(8)
        self.seq = 0
        self.changes: Counter[schema.Channel] = Counter()
        self.info: dict[str, schema.FacilityInfo] = {}
        self.source = ""
        self.simulated = False
        self.connected = False
        self.heard = 0
        self._connections = 0
        self.counts: Counter[tuple[str, str]] = Counter()
        self.newest: dict[str, schema.FacilityRecord] = {}
        self.newest_market: dict[MarketKey, schema.MarketRecord] = {}
        self.last_record_at: datetime | None = None
        self.waiting_since: datetime | None = None
        self._stale_after_s = _STALE_UNKNOWN_S
        self._history = History(history)
        self._plan = Plan({}, self._history)
        self._sums: dict[datetime, dict[str, Totals]] = {}
        # What changed since the last tick, and at which tick what last changed.
        self._changed: set[str] = set()
        self._changed_market: set[MarketKey] = set()
        self._changed_times: set[datetime] = set()
        self._catalogue_changed = False
        self._stamps: dict[str, int] = {}
        self._market_stamps: dict[MarketKey, int] = {}
        self._time_stamps: dict[datetime, int] = {}
        self._catalogue_stamp = 0
        # Which round of event time this is, and the tick that it began with.
        self._rounds = Rounds()
        self._begins = False
        self._begin_stamp = 0

    @property
    def event_time(self) -> datetime | None:
        """The newest interval."""
        return self._history.newest

    @property
    def publisher(self) -> schema.PublisherState:
        """Whether news come: "live", "stale" (none for too long, a repetition is none) or "waiting" (none yet)."""
        if self.last_record_at is None:
            return "waiting"
        silent_s = (self._clock() - self.last_record_at).total_seconds()
        return "stale" if silent_s > self._stale_after_s else "live"

    # --- what arrives ---

    def catalogue(self, catalogue: schema.Catalogue) -> None:
        """Take what the codes stand for; sums made without it are made again."""
        self._rounds.hear(catalogue.round_id)
        self._stale_after_s = _stale_after_s(catalogue.speed)
        info = {facility.code: facility for facility in catalogue.facilities}
        told = (info, catalogue.source, catalogue.simulated)
        if told == (self.info, self.source, self.simulated):
            return
        self.info, self.source, self.simulated = told
        self._plan = Plan(self.info, self._history)
        self._changed_times |= self._history.rows.keys()
        self._catalogue_changed = True
        self.changes.update(("facilities", "charts"))

    def facilities(self, records: list[schema.FacilityRecord]) -> None:
        """Take values of facilities, in any order."""
        self._arrived("facility", records)
        if sum(self._take(record, nem_time(record.event_time)) for record in records):
            self.last_record_at = self._clock()

    def market(self, records: list[schema.MarketRecord]) -> None:
        """Take values of the market, in any order."""
        self._arrived("market", records)
        if sum(self._take_market(record, nem_time(record.event_time)) for record in records):
            self.last_record_at = self._clock()

    def past(
        self, stations: Iterable[schema.FacilityRecord], market: Iterable[schema.MarketRecord]
    ) -> None:
        """Take from elsewhere what the broker has not said: values up to the newest interval, where there are none."""
        for record in stations:
            moment = nem_time(record.event_time)
            if self._is_past(moment) and not self._history.has(moment, record.facility_id):
                self._take(record, moment)
                self.counts["facility", "from_history"] += 1
        for value in market:
            moment = nem_time(value.event_time)
            row = self._history.rows.get(moment)
            if self._is_past(moment) and (row is None or key_of(value) not in row.market):
                self._take_market(value, moment)
                self.counts["market", "from_history"] += 1

    def broker_state(self, *, connected: bool) -> None:
        """Take note that the broker came or went."""
        self.connected = connected
        self._connections += connected

    def rejected(self, kind: str, cause: str) -> None:
        """Count a dropped message."""
        self.counts[kind, cause] += 1

    def _begin_again(self) -> None:
        """Forget all values: they are another round's."""
        self._begins = True
        self._history = History(self._history.length)
        self._plan = Plan(self.info, self._history)
        for kept in (self.newest, self.newest_market, self._sums, self._changed, self._changed_market, self._changed_times, self._stamps, self._market_stamps, self._time_stamps):  # fmt: skip
            kept.clear()
        self.changes.update(("facilities", "market", "charts"))

    def _arrived(self, kind: str, records: Sequence[Timed]) -> None:
        if self._rounds.begin_with(records, self.event_time):
            self._begin_again()
        now = self._clock()
        self.counts[kind, "taken"] += len(records)
        self.heard = self._connections
        self.waiting_since = self.waiting_since or now
        # First, so that what is too old does not depend on how the records were split.
        newest = max((record.event_time for record in records), default=None)
        if newest is not None:
            self._history.advance(nem_time(newest))

    def _take(self, record: schema.FacilityRecord, moment: datetime) -> bool:
        """Keep a value; say whether it is another than the one that was kept."""
        code = record.facility_id
        try:
            column = self._history.column(code)
            revised = self._history.put(record, moment, column)
        except FullError:
            self.counts["facility", "too_many"] += 1
            return False
        if revised:
            self._changed_times.add(moment)
            self.changes.update(("facilities", "charts"))
        if news := is_news(record, self.newest.get(code)):
            self.newest[code] = at(record, moment)
            self._changed.add(code)
            self.changes["facilities"] += 1
        return revised or news

    def _take_market(self, record: schema.MarketRecord, moment: datetime) -> bool:
        key = key_of(record)
        try:
            self._history.know(key)
        except FullError:
            self.counts["market", "too_many"] += 1
            return False
        if revised := self._history.put_market(record, moment, key):
            self._changed_times.add(moment)
            self.changes.update(("market", "charts"))
        if news := is_news(record, self.newest_market.get(key)):
            self.newest_market[key] = at(record, moment)
            self._changed_market.add(key)
            self.changes["market"] += 1
        return revised or news

    def _forget(self) -> None:
        """Let go of the intervals that the history keeps no longer."""
        kept = self._history.rows.keys()
        self._changed_times &= kept
        for known in (self._time_stamps, self._sums):
            for moment in known.keys() - kept:
                del known[moment]

    def _is_past(self, moment: datetime) -> bool:
        return self.event_time is not None and moment <= self.event_time

    # --- what goes out ---

    def tick(self) -> list[schema.ServerFrame]:
        """Give the frames that say what changed since the last tick; they share one new `seq`."""
        self._forget()
        times = sorted(self._changed_times, reverse=True)[:_INTERVALS_A_TICK]
        changed = (times, self._changed, self._changed_market, self._catalogue_changed)
        if not (any(changed) or self._begins):
            return []
        self.seq += 1
        if self._begins:
            self._begin_stamp, self._begins = self.seq, False
        self._sum(times)
        self._changed_times.difference_update(times)
        self._time_stamps.update(dict.fromkeys(times, self.seq))
        self._stamps.update(dict.fromkeys(self._changed, self.seq))
        self._market_stamps.update(dict.fromkeys(self._changed_market, self.seq))
        if self._catalogue_changed:
            self._catalogue_stamp = self.seq
        self._changed, self._changed_market = set(), set()
        self._catalogue_changed = False
        return self.since(self.seq - 1)

    def since(self, seq: int) -> list[schema.ServerFrame]:
        """Give the frames that bring a reader who knows all up to a tick to the newest one, in one step."""
        self._forget()
        if self._begin_stamp > seq:
            return [self.initial_data(), self.initial_market(), self.initial_charts()]
        frames: list[schema.ServerFrame] = []
        codes = [code for code, stamp in self._stamps.items() if stamp > seq]
        if self._catalogue_stamp > seq:
            frames.append(self.initial_data())
        elif codes:
            frames.append(schema.FacilityUpdate(seq=self.seq, values=self._values(codes)))
        keys = [key for key, stamp in self._market_stamps.items() if stamp > seq]
        if keys:
            values = tuple(self.newest_market[key] for key in ordered(keys))
            frames.append(schema.MarketUpdate(seq=self.seq, values=values))
        times = sorted(moment for moment, stamp in self._time_stamps.items() if stamp > seq)
        if times:
            frames.append(self._charts(schema.ChartsUpdate, times))
        return frames

    def initial_data(self) -> schema.InitialData:
        """Give the catalogue and the newest value of every facility."""
        return schema.InitialData(
            seq=self.seq,
            source=self.source,
            simulated=self.simulated,
            round_id=self._rounds.name,
            facilities=tuple(self.info[code] for code in sorted(self.info)),
            values=self._values(self.newest),
        )

    def initial_market(self) -> schema.InitialMarketData:
        """Give the newest value of the whole market."""
        values = tuple(self.newest_market[key] for key in ordered(self.newest_market))
        return schema.InitialMarketData(seq=self.seq, values=values)

    def initial_charts(self) -> schema.InitialCharts:
        """Give the history kept, oldest first; sums that wait for a tick are made now."""
        self._forget()
        self._sum(self._changed_times)
        times = sorted(self._sums)
        return self._charts(schema.InitialCharts, times)

    def status(self, clients: int = 0) -> schema.Status:
        """Give how the road behind the server is."""
        return schema.Status(
            seq=self.seq,
            broker="connected" if self.connected else "disconnected",
            publisher=self.publisher,
            stale_after_s=self._stale_after_s,
            source=self.source,
            simulated=self.simulated,
            event_time=self.event_time,
            last_record_at=self.last_record_at,
            reporting=self._history.reporting(self.event_time),
            facilities=len(self.info),
            clients=clients,
        )

    def facility_history(self, code: str) -> schema.FacilityValues:
        """Give every value kept of one facility, oldest first."""
        return self._history.facility(code)

    def facility_mixes(self, code: str) -> list[dict[str, float]]:
        """Give MW by fuel for each value of `facility_history`; empty where it has one fuel."""
        return self._history.mixes(code)

    def market_history(self, network: str, metric: str) -> tuple[schema.MarketRecord, ...]:
        """Give every value kept of one metric of a network and its regions, oldest first."""
        return self._history.market(network, metric)

    def now(self) -> datetime:
        """Give the hub's clock."""
        return self._clock()

    def arrived_since_tick(self) -> datetime | None:
        """Give when the first record came that no tick has sent yet, and begin anew."""
        since, self.waiting_since = self.waiting_since, None
        return since

    def _values(self, codes: Iterable[str]) -> schema.FacilityValues:
        return columns([self.newest[code] for code in sorted(codes)])

    def _charts[T: (schema.InitialCharts, schema.ChartsUpdate)](
        self, frame: type[T], times: list[datetime]
    ) -> T:
        return frame(
            seq=self.seq,
            times=tuple(times),
            scopes=self._scopes(times),
            links=links(self._history, times),
        )

    def _scopes(self, times: list[datetime]) -> tuple[schema.ScopeSeries, ...]:
        rows: list[Mapping[str, Totals]] = [self._sums[moment] for moment in times]
        expected = self._planned().expected(self.info, self._history)
        # Also those of which nothing came in these intervals: what is expected of them may have changed.
        scopes = sorted({scope for row in rows for scope in row} | expected.keys())
        return tuple(series(scope, expected.get(scope, 0), rows) for scope in scopes)

    def _sum(self, times: Iterable[datetime]) -> None:
        plan = self._planned()
        for moment in times:
            self._sums[moment] = plan.totals(self._history.rows[moment])

    def _planned(self) -> Plan:
        if not self._plan.fits(self._history):
            self._plan = Plan(self.info, self._history)
        return self._plan


def _stale_after_s(speed: float | None) -> float:
    if not speed:
        return _STALE_LEAST_S
    least = _STALE_LEAST_S if speed > 1 else _STALE_REAL_S
    return max(least, _STALE_INTERVALS * nem.INTERVAL.total_seconds() / speed)
