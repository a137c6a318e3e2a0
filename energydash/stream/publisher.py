"""Tables to MQTT, in event-time order."""

import asyncio
import logging
import time
from datetime import datetime
from typing import Any

import aiomqtt
import msgspec

from energydash import schema
from energydash.config import PublishSettings, topic_beside
from energydash.errors import BrokerError, FileError
from energydash.progress import Progress
from energydash.stream.connection import (
    backoff_s,
    connected,
    is_refusal,
    publish_all,
    while_connected,
)
from energydash.stream.ledger import Ledger, Newest
from energydash.stream.replay import Interval, Pacer
from energydash.stream.tail import Tail

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
"""How long a broker that does not answer is asked again at the start."""

_BACKOFF_CAP_S = 2.0
_STEADY_AFTER_S = 5.0
_LATEST_EVERY_S = 0.5
_IDLE_S = 0.5


class PublishSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was published; `start` and `end` are the first and last interval."""

    broker: str
    records: int
    intervals: int
    reconnects: int
    start: datetime | None
    end: datetime | None
    seconds: float


async def run(
    settings: PublishSettings,
    progress: Progress,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
) -> PublishSummary:
    """Publish the tables to their end; with `loop` or `follow`, until cancelled.

    A connection that is lost later is taken up again for ever, with the interval that was being sent.

    Raises:
        FileError: a table is missing or malformed.
        BrokerError: no broker answers within `connect_timeout_s` of the start, or it refuses us.
    """
    publisher = _Publisher(settings, progress)
    try:
        return await publisher.run(connect_timeout_s)
    finally:
        await publisher.close()


class _Publisher:
    """One run: where in the tables it stands, so that a lost connection costs no interval."""

    def __init__(self, settings: PublishSettings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._tail = Tail(settings.facility_csv, settings.market_csv)
        self._pacer: Pacer | None = None
        self._catalogue = b""
        self._ledger = Ledger()
        self._newest = Newest()
        self._latest_at = 0.0
        self._latest_due = False
        self._message_at = 0.0
        self._records = 0
        self._intervals = 0
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._sessions = 0

    async def close(self) -> None:
        await self._tail.close()

    async def run(self, connect_timeout_s: float) -> PublishSummary:
        started = time.monotonic()
        attempt = 0
        # A malformed table is said before any broker is asked.
        self._tail.open()
        await self._read_catalogue()
        await self._tail.peek()
        while True:
            began = time.monotonic()
            sessions = self._sessions
            try:
                async with connected(self._settings.broker, "publish") as mqtt:
                    self._sessions += 1
                    logger.info("connected to %s", self._settings.broker.url)
                    await while_connected(mqtt, self._stream(mqtt))
                break
            except aiomqtt.MqttError as exc:
                if not self._sessions:
                    self._give_up_if_hopeless(
                        exc, time.monotonic() - started, connect_timeout_s
                    )
                # Before the first connection the final error says it, once.
                level = logging.WARNING if sessions != self._sessions else logging.INFO
                logger.log(level, "no connection to %s: %s", self._settings.broker.url, exc)
                steady = time.monotonic() - began > _STEADY_AFTER_S
                attempt = 1 if steady and sessions != self._sessions else attempt + 1
                await asyncio.sleep(backoff_s(attempt, _BACKOFF_CAP_S))
        return PublishSummary(
            broker=self._settings.broker.url,
            records=self._records,
            intervals=self._intervals,
            reconnects=self._sessions - 1,
            start=self._first,
            end=self._last,
            seconds=round(time.monotonic() - started, 3),
        )

    def _give_up_if_hopeless(
        self, error: aiomqtt.MqttError, waited_s: float, limit_s: float
    ) -> None:
        url = self._settings.broker.url
        if is_refusal(error):
            raise BrokerError(
                f"the broker at {url} and we do not accept each other ({error}): check user, password and certificate"
            ) from error
        if waited_s > limit_s:
            raise BrokerError(
                f"no MQTT broker answers at {url} ({error}): start one, or use `energydash up`"
            ) from error

    async def _read_catalogue(self) -> None:
        self._catalogue = schema.encode(await self._tail.catalogue(self._settings.speed))

    async def _stream(self, mqtt: aiomqtt.Client) -> None:
        await self._announce(mqtt)
        while True:
            before = self._intervals
            while (interval := await self._tail.peek()) is not None:
                news = self._ledger.news(interval)
                if news is not None:
                    await self._send(mqtt, news)
                self._tail.drop()
            await self._retain_latest(mqtt)
            if self._settings.loop:
                # Tables without a single interval must not become a busy loop.
                await asyncio.sleep(0 if self._intervals != before else _IDLE_S)
                self._start_over()
            elif self._settings.follow:
                await self._await_more(mqtt)
            else:
                return

    async def _announce(self, mqtt: aiomqtt.Client) -> None:
        """Say what the codes stand for, and repeat what a broker without a memory has lost."""
        await self._retain(mqtt, self._settings.facility_topic, "catalogue", self._catalogue)
        self._latest_due = True
        await self._retain_latest(mqtt)

    def _start_over(self) -> None:
        self._pacer = None
        self._ledger = Ledger()
        self._newest = Newest()
        self._tail.open()

    async def _await_more(self, mqtt: aiomqtt.Client) -> None:
        """Wait for renewed tables and stand at what is new in them; a broken one is not the end."""
        while True:
            await self._tail.renewed()
            self._tail.open(self._ledger.facilities_after, self._ledger.market_after)
            try:
                await self._read_catalogue()
                await self._tail.peek()
            except FileError as exc:
                logger.warning("the renewed tables cannot be read: %s", exc)
                self._tail.drop()
                continue
            await self._announce(mqtt)
            return

    async def _send(self, mqtt: aiomqtt.Client, interval: Interval) -> None:
        settings = self._settings
        await self._await_turn(mqtt, interval.moment)
        messages = [
            *((settings.facility_topic, schema.encode(r)) for r in interval.facilities),
            *((settings.market_topic, schema.encode(v)) for v in interval.market),
        ]
        if settings.delay_s:
            await self._send_slowly(mqtt, messages)
        else:
            await publish_all(mqtt, messages, settings.qos)
        self._records += len(messages)
        self._intervals += 1
        self._first = self._first or interval.moment
        self._last = max(self._last or interval.moment, interval.moment)
        self._ledger.sent(interval)
        self._newest.take(interval)
        self._latest_due = True
        if time.monotonic() - self._latest_at > _LATEST_EVERY_S:
            await self._retain_latest(mqtt)
        self._progress(self._records, None, interval.moment.isoformat())

    async def _await_turn(self, mqtt: aiomqtt.Client, moment: datetime) -> None:
        """Wait until an interval is due; what is late is due at once."""
        settings = self._settings
        if self._pacer is None:
            origin = max(moment, settings.backfill_until or moment)
            self._pacer = Pacer(settings.speed, time.monotonic(), origin)
        due = self._pacer.due(moment)
        if due > time.monotonic():
            # There is time now to retain what a burst has skipped.
            await self._retain_latest(mqtt)
        await asyncio.sleep(max(due - time.monotonic(), 0.0))

    async def _send_slowly(
        self, mqtt: aiomqtt.Client, messages: list[tuple[str, bytes]]
    ) -> None:
        for topic, body in messages:
            wait_s = self._message_at + self._settings.delay_s - time.monotonic()
            await asyncio.sleep(max(wait_s, 0.0))
            self._message_at = time.monotonic()
            await mqtt.publish(topic, body, qos=self._settings.qos)

    async def _retain_latest(self, mqtt: aiomqtt.Client) -> None:
        """Retain the newest value of everything, for whoever comes later."""
        if not self._latest_due:
            return
        settings = self._settings
        await self._retain(mqtt, settings.facility_topic, "latest", self._newest.facilities())
        await self._retain(mqtt, settings.market_topic, "latest", self._newest.market())
        self._latest_due = False
        self._latest_at = time.monotonic()

    async def _retain(
        self, mqtt: aiomqtt.Client, topic: str, last_level: str, what: Any
    ) -> None:
        if what is None:
            return
        body = what if isinstance(what, bytes) else schema.encode(what)
        await mqtt.publish(
            topic_beside(topic, last_level), body, qos=self._settings.qos, retain=True
        )
