"""The OpenElectricity API over httpx: correct requests, and its own words when it refuses."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import get_args

import httpx
import msgspec

from energydash.config import Secret
from energydash.errors import AuthError, ConfigError, SourceError
from energydash.nem import network_zone
from energydash.sources.protocol import BATCH_CODES, FACILITY_METRICS, MARKET_METRICS, Window

logger = logging.getLogger(__name__)

_TIMEOUT = httpx.Timeout(120.0, connect=10.0)
# 404 is "no rows"; until 2026-04 the API said 416.
_NO_DATA = frozenset({404, 416})
_SHOWN_OF_AN_ERROR = 300

Params = list[tuple[str, str]]


class _Refusal(msgspec.Struct):
    """Both shapes of the API's errors: `error` of the application, `detail` of its framework."""

    error: str | None = None
    detail: object = None


def check_vocabulary(network: str, interval: str) -> None:
    """Hold network and interval against what the API's own SDK knows.

    Raises:
        ConfigError: one of them is unknown.
    """
    # Importing the SDK hangs a DEBUG handler on its logger that writes to stdout: take it off again.
    from openelectricity import types as known  # noqa: PLC0415 (it brings pydantic and aiohttp)

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
    """A `Source` over the real API; `transport` lets a test stand in for the network."""

    name = "openelectricity"
    simulated = False

    def __init__(
        self, api_key: Secret, base_url: str, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {api_key.reveal()}"},
            timeout=_TIMEOUT,
            follow_redirects=True,
            transport=transport,
        )

    async def facilities(self, network: str) -> bytes:
        """Give the whole catalogue, whatever the units' status.

        Raises:
            SourceError: the API fails or refuses (AuthError: the key).
        """
        raw = await self._get("facilities/", [("network_id", network)])
        if raw is None:
            raise SourceError(f"the API has no stations for network {network}")
        return raw

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
        return await self._get(f"data/facilities/{network}", params)

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
        return await self._get(f"market/network/{network}", params)

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    def _params(
        self, metrics: Sequence[str], network: str, window: Window, interval: str
    ) -> Params:
        """Give what every data request has: repeated keys, and naive network time."""
        return [
            *(("metrics", metric) for metric in metrics),
            ("interval", interval),
            ("date_start", _naive(window.start, network)),
            ("date_end", _naive(window.end, network)),
        ]

    async def _get(self, path: str, params: Params) -> bytes | None:
        try:
            response = await self._client.get(path, params=params)
        except httpx.TimeoutException as exc:
            raise SourceError("the API did not answer in time: try again later") from exc
        except httpx.HTTPError as exc:
            raise SourceError(
                f"the API cannot be reached at {self._client.base_url}: {exc}"
            ) from exc
        if response.is_success:
            return response.content
        return self._refused(response)

    def _refused(self, response: httpx.Response) -> None:
        reason = _reason(response)
        logger.info("%s answered %d: %s", response.url.path, response.status_code, reason)
        if response.status_code in _NO_DATA:
            return
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise AuthError(
                f"the API does not accept the key ({reason}): check OPENELECTRICITY_API_KEY"
            )
        raise SourceError(f"the API answered {response.status_code}: {reason}")


def _naive(moment: datetime, network: str) -> str:
    """Give network time without an offset: the API refuses aware times."""
    local = moment.astimezone(network_zone(network)).replace(tzinfo=None)
    return local.isoformat(timespec="seconds")


def _reason(response: httpx.Response) -> str:
    """Give the server's own words, from either shape of its errors."""
    try:
        refusal = msgspec.json.decode(response.content, type=_Refusal)
    except msgspec.MsgspecError:
        return response.reason_phrase
    if refusal.error:
        return refusal.error[:_SHOWN_OF_AN_ERROR]
    if isinstance(refusal.detail, list):
        texts = [
            str(item.get("msg", item)) for item in refusal.detail if isinstance(item, dict)
        ]
        return "; ".join(texts)[:_SHOWN_OF_AN_ERROR]
    return str(refusal.detail or response.reason_phrase)[:_SHOWN_OF_AN_ERROR]
