"""Tables to MQTT, in event-time order."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import aiomqtt
import msgspec

from energydash import nem
from energydash.config import PublishSettings
from energydash.errors import ConfigError, FileError
from energydash.files import lengths
from energydash.process import paused_by_signal
from energydash.progress import Progress
from energydash.stream.client import Client, Mark
from energydash.stream.home import Home
from energydash.stream.ledger import Ledger
from energydash.stream.link import Link
from energydash.stream.outbox import Outbox, after
from energydash.stream.pace import Pace
from energydash.stream.position import Position
from energydash.stream.replay import Interval, rebase, shifted
from energydash.stream.retained import Retained, will
from energydash.stream.selection import Selection, selection_of
from energydash.stream.tail import Tail

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
"""How long a broker that does not answer is asked again at the start."""

_IDLE_S = 0.5
_SETTLE_S = 1.0
_BETWEEN_ROUNDS_S = 0.25


class PublishSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was published; `start` and `end` are the first and last interval, `sending_s` is the time since the tables were read."""

    broker: str
    records: int
    acknowledged: int
    intervals: int
    reconnects: int
    start: datetime | None
    end: datetime | None
    seconds: float
    sending_s: float


async def run(
    settings: PublishSettings,
    progress: Progress,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
) -> PublishSummary:
    """Publish the tables to their end; with `loop` or `follow`, until cancelled.

    A connection that is lost later is taken up again for ever, with the messages that the broker has not acknowledged.

    Raises:
        FileError: a table is missing or malformed, or the tables are of other intervals than five minutes.
        ConfigError: the tables have nothing of what was chosen.
        BrokerError: no broker answers within `connect_timeout_s` of the start, or it refuses us or a message.
    """
    publisher = _Publisher(settings, progress)
    try:
        with paused_by_signal(publisher.pace.pause):
            return await publisher.run(connect_timeout_s)
    finally:
        await publisher.close()


