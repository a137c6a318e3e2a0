"""The OpenElectricity API over httpx: correct requests, and its own words when it refuses."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn, get_args

import httpx
import msgspec

from energydash import __version__
from energydash.config import Secret
from energydash.errors import AuthError, ConfigError, SourceError, TransientError
from energydash.nem import network_zone
from energydash.sources.limits import FREE, Account, limits_of
from energydash.sources.protocol import BATCH_CODES, FACILITY_METRICS, MARKET_METRICS, Window
from energydash.sources.web import checked_url, one_line, retry_after_s

logger = logging.getLogger(__name__)

_TIMEOUT = httpx.Timeout(120.0, connect=10.0)
# The timeouts above are for each read; a server that trickles must end too.
_WHOLE_REQUEST_S = 300.0
_TOO_MANY = 429

Params = list[tuple[str, str | int | float | bool | None]]


class _Refusal(msgspec.Struct):
    """Both shapes of the API's errors: `error` of the application, `detail` of its framework."""

    error: str | None = None
    detail: object = None


class _Credits(msgspec.Struct):
    remaining: int | None = None


class _Key(msgspec.Struct):
    plan: str | None = None
    credits: _Credits | None = None


class _Me(msgspec.Struct):
    """The answer of `/me`, any key of which may be absent."""

    data: _Key | None = None


class _NoDataError(Exception):
    """The API holds no rows for the request; the text is its own."""


def check_vocabulary(network: str, interval: str) -> None:
    """Hold network and interval against what the API's own SDK knows.

    Raises:
        ConfigError: one of them is unknown.
    """
    # Importing the SDK hangs a DEBUG handler on its logger that writes to stdout: take it off again.
    from openelectricity import types as known  # type: ignore[import-untyped] # noqa: PLC0415 (brings pydantic, aiohttp)

    sdk = logging.getLogger("openelectricity")
    sdk.handlers.clear()
    sdk.setLevel(logging.WARNING)
    for flag, value, words in (
        ("--network", network, get_args(known.NetworkCode)),
        ("--interval", interval, get_args(known.DataInterval)),
    ):
        if value not in words:
            raise ConfigError(
                f"{flag} {value} is unknown to the API: it knows {', '.join(words)}"
            )


