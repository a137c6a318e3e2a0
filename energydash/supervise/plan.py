"""What runs where, settled before anything starts: source, ports, broker, clock, and each part's arguments."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from energydash import config, nem, schema
from energydash.address import reached
from energydash.config import UpSettings
from energydash.errors import ConfigError
from energydash.supervise.ports import (
    LOOPBACK,
    Wanted,
    free_port,
    is_free,
    reachable,
    require_free,
)

HISTORY = timedelta(hours=24)
"""How much of the past the page opens with."""

DEMO_AHEAD = timedelta(hours=12)
"""How far the simulated grid is asked for ahead; again when half of that has been shown."""

_EMBEDDED = "embedded"
_MQTT_PORT = 1883
# The real grid sets the pace itself. AEMO labels an interval with its end and publishes it as it begins: to wait for its label
# would be to hold back what is new.
_NEVER_EARLY = timedelta(hours=1)
# The last intervals of the real API may be missing still.
_PAST_REACHES = timedelta(minutes=30)
_STATIONS = "facility_metrics_wide"
_MARKET = "market_metrics_data"


class Clock(msgspec.Struct, frozen=True):
    """The grid's present moment: it runs `speed` times as fast as ours, from `origin` on.

    The real grid's is the machine's own clock, so that nothing lags after the machine slept; any other is monotonic: it stands
    while the machine sleeps, and does not jump when the clock is set.
    """

    origin: datetime
    started: float
    speed: float
    real: bool = False

    def now(self, monotonic: Callable[[], float] = time.monotonic) -> datetime:
        """Give the present moment of the grid, in NEM time."""
        if self.real:
            return nem.now()
        return self.origin + timedelta(seconds=(monotonic() - self.started) * self.speed)


class Recording(msgspec.Struct, frozen=True):
    """A folder to replay: raw answers that are still to be converted, or tables."""

    raw: Path | None
    tables: Path
    provenance: schema.Provenance | None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What runs where."""

    source: str
    folder: Path
    broker: config.Broker
    broker_url: str
    embedded: bool
    port: int
    server_port: int
    clock: Clock
    settings: UpSettings
    recording: Recording | None = None

    @property
    def simulated(self) -> bool:
        """Whether the grid is the simulated one."""
        recorded = self.recording and self.recording.provenance
        return recorded.simulated if recorded else self.source == "demo"

    @property
    def tables(self) -> Path:
        """Where the tables are that are published."""
        return self.recording.tables if self.recording else self.folder / "csv_output"

    @property
    def page(self) -> str:
        """The dashboard's address as a browser of this machine reaches it."""
        host = reachable(self.settings.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def server(self) -> str:
        """The server's address."""
        return f"http://{LOOPBACK}:{self.server_port}"

    @property
    def opens_at(self) -> datetime | None:
        """The event time that is reached when the page opens; None where nobody knows."""
        if self.recording and not self.recording.provenance:
            return None
        return self.clock.origin - _PAST_REACHES


def plan(settings: UpSettings) -> Plan:
    """Settle source, ports and clock.

    Raises:
        ConfigError: a setting is wrong.
        PortInUseError: a port that was asked for is taken.
    """
    recording = recording_in(settings.replay, settings.data_dir / "live") if settings.replay else None  # fmt: skip
    source = "replay" if recording else settings.source
    # The dashboard alone can be opened to other machines.
    config.check_exposure(
        settings.host, guarded=settings.auth is not None, insecure=settings.insecure, guard="--auth FILE"
    )  # fmt: skip
    ports = config.ports_of(settings.port, settings.server_port, settings.port_base)
    embedded = settings.broker == _EMBEDDED
    broker = config.Broker(port=ports.mqtt or _mqtt_port()) if embedded else reached(config.parse_broker(settings.broker), settings.access)  # fmt: skip
    page = [Wanted(ports.page, "--port", settings.host)] if settings.ui else []
    mqtt = [Wanted(ports.mqtt, "--port-base")] if embedded and ports.mqtt else []
    require_free([*page, Wanted(ports.server, "--server-port"), *mqtt])
    return Plan(
        source=source,
        folder=settings.data_dir / "live",
        broker=broker,
        broker_url=broker.url if embedded else settings.broker,
        embedded=embedded,
        port=ports.page,
        server_port=ports.server,
        clock=_clock(source, settings.speed, recording),
        settings=settings,
        recording=recording,
    )


def _mqtt_port() -> int:
    return _MQTT_PORT if is_free(_MQTT_PORT) else free_port()


def _clock(source: str, speed: float, recording: Recording | None) -> Clock:
    origin = nem.floor_interval(nem.now())
    if recording is None:
        is_demo = source == "demo"
        return Clock(origin, time.monotonic(), speed if is_demo else 1.0, real=not is_demo)
    if (known := recording.provenance) is not None:
        # The page opens with a day, and half of what there is goes on to move.
        origin = known.start + min(HISTORY, (known.end - known.start) / 2)
    return Clock(origin, time.monotonic(), speed)


def recording_in(folder: Path, work: Path) -> Recording:
    """Find what `folder` holds to replay; raw answers are converted into `work`, so that the folder stays as it is.

    Raises:
        ConfigError: it holds neither raw answers nor tables.
    """
    known = _provenance(folder)
    if (folder / "facilities_data.json").is_file():
        return Recording(folder, work / "replay", known)
    for tables in (folder, folder / "csv_output"):
        if all(_table(tables, name) for name in (_STATIONS, _MARKET)):
            return Recording(None, tables, known or _provenance(tables))
    raise ConfigError(
        f"--replay {folder} holds neither what `energydash fetch` nor what `energydash convert` writes"
    )


def _table(folder: Path, name: str) -> Path | None:
    candidates = (folder / f"{name}.csv", folder / name, folder / f"{name}.parquet")
    return next((path for path in candidates if path.exists()), None)


def _provenance(folder: Path) -> schema.Provenance | None:
    try:
        return schema.decode_provenance((folder / "source.json").read_bytes())
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
        return None


def _command(name: str, plan: Plan, *arguments: str) -> list[str]:
    common = ("--quiet", "--log-level", plan.settings.log_level)
    return ["-m", "energydash", name, *arguments, *common]


def broker_arguments(plan: Plan) -> list[str]:
    """Give how the embedded broker is started."""
    start = "import sys; from energydash.stream.broker import main; main(sys.argv[1:])"
    return ["-c", start, plan.broker.host, str(plan.broker.port)]


def fetch_arguments(plan: Plan) -> list[str]:
    """Give how the window around the present is fetched."""
    now = nem.floor_interval(plan.clock.now())
    end = now + DEMO_AHEAD if plan.simulated else now
    return _command(
        "fetch", plan, "--data-dir", str(plan.folder), "--source", plan.source,
        "--start", (now - HISTORY).isoformat(), "--end", end.isoformat(),
        "--seed", str(plan.settings.seed), *_addresses(plan),
    )  # fmt: skip


def follow_arguments(plan: Plan) -> list[str]:
    """Give how the real grid is followed."""
    return _command(
        "fetch", plan, "--data-dir", str(plan.folder), "--source", plan.source, "--follow",
        "--days", str(HISTORY / timedelta(days=1)), "--keep-days", str(plan.settings.keep_days),
        *_addresses(plan),
    )  # fmt: skip


def _addresses(plan: Plan) -> tuple[str, ...]:
    return "--base-url", plan.settings.base_url, "--nemweb-url", plan.settings.nemweb_url


def convert_arguments(plan: Plan) -> list[str]:
    """Give how the tables are made."""
    raw = plan.recording.raw if plan.recording and plan.recording.raw else plan.folder
    return _command("convert", plan, "--data-dir", str(raw), "--output-dir", str(plan.tables))


def publish_arguments(plan: Plan) -> list[str]:
    """Give how the tables are streamed; the broker's address is in the environment, for it may hold a password."""
    until = plan.clock.now() + (_NEVER_EARLY if plan.clock.real else timedelta(0))
    opens = [] if plan.opens_at is None else ["--backfill-until", until.isoformat()]
    tables = plan.tables
    return _command(
        "publish", plan, "--data-dir", str(plan.folder),
        "--facility-csv", str(_table(tables, _STATIONS) or tables / f"{_STATIONS}.csv"),
        "--market-csv", str(_table(tables, _MARKET) or tables / f"{_MARKET}.csv"),
        "--speed", str(plan.clock.speed), "--follow", *opens, *_access(plan.broker),
    )  # fmt: skip


def serve_arguments(plan: Plan) -> list[str]:
    """Give how the server is started."""
    return _command(
        "serve", plan, "--host", LOOPBACK, "--port", str(plan.server_port), "--history", str(plan.tables),
        *_access(plan.broker),
    )  # fmt: skip


def _access(broker: config.Broker) -> list[str]:
    files = {"--ca-file": broker.ca_file, "--cert-file": broker.cert_file, "--key-file": broker.key_file}  # fmt: skip
    given = [(flag, str(path)) for flag, path in files.items() if path is not None]
    return ["--mqtt-version", broker.version, *(word for pair in given for word in pair)]


def ui_arguments(plan: Plan) -> list[str]:
    """Give how the dashboard is started."""
    exposure = ["--insecure"] if plan.settings.insecure else []
    if plan.settings.auth is not None:
        exposure += ["--auth", str(plan.settings.auth)]
    return _command(
        "ui", plan, "--backend", f"ws://{LOOPBACK}:{plan.server_port}/ws/realtime",
        "--host", plan.settings.host, "--port", str(plan.port), "--no-open",
        "--history", str(plan.tables), "--alerts", plan.settings.alerts, *exposure,
    )  # fmt: skip
