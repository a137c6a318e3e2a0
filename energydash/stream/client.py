"""An MQTT client for bulk: aiomqtt's, with a bounded window of messages under way and the broker's answer to each.

What aiomqtt does not offer is taken from the paho client beneath it, here and nowhere else: sending without a task, a timer and an
event for each message (a third of the speed), the reason codes of MQTT 5, and each arriving message at once, so that a flood waits in
the network and not in our memory.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, override

import aiomqtt
import msgspec
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, MQTT_ERR_SUCCESS, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from energydash.address import Broker
from energydash.errors import BrokerError, ConfigError

WINDOW = 1000
"""How many messages wait for the broker's answer at most (QoS 0: for the system to take them)."""

SESSION_KEPT_S = 3600
"""For how long an MQTT 5 broker keeps what a named reader misses."""

_EXACTLY_ONCE = 2
# Mosquitto (2.0.11) confirms at QoS 2 what is beyond its `max_inflight_messages`, 20 unless set otherwise, and forgets it. An MQTT
# 3.1.1 broker cannot tell that limit; the word of the end is sent beyond ours.
_WINDOW_EXACTLY_ONCE = 16
_KEEPALIVE_S = 15
_TIMEOUT_S = 10.0
_REFUSED = 0x80
# "Not authorised", "topic name invalid" and "payload format invalid": sending it again is no use.
_HOPELESS = frozenset({0x87, 0x90, 0x99})
# Many small messages wait for answers (QoS 1): the system must not hold them back.
_SOCKET_OPTIONS = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)


class Mark(msgspec.Struct, frozen=True):
    """A place in the tables: after a record (`key`) of an interval, or after the `whole` of it."""

    moment: datetime
    key: str = ""
    whole: bool = False


class Outgoing(msgspec.Struct, frozen=True):
    """A message to send; `before` is the place that is reached when all before it has arrived."""

    topic: str
    body: bytes
    retain: bool = False
    before: Mark | None = None


Take = Callable[[str, bytes], None]
"""Who is given each message (topic, payload) that arrives, in the loop; it must return at once and not raise."""


