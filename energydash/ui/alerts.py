"""What calls for attention in the day received: prices beyond a limit, stations that trip, a feed that falls silent. Pure.

All of it is found anew from the history whenever that changes, so that every page, and one that opens late, tells the same.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import numpy as np

from energydash import nem, schema
from energydash.alerting import Rules
from energydash.ui import numbers
from energydash.ui.past import Numbers
from energydash.ui.selection import group_of
from energydash.ui.store import Stage, Store

Kind = Literal["price_above", "price_below", "trip", "stale"]

MOST = 50
"""Older ones are not listed."""

LOST_FOR = timedelta(seconds=10)
"""A road that is lost for less is no alert: whoever restarts a part is back by then."""

_LEAST_MARGIN = 10.0
_MARGIN = 0.1
_NEWS = 3 * nem.INTERVAL
_MOST_NEWS = 3
_LOST = {
    Stage.SERVER: "Stream server lost",
    Stage.BROKER: "MQTT broker disconnected",
    Stage.PUBLISHER: "Publisher silent",
}


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One event: `subject` is a region's or a station's code, or the stage that is lost; `value` $/MWh or the change in MW."""

    kind: Kind
    subject: str
    at: datetime
    value: float = 0.0

    @property
    def id(self) -> str:
        """What tells it from others, also when the history is searched again."""
        return f"{self.kind}/{self.subject}/{self.at.timestamp():.0f}"


def begins(values: Sequence[float | None], over: float, clear: float) -> list[int]:
    """Give where a series rises above `over`, having been at or below `clear` since it last did.

    What is above from the first known value on began before anybody looked, and is not told; a gap changes nothing.
    """
    found = []
    armed = False
    for i, value in enumerate(values):
        if value is None:
            continue
        if armed and value > over:
            found.append(i)
            armed = False
        elif value <= clear:
            armed = True
    return found


def trips(power: Numbers, least: float) -> list[tuple[int, int]]:
    """Give (interval, station) where power, MW of shape (intervals, stations), fell by more than `least` since the interval before.

    Only what was generated counts: a pump that starts takes nothing away. A fall that goes on over several intervals is one; a missing value is no fall.
    """
    falls = np.zeros(power.shape, bool)
    made = np.maximum(power, 0.0)
    falls[1:] = made[:-1] - made[1:] > least
    falls[1:] &= ~falls[:-1]
    return [(int(i), int(n)) for i, n in np.argwhere(falls)]


def of_prices(store: Store, times: Sequence[datetime], rules: Rules) -> list[Alert]:
    """Give where a region's price passed a limit; it has to come back by a tenth, or by 10 $/MWh, before it can again."""
    found = []
    kinds: tuple[tuple[Kind, float | None, int], ...] = (
        ("price_above", rules.price_above, 1),
        ("price_below", rules.price_below, -1),
    )
    for kind, limit, sign in kinds:
        if limit is None:
            continue
        back = max(_LEAST_MARGIN, _MARGIN * abs(limit))
        for region in nem.NEM_REGIONS:
            prices = [row.price for row in store.rows(region, times)]
            signed = [None if price is None else sign * price for price in prices]
            found += [
                Alert(kind=kind, subject=region, at=times[i], value=prices[i] or 0.0)
                for i in begins(signed, sign * limit, sign * limit - back)
            ]
    return found


def of_stations(store: Store, times: Sequence[datetime], rules: Rules) -> list[Alert]:
    """Give the stations that tripped; batteries and pumps swing as they are told to, and are left out."""
    if rules.trip is None:
        return []
    stations = [each for each in store.facilities if _generates(each)]
    power, _ = store.past.table(times, [each.code for each in stations])
    return [
        Alert(kind="trip", subject=stations[n].code, at=times[i], value=float(power[i, n] - power[i - 1, n]))
        for i, n in trips(_on_the_grid(times, power), rules.trip)
    ]  # fmt: skip


def _on_the_grid(times: Sequence[datetime], power: Numbers) -> Numbers:
    """Blank the interval after a hole in time: what fell over longer did not trip."""
    after_hole = [i for i in range(1, len(times)) if times[i] - times[i - 1] != nem.INTERVAL]
    if after_hole:
        power = power.copy()
        power[after_hole] = math.nan
    return power


