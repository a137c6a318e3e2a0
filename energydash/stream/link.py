"""The way to a broker, or to the next node of its cluster: kept up, with one line in the log for each change."""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiomqtt
from aiomqtt.exceptions import MqttConnectError

from energydash.address import Broker
from energydash.errors import BrokerError, EnergydashError
from energydash.stream.client import Client, connected, tls_context

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0
_STEADY_AFTER_S = 5.0
_LAST_TRY_S = 0.05
# "Bad user name or password" and "not authorised", in MQTT 3.1.1 and 5, and certificates either side does not take.
_REFUSALS = frozenset({4, 5, 134, 135})
_TLS_REFUSALS = (
    "CERTIFICATE_VERIFY_FAILED",
    "CERTIFICATE_REQUIRED",
    "ALERT_UNKNOWN_CA",
    "ALERT_BAD_CERTIFICATE",
)


class Link:
    """One client, however often it has to connect; `more` goes to each `Client`.

    It keeps its name for its whole life, so that a broker which has not noticed a lost connection lets the new one take its place.
    """

    def __init__(self, broker: Broker, role: str, **more: Any) -> None:
        self._addresses = broker.all
        self._node = 0
        self._role = f"{role}-{secrets.token_hex(4)}"
        self._more = {**more, "tls": tls_context(broker)}
        self._up = False
        self._failures = 0
        self.sessions = 0

    @property
    def url(self) -> str:
        """The address that is connected, or tried next."""
        return self._addresses[self._node].url

    @property
    def reconnects(self) -> int:
        """How often the connection was made again."""
        return max(self.sessions - 1, 0)

    async def run[T](
        self,
        work: Callable[[Client], Coroutine[Any, Any, T]],
        patience_s: float | None = None,
        lost: Callable[[], None] = lambda: None,
    ) -> T:
        """Do `work` on a connection, and begin it again on the next after each loss, until it has returned.

        `lost` is called after each loss.

        Raises:
            BrokerError: the broker refuses us at the start, or none has answered within `patience_s` of it (None: wait for ever).
        """
        deadline = None if patience_s is None else time.monotonic() + patience_s
        while True:
            began = time.monotonic()
            results: list[T] = []
            try:
                async with connected(
                    self._addresses[self._node],
                    self._role,
                    self._left_s(deadline),
                    **self._more,
                ) as client:
                    self._came()
                    results.append(await client.while_connected(work(client)))
            except aiomqtt.MqttError as exc:
                # A farewell that fails would take the place of the end that was asked for.
                if (task := asyncio.current_task()) and task.cancelling():
                    raise asyncio.CancelledError from exc
                # When the farewell fails the work is done all the same.
                if not results:
                    self._went(exc, quiet=patience_s is not None)
                    lost()
                    self._give_up_if_hopeless(exc, self._left_s(deadline))
            if results:
                return results[0]
            steady = time.monotonic() - began > _STEADY_AFTER_S
            await self._pause(self._left_s(deadline), steady=steady)

    def _left_s(self, deadline: float | None) -> float | None:
        """Give how much patience is left; None for no end of it, as after the first connection."""
        if deadline is None or self.sessions:
            return None
        return max(deadline - time.monotonic(), 0.0)

    def _came(self) -> None:
        self.sessions += 1
        self._up = True
        logger.info("connected to %s", self.url)

    def _went(self, reason: aiomqtt.MqttError, *, quiet: bool) -> None:
        """Say it once: a broker that stays away is no news."""
        if self._up:
            logger.warning("lost %s: %s", self.url, _why(reason))
        elif self._failures == 0 and not self.sessions:
            # Where patience ends, the error itself says it.
            level = logging.INFO if quiet else logging.WARNING
            logger.log(level, "no connection to %s yet: %s", self.url, reason)
        else:
            logger.debug("still no connection to %s: %s", self.url, reason)
        self._up = False

    async def _pause(self, left_s: float | None, *, steady: bool) -> None:
        self._failures = 1 if steady else self._failures + 1
        self._node = (self._node + 1) % len(self._addresses)
        rounds = (self._failures - 1) // len(self._addresses)
        pause = pause_s(rounds)
        await asyncio.sleep(pause if left_s is None else min(pause, left_s / 2))

    def _give_up_if_hopeless(self, error: aiomqtt.MqttError, left_s: float | None) -> None:
        if self.sessions:
            return
        if is_refusal(error):
            raise BrokerError(
                f"the broker at {self.url} and we do not accept each other ({error}): check user, password and certificate"
            ) from error
        if left_s is not None and left_s < _LAST_TRY_S:
            raise BrokerError(
                f"no MQTT broker answers at {self.url} ({error}): start one, or use `energydash up`"
            ) from error


def _why(error: BaseException) -> str:
    return str(error.__cause__ or error)


async def refusal(node: Broker, within_s: float) -> str:
    """Give why a broker does not let us in, empty if it does; it is asked once, as every `Link` asks."""
    try:
        async with asyncio.timeout(within_s), connected(node, f"trial-{secrets.token_hex(4)}"):
            return ""
    except TimeoutError:
        return f"no answer within {within_s:.0f} s"
    except (aiomqtt.MqttError, EnergydashError) as exc:
        return str(exc)


def is_refusal(error: aiomqtt.MqttError) -> bool:
    """Whether the broker does not accept who we are, or we not it: trying again is no use."""
    if any(words in f"{error} {error.__cause__}" for words in _TLS_REFUSALS):
        return True
    code = error.rc if isinstance(error, MqttConnectError) else None
    return getattr(code, "value", code) in _REFUSALS


def pause_s(failures: int) -> float:
    """Give a pause with full jitter, so that many clients do not come back as one."""
    return random.uniform(0.0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(failures, 10)))  # noqa: S311 (no secret)
