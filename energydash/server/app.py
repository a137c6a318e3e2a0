"""The server: hub, fan-out, subscriber and Litestar in one loop, started and stopped together."""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import uvicorn
from litestar import Litestar

from energydash import config
from energydash.config import ServeSettings
from energydash.errors import PortInUseError
from energydash.server import asyncapi, backfill, cors, problems, ws
from energydash.server.access import Access
from energydash.server.door import PING_EVERY_S, PONG_WITHIN_S, Config
from energydash.server.fanout import Fanout
from energydash.server.head import with_head
from energydash.server.hub import Hub
from energydash.server.limits import Doorkeeper, Limits
from energydash.server.rest.describe import document
from energydash.server.rest.routes import routers
from energydash.server.throttle import throttled
from energydash.stream import subscriber

logger = logging.getLogger(__name__)

_STOP_WITHIN_S = 2
_DATE_EVERY_S = 1.0
_BACKLOG = 2048
_SYSTEM_BUFFER = 128 * 1024


def create_app(
    settings: ServeSettings, fanout: Fanout, doorkeeper: Doorkeeper | None = None
) -> Litestar:
    """Give the ASGI application over a fan-out that somebody else runs, and a doorkeeper whose counts it tells."""
    access = Access(
        settings.tokens, settings.allow_origin, local=config.is_loopback(settings.host)
    )
    guarded = bool(settings.tokens)
    shared = cors.settings(settings.allow_origin)
    return Litestar(
        route_handlers=[
            *routers(fanout, doorkeeper, access.guard, guarded=guarded),
            ws.handler(fanout, access),
            asyncapi.handler(settings),
        ],
        openapi_config=document(guarded=guarded),
        plugins=[problems.plugin()],
        cors_config=shared,
        before_send=[cors.say_what_it_varies_by] if shared else [],
        logging_config=None,
    )


def listen(host: str, port: int) -> socket.socket:
    """Bind the port before anything else starts.

    Raises:
        PortInUseError: another program listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, asyncio sends each write at once; else Linux holds small ones back for 40 ms.
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Else the system keeps megabytes for a reader that has stopped, all of it old by the time it is read.
    door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SYSTEM_BUFFER)
    try:
        door.bind((host, port))
        door.listen(_BACKLOG)
    except OSError as exc:
        door.close()
        raise PortInUseError(
            f"port {port} is in use on {host}: stop what listens there, or give another with --port"
        ) from exc
    door.setblocking(False)  # noqa: FBT003 (its own signature)
    return door


def _allow_many_sockets() -> None:
    """Use as many open files as this user may have: each client is one."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 (Windows has neither it nor such a limit)

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Server(uvicorn.Server):
    """Uvicorn that ends when it is told to, instead of asking ten times a second whether it was."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._end = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end; the headers' date is renewed each second meanwhile."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), _DATE_EVERY_S)

    def end(self) -> None:
        """Have it close every connection and end."""
        self.should_exit = True
        self._end.set()


async def run(app: Litestar, door: socket.socket, doorkeeper: Doorkeeper | None = None) -> None:
    """Serve `app` on a bound socket until cancelled, then close every connection."""
    doorkeeper = doorkeeper or Doorkeeper(Limits())
    server = _Server(
        Config(
            throttled(with_head(app), doorkeeper),
            doorkeeper,
            log_config=None,
            access_log=False,
            lifespan="on",
            ws_max_size=ws.MAX_MESSAGE_BYTES,
            ws_ping_interval=PING_EVERY_S,
            ws_ping_timeout=PONG_WITHIN_S,
            timeout_graceful_shutdown=_STOP_WITHIN_S,
        )
    )
    serving = asyncio.create_task(server._serve([door]), name="uvicorn")  # noqa: SLF001 (serve() takes the signals)
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.end()
        with suppress(TimeoutError):
            await asyncio.wait_for(serving, 2 * _STOP_WITHIN_S)
        raise


async def serve(settings: ServeSettings, ready: Callable[[], None] = lambda: None) -> None:
    """Serve what the broker carries until cancelled; `ready` is called once it listens.

    Raises:
        ConfigError: the host is reachable from elsewhere without a token.
        PortInUseError: another program listens on the port.
    """
    config.check_exposure(
        settings.host, guarded=bool(settings.tokens), insecure=settings.insecure
    )
    _allow_many_sockets()
    length = timedelta(hours=settings.history_hours)
    fanout = Fanout(Hub(length))
    doorkeeper = Doorkeeper(
        Limits(
            connections=settings.max_connections,
            connections_per_address=settings.connections_per_address,
            requests_per_address=settings.requests_per_address,
        )
    )
    with listen(settings.host, settings.port) as door:
        logger.info("listening on %s:%d", settings.host, settings.port)
        ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(fanout.run(), name="ticks")
            group.create_task(
                subscriber.run(
                    settings.broker,
                    facility_topic=settings.facility_topic,
                    market_topic=settings.market_topic,
                    sink=fanout.hub,
                    qos=settings.qos,
                ),
                name="subscriber",
            )
            app = create_app(settings, fanout, doorkeeper)
            group.create_task(run(app, door, doorkeeper), name="http")
            if settings.history_dir is not None:
                group.create_task(
                    backfill.run(fanout.hub, settings.history_dir, length), name="backfill"
                )
