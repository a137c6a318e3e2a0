"""Settings to a source."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from energydash import nem, schema
from energydash.config import FetchSettings, Secret, SourceName
from energydash.errors import ConfigError, FileError
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
    folder: Path | None = None,
    *,
    now: Callable[[], datetime] = nem.now,
    within_s: float = REACHED_WITHIN_S,
) -> SourceName:
    """Give the source that `auto` stands for where the grid is to be followed: of those that answer in time, the freshest.

    As a whole, and until the next start: two sources in one folder would disagree about what a station is, and which values
    are revised. So a `folder` that holds the real grid's data keeps their source, whoever answers now. Of two that are as
    fresh, it is the API; where nobody answers, it is the simulated grid.

    Raises:
        ConfigError: the API is asked for without a key, or `folder` is the API's and there is none.
        FileError: what `folder` says of its source cannot be read.
    """
    if source == "auto" and (kept := real_source_of(folder, api_key)) is not None:
        logger.info("%s holds data of %s: following that", folder, kept)
        return kept
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


def real_source_of(folder: Path | None, api_key: Secret | None) -> SourceName | None:
    """Give the source of the real grid's data in a folder; None where there are none.

    Raises:
        ConfigError: it is the API, and there is no key to go on with.
        FileError: what the folder says of its source cannot be read.
    """
    known = None if folder is None else _provenance(folder / "source.json")
    if known is None or known.simulated:
        return None
    kept = next((name for name in _REAL if name == known.source), None)
    if kept == "openelectricity" and not api_key:
        raise ConfigError(
            f"{folder} holds data of the API, and OPENELECTRICITY_API_KEY is not set: set it, give another --data-dir, "
            "or name the --source that is to take their place"
        )
    return kept


def _provenance(path: Path) -> schema.Provenance | None:
    try:
        return schema.decode_provenance(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as exc:
        # To guess here could replace real data by others.
        raise FileError(
            f"{path} does not say whose data these are ({exc}): name the --source, or give another --data-dir"
        ) from exc


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
        FileError: what the folder says of its source cannot be read.
    """
    name = settled(settings.source, settings.api_key, settings.nemweb_url)
    if settings.source == "auto" and name == "demo":
        # Who names no source must not lose real data to made-up ones because the network is away.
        name = real_source_of(settings.data_dir, settings.api_key) or name
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
