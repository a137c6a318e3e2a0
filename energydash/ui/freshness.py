"""What the head of the page says: which data, how old, and what of the road is lost. Pure."""

from datetime import datetime, timedelta

import msgspec

from energydash import nem
from energydash.ui import numbers
from energydash.ui.store import Store


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The status bar's content.

    `age_s` is the seconds since the stream's last record; `interval_age_min` the minutes since the shown interval
    began (0 for one that its source labels with its end), None on a simulated grid, whose clock is its own.
    `reporting` of `facilities` are the NEM's stations.
    """

    stage: str
    simulated: bool
    source: str
    time: str
    age_s: float | None
    interval_age_min: float | None
    reporting: int
    facilities: int


def facts(store: Store, now: datetime) -> Facts:
    """Give the facts as of `now` (aware)."""
    status = store.status
    shown = store.shown_time
    last = status.last_record_at if status else None
    age = None
    if shown is not None and not store.simulated:
        age = max(0.0, (now - shown) / timedelta(minutes=1))
    return Facts(
        stage=store.stage().value,
        simulated=store.simulated,
        source=store.source,
        time=numbers.clock(shown) if shown else "",
        age_s=None if last is None else max(0.0, (now - last).total_seconds()),
        interval_age_min=age,
        reporting=store.row(shown, nem.NETWORK).reporting if shown else 0,
        facilities=sum(each.network == nem.NETWORK for each in store.facilities),
    )
