"""What energydash talks to: the ports it takes, an MQTT broker, the API with its key, AEMO's public files."""

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path

import psutil

from energydash import config, nem
from energydash.config import Broker, FetchSettings, Ports
from energydash.doctor.finding import Finding, failed, ok, warning
from energydash.errors import AuthError, EnergydashError, TransientError
from energydash.sources.choose import is_reachable, make_source
from energydash.sources.limits import Account
from energydash.stream.link import refusal
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


async def broker(wanted: Broker | None) -> list[Finding]:
    """Look whether an MQTT broker, or each node of a cluster, lets us in; None is the one that `up` brings."""
    if wanted is None:
        return [ok("broker", "`energydash up` brings its own")]
    troubles = await asyncio.gather(*(refusal(each, _BROKER_WITHIN_S) for each in wanted.all))
    alone = len(troubles) == 1
    # Whoever uses a cluster goes on with the nodes that live.
    judge = failed if all(troubles) else warning
    found = []
    for each, trouble in zip(wanted.all, troubles, strict=True):
        name = "broker" if alone else f"broker {each.host}:{each.port}"
        text = f"{each.url}: {trouble}" if trouble else f"{each.url} lets us in"
        advice = "start it, or check its address, user, password and certificates"
        found.append(judge(name, text, advice) if trouble else ok(name, text))
    return found


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
        # What is refused says itself what to do.
        text, _, advice = str(exc).rpartition(": ")
        return failed("key", text, advice)
    except TransientError as exc:
        text = f"it could not be checked: {exc}"
        if exc.reached:
            return warning("key", text, "try again later")
        # What cannot be reached says itself what to do, too.
        text, _, advice = text.rpartition(": ")
        return warning("key", text, advice)
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


async def all_of(wanted: Broker | None, base_url: str, nemweb_url: str) -> list[Finding]:
    """Ask broker, API and AEMO's server at the same time."""
    brokers, known, files = await asyncio.gather(
        broker(wanted), key(base_url), asyncio.to_thread(nemweb, nemweb_url)
    )
    return [*brokers, known, files]
