"""Where an MQTT broker is, and how it wants to be spoken to."""

from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from energydash.errors import ConfigError
from energydash.secret import Secret

MqttVersion = Literal["3.1.1", "5"]


class _Scheme(NamedTuple):
    port: int
    tls: bool
    websocket: bool


_SCHEMES = {
    "mqtt": _Scheme(1883, tls=False, websocket=False),
    "mqtts": _Scheme(8883, tls=True, websocket=False),
    "ws": _Scheme(80, tls=False, websocket=True),
    "wss": _Scheme(443, tls=True, websocket=True),
}
_WEBSOCKET_PATH = "/mqtt"  # what the brokers' own examples use
_UNDERSTOOD = (
    "the broker address is not understood: give mqtt://host:port, mqtts://user:pass@host:port, "
    "ws://host:port/path, wss:// or host[:port]; several with commas"
)


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """An MQTT broker: its address, the others of its cluster (`others`), and what all of them want of a client.

    `path` is that of a WebSocket, None for plain TCP. The files are PEM: who signed the broker's certificate (None: whom the system
    trusts), and our own certificate with its key. `client_id` None is a name of our own making.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    tls: bool = False
    path: str | None = None
    username: str | None = None
    password: Secret | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    version: MqttVersion = "3.1.1"
    client_id: str | None = None
    others: tuple["Broker", ...] = ()

    @property
    def url(self) -> str:
        """The address without its password."""
        kind = (self.tls, self.path is not None)
        scheme = next(n for n, each in _SCHEMES.items() if (each.tls, each.websocket) == kind)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.path or ''}"

    @property
    def all(self) -> tuple["Broker", ...]:
        """Every address of the cluster, in the order in which they are tried."""
        return self, *self.others


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What the options say beside the address; see `Broker`."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    version: str = "3.1.1"
    client_id: str | None = None


def parse_broker(text: str) -> Broker:
    """Read `mqtt://host:port`, `mqtts://user:pass@host:port`, `ws://host:port/path`, `wss://…` or `host[:port]`.

    Several, parted by commas, are the nodes of one cluster; one without a scheme takes scheme, user and password from the first.

    Raises:
        ConfigError: the text is none of these.
    """
    first, *rest = (each.strip() for each in text.split(","))
    broker = _parse_one(first)
    return msgspec.structs.replace(
        broker, others=tuple(_parse_another(each, broker) for each in rest)
    )


def reached(broker: Broker, access: Access) -> Broker:
    """Give the broker with what the options say, for each of its addresses.

    Raises:
        ConfigError: the options contradict each other, or name a file that is not there.
    """
    if access.version not in {"3.1.1", "5"}:
        raise ConfigError(f"--mqtt-version {access.version}: give 3.1.1 or 5")
    if (access.cert_file is None) != (access.key_file is None):
        raise ConfigError("--cert-file and --key-file belong together: give both")
    given = {"--ca-file": access.ca_file, "--cert-file": access.cert_file, "--key-file": access.key_file}  # fmt: skip
    for flag, path in given.items():
        if path is not None and not path.is_file():
            raise ConfigError(f"{flag} {path} is not there")
    if any(given.values()) and not all(each.tls for each in broker.all):
        raise ConfigError("certificates need TLS: give the broker as mqtts:// or wss://")
    fields = msgspec.structs.asdict(access)
    others = tuple(msgspec.structs.replace(each, **fields) for each in broker.others)
    return msgspec.structs.replace(broker, **fields, others=others)


def _parse_one(text: str) -> Broker:
    try:
        parts = urlsplit(text if "://" in text else f"mqtt://{text}")
        port = parts.port
    except ValueError:
        raise ConfigError(_UNDERSTOOD) from None
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname or port == 0:
        raise ConfigError(_UNDERSTOOD)
    return Broker(
        host=parts.hostname,
        port=port or scheme.port,
        tls=scheme.tls,
        path=_path_of(parts) if scheme.websocket else None,
        username=unquote(parts.username) if parts.username else None,
        password=Secret(unquote(parts.password)) if parts.password else None,
    )


def _path_of(parts: SplitResult) -> str:
    path = parts.path if parts.path not in {"", "/"} else _WEBSOCKET_PATH
    return f"{path}?{parts.query}" if parts.query else path


def _parse_another(text: str, first: Broker) -> Broker:
    if "://" in text:
        return _parse_one(text)
    scheme = first.url.partition("://")[0]
    other = _parse_one(f"{scheme}://{text}")
    if other.username is not None:
        return other
    return msgspec.structs.replace(other, username=first.username, password=first.password)