class _LastWords(logging.Handler):
    """Keeps the reason that the libraries beneath say in their log alone; what is worth a line there, `Link` says."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.logger = logging.Logger("mqtt", logging.WARNING)  # noqa: LOG001 (one for each connection)
        self.logger.addHandler(self)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


class Client(aiomqtt.Client):
    """One connection; made anew for each."""

    def __init__(
        self,
        broker: Broker,
        identifier: str,
        *,
        tls: ssl.SSLContext | None = None,
        qos: int = 0,
        will: aiomqtt.Will | None = None,
        take: Take | None = None,
        lasting: bool = False,
        most_bytes: int = 0,
    ) -> None:
        modern = broker.version == "5"
        super().__init__(
            broker.host,
            broker.port,
            identifier=identifier,
            username=broker.username,
            password=broker.password.reveal() if broker.password else None,
            protocol=aiomqtt.ProtocolVersion.V5 if modern else aiomqtt.ProtocolVersion.V311,
            will=will,
            clean_session=None if modern else not lasting,
            clean_start=not lasting if modern else MQTT_CLEAN_START_FIRST_ONLY,
            properties=_properties(lasting=lasting, most_bytes=most_bytes) if modern else None,
            transport="tcp" if broker.path is None else "websockets",
            websocket_path=broker.path,
            timeout=_TIMEOUT_S,
            keepalive=_KEEPALIVE_S,
            tls_context=tls,
            socket_options=_SOCKET_OPTIONS,
            max_inflight_messages=0,  # the window below is the limit
            logger=(words := _LastWords()).logger,
        )
        self._words = words
        self._qos = qos
        self._take = take
        self._most = min(WINDOW, _WINDOW_EXACTLY_ONCE) if qos == _EXACTLY_ONCE else WINDOW
        self._window = self._most
        self._under_way: dict[int, Outgoing] = {}
        self._moved = asyncio.Event()
        self._wanted = 0
        self._answers = 0
        self._refusal: tuple[Outgoing, ReasonCode] | None = None
        self._disconnected.add_done_callback(lambda _: self._moved.set())

    @property
    def under_way(self) -> list[Outgoing]:
        """The messages that have no answer yet, oldest first."""
        return list(self._under_way.values())

    def put(self, message: Outgoing) -> None:
        """Send a message; until its answer comes it is `under_way`.

        Raises:
            MqttError: the connection is lost.
        """
        info = self._client.publish(message.topic, message.body, self._qos, message.retain)
        if info.rc != MQTT_ERR_SUCCESS:
            raise aiomqtt.MqttCodeError(info.rc, "could not send")
        if not info.is_published():
            self._under_way[info.mid] = message

    async def room(self) -> None:
        """Wait until another message may be sent.

        Raises:
            MqttError: the connection is lost, or the broker answers nothing any more.
            BrokerError: the broker refuses a message for good.
        """
        self._check_refusal()
        if len(self._under_way) >= self._window:
            # Half a window at once: waking for each answer costs more than the message.
            await self._until(self._window // 2)

    async def settled(self) -> None:
        """Wait until every message has its answer; raises as `room` does."""
        await self._until(0)

    async def _until(self, limit: int) -> None:
        self._wanted = limit
        while len(self._under_way) > limit:
            if self._disconnected.done():
                raise aiomqtt.MqttError("connection lost") from self._disconnected.exception()
            answers = self._answers
            self._moved.clear()
            try:
                async with asyncio.timeout(self.timeout):
                    await self._moved.wait()
            except TimeoutError:
                if answers == self._answers:
                    raise aiomqtt.MqttError("the broker answers nothing any more") from None
            self._check_refusal()
        self._check_refusal()

    def _check_refusal(self) -> None:
        if self._refusal is None:
            return
        message, code = self._refusal
        if code.value in _HOPELESS:
            raise BrokerError(
                f"the broker refuses what is sent to {message.topic} ({code}): check its access rules"
            )
        raise aiomqtt.MqttError(f"the broker refused a message ({code})")

    async def lost(self) -> None:
        """Wait for the end of the connection.

        Raises:
            MqttError: it was lost.
        """
        await asyncio.wait({self._disconnected})
        raise aiomqtt.MqttError("connection lost") from self._disconnected.exception()

    async def while_connected[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work`, and end it as soon as the connection is lost: not every wait in it would notice.

        Raises:
            MqttError: the connection was lost.
        """
        working = asyncio.create_task(work, name="mqtt-work")
        watching = asyncio.create_task(self.lost(), name="mqtt-watch")
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await watching
            return await working
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    def hurry(self, within_s: float) -> None:
        """Let the thread that connects take no longer: to cancel the wait for it does not end it."""
        # A millisecond at least: on a busy machine nothing may be left, which is no limit that paho takes.
        self._client.connect_timeout = min(self._client.connect_timeout, max(within_s, 0.001))

    def release(self) -> None:
        """Give the socket back: aiomqtt leaves it and its timer behind when the broker answers nothing in time."""
        self._client._sock_close()  # noqa: SLF001

    @override
    def _on_connect(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        # An MQTT 5 broker may hang up on who sends more at once than it says.
        self._window = min(self._most, getattr(properties, "ReceiveMaximum", WINDOW))
        super()._on_connect(client, userdata, flags, reason_code, properties)

    @override
    def _on_disconnect(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            # aiomqtt would wait for an answer until its time is over.
            why = self._words.text or "without a word"
            self._connected.set_exception(aiomqtt.MqttError(f"the broker hung up: {why}"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    @override
    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any
    ) -> None:
        message = self._under_way.get(mid)
        if message is None:
            super()._on_publish(client, userdata, mid, reason_code, properties)
            return
        self._answers += 1
        if reason_code.value >= _REFUSED:
            # It did not arrive, and keeps its place among those that have no answer yet.
            self._refusal = self._refusal or (message, reason_code)
            self._moved.set()
            return
        del self._under_way[mid]
        if len(self._under_way) <= self._wanted:
            self._moved.set()

    @override
    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        # It may come from the thread that connects. aiomqtt takes the socket's number along, which may be closed by its turn, or
        # another socket's.
        self._loop.call_soon_threadsafe(self._write_when_ready, client, sock)

    def _write_when_ready(self, client: Any, sock: Any) -> None:
        if (number := sock.fileno()) >= 0:
            self._loop.add_writer(number, self._write, client)

    def _write(self, client: Any) -> None:
        try:
            client.loop_write()
        except Exception as exc:  # noqa: BLE001 (whatever it is, the connection is broken)
            if not self._disconnected.done():
                self._disconnected.set_exception(exc)

    @override
    def _on_message(self, client: Any, userdata: Any, message: MQTTMessage) -> None:
        if self._take is None:
            super()._on_message(client, userdata, message)
            return
        self._take(message.topic, bytes(message.payload))


def _properties(*, lasting: bool, most_bytes: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    if lasting:
        properties.SessionExpiryInterval = SESSION_KEPT_S
    if most_bytes:
        properties.MaximumPacketSize = most_bytes
    return properties


def tls_context(broker: Broker) -> ssl.SSLContext | None:
    """Give what verifies the broker's certificate and shows ours; None without TLS.

    Raises:
        ConfigError: a certificate or key cannot be used.
    """
    if not broker.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=broker.ca_file)
        if broker.cert_file and broker.key_file:
            context.load_cert_chain(broker.cert_file, broker.key_file)
    except OSError as exc:  # SSLError is one
        raise ConfigError(f"the certificates for {broker.url} cannot be used: {exc}") from exc
    return context


@asynccontextmanager
async def connected(
    broker: Broker, role: str, within_s: float | None = None, **more: Any
) -> AsyncIterator[Client]:
    """Hold a connection as `client_id` or `energydash-<role>`; TLS verifies the broker's certificate.

    Raises:
        MqttError: there is no connection (within `within_s`, where that is given), or it was lost.
        BrokerError: the host's name cannot be one.
    """
    tls = more.pop("tls", None) or tls_context(broker)
    client = Client(broker, broker.client_id or f"energydash-{role}", tls=tls, **more)
    if within_s is not None:
        client.hurry(within_s)
    try:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(within_s):
                    await stack.enter_async_context(client)
            except TimeoutError:
                raise aiomqtt.MqttError("no answer in time") from None
            yield client
    except UnicodeError as exc:
        raise BrokerError(
            f"{broker.url} has no valid host name: give mqtt://host:port"
        ) from exc
    finally:
        client.release()
