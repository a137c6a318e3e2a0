"""MQTT to whoever wants the records: validated at the edge, in batches, for as long as it runs."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol

import aiomqtt
import msgspec

from energydash import schema
from energydash.config import Broker, topic_beside
from energydash.stream.connection import Inbox, backoff_s, connected, new_inbox

logger = logging.getLogger(__name__)

_BACKOFF_CAP_S = 2.0
_STEADY_AFTER_S = 5.0
_BATCH = 1000
_REFUSED = 0x80
_MAX_NAME = 64
_MAX_FUELS = 64
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
        began = time.monotonic()
        inbox = new_inbox()
        try:
            async with connected(broker, "serve", inbox) as mqtt:
                await _subscribe(mqtt, reader.topics)
                logger.info("connected to %s", broker.url)
                sink.broker_state(connected=True)
                # The next loss is news again.
                attempt = 0
                await _read(mqtt, inbox, reader)
        except aiomqtt.MqttError as exc:
            sink.broker_state(connected=False)
            if attempt == 0:
                logger.warning("no connection to %s: %s", broker.url, exc)
        steady = time.monotonic() - began > _STEADY_AFTER_S
        attempt = 1 if steady else attempt + 1
        await asyncio.sleep(backoff_s(attempt, _BACKOFF_CAP_S))


async def _subscribe(mqtt: aiomqtt.Client, topics: Iterable[str]) -> None:
    for topic in topics:
        for code in await mqtt.subscribe(topic, qos=0):
            if getattr(code, "value", code) >= _REFUSED:
                raise aiomqtt.MqttError(f"the broker does not let us read {topic}")


async def _read(mqtt: aiomqtt.Client, inbox: Inbox, reader: "_Reader") -> None:
    async for first in mqtt.messages:
        batch = [first]
        # The iterator makes a task for each message: take what else has come at once.
        while len(batch) < _BATCH and not inbox.empty():
            batch.append(inbox.get_nowait())
        reader.take((message.topic.value, _bytes(message)) for message in batch)
        # A flood must not keep the rest of the process waiting.
        await asyncio.sleep(0)


def _bytes(message: aiomqtt.Message) -> bytes:
    payload = message.payload
    return bytes(payload) if isinstance(payload, bytes | bytearray) else b""


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
            except msgspec.ValidationError:
                self._sink.rejected(kind, "wrong_fields")
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self._sink.rejected(kind, "not_json")
            except RecursionError:
                self._sink.rejected(kind, "nested_too_deeply")
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
        for facility in catalogue.facilities:
            _check_name(facility.code)
            _check_place(facility.longitude, facility.latitude)
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
        latest = schema.decode_facility_latest(payload)
        self._facilities += self._sound("facility_latest", latest.facilities, _checked)

    def _market_latest(self, payload: bytes) -> None:
        _check_size(payload, _MAX_RETAINED_BYTES)
        latest = schema.decode_market_latest(payload)
        self._market += self._sound("market_latest", latest.values, _checked_market)

    def _sound[T](self, kind: str, records: Iterable[T], check: Callable[[T], T]) -> list[T]:
        """Keep what is right of many: one wrong record must not cost the whole grid."""
        sound = []
        for record in records:
            try:
                sound.append(check(record))
            except _Rejected as exc:
                self._sink.rejected(kind, str(exc))
        return sound


def _check_size(payload: bytes, limit: int) -> None:
    if len(payload) > limit:
        raise _Rejected("too_large")


def _checked(record: schema.FacilityRecord) -> schema.FacilityRecord:
    _check_name(record.facility_id)
    _check_time(record.event_time)
    _check_number(record.power)
    _check_number(record.emissions)
    _check_place(record.longitude, record.latitude)
    if record.by_fuel:
        if len(record.by_fuel) > _MAX_FUELS:
            raise _Rejected("too_many_fuels")
        for fuel, value in record.by_fuel.items():
            _check_name(fuel)
            _check_number(value)
    return record


def _checked_market(record: schema.MarketRecord) -> schema.MarketRecord:
    for name in (record.network_code, record.metric, record.network_region):
        if name is not None:
            _check_name(name)
    _check_time(record.event_time)
    _check_number(record.value)
    return record


def _check_name(name: str) -> None:
    if not 0 < len(name) <= _MAX_NAME:
        raise _Rejected("absurd_name")


def _check_place(longitude: float | None, latitude: float | None) -> None:
    if longitude is not None and not -180 <= longitude <= 180:  # noqa: PLR2004 (degrees)
        raise _Rejected("absurd_place")
    if latitude is not None and not -90 <= latitude <= 90:  # noqa: PLR2004 (degrees)
        raise _Rejected("absurd_place")


def _check_time(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise _Rejected("no_offset")
    if not _EARLIEST <= moment < _LATEST:
        raise _Rejected("absurd_time")


def _check_number(value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and abs(value) <= _MAX_VALUE):
        raise _Rejected("absurd_number")
