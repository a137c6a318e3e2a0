"""The supervisor behind `up`: starts, watches, restarts and stops the parts, in one order, with one deadline.

Each part is an `energydash` command in a process of its own, so that one crash does not take the rest:

    feed (fetch, convert, again and again) → broker → publish → serve → ui
"""

import asyncio
import json
import logging
import socket
import sys
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import msgspec

from energydash import config, nem
from energydash.config import UpSettings
from energydash.errors import EnergydashError, PortInUseError
from energydash.process import Part

logger = logging.getLogger(__name__)

HISTORY = timedelta(hours=24)
"""How much of the past the page opens with."""

_EMBEDDED = "embedded"
_MQTT_PORT = 1883
_LOOPBACK = "127.0.0.1"

# The simulated grid is asked for half a day ahead and again when half of that has been shown.
_DEMO_AHEAD = timedelta(hours=12)
_LOOK_EVERY_S = 0.5
# The part of the folder that each round of a follow appends to.
_MANIFEST = "manifest.jsonl"

_READY_WITHIN_S = 60.0
_POLL_S = 0.1
_FILLED_WITHIN_S = 30.0
_HEALTH_WITHIN_S = 2.0
# The real grid sets the pace itself. AEMO labels an interval with its end and publishes it as it begins: to wait for its label
# would be to hold back what is new.
_NEVER_EARLY = timedelta(hours=1)
# The last intervals of the real API may be missing still.
_PAST_REACHES = timedelta(minutes=30)


class Clock(msgspec.Struct, frozen=True):
    """The grid's present moment: the real one, or one that runs `speed` times as fast from `origin`."""

    origin: datetime
    started: float
    speed: float

    def now(self) -> datetime:
        """Give the present moment of the grid, in NEM time."""
        return self.origin + timedelta(seconds=(time.monotonic() - self.started) * self.speed)


def is_free(port: int, host: str = _LOOPBACK) -> bool:
    """Whether nothing listens on a port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Give a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _require_free(port: int, flag: str, host: str = _LOOPBACK) -> None:
    if not is_free(port, host):
        raise PortInUseError(
            f"port {port} is in use on {host}: stop what listens there, or give another with {flag}"
        )


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What runs where, settled before anything starts."""

    source: str
    folder: Path
    broker: config.Broker
    broker_url: str
    embedded: bool
    clock: Clock
    settings: UpSettings

    @property
    def simulated(self) -> bool:
        """Whether the grid is the simulated one."""
        return self.source == "demo"


def plan(settings: UpSettings) -> Plan:
    """Settle source, ports and clock.

    Raises:
        ConfigError: a setting is wrong.
        PortInUseError: a port that was asked for is taken.
    """
    source = settings.source
    # The dashboard alone can be opened to other machines.
    config.check_exposure(
        settings.host, guarded=settings.auth is not None, insecure=settings.insecure, guard="--auth FILE"
    )  # fmt: skip
    _require_free(settings.server_port, "--server-port")
    _require_free(settings.port, "--port", settings.host)
    embedded = settings.broker == _EMBEDDED
    if embedded:
        port = _MQTT_PORT if is_free(_MQTT_PORT) else free_port()
        broker = config.Broker(port=port)
    else:
        broker = config.parse_broker(settings.broker)
    speed = settings.speed if source == "demo" else 1.0
    return Plan(
        source=source,
        folder=settings.data_dir / "live",
        broker=broker,
        broker_url=broker.url if embedded else settings.broker,
        embedded=embedded,
        clock=Clock(nem.floor_interval(nem.now()), time.monotonic(), speed),
        settings=settings,
    )


def _command(name: str, plan: Plan, *arguments: str) -> list[str]:
    common = ("--quiet", "--log-level", plan.settings.log_level)
    return ["-m", "energydash", name, *arguments, *common]


def _broker_arguments(plan: Plan) -> list[str]:
    start = "import sys; from energydash.stream.broker import main; main(sys.argv[1:])"
    return ["-c", start, plan.broker.host, str(plan.broker.port)]


def _fetch_arguments(plan: Plan) -> list[str]:
    now = nem.floor_interval(plan.clock.now())
    end = now + _DEMO_AHEAD if plan.simulated else now
    return _command(
        "fetch", plan, "--data-dir", str(plan.folder), "--source", plan.source,
        "--start", (now - HISTORY).isoformat(), "--end", end.isoformat(),
        "--seed", str(plan.settings.seed), "--nemweb-url", plan.settings.nemweb_url,
    )  # fmt: skip


def _follow_arguments(plan: Plan) -> list[str]:
    return _command(
        "fetch", plan, "--data-dir", str(plan.folder), "--source", plan.source, "--follow",
        "--days", str(HISTORY / timedelta(days=1)), "--nemweb-url", plan.settings.nemweb_url,
    )  # fmt: skip


def _publish_arguments(plan: Plan) -> list[str]:
    until = plan.clock.now() + (timedelta(0) if plan.simulated else _NEVER_EARLY)
    return _command(
        "publish", plan, "--data-dir", str(plan.folder), "--broker", plan.broker_url,
        "--speed", str(plan.clock.speed), "--backfill-until", until.isoformat(), "--follow",
    )  # fmt: skip


def _serve_arguments(plan: Plan) -> list[str]:
    return _command(
        "serve", plan, "--broker", plan.broker_url, "--host", _LOOPBACK,
        "--port", str(plan.settings.server_port), "--history", str(plan.folder / "csv_output"),
    )  # fmt: skip


