"""The options that commands share, and how their texts are read."""

import os
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from energydash import config, log, nem
from energydash.address import Access, reached
from energydash.errors import ConfigError


class SourceName(StrEnum):
    """Where data comes from."""

    auto = "auto"
    openelectricity = "openelectricity"
    nemweb = "nemweb"
    demo = "demo"


class TableFormat(StrEnum):
    """How tables are written."""

    csv = "csv"
    parquet = "parquet"


class LogFormatName(StrEnum):
    """How a line of the log is written."""

    text = "text"
    json = "json"


def option(flag: str, text: str, env: str | None = None, *, also: str = "", **more: Any) -> Any:
    """Give an option whose environment variable is ENERGYDASH_<OPTION>, unless it has its own; `also` is its name elsewhere."""
    name = flag.split("/", maxsplit=1)[0].removeprefix("--").replace("-", "_").upper()
    flags = (flag, also) if also else (flag,)
    return typer.Option(*flags, help=text, envvar=env or f"ENERGYDASH_{name}", **more)


def _remember_log_format(chosen: LogFormatName) -> LogFormatName:
    """Let the environment say it too: the parts of `up` inherit that."""
    os.environ[log.FORMAT] = chosen.value
    return chosen


DataDir = Annotated[Path, option("--data-dir", "Folder that holds the data.")]
LogLevel = Annotated[str, option("--log-level", "DEBUG, INFO, WARNING or ERROR.")]
LogFormat = Annotated[
    LogFormatName,
    option("--log-format", "Lines of the log: text or json.", callback=_remember_log_format),
]
Quiet = Annotated[bool, option("--quiet", "Show no progress.")]
Json = Annotated[bool, option("--json", "Print the result as JSON on stdout.")]
Debug = Annotated[bool, option("--debug", "Show the traceback of an error.")]
BrokerUrl = Annotated[
    str,
    option(
        "--broker",
        "MQTT broker: mqtt://host:port, mqtts://user:pass@host, ws://host/path, wss://; more nodes with commas.",
    ),
]
BrokerHost = Annotated[
    str | None, option("--broker-host", "Broker's host, instead of --broker.")
]
BrokerPort = Annotated[
    int | None, option("--broker-port", "Broker's port, instead of --broker.")
]
CaFile = Annotated[
    Path | None,
    option("--ca-file", "PEM file of who signed the broker's certificate.", also="--cafile"),
]
CertFile = Annotated[
    Path | None,
    option("--cert-file", "PEM file of our own certificate for the broker.", also="--cert"),
]
KeyFile = Annotated[
    Path | None, option("--key-file", "PEM file of that certificate's key.", also="--key")
]
Version = Annotated[str, option("--mqtt-version", "MQTT 3.1.1 or 5.")]
ClientId = Annotated[
    str | None,
    option("--client-id", "Our name at the broker (default: a new one).", also="--id"),
]
Qos = Annotated[int, option("--qos", "MQTT quality of service.", min=0, max=2)]
FacilityTopic = Annotated[
    str, option("--facility-topic", "MQTT topic of the stations' values.")
]
MarketTopic = Annotated[str, option("--market-topic", "MQTT topic of the market's values.")]
Token = Annotated[
    str | None,
    option("--token", "Secret that clients of the server must show.", show_envvar=True),
]
Tokens = Annotated[
    list[str] | None,
    option(
        "--token",
        "Secret that clients must show, or name:secret; may be repeated.",
        show_envvar=True,
    ),
]
Insecure = Annotated[bool, option("--insecure", "Allow other machines in without a token.")]
Host = Annotated[str, option("--host", "Address to listen on.")]
Open = Annotated[bool, option("--open/--no-open", "Open the page in a browser.")]
AllowOrigin = Annotated[
    list[str] | None,
    option(
        "--allow-origin", "Web origin whose pages may connect, and read REST; may be repeated."
    ),
]
HistoryHours = Annotated[
    float, option("--history-hours", "Hours of event time kept for charts.", min=1, max=168)
]
History = Annotated[
    Path | None,
    option("--history", "Tables (data/csv_output) that know what was before the start."),
]
Auth = Annotated[
    Path | None,
    option("--auth", "Readers of the page and their passwords, a file as htpasswd -B writes."),
]
Alerts = Annotated[
    str, option("--alerts", "What the page calls attention to: rules with commas, or none.")
]
MaxConnections = Annotated[
    int, option("--max-connections", "Connections open at once; 0: any number.", min=0)
]
ConnectionsPerAddress = Annotated[
    int,
    option("--connections-per-address", "The same from one address; 0: any number.", min=0),
]
RequestsPerAddress = Annotated[
    float,
    option("--requests-per-address", "Requests a second from one address; 0: any.", min=0),
]
Source = Annotated[
    SourceName,
    option(
        "--source",
        "Where data comes from; auto: the API with a key (to follow: who is fresher), else AEMO's files.",
    ),
]
Seed = Annotated[int, option("--seed", "Which simulated grid.")]

