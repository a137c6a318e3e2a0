"""A connection to any MQTT broker, and how long to wait before the next attempt."""

import random
import ssl

import aiomqtt

from energydash.config import Broker

_KEEPALIVE_S = 15
_TIMEOUT_S = 10.0
_BURST = 10_000
# "Bad user name or password" and "not authorised", in MQTT 3.1.1 and 5.
_REFUSALS = frozenset({4, 5, 134, 135})


def client(broker: Broker) -> aiomqtt.Client:
    """Give a client, not connected yet; TLS verifies the broker's certificate."""
    mqtt = aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password.reveal() if broker.password else None,
        tls_context=ssl.create_default_context() if broker.tls else None,
        keepalive=_KEEPALIVE_S,
        timeout=_TIMEOUT_S,
    )
    # An interval is published as one burst, on purpose: no warning about calls under way.
    mqtt.pending_calls_threshold = _BURST
    return mqtt


def is_refusal(error: aiomqtt.MqttError) -> bool:
    """Whether the broker does not accept who we are: trying again is no use."""
    code = getattr(error, "rc", None)
    return getattr(code, "value", code) in _REFUSALS


def backoff_s(attempt: int, cap_s: float) -> float:
    """Give a pause with full jitter, so that many clients do not come back as one."""
    return random.uniform(0.05, min(cap_s, 0.25 * 2**attempt))  # noqa: S311 (no secret)
