"""MQTT to whoever wants the records: validated at the edge, in batches, for as long as it runs."""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol

import aiomqtt
import msgspec

from energydash import schema
from energydash.config import Broker, topic_beside
from energydash.stream.connection import backoff_s, client

logger = logging.getLogger(__name__)

_BACKOFF_CAP_S = 2.0
_BATCH = 1000
_MAX_RECORD_BYTES = 64 * 1024
_MAX_RETAINED_BYTES = 16 * 1024 * 1024
_MAX_VALUE = 1e6  # MW, t or $/MWh beyond which a value is noise
_EARLIEST = datetime(1998, 1, 1, tzinfo=UTC)  # the NEM began that December
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


class Sink(Protocol):
    """Who takes what arrives; each call returns at once."""

    def catalogue(self, catalogue: schema.Catalogue) -> None:
        """Take what the codes stand for."""
        ...

    def facilities(self, records: list[schema.FacilityRecord]) -> None:
        """Take values of facilities."""
        ...

    def market(self, records: list[schema.MarketRecord]) -> None:
        """Take values of the market."""
        ...

    def broker_state(self, *, connected: bool) -> None:
        """Take note that the broker came or went."""
        ...

    def rejected(self, kind: str, cause: str) -> None:
        """Take note that a message of a kind was dropped."""
        ...


class _Rejected(Exception):  # noqa: N818 (it never leaves this module)
    """A message that is not what its topic promises."""


async def run(broker: Broker, *, facility_topic: str, market_topic: str, sink: Sink) -> None:
    """Feed `sink` until cancelled, through any number of lost connections."""
    reader = _Reader(facility_topic, market_topic, sink)
    attempt = 0
    while True:
        try:
            async with client(broker) as mqtt:
                for topic in reader.topics:
                    await mqtt.subscribe(topic, qos=0)
                logger.info("connected to %s", broker.url)
                attempt = 0
                sink.broker_state(connected=True)
                await _read(mqtt, reader)
        except aiomqtt.MqttError as exc:
            sink.broker_state(connected=False)
            if attempt == 0:
                logger.warning("no connection to %s: %s", broker.url, exc)
        attempt += 1
        await asyncio.sleep(backoff_s(attempt, _BACKOFF_CAP_S))


async def _read(mqtt: aiomqtt.Client, reader: "_Reader") -> None:
    batch: list[tuple[str, bytes]] = []
    messages = mqtt.messages
    async for message in messages:
        payload = message.payload
        if isinstance(payload, bytes | bytearray):
            batch.append((message.topic.value, bytes(payload)))
        if len(batch) >= _BATCH or len(messages) == 0:
            reader.take(batch)
            batch = []
            # A flood must not keep the rest of the process waiting.
            await asyncio.sleep(0)


class _Reader:
    """Bytes to records: what is wrong is counted and dropped, never raised."""

    def __init__(self, facility_topic: str, market_topic: str, sink: Sink) -> None:
        self._sink = sink
        self._facilities: list[schema.FacilityRecord] = []
        self._market: list[schema.MarketRecord] = []
        self.topics: dict[str, tuple[str, Callable[[bytes], None]]] = {
            topic_beside(facility_topic, "catalogue"): ("catalogue", self._catalogue),
            topic_beside(facility_topic, "latest"): ("facility_latest", self._facility_latest),
            topic_beside(market_topic, "latest"): ("market_latest", self._market_latest),
            facility_topic: ("facility", self._facility),
            market_topic: ("market", self._market_record),
        }

    def take(self, batch: Iterable[tuple[str, bytes]]) -> None:
        """Decode a batch and hand on what it holds, in order of kind."""
        for topic, payload in batch:
            if topic not in self.topics:
                continue
            kind, read = self.topics[topic]
            try:
                read(payload)
            except _Rejected as exc:
                self._sink.rejected(kind, str(exc))
            except msgspec.MsgspecError as exc:
                invalid = isinstance(exc, msgspec.ValidationError)
                self._sink.rejected(kind, "wrong_fields" if invalid else "not_json")
            except UnicodeDecodeError:
                self._sink.rejected(kind, "not_utf8")
        self._flush()

    def _flush(self) -> None:
        if self._facilities:
            self._sink.facilities(self._facilities)
            self._facilities = []
        if self._market:
            self._sink.market(self._market)
            self._market = []

    def _catalogue(self, payload: bytes) -> None:
        _check_size(payload, _MAX_RETAINED_BYTES)
        catalogue = schema.decode_catalogue(payload)
        self._flush()
        self._sink.catalogue(catalogue)

    def _facility(self, payload: bytes) -> None:
        _check_size(payload, _MAX_RECORD_BYTES)
        self._facilities.append(_checked(schema.decode_facility_record(payload)))

    def _market_record(self, payload: bytes) -> None:
        _check_size(payload, _MAX_RECORD_BYTES)
        self._market.append(_checked_market(schema.decode_market_record(payload)))

    def _facility_latest(self, payload: bytes) -> None:
        _check_size(payload, _MAX_RETAINED_BYTES)
        self._facilities += map(_checked, schema.decode_facility_latest(payload).facilities)

    def _market_latest(self, payload: bytes) -> None:
        _check_size(payload, _MAX_RETAINED_BYTES)
        self._market += map(_checked_market, schema.decode_market_latest(payload).values)


def _check_size(payload: bytes, limit: int) -> None:
    if len(payload) > limit:
        raise _Rejected("too_large")


def _checked(record: schema.FacilityRecord) -> schema.FacilityRecord:
    _check_time(record.event_time)
    _check_number(record.power)
    _check_number(record.emissions)
    for value in (record.by_fuel or {}).values():
        _check_number(value)
    return record


def _checked_market(record: schema.MarketRecord) -> schema.MarketRecord:
    _check_time(record.event_time)
    _check_number(record.value)
    return record


def _check_time(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise _Rejected("no_offset")
    if not _EARLIEST <= moment < _LATEST:
        raise _Rejected("absurd_time")


def _check_number(value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and abs(value) <= _MAX_VALUE):
        raise _Rejected("absurd_number")