Start = Annotated[str | None, option("--start", "First interval (network time).")]
End = Annotated[str | None, option("--end", "End of the window, itself left out.")]
Days = Annotated[
    float, option("--days", "Length of the window where --start is absent.", min=0.01)
]
Interval = Annotated[str, option("--interval", "Length of an interval.", "INTERVAL")]
Network = Annotated[str, option("--network", "Network.", "NETWORK_FILTER")]
Status = Annotated[
    str, option("--status", "Unit status, several with commas, or all.", "STATUS_FILTER")
]
BatchSize = Annotated[
    int, option("--batch-size", "Stations in one request.", "BATCH_SIZE", min=1, max=30)
]
BatchDelay = Annotated[
    float, option("--batch-delay", "Seconds between requests.", "BATCH_DELAY_SECS", min=0)
]
Rate = Annotated[
    float | None,
    option("--rate", "Requests in a second, at most (API: 2, files: 20).", min=0.01, max=100),
]
Concurrency = Annotated[
    int, option("--concurrency", "Requests under way at once, at most.", min=1, max=16)
]
Retries = Annotated[
    int, option("--retries", "How often a failed request is sent again.", min=0, max=20)
]
Every = Annotated[
    float, option("--every", "Seconds between the rounds of --follow, at least.", min=1)
]
KeepDays = Annotated[
    float | None,
    option("--keep-days", "Days that --follow keeps; what is older goes.", min=1),
]
DryRun = Annotated[bool, option("--dry-run", "Say what would be asked for, and stop there.")]
Restart = Annotated[
    bool, option("--restart", "Drop what an unfinished fetch left, and begin afresh.")
]
NemwebUrl = Annotated[
    str, option("--nemweb-url", "Address of AEMO's public files.", "NEMWEB_BASE_URL")
]
BaseUrl = Annotated[str, option("--base-url", "Address of the API.", "OE_BASE_URL")]

DATA = Path("data")
BROKER = "mqtt://127.0.0.1:1883"


def secret(text: str | None) -> config.Secret | None:
    """Give the text as a secret; an empty one is none."""
    return config.Secret(text) if text else None


def shown_token(text: str | None) -> config.Secret | None:
    """Give the secret to show to a server, of what it may have been given too: the first of several, without its name."""
    tokens = config.parse_tokens((text or "").split())
    return tokens[0].secret if tokens else None


def broker_at(url: str, host: str | None, port: int | None, **access: Any) -> config.Broker:
    """Read the broker's address, in which --broker-host and --broker-port win, and what is said beside it (`Access`)."""
    broker = config.parse_broker(url)
    if host or port:
        broker = msgspec.structs.replace(
            broker, host=host or broker.host, port=port or broker.port, others=()
        )
    return reached(broker, Access(**access))


def several(text: str | None) -> tuple[str, ...]:
    """Read names parted by commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def rebase_of(text: str | None) -> Literal["now"] | None:
    """Read what event time is shifted to."""
    if text is None or text == "now":
        return text  # type: ignore[return-value]
    raise ConfigError(f"--rebase {text}: there is only now")


def speed_of(text: str) -> float | None:
    """Read event seconds per wall second; None stands for `max`."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ConfigError(
            f"--speed {text}: give a number above 0 (60 is an hour a minute), or max"
        )
    return speed


def moment(text: str | None, network: str) -> datetime | None:
    """Read an ISO date or time; one without an offset is network time."""
    if text is None:
        return None
    if text == "now":
        return nem.now()
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no date: give 2026-03-01 or 2026-03-01T12:00 (network time)"
        ) from None
    return read if read.tzinfo else read.replace(tzinfo=nem.network_zone(network))


def window(
    start: str | None, end: str | None, days: float, network: str
) -> tuple[datetime, datetime]:
    """Read the half-open window that a fetch is to fill; without an end, up to the present interval.

    Raises:
        ConfigError: a text is no date, or the window is empty.
    """
    until = moment(end, network) or nem.floor_interval(nem.now())
    since = moment(start, network) or until - timedelta(days=days)
    if since >= until:
        raise ConfigError(
            f"the window is empty: --start {since.isoformat()} is not before --end {until.isoformat()}"
        )
    return since, until
