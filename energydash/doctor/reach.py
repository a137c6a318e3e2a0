"""What energydash talks to: the ports it takes, an MQTT broker, the API with its key, AEMO's public files."""

import asyncio
import contextlib
import ssl
import time
from datetime import timedelta
from pathlib import Path

import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from energydash import config, nem
from energydash.config import Broker, FetchSettings, Ports
from energydash.doctor.finding import Finding, failed, ok, warning
from energydash.errors import AuthError, EnergydashError, SourceError
from energydash.sources.choose import is_reachable, make_source
from energydash.sources.limits import Account
from energydash.supervise import claim, remote
from energydash.supervise.ports import is_free

_BROKER_WITHIN_S = 5.0
_FEW_CREDITS = 50


def ports(wanted: Ports, folder: Path) -> list[Finding]:
    """Look whether the parts of `up` will find their ports free; those of an `up` that runs in `folder` are its own."""
    own = _own_pids(folder)
    found = [
        _port("port of the page", wanted.page, "--port", own),
        _port("port of the server", wanted.server, "--server-port", own),
    ]
    if wanted.mqtt is not None:
        found.append(_port("port of the broker", wanted.mqtt, "--port-base", own))
    return found


def _port(name: str, port: int, flag: str, own: dict[int, str]) -> Finding:
    if is_free(port):
        return ok(name, f"{port} is free")
    pid = _listener(port)
    if pid in own:
        return ok(
            name, f"{port} is in use by the `energydash up` that runs ({own[pid]}, pid {pid})"
        )
    who = f"{port} is in use" + (f" by {_name(pid)} (pid {pid})" if pid else "")
    return failed(name, who, f"stop it, or give another with {flag}")


def _listener(port: int) -> int | None:
    """Give who listens; None where the system does not tell."""
    with contextlib.suppress(psutil.Error, OSError):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port:
                return each.pid
    return None


def _name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return "a process"


def _own_pids(folder: Path) -> dict[int, str]:
    with contextlib.suppress(EnergydashError):
        running = claim.load(folder)
        members = (running.up, *running.parts) if running else ()
        return {each.pid: each.name for each in members if remote.found(each)}
    return {}


def broker(address: str) -> Finding:
    """Look whether an MQTT broker lets us in."""
    if address == "embedded":
        return ok("broker", "`energydash up` brings its own")
    wanted = config.parse_broker(address)
    trouble = _refusal(wanted)
    if trouble:
        return failed("broker", f"{wanted.url}: {trouble}", "start it, or check its address, user, password and certificate")  # fmt: skip
    return ok("broker", f"{wanted.url} lets us in")


def _refusal(wanted: Broker) -> str:
    """Give why a broker does not let us in, empty if it does."""
    said: list[str] = []
    client = paho.Client(
        CallbackAPIVersion.VERSION2, transport="tcp" if wanted.path is None else "websockets"
    )
    if wanted.path is not None:
        client.ws_set_options(path=wanted.path)
    client.on_connect = lambda _c, _u, _f, reason, _p: said.append(
        str(reason) if reason.is_failure else ""
    )
    client.connect_timeout = _BROKER_WITHIN_S
    if wanted.username is not None:
        client.username_pw_set(
            wanted.username, wanted.password.reveal() if wanted.password else None
        )
    if wanted.tls:
        client.tls_set_context(ssl.create_default_context())
    deadline = time.monotonic() + _BROKER_WITHIN_S
    try:
        client.connect(wanted.host, wanted.port)
        while not said and time.monotonic() < deadline:
            if client.loop(0.1) != paho.MQTT_ERR_SUCCESS and not said:
                return "it hung up"
    except (OSError, ValueError) as exc:
        return str(exc)
    finally:
        client.disconnect()
        client.loop(0.1)
    return said[0] if said else f"no answer within {_BROKER_WITHIN_S:.0f} s"


async def key(base_url: str) -> Finding:
    """Ask the API whether it knows the key and what it has left today, which costs nothing."""
    secret = config.api_key()
    if secret is None:
        return ok("key", "none is set: `auto` needs none")
    now = nem.now()
    source = make_source(
        FetchSettings(
            data_dir=Path(), source="openelectricity", start=now - timedelta(days=1), end=now, api_key=secret, base_url=base_url,
        )
    )  # fmt: skip
    try:
        return _judged(await source.account())
    except AuthError as exc:
        return failed(
            "key",
            str(exc),
            "check OPENELECTRICITY_API_KEY; over the day's quota the API answers so too",
        )
    except SourceError as exc:
        return warning("key", f"it could not be checked: {exc}", "check the connection to the internet, and --base-url")  # fmt: skip
    finally:
        await source.aclose()


def _judged(account: Account | None) -> Finding:
    if account is None or account.credits is None:
        return ok("key", "the API accepts it")
    left = f"the API accepts it, {account.credits:,} requests are left today"
    if account.credits < _FEW_CREDITS:
        return warning("key", left, "wait until 00:00 UTC, when they are counted anew")
    return ok("key", left)


def nemweb(url: str) -> Finding:
    """Look whether AEMO's public files are there, which is what `auto` shows without a key."""
    if is_reachable(url):
        return ok("nemweb", f"AEMO's files are at {url}")
    meant = "`auto` takes the API, as a key is set" if config.api_key() else "`auto` shows the simulated grid"  # fmt: skip
    return warning("nemweb", f"{url} does not answer: {meant}", "check the connection to the internet, and --nemweb-url")  # fmt: skip


async def all_of(address: str, base_url: str, nemweb_url: str) -> list[Finding]:
    """Ask broker, API and AEMO's server at the same time."""
    asked = await asyncio.gather(
        asyncio.to_thread(broker, address), key(base_url), asyncio.to_thread(nemweb, nemweb_url)
    )
    return [*asked]