class _Publisher:
    """One run: where in the tables it stands, so that a lost connection costs no record."""

    def __init__(self, settings: PublishSettings, progress: Progress) -> None:
        topics = (settings.facility_topic, settings.market_topic)
        self._settings = settings
        self._progress = progress
        self._link = Link(settings.broker, "publish", qos=settings.qos, will=will(settings))
        self._tail = Tail(settings.facility_csv, settings.market_csv)
        self._position = (
            Position(settings.offset_file, topics) if settings.offset_file else None
        )
        # Up to here an earlier run came.
        self._mark: Mark | None = self._position.load() if self._position else None
        self._outbox = Outbox(topics, settings.delay_s, self._mark)
        self._home = Home.of(settings)
        # `follow` is started again by who watches over it, and resuming is no beginning: nobody may lose a past to either.
        self._begins = not settings.follow and self._mark is None
        self._retained = Retained(settings, self._home, begins=self._begins)
        self._ledger = Ledger() if settings.follow else None
        self._selection = Selection()
        self._is_renewed = False
        self._shift: timedelta | None = None
        self._intervals = 0
        self._first: datetime | None = None
        self._last: datetime | None = None
        self.pace = Pace(settings.speed, settings.backfill_until)

    async def close(self) -> None:
        """Write down the place, and let a read that is under way end."""
        await self._keep_position(now=True)
        await self._tail.close()

    async def run(self, connect_timeout_s: float) -> PublishSummary:
        started = time.monotonic()
        # What is malformed is said before any broker is asked.
        published = await self._read_catalogue()
        if self._home is not None:
            self._home.check(published)
        self._tail.open(self._selection)
        await self._tail.peek()
        begun = time.monotonic()
        await self._link.run(self._work, connect_timeout_s, self._outbox.take_back)
        return PublishSummary(
            broker=self._link.url,
            records=self._outbox.records,
            acknowledged=self._outbox.acknowledged,
            intervals=self._intervals,
            reconnects=self._link.reconnects,
            start=self._first,
            end=self._last,
            seconds=round(time.monotonic() - started, 3),
            sending_s=round(time.monotonic() - begun, 3),
        )

    async def _read_catalogue(self) -> frozenset[str]:
        """Read what there is and what of it was chosen; give the codes of the stations that are published."""
        settings = self._settings
        await asyncio.to_thread(lengths.check, settings.facility_csv.parent)
        catalogue = await self._tail.catalogue(settings.speed)
        self._selection = selection_of(
            catalogue,
            start=settings.start,
            end=settings.end,
            facilities=settings.facilities,
            regions=settings.regions,
            fuels=settings.fuels,
        )
        chosen = tuple(each for each in catalogue.facilities if self._selection.has(each.code))
        self._retained.catalogue(msgspec.structs.replace(catalogue, facilities=chosen))
        return frozenset(each.code for each in chosen)

    async def _work(self, client: Client) -> None:
        """Use one connection to the end, and leave it as one should, also when told to stop."""
        try:
            await self._stream(client)
        except asyncio.CancelledError:
            with suppress(aiomqtt.MqttError, TimeoutError):
                self._retained.farewell(client)
                async with asyncio.timeout(_SETTLE_S):
                    await client.settled()
            raise
        self._retained.farewell(client)
        await client.settled()

    async def _stream(self, client: Client) -> None:
        await self._retained.announce(client)
        if self._begins and not self._outbox.records:
            # No record may overtake the word that event time begins.
            await client.settled()
            await asyncio.sleep(_BETWEEN_ROUNDS_S)
        await self._outbox.send(client, self._keep_position)
        while True:
            before = self._intervals
            while (interval := await self._next()) is not None:
                await self._send(client, interval)
            await self._rest(client)
            self._mark = None
            if self._settings.loop:
                # Tables without a single interval must not become a busy loop.
                await asyncio.sleep(0 if self._intervals != before else _IDLE_S)
                await self._start_over(client)
            elif self._settings.follow:
                await self._await_more(client)
            else:
                return

    async def _next(self) -> Interval | None:
        """Give what is to be sent next; None at the end of the tables."""
        while (interval := await self._peek()) is not None:
            news = self._news(interval)
            if news is not None:
                return news
            self._tail.drop()
        return None

    async def _peek(self) -> Interval | None:
        """Give what the tables have next; where renewed ones are broken on the way, that is their end for now."""
        try:
            return await self._tail.peek()
        except FileError as exc:
            if not self._is_renewed:
                raise
            logger.warning("the renewed tables cannot be read to their end: %s", exc)
            self._tail.drop()
            return None

    def _news(self, interval: Interval) -> Interval | None:
        """Give what an earlier run, or an earlier reading of the tables, has not sent."""
        if self._mark is not None:
            return self._rest_of(interval, self._mark)
        return self._ledger.news(interval) if self._ledger is not None else interval

    def _rest_of(self, interval: Interval, mark: Mark) -> Interval | None:
        """Give what lies after the place of an earlier run, and what was revised before it since."""
        rest = after(interval, mark)
        if self._ledger is None or rest is interval:
            return rest
        if rest is None and self._position is not None and self._position.has_changed(interval):
            return interval
        self._ledger.sent(interval)
        return rest

    async def _start_over(self, client: Client) -> None:
        """Begin the next round of a loop."""
        if self._settings.rebase is None:
            # MQTT keeps no order between topics: what is under way of either round must not meet the word between them.
            await asyncio.sleep(_BETWEEN_ROUNDS_S)
            await self._retained.start_over(client)
            await client.settled()
            await asyncio.sleep(_BETWEEN_ROUNDS_S)
        self._outbox.start_over()
        self._shift = None
        self.pace.start_over()
        self._tail.open(self._selection)

    async def _await_more(self, client: Client) -> None:
        """Wait for renewed tables and stand at what is new in them; a broken one is not the end."""
        while self._ledger is not None:
            await self._while_waiting(client, self._tail.renewed())
            try:
                await self._read_catalogue()
                self._tail.open(
                    self._selection, self._ledger.facilities_after, self._ledger.market_after
                )
                await self._tail.peek()
            except (FileError, ConfigError) as exc:
                logger.warning("the renewed tables cannot be read: %s", exc)
                self._tail.drop()
                continue
            self._is_renewed = True
            await self._retained.announce(client)
            return

    async def _send(self, client: Client, interval: Interval) -> None:
        moved = shifted(interval, self._shift_for(interval.moment))
        if self.pace.wait_s(moved.moment) > 0:
            # There is time now for what a burst has skipped.
            await self._rest(client)
        await self._while_waiting(client, self.pace.turn(moved.moment))
        self._outbox.add(moved, interval.moment)
        if self._ledger is not None:
            self._ledger.sent(interval)
        self._retained.take(moved)
        self._tail.drop()
        self._intervals += 1
        self._first = self._first or moved.moment
        self._last = max(self._last or moved.moment, moved.moment)
        await self._outbox.send(client, self._keep_position)
        await self._retained.refresh_if_time(client)
        await self._keep_position()
        self._show(moved.moment)

    async def _while_waiting(self, client: Client, wait: Coroutine[Any, Any, None]) -> None:
        """Wait, and say meanwhile from time to time what is retained."""
        waiting = asyncio.create_task(wait, name="publish-wait")
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=self._retained.repeat_in_s)
                if not self._retained.repeat_in_s:
                    await self._retained.announce(client)
            await waiting
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    def _shift_for(self, moment: datetime) -> timedelta:
        """Give by how much this round's event time is moved."""
        if self._shift is None:
            rebased = self._settings.rebase is not None
            self._shift = rebase(moment, nem.now(), self._last) if rebased else timedelta()
        return self._shift

    async def _rest(self, client: Client) -> None:
        """Bring everything up to date: what is retained, the answers, the place."""
        await self._retained.refresh(client)
        await client.settled()
        await self._keep_position()

    async def _keep_position(self, *, now: bool = False) -> None:
        if self._position is None or not (now or self._position.is_time):
            return
        settled = self._outbox.acknowledged == self._outbox.records
        sums = self._ledger.sums() if self._ledger is not None and settled else None
        await self._position.keep(self._outbox.place, sums, now=now)

    def _show(self, moment: datetime) -> None:
        acknowledged = self._outbox.acknowledged
        text = f"{moment.isoformat()}, {self.pace.rate(self._outbox.records):,.0f} a second, {self.pace.lag_s:.1f} s behind"
        if self._settings.qos:
            text += f", {acknowledged:,} acknowledged"
        if self._link.reconnects:
            text += f", {self._link.reconnects} reconnects"
        self._progress(self._outbox.records, None, text)
