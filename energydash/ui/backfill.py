"""The day before this process began: asked of the server, station by station, and put into the store."""

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from energydash import schema
from energydash.config import UiSettings
from energydash.ui.store import Store

logger = logging.getLogger(__name__)

_AT_ONCE = 2
_WITHIN_S = 10.0
# The server lets an address ask a hundred times a second; half of that leaves room for others.
_PAUSE_S = 0.04
_LOOK_EVERY_S = 0.5

_decode = msgspec.json.Decoder(schema.FacilityValues).decode


async def run(settings: UiSettings, store: Store, wake: Callable[[], None]) -> None:
    """Ask for every station's day whenever a snapshot began anew, until cancelled."""
    done = 0
    while True:
        if store.connected and store.snapshots != done and store.times:
            done = store.snapshots
            await _fill(settings, store, wake)
        await asyncio.sleep(_LOOK_EVERY_S)


async def _fill(settings: UiSettings, store: Store, wake: Callable[[], None]) -> None:
    """Fill the past, the largest stations first; what cannot be had is left out."""
    largest = sorted(store.facilities, key=lambda each: -(each.capacity or 0.0))
    waiting = iter([each.code for each in largest])
    found: list[str] = []

    async def work() -> None:
        for code in waiting:
            if not store.connected:
                return
            if await _ask(settings, store, code):
                found.append(code)
            await asyncio.sleep(_PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work(), name="backfill")
    wake()
    logger.info("the past of %d of %d stations has come", len(found), len(largest))


async def _ask(settings: UiSettings, store: Store, code: str) -> bool:
    asked_at = store.version
    headers = {"Authorization": f"Bearer {settings.token.reveal()}"} if settings.token else {}
    request = HTTPRequest(
        address(settings.backend, code), headers=headers, request_timeout=_WITHIN_S
    )
    try:
        answer = await AsyncHTTPClient().fetch(request)
        store.remember(_decode(answer.body), asked_at)
    except (OSError, HTTPClientError, msgspec.MsgspecError) as exc:
        logger.debug("no past of %s: %s", code, exc)
        return False
    return True


def address(backend: str, code: str) -> str:
    """Give where a station's history stands, beside the server's WebSocket."""
    parts = urlsplit(backend)
    scheme = "https" if parts.scheme == "wss" else "http"
    root = parts.path.removesuffix("/ws/realtime").rstrip("/")
    path = f"{root}/api/facilities/{quote(code, safe='')}/history"
    return urlunsplit((scheme, parts.netloc, path, "", ""))