def _generates(facility: schema.FacilityInfo) -> bool:
    group = nem.FUEL_GROUP_BY_ID[group_of(facility)]
    return not (group.storage or group.load)


class Watch:
    """The alerts of a store: the same for all pages."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self.rules = rules
        self._lost: tuple[Stage, datetime] | None = None

    def alerts(self, now: datetime) -> list[Alert]:
        """Give what there is up to the interval shown as newest, the latest first; `now` (aware) is the wall's time."""
        store = self._store
        key = store.history_version, store.shown_time
        found: list[Alert] = store.once("alerts", key, self._search)
        return [*self._silence(now), *found][:MOST]

    def _search(self) -> list[Alert]:
        store, rules = self._store, self.rules
        shown = store.shown_time
        if shown is None:
            return []
        times = [moment for moment in store.times if moment <= shown]
        found = of_prices(store, times, rules) + of_stations(store, times, rules)
        return sorted(found, key=lambda each: (each.at, each.kind, each.subject), reverse=True)

    def _silence(self, now: datetime) -> list[Alert]:
        stage = self._store.stage()
        if stage not in _LOST or not self.rules.stale:
            self._lost = None
            return []
        if self._lost is None or self._lost[0] is not stage:
            self._lost = (stage, now)
        since = self._lost[1]
        return [Alert(kind="stale", subject=stage.value, at=since)] if now - since >= LOST_FOR else []  # fmt: skip


class News:
    """What one page has told: an alert is news once, and only while it is recent."""

    def __init__(self) -> None:
        self._told: dict[str, datetime] | None = None

    def of(self, found: Iterable[Alert], newest: datetime | None) -> list[Alert]:
        """Give what to call out; on opening, the list is enough. `newest` is the interval shown as newest."""
        there = {each.id: each for each in found}
        told = self._told
        if newest is None:
            self._told = None
            return []
        # The list is cut: what has left it may come back while it is still recent.
        recent = {id_: at for id_, at in (told or {}).items() if newest - at < _NEWS}
        self._told = recent | {id_: each.at for id_, each in there.items()}
        if told is None:
            return []
        fresh = [
            each
            for id_, each in there.items()
            if id_ not in told and (each.kind == "stale" or newest - each.at < _NEWS)
        ]
        return fresh[:_MOST_NEWS]


def told(alert: Alert, store: Store, rules: Rules) -> dict[str, Any]:
    """Give an alert as the page tells it: its text, its time, and where a click leads."""
    region = nem.REGION_BY_CODE.get(alert.subject)
    place = region.label if region else ""
    station = store.by_code.get(alert.subject)
    match alert.kind:
        case "price_above":
            text = f"{place}: price above {_limit(rules.price_above)}"
            more = numbers.dollars(alert.value)
        case "price_below":
            text = f"{place}: price below {_limit(rules.price_below)}"
            more = numbers.dollars(alert.value)
        case "trip":
            text = f"{station.name if station else alert.subject} fell within five minutes"
            more = numbers.megawatts(alert.value)
        case "stale":
            text = f"{_LOST[Stage(alert.subject)]}: values are stale"
            more = ""
    leads = alert.kind != "stale"
    return {
        "id": alert.id,
        "kind": alert.kind,
        "text": text,
        "more": more,
        "when": _when(alert.at, store.shown_time) if leads else "",
        "region": alert.subject if region else "",
        "code": alert.subject if alert.kind == "trip" else "",
        "moment": int(alert.at.timestamp()) if leads else 0,
    }


def _when(at: datetime, newest: datetime | None) -> str:
    """Give the time of day, with the weekday where it is another day than the newest."""
    local = at.astimezone(nem.NEM_ZONE)
    today = newest is None or newest.astimezone(nem.NEM_ZONE).date() == local.date()
    return f"{local:%H:%M}" if today else f"{local:%a %H:%M}"


def _limit(price: float | None) -> str:
    return numbers.dollars(price).removesuffix(".00")
