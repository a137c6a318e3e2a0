"""Settings: flag > environment > `.env` > default, checked before anything starts.

Typer fills the structs below: each option names its environment variable, and `load_env_file` puts `.env`
beneath the environment.
"""

import ipaddress
import os
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from dotenv import load_dotenv

from energydash import alerting
from energydash.address import Access, Broker, parse_broker
from energydash.errors import ConfigError
from energydash.secret import Secret

__all__ = ["Broker", "Secret", "parse_broker"]  # they stand here for whoever reads settings

OPENELECTRICITY_URL = "https://api.openelectricity.org.au/v4"
NEMWEB_URL = "https://nemweb.com.au"
FACILITY_TOPIC = "a02/facility_metrics/v1/stream"
MARKET_TOPIC = "a02/market_metrics/v1/stream"
HOME_PREFIX = "homeassistant"
HOME_TOPIC = "a02/home/v1"

SourceName = Literal["auto", "openelectricity", "nemweb", "demo"]
"""What `--source` may say."""


class Token(msgspec.Struct, frozen=True):
    """A secret that lets its holder read, and whose it is."""

    name: str
    secret: Secret


def parse_tokens(texts: Iterable[str]) -> tuple[Token, ...]:
    """Read `secret` or `name:secret` of each text; the name says in the log who comes and goes.

    Raises:
        ConfigError: a secret is empty, or two have the same name.
    """
    tokens = []
    for number, text in enumerate(texts, 1):
        name, colon, secret = text.partition(":")
        if not colon:
            name, secret = f"token-{number}", text
        if not (name and secret):
            raise ConfigError("a --token is empty: give a secret, or name:secret")
        tokens.append(Token(name, Secret(secret)))
    if len({token.name for token in tokens}) < len(tokens):
        raise ConfigError("two --token have the same name: give each its own")
    return tuple(tokens)


def topic_beside(stream_topic: str, last_level: str) -> str:
    """Give the stream topic with its last level replaced: where `latest` and `catalogue` are."""
    head, slash, _ = stream_topic.rpartition("/")
    return f"{head}{slash}{last_level}"


def check_topics(facility_topic: str, market_topic: str) -> None:
    """Refuse topics that nobody can publish to, or whose retained messages would replace each other.

    Raises:
        ConfigError: one of them is empty or has a wildcard, or both have the same `latest`.
    """
    for flag, topic in (("--facility-topic", facility_topic), ("--market-topic", market_topic)):
        if not topic or set(topic) & {"+", "#", "\0"}:
            raise ConfigError(f"{flag} {topic!r} is no topic: give one without +, # and NUL")
    if topic_beside(facility_topic, "latest") == topic_beside(market_topic, "latest"):
        raise ConfigError(
            f"--facility-topic {facility_topic} and --market-topic {market_topic} would share the retained "
            f"{topic_beside(market_topic, 'latest')}: give each a parent of its own"
        )


def load_env_file(path: Path = Path(".env")) -> None:
    """Put what `.env` says beneath the environment: a variable that is set already wins."""
    load_dotenv(path, override=False)


def is_loopback(host: str) -> bool:
    """Whether listening on `host` is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_exposure(
    host: str,
    *,
    guarded: bool,
    insecure: bool,
    guard: str = "--token (or ENERGYDASH_TOKEN)",
) -> None:
    """Refuse to listen beyond this machine without a `guard`, unless told to.

    Raises:
        ConfigError: `host` is not loopback, nothing guards it and `insecure` is off.
    """
    if is_loopback(host) or guarded or insecure:
        return
    raise ConfigError(
        f"--host {host} is reachable from other machines: give {guard}, or --insecure to mean it"
    )


def parse_prefix(text: str) -> str:
    """Read the path that a reverse proxy keeps before ours: "/grid", or "" for none.

    Raises:
        ConfigError: it is no path.
    """
    prefix = f"/{text.strip('/')}" if text.strip("/") else ""
    if not re.fullmatch(r"(/[\w.~-]+)*", prefix, re.ASCII):
        raise ConfigError(f"--prefix {text} is no path: give one like /grid")
    return prefix


def origin_host(origin: str) -> str:
    """Give the host (and port) of a web origin.

    Raises:
        ConfigError: it is none.
    """
    parts = urlsplit(origin)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/"):
        raise ConfigError(
            f"--allow-origin {origin} is no web origin: give one like https://grid.example.org"
        )
    return parts.netloc.lower()


def check_backend(url: str) -> None:
    """Refuse what cannot be a stream server's address.

    Raises:
        ConfigError: it is no WebSocket address.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"ws", "wss"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            f"--backend {url} is no WebSocket address: give ws://host:port/ws/realtime, or wss://"
        )


class FetchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `fetch` needs; `start` and `end` are aware and half-open.

    `fixed` says that the user named the window's ends, `open_end` that the end is not among them; a window that is not fixed is
    the last so many days of whenever the fetch began. `every_s` is the least time between two rounds of a follow,
    which keeps `keep_days` (None: all).
    `rate` is requests a second (None: what suits the source), `retries` how often a request is sent again, `backoff_s` the longest first pause before it.
    """

    data_dir: Path
    source: SourceName
    start: datetime
    end: datetime
    fixed: bool = True
    open_end: bool = True
    interval: str = "5m"
    network: str = "NEM"
    status: str = "operating"
    batch_size: int = 30
    batch_delay_s: float = 0.5
    rate: float | None = None
    concurrency: int = 4
    retries: int = 5
    backoff_s: float = 1.0
    restart: bool = False
    dry_run: bool = False
    every_s: float = 60.0
    keep_days: float | None = None
    api_key: Secret | None = None
    base_url: str = OPENELECTRICITY_URL
    nemweb_url: str = NEMWEB_URL
    seed: int = 1


class ConvertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `convert` needs."""

    input_dir: Path
    output_dir: Path
    format: Literal["csv", "parquet"] = "csv"


class HomeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What Home Assistant is told: where it looks for devices, where their values are, and which stations are among them."""

    prefix: str = HOME_PREFIX
    topic: str = HOME_TOPIC
    facilities: tuple[str, ...] = ()


class PublishSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `publish` needs.

    `speed` is event seconds per wall second, None for as fast as it goes. Records up to `backfill_until` are sent
    at once, before the pacing begins. `follow` goes on with what later appears in the tables. `start` and `end` are half-open;
    of `facilities`, `regions` and `fuels` an empty one is all. `offset_file` keeps the place that `--resume` goes on from.
    """

    broker: Broker
    facility_csv: Path
    market_csv: Path
    facility_topic: str = FACILITY_TOPIC
    market_topic: str = MARKET_TOPIC
    status_topic: str | None = None
    qos: int = 0
    speed: float | None = 60.0
    delay_s: float = 0.0
    loop: bool = False
    rebase: Literal["now"] | None = None
    follow: bool = False
    offset_file: Path | None = None
    backfill_until: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    facilities: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    fuels: tuple[str, ...] = ()
    home: HomeSettings | None = None


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `serve` needs; `history_hours` of event time are kept for the charts, and begin with the tables in `history_dir`.

    `requests_per_address` is a second, in the long run; 0 is no limit.
    """

    broker: Broker
    qos: int = 0
    host: str = "127.0.0.1"
    port: int = 8000
    facility_topic: str = FACILITY_TOPIC
    market_topic: str = MARKET_TOPIC
    tokens: tuple[Token, ...] = ()
    allow_origin: tuple[str, ...] = ()
    insecure: bool = False
    history_hours: float = 24.0
    history_dir: Path | None = None
    max_connections: int = 10_000
    connections_per_address: int = 256
    requests_per_address: float = 100.0


class UiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `ui` needs; the tables in `history` are what its readers explore.

    `alerts` are what it calls attention to, `auth` is a file of passwords, `prefix` the path that a reverse proxy keeps before ours ("/grid"), `allow_origin` what browsers
    call it.
    """

    backend: str = "ws://127.0.0.1:8000/ws/realtime"
    host: str = "127.0.0.1"
    port: int = 8050
    token: Secret | None = None
    open_browser: bool = False
    insecure: bool = False
    tiles: str | None = None
    history: Path | None = None
    auth: Path | None = None
    prefix: str = ""
    allow_origin: tuple[str, ...] = ()
    alerts: alerting.Rules = alerting.Rules()

    @property
    def url(self) -> str:
        """Where the page is, seen from this machine."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.prefix}"


class UpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `up` needs; `speed` (event seconds per wall second) is the simulated grid's and a replay's.

    Where no port is given, the usual ones are taken or, with `port_base`, those from there on: page, server, broker.
    `replay` is a folder to show instead of a source; the real grid's last `keep_days` are kept.
    """

    data_dir: Path
    source: SourceName
    base_url: str = OPENELECTRICITY_URL
    nemweb_url: str = NEMWEB_URL
    broker: str = "embedded"
    access: Access = Access()
    speed: float = 60.0
    replay: Path | None = None
    keep_days: float = 7.0
    host: str = "127.0.0.1"
    port: int | None = None
    server_port: int | None = None
    port_base: int | None = None
    ui: bool = True
    token: Secret | None = None
    open_browser: bool = True
    insecure: bool = False
    auth: Path | None = None
    alerts: str = alerting.DEFAULT
    seed: int = 1
    quiet: bool = False
    log_level: str = "INFO"


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Where the parts of `up` listen; `mqtt` is None where any free port will do."""

    page: int
    server: int
    mqtt: int | None


def ports_of(page: int | None, server: int | None, base: int | None) -> Ports:
    """Give the ports: those that are named, else those from `base` on, else the usual ones."""
    if base is None:
        return Ports(page=page or 8050, server=server or 8000, mqtt=None)
    return Ports(page=page or base, server=server or base + 1, mqtt=base + 2)


def api_key() -> Secret | None:
    """Give the OpenElectricity key, if the environment has one."""
    key = os.environ.get("OPENELECTRICITY_API_KEY", "").strip()
    return Secret(key) if key else None