def _ui_arguments(plan: Plan) -> list[str]:
    exposure = ["--insecure"] if plan.settings.insecure else []
    if plan.settings.auth is not None:
        exposure += ["--auth", str(plan.settings.auth)]
    return _command(
        "ui", plan, "--backend", f"ws://{_LOOPBACK}:{plan.settings.server_port}/ws/realtime",
        "--host", plan.settings.host, "--port", str(plan.settings.port), "--no-open",
        "--history", str(plan.folder / "csv_output"), *exposure,
    )  # fmt: skip


async def _feed(plan: Plan, ready: asyncio.Event) -> None:
    """Keep the tables ahead of the clock: the simulated grid is fetched again and again, the real one followed."""
    convert = Part("convert", lambda: _command("convert", plan, "--data-dir", str(plan.folder)))
    fetch = Part("fetch", lambda: _fetch_arguments(plan))
    await fetch.or_fail()
    await convert.or_fail()
    ready.set()
    if plan.simulated:
        await _feed_again(fetch, convert, _DEMO_AHEAD.total_seconds() / 2 / plan.clock.speed)
        return
    async with asyncio.TaskGroup() as group:
        follow = Part("fetch --follow", lambda: _follow_arguments(plan))
        group.create_task(follow.for_ever(), name="follow")
        group.create_task(_convert_changes(convert, plan.folder), name="convert")


async def _feed_again(fetch: Part, convert: Part, pause_s: float) -> None:
    while True:
        await asyncio.sleep(pause_s)
        with _forgiven():
            await fetch.or_fail()
            await convert.or_fail()


async def _convert_changes(convert: Part, folder: Path) -> None:
    """Convert whenever a round has left something new."""
    manifest = folder / _MANIFEST
    seen = manifest.stat().st_mtime_ns
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        newest = manifest.stat().st_mtime_ns
        if newest == seen:
            continue
        seen = newest
        with _forgiven():
            await convert.or_fail()


@contextmanager
def _forgiven() -> Iterator[None]:
    """Let a round fail: the page says how old its values are."""
    try:
        yield
    except EnergydashError as exc:
        logger.warning("the feed failed, the next round may work: %s", exc)


async def _answers(host: str, port: int, what: str) -> None:
    """Wait until something listens.

    Raises:
        EnergydashError: nothing does within the limit.
    """
    try:
        async with asyncio.timeout(_READY_WITHIN_S):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(host, port)
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
                    return
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise EnergydashError(
            f"the {what} did not start within {_READY_WITHIN_S:.0f} s: see logs/"
        ) from None


async def _filled(plan: Plan) -> None:
    """Wait until the server holds the past, so that the page opens with a day; a slow feed must not hide it."""
    since = plan.clock.origin - _PAST_REACHES
    with suppress(TimeoutError):
        async with asyncio.timeout(_FILLED_WITHIN_S):
            while True:
                if await asyncio.to_thread(_has_reached, plan.settings.server_port, since):
                    return
                await asyncio.sleep(_POLL_S)


def _has_reached(port: int, since: datetime) -> bool:
    try:
        with urlopen(f"http://{_LOOPBACK}:{port}/health", timeout=_HEALTH_WITHIN_S) as answer:
            event_time = json.load(answer)["event_time"]
    except OSError:
        return False
    return event_time is not None and datetime.fromisoformat(event_time) >= since


async def _greet(plan: Plan) -> None:
    """Say where the page is, once it answers."""
    settings = plan.settings
    host = _LOOPBACK if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    await _answers(host, settings.port, "dashboard")
    await _filled(plan)
    url = f"http://{host}:{settings.port}"
    if not settings.quiet:
        grid = "the simulated grid" if plan.simulated else "the live grid"
        _say(f"{grid} is at {url}")
        _say(
            f"WebSocket ws://{_LOOPBACK}:{settings.server_port}/ws/realtime, MQTT {plan.broker.url}"
        )
        _say("Ctrl-C stops everything")
    if settings.open_browser:
        await asyncio.to_thread(webbrowser.open, url)


def _say(text: str) -> None:
    sys.stderr.write(f"energydash: {text}\n")
    sys.stderr.flush()


async def run(settings: UpSettings) -> None:
    """Run everything until cancelled; nothing of it outlives this call.

    Raises:
        ExceptionGroup[EnergydashError]: a part cannot be started, or keeps failing; its own last words are the text.
    """
    what = plan(settings)
    if not settings.quiet:
        _say("starting: fetch, convert, broker, publish, serve, ui")
    tables_ready = asyncio.Event()

    async def publish_when_ready() -> None:
        await tables_ready.wait()
        await _answers(what.broker.host, what.broker.port, "MQTT broker")
        await Part("publish", lambda: _publish_arguments(what)).for_ever()

    async with asyncio.TaskGroup() as group:
        group.create_task(_feed(what, tables_ready), name="feed")
        if what.embedded:
            broker = Part("broker", lambda: _broker_arguments(what))
            group.create_task(broker.for_ever(), name="broker")
        group.create_task(publish_when_ready(), name="publish")
        token = {"ENERGYDASH_TOKEN": settings.token.reveal()} if settings.token else None
        serve = Part("serve", lambda: _serve_arguments(what), token)
        group.create_task(serve.for_ever(), name="serve")
        ui = Part("ui", lambda: _ui_arguments(what), token)
        group.create_task(ui.for_ever(), name="ui")
        group.create_task(_greet(what), name="greet")