class OpenElectricitySource:
    """A `Source` over the real API; `transport` lets a test stand in for the network.

    Raises:
        ConfigError: key or address cannot be sent as they are.
    """

    name = "openelectricity"
    simulated = False
    whole = False

    def __init__(
        self, api_key: Secret, base_url: str, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._key = api_key
        self.url = base_url
        self._client = httpx.AsyncClient(
            base_url=checked_url(base_url, "--base-url"),
            headers={
                "Authorization": f"Bearer {_checked_key(api_key)}",
                "User-Agent": f"energydash/{__version__}",
                # The API keeps an answer for five minutes; ours is to be the newest, and of one moment.
                "Cache-Control": "no-cache",
            },
            timeout=_TIMEOUT,
            follow_redirects=True,
            transport=transport,
        )

    async def account(self) -> Account:
        """Give the key's plan and what it has left of the day, which costs nothing.

        Where the API does not say, the free plan's limits hold.

        Raises:
            SourceError: the API cannot be reached (TransientError), or refuses (AuthError: the key).
        """
        try:
            raw = await self._get("me", [])
            key = msgspec.json.decode(raw, type=_Me).data or _Key()
        except (AuthError, TransientError):
            raise
        except (SourceError, _NoDataError, msgspec.MsgspecError, UnicodeDecodeError) as exc:
            logger.warning(
                "the API does not tell the key's plan (%s): taken for the free one", exc
            )
            return Account()
        return Account(
            limits=limits_of(key.plan or FREE.plan),
            credits=key.credits.remaining if key.credits else None,
        )

    async def facilities(self, network: str) -> bytes:
        """Give the whole catalogue, whatever the units' status.

        Raises:
            SourceError: the API fails or refuses (AuthError: the key).
        """
        try:
            return await self._get("facilities/", [("network_id", network)])
        except _NoDataError as exc:
            raise SourceError(
                f"the API has no stations for --network {network}: {exc}"
            ) from exc

    async def facility_data(
        self, network: str, facility_codes: Sequence[str], window: Window, interval: str
    ) -> bytes | None:
        """Give power (MW) and emissions (t) of up to `BATCH_CODES` facilities' units.

        Raises:
            SourceError: the API fails or refuses (AuthError: the key).
        """
        if len(facility_codes) > BATCH_CODES:
            raise ConfigError(
                f"{len(facility_codes)} stations in one request: {BATCH_CODES} at most"
            )
        params = self._params(FACILITY_METRICS, network, window, interval)
        params += [("facility_code", code) for code in facility_codes]
        return await self._rows(f"data/facilities/{network}", params)

    async def market_data(
        self, network: str, window: Window, interval: str, *, by_region: bool
    ) -> bytes | None:
        """Give price ($/MWh) and demand (MW) of the network, or of each of its regions.

        Raises:
            SourceError: the API fails or refuses (AuthError: the key).
        """
        params = self._params(MARKET_METRICS, network, window, interval)
        if by_region:
            params.append(("primary_grouping", "network_region"))
        return await self._rows(f"market/network/{network}", params)

    async def news(self) -> None:
        """Tell nothing: the API itself has to be asked."""

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    def _params(
        self, metrics: Sequence[str], network: str, window: Window, interval: str
    ) -> Params:
        """Give what every data request has: repeated keys, and naive network time."""
        params: Params = [
            *(("metrics", metric) for metric in metrics),
            ("interval", interval),
            ("date_start", _naive(window.start, network)),
        ]
        if window.end is not None:
            params.append(("date_end", _naive(window.end, network)))
        return params

    async def _rows(self, path: str, params: Params) -> bytes | None:
        try:
            return await self._get(path, params)
        except _NoDataError as exc:
            logger.info("%s: %s", path, exc)
            return None

    async def _get(self, path: str, params: Params) -> bytes:
        try:
            async with asyncio.timeout(_WHOLE_REQUEST_S):
                response = await self._client.get(path, params=params)
        except (httpx.TimeoutException, TimeoutError) as exc:
            raise TransientError(
                f"the API at {self._client.base_url} did not answer in time: try again later",
                reached=False,
            ) from exc
        except (httpx.TransportError, httpx.DecodingError) as exc:
            reason = one_line(str(exc)) or type(exc).__name__
            raise TransientError(
                f"the API cannot be reached at {self._client.base_url} ({reason}): "
                "check the network and --base-url",
                reached=False,
            ) from exc
        except httpx.HTTPError as exc:
            raise SourceError(
                f"the API at {self._client.base_url} cannot be asked ({one_line(str(exc))}): check --base-url"
            ) from exc
        if not response.is_success:
            self._refuse(response)
        return response.content

    def _refuse(self, response: httpx.Response) -> NoReturn:
        said = _said(response)
        # A server may repeat what it was sent.
        reason = (said or response.reason_phrase).replace(self._key.reveal(), "***")
        match response.status_code:
            case httpx.codes.UNAUTHORIZED:
                raise AuthError(
                    f"the API does not accept the key ({reason}): check OPENELECTRICITY_API_KEY; "
                    "one that is over its day's quota is refused too, until 00:00 UTC",
                    reason=reason,
                )
            # Until 2026-04 the API said 416. A 404 that is not in the API's own form is a wrong address.
            case 416:
                raise _NoDataError(reason)
            case 404 if _refusal(response).error:
                raise _NoDataError(reason)
            case 404:
                raise SourceError(
                    f"nothing answers at {response.url.copy_with(query=None)} ({reason}): check --base-url"
                )
            case status if status == _TOO_MANY or httpx.codes.is_server_error(status):
                raise TransientError(
                    f"the API answered {status}: {reason}",
                    retry_after_s=retry_after_s(response),
                )
            case status:
                raise SourceError(f"the API answered {status}: {reason}")


def _checked_key(key: Secret) -> str:
    """Give the key for a header; httpx and h11 would put a bad one into their errors."""
    text = key.reveal()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(
            "OPENELECTRICITY_API_KEY holds a character that no key has: copy it again, without quotes or spaces"
        )
    return text


def _naive(moment: datetime, network: str) -> str:
    """Give network time without an offset: the API refuses aware times."""
    local = moment.astimezone(network_zone(network)).replace(tzinfo=None)
    return local.isoformat(timespec="seconds")


def _refusal(response: httpx.Response) -> _Refusal:
    try:
        return msgspec.json.decode(response.content, type=_Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Refusal()


def _said(response: httpx.Response) -> str:
    """Give the server's own words on one line, from either shape of its errors; empty without any."""
    refusal = _refusal(response)
    if refusal.error:
        return one_line(refusal.error)
    if isinstance(refusal.detail, list):
        return one_line("; ".join(_complaint(item) for item in refusal.detail))
    return one_line(str(refusal.detail or ""))


def _complaint(item: object) -> str:
    """Give one validation complaint as `field: message`."""
    if not isinstance(item, dict):
        return str(item)
    where = item.get("loc")
    field = f"{where[-1]}: " if isinstance(where, list) and where else ""
    return f"{field}{item.get('msg', 'invalid')}"
