"""The parts of a running `up`: how each is started and known to be ready, and what is said of them."""

import asyncio
import logging
import os
import time
from contextlib import suppress

from energydash import config
from energydash.config import Secret
from energydash.errors import EnergydashError
from energydash.supervise import plan as plans
from energydash.supervise.feed import Feed
from energydash.supervise.gauges import Server, listens_on, memory_mb
from energydash.supervise.now import PartNow, UpNow
from energydash.supervise.part import Part, Phase
from energydash.supervise.plan import Plan
from energydash.supervise.ports import reachable

logger = logging.getLogger(__name__)

_MEASURE_EVERY_S = 2.0
_BROKER_WITHIN_S = 60.0
_POLL_S = 0.1
_AT_REST = frozenset({Phase.READY, Phase.DONE})


class Supervisor:
    """Starts what a plan says, each part as soon as what it needs is ready."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.feed = Feed(plan)
        self.server = Server(plan.server, _shown_token(plan.settings.token))
        self.opened = asyncio.Event()
        self._began = time.monotonic()
        self._lag_s: float | None = None
        # A broker's address may hold a password, and a token is one.
        broker = {"ENERGYDASH_BROKER": plan.broker_url}
        token = (
            {"ENERGYDASH_TOKEN": plan.settings.token.reveal()} if plan.settings.token else {}
        )
        self.broker = Part(
            "broker", lambda: plans.broker_arguments(plan), port=plan.broker.port, probe=self._broker_answers,
        )  # fmt: skip
        self.publish = Part(
            "publish", lambda: plans.publish_arguments(plan), broker, probe=self._is_fed, needs=self._broker_answers,
        )  # fmt: skip
        self.serve = Part(
            "serve", lambda: plans.serve_arguments(plan), {**broker, **token}, port=plan.server_port, probe=self._server_answers,
        )  # fmt: skip
        self.ui = Part("ui", lambda: plans.ui_arguments(plan), token, port=plan.port, probe=self._page_answers)  # fmt: skip

    @property
    def parts(self) -> list[Part]:
        """All of them, in the order of the data's way."""
        broker = [self.broker] if self.plan.embedded else []
        page = [self.ui] if self.plan.settings.ui else []
        return [*self.feed.parts, *broker, self.publish, self.serve, *page]

    async def run(self) -> None:
        """Keep everything running until cancelled; nothing of it outlives this call.

        Raises:
            ExceptionGroup[EnergydashError]: a part cannot be started, or keeps failing; its own last words are the text.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self.feed.run(), name="feed")
            if self.plan.embedded:
                group.create_task(self.broker.for_ever(), name="broker")
            group.create_task(self._publish(), name="publish")
            group.create_task(self.serve.for_ever(), name="serve")
            if self.plan.settings.ui:
                group.create_task(self.ui.for_ever(), name="ui")
            group.create_task(self._measure(), name="measure")

    async def _publish(self) -> None:
        await self.feed.ready.wait()
        try:
            async with asyncio.timeout(_BROKER_WITHIN_S):
                while not await self._broker_answers():  # noqa: ASYNC110 (a port sets no event)
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise EnergydashError(
                f"no MQTT broker answers at {self.plan.broker.url} within {_BROKER_WITHIN_S:.0f} s: "
                "start it, or leave --broker out"
            ) from None
        await self.publish.for_ever()

    def jumped(self, seconds: float) -> None:
        """Take note that the machine slept or that its clock was set: who paces by either begins anew."""
        logger.warning("the clock jumped by %.0f s: the stream goes on at the present", seconds)
        if self.plan.clock.real:
            self.publish.start_anew()
            self.feed.follow.start_anew()

    async def _broker_answers(self) -> bool:
        nodes = self.plan.broker.all
        # Another program's broker may have taken the port since it was free.
        if self.plan.embedded and not await asyncio.to_thread(
            listens_on, self.broker.pid, nodes[0].port
        ):
            return False
        return any(await asyncio.gather(*(_listens(node.host, node.port) for node in nodes)))

    async def _page_answers(self) -> bool:
        return await _listens(reachable(self.plan.settings.host), self.plan.port)

    async def _server_answers(self) -> bool:
        return await asyncio.to_thread(self.server.answers)

    async def _is_fed(self) -> bool:
        health = await asyncio.to_thread(self.server.health)
        return health is not None and health.ready

    async def _measure(self) -> None:
        while True:
            await asyncio.to_thread(self.server.measure)
            health = await asyncio.to_thread(self.server.health)
            moment = health.event_time if health else None
            now = self.plan.clock.now()
            self._lag_s = (
                (now - moment).total_seconds() / self.plan.clock.speed if moment else None
            )
            await asyncio.sleep(_MEASURE_EVERY_S)

    def now(self) -> UpNow:
        """Say how all of it is; takes some milliseconds, for it asks the system."""
        parts = tuple(self._now(part) for part in self.parts)
        plan = self.plan
        source = plan.recording.provenance.source if plan.recording and plan.recording.provenance else plan.source  # fmt: skip
        return UpNow(
            pid=os.getpid(),
            uptime_s=round(time.monotonic() - self._began, 1),
            source="replay" if plan.recording else source,
            simulated=plan.simulated,
            page=plan.page if plan.settings.ui else "",
            server=plan.server,
            mqtt=plan.broker.url,
            ready=self.opened.is_set() and all(_is_well(part) for part in self.parts),
            parts=parts,
        )

    def _now(self, part: Part) -> PartNow:
        pid = part.pid
        is_server = part is self.serve and pid is not None
        return PartNow(
            name=part.name,
            state=part.phase,
            pid=pid,
            port=part.port,
            uptime_s=None if pid is None else round(time.monotonic() - part.started, 1),
            restarts=part.restarts,
            memory_mb=memory_mb(pid),
            rate=None
            if not is_server or self.server.rate is None
            else round(self.server.rate, 1),
            lag_s=None if not is_server or self._lag_s is None else round(self._lag_s, 1),
            last_error=part.error,
        )


def _is_well(part: Part) -> bool:
    # The batch jobs come and go; a failed one is told, and is well once it has succeeded.
    if part.failing:
        return False
    return part.phase in _AT_REST or (part.phase is Phase.STARTING and part.name in {"fetch", "convert"})  # fmt: skip


def _shown_token(token: Secret | None) -> Secret | None:
    return config.parse_tokens([token.reveal()])[0].secret if token else None


async def _listens(host: str, port: int) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True
    return False
