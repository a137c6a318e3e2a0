"""A connection to any MQTT broker: made, watched, used in bulk, and always given back."""

import asyncio
import random
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from itertools import batched
from typing import Any, cast

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTT_ERR_SUCCESS

from energydash.config import Broker
from energydash.errors import BrokerError

_KEEPALIVE_S = 15
_TIMEOUT_S = 10.0
_FLIGHT = 500
_INBOX = 50_000
# Many small messages wait for answers (QoS 1): the system must not hold them back.
_SOCKET_OPTIONS = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
# "Bad user name or password" and "not authorised", in MQTT 3.1.1 and 5.
_REFUSALS = frozenset({4, 5, 134, 135})

Inbox = asyncio.Queue[aiomqtt.Message]


@asynccontextmanager
async def connected(
    broker: Broker, role: str, inbox: Inbox | None = None
) -> AsyncIterator[aiomqtt.Client]:
    """Hold a connection as `energydash-<role>-<random>`; TLS verifies the broker's certificate.

    What arrives goes to `inbox`, which the caller may empty itself.

    Raises:
        MqttError: there is no connection, or it was lost.
        BrokerError: the host's name cannot be one.
    """
    queue = inbox if inbox is not None else new_inbox()
    mqtt = aiomqtt.Client(
        broker.host,
        broker.port,
        identifier=f"energydash-{role}-{secrets.token_hex(4)}",
        username=broker.username,
        password=broker.password.reveal() if broker.password else None,
        tls_context=ssl.create_default_context() if broker.tls else None,
        keepalive=_KEEPALIVE_S,
        timeout=_TIMEOUT_S,
        socket_options=_SOCKET_OPTIONS,
        max_inflight_messages=_FLIGHT,
        queue_type=cast("type[Inbox]", lambda maxsize: queue),  # noqa: ARG005 (aiomqtt names it)
    )
    try:
        async with mqtt:
            yield mqtt
    except UnicodeError as exc:
        raise BrokerError(
            f"{broker.url} has no valid host name: give mqtt://host:port"
        ) from exc
    finally:
        # aiomqtt leaves the socket and its timer behind when the broker answers nothing in time.
        mqtt._client._sock_close()  # noqa: SLF001


def new_inbox() -> Inbox:
    """Give a queue of messages; when it is full, aiomqtt drops the newest and says so."""
    return asyncio.Queue(_INBOX)


async def while_connected[T](mqtt: aiomqtt.Client, work: Coroutine[Any, Any, T]) -> T:
    """Run `work`, and end it as soon as the connection is lost: not every wait in it would notice.

    Raises:
        MqttError: the connection was lost.
    """
    working = asyncio.create_task(work, name="mqtt-work")
    watching = asyncio.create_task(_until_lost(mqtt), name="mqtt-watch")
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await watching
        return await working
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _until_lost(mqtt: aiomqtt.Client) -> None:
    async for _ in mqtt.messages:
        pass


async def publish_all(
    mqtt: aiomqtt.Client, messages: Iterable[tuple[str, bytes]], qos: int
) -> None:
    """Send (topic, payload)s in order; on return the broker has them (QoS 0: the system's socket).

    Raises:
        MqttError: the connection was lost, or did not take them in time.
    """
    # aiomqtt's own publish makes a timer and an event for each message and counts all that are pending: a third
    # of the speed. So the client beneath takes a bounded flight of messages, and the last one is waited for.
    for flight in batched(messages, _FLIGHT):
        *ahead, (last_topic, last_body) = flight
        sent = [mqtt._client.publish(topic, body, qos) for topic, body in ahead]  # noqa: SLF001
        for info in sent:
            if info.rc != MQTT_ERR_SUCCESS:
                raise aiomqtt.MqttCodeError(info.rc, "could not send")
        await mqtt.publish(last_topic, last_body, qos=qos)
        # A broker acknowledges in the order of arrival, so the last one's answer is the answer for all.
        if not all(info.is_published() for info in sent):
            raise aiomqtt.MqttError("the broker acknowledged out of order")


def is_refusal(error: aiomqtt.MqttError) -> bool:
    """Whether the broker does not accept who we are, or we not it: trying again is no use."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return True
    code = error.rc if isinstance(error, MqttConnectError) else None
    return getattr(code, "value", code) in _REFUSALS


def backoff_s(attempt: int, cap_s: float) -> float:
    """Give a pause with full jitter, so that many clients do not come back as one."""
    return random.uniform(0.05, min(cap_s, 0.25 * 2 ** min(attempt, 10)))  # noqa: S311 (no secret)
