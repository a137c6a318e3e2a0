"""What the stream does not say of the past: asked of the server, station by station, and put into the store.

The stream tells each station's newest value alone. The day before this process began, what was passed over while it was busy,
and corrections of earlier intervals come from here.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
import numpy as np
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from energydash import nem, schema
from energydash.config import UiSettings
from energydash.ui.feed import LOST, NONSENSE
from energydash.ui.store import Store

logger = logging.getLogger(__name__)

_AT_ONCE = 2
_WITHIN_S = 10.0
# The server lets an address ask a hundred times a second; half of that leaves room for others.
_PAUSE_S = 0.04
_LOOK_EVERY_S = 0.5
# Corrections come in crowds: they are fetched together.
_REST_S = 10.0
# Of a server that fails again and again the same is asked ever more rarely, down to this.
_REST_AT_MOST_S = 60.0

_decode = msgspec.json.Decoder(schema.FacilityValues).decode


class Gaps:
    """Which stations to ask for: once for each reason, and again for as long as no answer comes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._snapshots = 0
        self._tried: dict[datetime, int] = {}
        self._failed: set[str] = set()
        self._rest_s = _REST_S
        self._again_at = 0.0

    def due(self, store: Store) -> list[str]:
        """Give the codes of the stations of which something is missing or was corrected, the largest first."""
        largest = sorted(store.facilities, key=lambda each: -(each.capacity or 0.0))
        codes = [each.code for each in largest]
        if not store.times:
            return []
        if store.snapshots != self._snapshots or store.revised:
            self._snapshots = store.snapshots
            store.revised.clear()
            self._tried = {}
            return codes
        wanted = self._missing(store)
        if self._clock() >= self._again_at:
            wanted |= self._failed
        return [code for code in codes if code in wanted]

    def _missing(self, store: Store) -> set[str]:
        inside = [each.code for each in store.facilities if each.network == nem.NETWORK]
        shown = store.shown_time
        # What is behind the interval shown has come: of several that came at once the stream told the newest alone.
        behind = [moment for moment in store.times if shown and moment < shown]
        power, _ = store.past.table(behind, inside)
        absent = np.isnan(power)
        wanted: set[str] = set()
        tried = {}
        for i, moment in enumerate(behind):
            counted = store.row(moment, nem.NETWORK).reporting
            tried[moment] = counted
            if len(inside) - int(absent[i].sum()) < counted != self._tried.get(moment):
                wanted.update(np.array(inside)[absent[i]].tolist())
        self._tried = tried
        return wanted

    def asked(self, codes: Sequence[str], failed: Sequence[str]) -> None:
        """Note of which codes the past was asked for, and of which of them it did not come: these are due again after a rest."""
        self._failed = self._failed.difference(codes).union(failed)
        if not failed:
            self._rest_s = _REST_S
            return
        self._again_at = self._clock() + self._rest_s
        self._rest_s = min(2 * self._rest_s, _REST_AT_MOST_S)


async def run(settings: UiSettings, store: Store, wake: Callable[[], None]) -> None:
    """Ask for what is missing, until cancelled."""
    gaps = Gaps()
    while True:
        codes = gaps.due(store) if store.connected else []
        if codes:
            gaps.asked(codes, await _fill(settings, store, codes))
            wake()
        await asyncio.sleep(_REST_S if codes else _LOOK_EVERY_S)


async def _fill(settings: UiSettings, store: Store, codes: Sequence[str]) -> list[str]:
    """Fill the past; give the codes of which it could not be had."""
    waiting = iter(codes)
    found: set[str] = set()

    async def work() -> None:
        for code in waiting:
            if not store.connected:
                return
            if await _ask(settings, store, code):
                found.add(code)
            await asyncio.sleep(_PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work(), name="backfill")
    logger.info("the past of %d of %d stations has come", len(found), len(codes))
    return [code for code in codes if code not in found]


async def _ask(settings: UiSettings, store: Store, code: str) -> bool:
    asked_at = store.version
    headers = {"Authorization": f"Bearer {settings.token.reveal()}"} if settings.token else {}
    request = HTTPRequest(
        address(settings.backend, code), headers=headers, request_timeout=_WITHIN_S
    )
    try:
        answer = await AsyncHTTPClient().fetch(request)
        store.remember(_decode(answer.body), asked_at)
    except (*LOST, *NONSENSE) as exc:
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
