"""MQTT to whoever wants the records: validated at the edge, in batches, for as long as it runs."""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Protocol, cast

import msgspec

from energydash import schema
from energydash.config import Broker, topic_beside
from energydash.errors import BrokerError
from energydash.stream.client import Client
from energydash.stream.horizon import Horizon
from energydash.stream.link import Link

_GATHER_S = 0.01
_REFUSED = 0x80
_MAX_NAME = 64
_MAX_FUELS = 64
_MAX_RECORD_BYTES = 64 * 1024
_MAX_RETAINED_BYTES = 4 * 1024 * 1024  # the whole NEM is a tenth of it
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


_Record = schema.FacilityRecord | schema.MarketRecord
_Taken = schema.Catalogue | _Record


class _Rejected(Exception):  # noqa: N818 (it never leaves this module)
    """A message that is not what its topic promises."""


async def run(
    broker: Broker, *, facility_topic: str, market_topic: str, sink: Sink, qos: int = 0
) -> None:
    """Feed `sink` until cancelled, through any number of lost connections.

    With a `qos` above 0 and a name of its own (`Broker.client_id`), the broker keeps for this reader what it misses meanwhile.

    Raises:
        BrokerError: the broker refuses us, or does not let us read.
    """
    reader = Reader(facility_topic, market_topic, sink)
    link = Link(
        broker,
        "serve",
        take=reader.take,
        lasting=qos > 0 and broker.client_id is not None,
        most_bytes=_MAX_RETAINED_BYTES,
    )

    async def read(client: Client) -> None:
        for topic in reader.topics:
            await _subscribe(client, topic, qos)
        sink.broker_state(connected=True)
        await reader.hand_on()

    await link.run(read, lost=lambda: sink.broker_state(connected=False))


async def _subscribe(client: Client, topic: str, qos: int) -> None:
    for code in await client.subscribe(topic, qos=qos):
        if getattr(code, "value", code) >= _REFUSED:
            raise BrokerError(
                f"the broker does not let us read {topic}: check its access rules"
            )


class Reader:
    """Bytes to records: what is wrong is counted and dropped, never raised.

    Each message is read as it comes, one for each turn of the loop: a flood waits in the network, and nobody else for it.
    """

    def __init__(
        self, facility_topic: str, market_topic: str, sink: Sink, horizon: Horizon | None = None
    ) -> None:
        self._sink = sink
        self._horizon = horizon or Horizon()
        self._taken: list[_Taken] = []
        self._some = asyncio.Event()
        self._known: frozenset[str] = frozenset()
        self.topics: dict[str, tuple[str, Callable[[bytes], None]]] = {
            topic_beside(facility_topic, "catalogue"): ("catalogue", self._catalogue),
            topic_beside(facility_topic, "latest"): ("facility_latest", self._facility_latest),
            topic_beside(market_topic, "latest"): ("market_latest", self._market_latest),
            facility_topic: ("facility", self._facility),
            market_topic: ("market", self._market_record),
        }

    def take(self, topic: str, payload: bytes) -> None:
        """Decode a message and keep what it holds for `hand_on`."""
        if topic not in self.topics:
            return
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
        if self._taken:
            self._some.set()

    async def hand_on(self) -> None:
        """Give the sink what has come, in batches, until cancelled."""
        try:
            while True:
                await self._some.wait()
                self.flush()
                await asyncio.sleep(_GATHER_S)
        finally:
            self.flush()

    def flush(self) -> None:
        """Give the sink what has come, in its order."""
        taken, self._taken = self._taken, []
        self._some.clear()
        for kind, some in groupby(taken, type):
            if kind is schema.FacilityRecord:
                self._sink.facilities(cast("list[schema.FacilityRecord]", list(some)))
            elif kind is schema.MarketRecord:
                self._sink.market(cast("list[schema.MarketRecord]", list(some)))
            else:
                for catalogue in some:
                    self._sink.catalogue(cast("schema.Catalogue", catalogue))

    def _catalogue(self, payload: bytes) -> None:
        _check_size(payload, _MAX_RETAINED_BYTES)
        catalogue = schema.decode_catalogue(payload)
        for facility in catalogue.facilities:
            _check_name(facility.code)
            _check_place(facility.longitude, facility.latitude)
        self._known = frozenset(facility.code for facility in catalogue.facilities)
        self._taken.append(catalogue)

    def _facility(self, payload: bytes) -> None:
        _check_size(payload, _MAX_RECORD_BYTES)
        self._admit("facility", [self._station(schema.decode_facility_record(payload))])

    def _market_record(self, payload: bytes) -> None:
        _check_size(payload, _MAX_RECORD_BYTES)
        self._admit("market", [_checked_market(schema.decode_market_record(payload))])

    def _facility_latest(self, payload: bytes) -> None:
        _check_size(payload, _MAX_RETAINED_BYTES)
        latest = schema.decode_facility_latest(payload)
        self._keep_sound("facility_latest", latest.facilities, self._station)

    def _market_latest(self, payload: bytes) -> None:
        _check_size(payload, _MAX_RETAINED_BYTES)
        latest = schema.decode_market_latest(payload)
        self._keep_sound("market_latest", latest.values, _checked_market)

    def _station(self, record: schema.FacilityRecord) -> schema.FacilityRecord:
        """Give a sound record of a station that the catalogue knows; tables without one know no station, and all pass."""
        _checked(record)
        if self._known and record.facility_id not in self._known:
            raise _Rejected("unknown_facility")
        return record

    def _keep_sound[T: _Record](
        self, kind: str, records: Iterable[T], check: Callable[[T], T]
    ) -> None:
        """Keep what is right of many: one wrong record must not cost the whole grid."""
        sound = []
        for record in records:
            try:
                sound.append(check(record))
            except _Rejected as exc:
                self._sink.rejected(kind, str(exc))
        self._admit(kind, sound)

    def _admit(self, kind: str, records: Sequence[_Record]) -> None:
        """Keep what can be of its time; what others bear out later was counted all the same."""
        passed, absurd = self._horizon.admit(records)
        self._taken.extend(passed)
        for _ in range(absurd):
            self._sink.rejected(kind, "absurd_time")


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
