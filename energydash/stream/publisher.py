"""Tables to MQTT, in event-time order."""

import asyncio
import logging
import time
from collections.abc import Iterator
from datetime import datetime

import aiomqtt
import msgspec

from energydash import schema
from energydash.config import PublishSettings, topic_beside
from energydash.errors import BrokerError
from energydash.files import tables
from energydash.progress import Progress
from energydash.stream.connection import backoff_s, client, is_refusal
from energydash.stream.replay import Interval, Pacer, merged

logger = logging.getLogger(__name__)

_CONNECT_WITHIN_S = 5.0
_BACKOFF_CAP_S = 5.0
_FOLLOW_POLL_S = 0.5
_LATEST_EVERY_S = 0.5


class PublishSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was published; `start` and `end` are the first and last interval."""

    broker: str
    records: int
    intervals: int
    reconnects: int
    start: datetime | None
    end: datetime | None
    seconds: float


async def run(settings: PublishSettings, progress: Progress) -> PublishSummary:
    """Publish the tables to their end; with `loop` or `follow`, until cancelled.

    Raises:
        FileError: a table is missing or malformed.
        BrokerError: no broker answers at the start, or it refuses us.
    """
    return await _Publisher(settings, progress).run()


class _Publisher:
    """One run: where in the tables it stands, so that a lost connection costs no interval."""

    def __init__(self, settings: PublishSettings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._intervals: Iterator[Interval] = iter(())
        self._current: Interval | None = None
        self._pacer: Pacer | None = None
        self._seen = 0.0
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._facilities: dict[str, schema.FacilityRecord] = {}
        self._market: dict[tuple[str, str, str | None], schema.MarketRecord] = {}
        self._latest_at = 0.0
        self._message_at = 0.0
        self._records = 0
        self._count = 0

    async def run(self) -> PublishSummary:
        started = time.monotonic()
        connected = 0
        attempt = 0
        # A malformed table is said before any broker is asked.
        await self._open(after=None)
        await self._advance()
        while True:
            try:
                async with client(self._settings.broker) as mqtt:
                    connected += 1
                    attempt = 0
                    logger.info("connected to %s", self._settings.broker.url)
                    await self._announce(mqtt)
                    await self._stream(mqtt)
                    break
            except aiomqtt.MqttError as exc:
                self._give_up_if_hopeless(exc, connected, time.monotonic() - started)
                if attempt == 0:
                    logger.warning("no connection to %s: %s", self._settings.broker.url, exc)
                attempt += 1
                await asyncio.sleep(backoff_s(attempt, _BACKOFF_CAP_S))
        return PublishSummary(
            broker=self._settings.broker.url,
            records=self._records,
            intervals=self._count,
            reconnects=connected - 1,
            start=self._first,
            end=self._last,
            seconds=round(time.monotonic() - started, 3),
        )

    def _give_up_if_hopeless(
        self, error: aiomqtt.MqttError, connected: int, waited_s: float
    ) -> None:
        url = self._settings.broker.url
        if is_refusal(error):
            raise BrokerError(
                f"the broker at {url} refuses us: check user and password"
            ) from error
        if not connected and waited_s > _CONNECT_WITHIN_S:
            raise BrokerError(
                f"no MQTT broker answers at {url}: start one, or let `energydash up` run its own"
            ) from error

    async def _open(self, after: datetime | None) -> None:
        settings = self._settings
        self._seen = self._modified()
        facilities = tables.facility_intervals(settings.facility_csv, after)
        market = tables.market_intervals(settings.market_csv, after)
        self._intervals = merged(facilities, market)

    async def _advance(self) -> None:
        self._current = await asyncio.to_thread(next, self._intervals, None)

    def _modified(self) -> float:
        try:
            return self._settings.facility_csv.stat().st_mtime
        except OSError:
            return self._seen

    async def _announce(self, mqtt: aiomqtt.Client) -> None:
        """Say what the codes stand for, and repeat what a broker without a memory has lost."""
        folder = self._settings.facility_csv.parent
        source = await asyncio.to_thread(tables.provenance, folder)
        catalogue = schema.Catalogue(
            source=source.source if source else "unknown",
            simulated=source.simulated if source else False,
            facilities=await asyncio.to_thread(tables.catalogue, folder),
            speed=self._settings.speed,
        )
        topic = topic_beside(self._settings.facility_topic, "catalogue")
        await mqtt.publish(topic, schema.encode(catalogue), qos=self._settings.qos, retain=True)
        await self._publish_latest(mqtt)

    async def _stream(self, mqtt: aiomqtt.Client) -> None:
        while True:
            while (interval := self._current) is not None:
                await self._send(mqtt, interval)
                await self._advance()
            await self._publish_latest(mqtt)
            if self._settings.loop:
                self._pacer = None
                await self._open(after=None)
            elif self._settings.follow:
                await self._await_more()
                await self._announce(mqtt)
            else:
                return
            await self._advance()

    async def _await_more(self) -> None:
        while self._modified() == self._seen:  # noqa: ASYNC110 (a file sets no event)
            await asyncio.sleep(_FOLLOW_POLL_S)
        await self._open(after=self._last)

    async def _send(self, mqtt: aiomqtt.Client, interval: Interval) -> None:
        settings = self._settings
        backfill = await self._pace(interval.moment)
        await self._messages(
            mqtt,
            [
                *((settings.facility_topic, schema.encode(r)) for r in interval.facilities),
                *((settings.market_topic, schema.encode(v)) for v in interval.market),
            ],
        )
        self._facilities |= {record.facility_id: record for record in interval.facilities}
        self._market |= {
            (v.network_code, v.metric, v.network_region): v for v in interval.market
        }
        self._first = self._first or interval.moment
        self._last = interval.moment
        self._count += 1
        if not backfill or time.monotonic() - self._latest_at > _LATEST_EVERY_S:
            await self._publish_latest(mqtt)
        self._progress(self._records, None, interval.moment.isoformat())

    async def _pace(self, moment: datetime) -> bool:
        """Wait until an interval is due; give whether it is sent as fast as it goes."""
        settings = self._settings
        if self._pacer is None:
            origin = max(moment, settings.backfill_until or moment)
            self._pacer = Pacer(settings.speed, time.monotonic(), origin)
        wait_s = self._pacer.due(moment) - time.monotonic()
        # Let go of the loop even when late: connections must live.
        await asyncio.sleep(max(wait_s, 0.0))
        return wait_s <= 0

    async def _messages(self, mqtt: aiomqtt.Client, messages: list[tuple[str, bytes]]) -> None:
        """Send an interval's messages in order: together, because each alone waits for the socket."""
        qos = self._settings.qos
        if not self._settings.delay_s:
            await asyncio.gather(
                *(mqtt.publish(topic, body, qos=qos) for topic, body in messages)
            )
            self._records += len(messages)
            return
        for topic, body in messages:
            wait_s = self._message_at + self._settings.delay_s - time.monotonic()
            await asyncio.sleep(max(wait_s, 0.0))
            self._message_at = time.monotonic()
            await mqtt.publish(topic, body, qos=qos)
            self._records += 1

    async def _publish_latest(self, mqtt: aiomqtt.Client) -> None:
        """Retain the newest value of everything, for whoever comes later."""
        if self._last is None:
            return
        settings = self._settings
        facilities = schema.FacilityLatest(
            event_time=self._last,
            facilities=tuple(self._facilities[code] for code in sorted(self._facilities)),
        )
        market = schema.MarketLatest(event_time=self._last, values=tuple(self._market.values()))
        for stream, latest in (
            (settings.facility_topic, facilities),
            (settings.market_topic, market),
        ):
            topic = topic_beside(stream, "latest")
            await mqtt.publish(topic, schema.encode(latest), qos=settings.qos, retain=True)
        self._latest_at = time.monotonic()
