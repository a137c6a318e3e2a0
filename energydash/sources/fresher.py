"""Which source of the real grid is the newest now: both are asked at once, and neither is waited for longer than a moment."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

from energydash import nem
from energydash.config import Secret
from energydash.errors import EnergydashError
from energydash.sources.parse import parse_data
from energydash.sources.protocol import Window

logger = logging.getLogger(__name__)

_LATELY = timedelta(hours=1)
# So much longer than the questions the thread may take that puts them.
_GRACE_S = 0.5

Ask = Callable[[], Awaitable[datetime | None]]


def newest_of_both(
    api_key: Secret, base_url: str, nemweb_url: str, now: datetime, within_s: float
) -> dict[str, datetime]:
    """Give the label of the newest interval that the API and AEMO's files have, by source; who does not say in time has none."""
    return newest(
        {
            "openelectricity": partial(_of_the_api, api_key, base_url, now),
            "nemweb": partial(_of_the_files, nemweb_url),
        },
        within_s,
    )


def newest(asks: Mapping[str, Ask], within_s: float) -> dict[str, datetime]:
    """Put questions at once, and give the answers that came in time."""
    found: dict[str, datetime] = {}

    async def asked(name: str, ask: Ask) -> None:
        try:
            async with asyncio.timeout(within_s):
                label = await ask()
        except (EnergydashError, TimeoutError) as exc:
            logger.warning("%s cannot be asked: %s", name, str(exc) or "no answer in time")
            return
        if label is not None:
            found[name] = label

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for name, ask in asks.items():
                group.create_task(asked(name, ask), name=f"newest of {name}")

    # To look up a name may take longer than anybody wants to wait, and cannot be cancelled: it is left behind.
    asking = threading.Thread(target=lambda: asyncio.run(all_of_them()), name="newest", daemon=True)  # fmt: skip
    asking.start()
    asking.join(within_s + _GRACE_S)
    return dict(found)


async def _of_the_api(api_key: Secret, base_url: str, now: datetime) -> datetime | None:
    from energydash.sources.openelectricity import OpenElectricitySource  # noqa: PLC0415 (httpx)

    source = OpenElectricitySource(api_key, base_url)
    try:
        raw = await source.market_data(
            nem.NETWORK, Window(now - _LATELY, None), "5m", by_region=False
        )
    finally:
        await source.aclose()
    if raw is None:
        return None
    series = [each for metric in parse_data(raw).data for each in metric.results]
    labels = (moment for each in series for moment, value in each.data if value is not None)
    return max(labels, default=None)


async def _of_the_files(nemweb_url: str) -> datetime | None:
    from energydash.sources.nemweb.keeping import NoShelf  # noqa: PLC0415
    from energydash.sources.nemweb.library import DISPATCH, Library  # noqa: PLC0415 (httpx)
    from energydash.sources.nemweb.transport import Manner, Transport  # noqa: PLC0415

    transport = Transport(nemweb_url, Manner(retries=1))
    try:
        return await Library(transport, NoShelf()).newest(DISPATCH)
    finally:
        await transport.aclose()
