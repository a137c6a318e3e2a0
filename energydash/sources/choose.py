"""Settings to a source."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from energydash import nem
from energydash.config import FetchSettings, Secret, SourceName
from energydash.errors import ConfigError
from energydash.sources.nemweb.keeping import NoShelf, Shelf
from energydash.sources.protocol import Source

logger = logging.getLogger(__name__)

REACHED_WITHIN_S = 3.0
"""How long AEMO's server has to answer before `auto` takes the simulated grid."""

# A proxy or a captive page answers for everybody: only a server that has this is the one.
_SIGN = "/Reports/Current/Dispatch_SCADA/"

_REAL: tuple[SourceName, ...] = ("openelectricity", "nemweb")


def settled(source: SourceName, api_key: Secret | None, nemweb_url: str) -> SourceName:
    """Give the source that `auto` stands for now, any other as it is.

    A key means the API; without one it is AEMO's public files, or the simulated grid where nobody answers there in time.

    Raises:
        ConfigError: the API is asked for without a key.
    """
    if source == "openelectricity" and not api_key:
        raise ConfigError(
            "OPENELECTRICITY_API_KEY is not set: copy .env.example to .env and fill it in, "
            "or use --source nemweb (no key needed) or --source demo"
        )
    if source != "auto":
        return source
    if api_key:
        return "openelectricity"
    return "nemweb" if is_reachable(nemweb_url) else "demo"


def settled_live(
    source: SourceName,
    api_key: Secret | None,
    nemweb_url: str,
    base_url: str,
    *,
    now: Callable[[], datetime] = nem.now,
    within_s: float = REACHED_WITHIN_S,
) -> SourceName:
    """Give the source that `auto` stands for where the grid is to be followed: of those that answer in time, the freshest.

    As a whole, and until the next start: two sources in one folder would disagree about what a station is, and which values
    are revised. Of two that are as fresh, it is the API; where nobody answers, it is the simulated grid.

    Raises:
        ConfigError: the API is asked for without a key.
    """
    if source != "auto" or not api_key:
        return settled(source, api_key, nemweb_url)
    from energydash.sources.fresher import newest_of_both  # noqa: PLC0415 (httpx)

    found = newest_of_both(api_key, base_url, nemweb_url, now(), within_s)
    told = ", ".join(f"{name} has {label:%Y-%m-%d %H:%M}" for name, label in found.items())
    chosen: SourceName = "demo"
    for name in _REAL:
        if name in found and (chosen == "demo" or found[name] > found[chosen]):
            chosen = name
    logger.info("%s: following %s", told or "no source of the real grid answers", chosen)
    return chosen


def is_reachable(nemweb_url: str, within_s: float = REACHED_WITHIN_S) -> bool:
    """Whether AEMO's files are there at an address, and say so in time."""
    import httpx  # noqa: PLC0415 (most sources need no such look)

    done = threading.Event()
    found = False

    def look() -> None:
        nonlocal found
        with suppress(httpx.HTTPError, httpx.InvalidURL):
            url = nemweb_url.rstrip("/") + _SIGN
            # Not HEAD, which not every server likes; what it would say beyond the status is not read.
            with httpx.stream("GET", url, timeout=within_s, follow_redirects=True) as response:
                found = response.is_success
        done.set()

    # To look up a name may take longer than anybody wants to wait, and cannot be cancelled: it is left behind.
    threading.Thread(target=look, name="is-reachable", daemon=True).start()
    return done.wait(within_s) and found


def make_source(settings: FetchSettings, shelf: Shelf | None = None) -> Source:
    """Give the source that `settings` name; AEMO's files are kept on `shelf`.

    Raises:
        ConfigError: the API is asked for without a key, or with words that it does not know.
    """
    name = settled(settings.source, settings.api_key, settings.nemweb_url)
    if name == "demo":
        from energydash.sources.demo import DemoSource  # noqa: PLC0415 (numpy)

        return DemoSource(settings.seed)
    if name == "nemweb":
        return _nemweb(settings, shelf)
    from energydash.sources import openelectricity  # noqa: PLC0415 (httpx)

    openelectricity.check_vocabulary(settings.network, settings.interval)
    return openelectricity.OpenElectricitySource(
        settings.api_key or Secret(), settings.base_url
    )


def _nemweb(settings: FetchSettings, shelf: Shelf | None) -> Source:
    from energydash.sources.nemweb.source import NemwebSource  # noqa: PLC0415 (httpx)
    from energydash.sources.nemweb.transport import RATE, Manner, Transport  # noqa: PLC0415

    manner = Manner(
        rate=settings.rate or RATE,
        concurrency=settings.concurrency,
        retries=settings.retries,
        backoff_s=settings.backoff_s,
    )
    return NemwebSource(
        Transport(settings.nemweb_url, manner), shelf or NoShelf(), settings.start
    )
