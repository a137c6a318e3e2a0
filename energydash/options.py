"""The options that commands share, and how their texts are read."""

import os
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from energydash import config, log, nem
from energydash.errors import ConfigError


class SourceName(StrEnum):
    """Where data comes from."""

    auto = "auto"
    openelectricity = "openelectricity"
    demo = "demo"


class TableFormat(StrEnum):
    """How tables are written."""

    csv = "csv"
    parquet = "parquet"


class LogFormatName(StrEnum):
    """How a line of the log is written."""

    text = "text"
    json = "json"


def option(flag: str, text: str, env: str | None = None, **more: Any) -> Any:
    """Give an option whose environment variable is ENERGYDASH_<OPTION>, unless it has its own."""
    name = flag.split("/", maxsplit=1)[0].removeprefix("--").replace("-", "_").upper()
    return typer.Option(flag, help=text, envvar=env or f"ENERGYDASH_{name}", **more)


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
        "--broker", "MQTT broker: mqtt://host:port, mqtts://user:pass@host:port, host[:port]."
    ),
]
BrokerHost = Annotated[
    str | None, option("--broker-host", "Broker's host, instead of --broker.")
]
BrokerPort = Annotated[
    int | None, option("--broker-port", "Broker's port, instead of --broker.")
]
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
    option("--allow-origin", "Web origin whose pages may connect; may be repeated."),
]
HistoryHours = Annotated[
    float, option("--history-hours", "Hours of event time kept for charts.", min=1, max=168)
]
History = Annotated[
    Path | None,
    option("--history", "Tables (data/csv_output) that know the hours before the start."),
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
    SourceName, option("--source", "Where data comes from; auto: the API if a key is set.")
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
Rate = Annotated[float, option("--rate", "Requests in a second, at most.", min=0.01, max=100)]
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


def broker_at(url: str, host: str | None, port: int | None) -> config.Broker:
    """Read the broker's address, in which --broker-host and --broker-port win."""
    address = config.parse_broker(url)
    return msgspec.structs.replace(
        address, host=host or address.host, port=port or address.port
    )


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
