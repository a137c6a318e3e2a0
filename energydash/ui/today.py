"""The day so far of what is looked at: its highs and lows, and the stations that moved most lately. Pure."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from typing import Any

import msgspec

from energydash import nem, schema
from energydash.ui import numbers
from energydash.ui.past import Past
from energydash.ui.selection import Choice, group_of
from energydash.ui.store import Row, Store

LATELY = timedelta(minutes=30)
"""A move is measured over this long."""

LEAST_MOVE_MW = 5.0
"""Less than this is not told."""

MOST_MOVERS = 4


class Peak(msgspec.Struct, frozen=True):
    """A value and the interval in which it was first reached."""

    value: float
    at: datetime


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The highest and the lowest of one quantity over the day; None where it was never known."""

    id: str
    low: Peak | None
    high: Peak | None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """How much a station's power changed over `LATELY`, MW, and what it has come to."""

    facility: schema.FacilityInfo
    change: float
    power: float


_QUANTITIES: tuple[tuple[str, str, Callable[[Row], float | None], Callable[[float | None], str]], ...] = (
    ("demand", "Demand", lambda row: row.demand, numbers.megawatts),
    ("renewable", "Renewable", lambda row: row.renewable_share, numbers.share),
    ("price", "Price /MWh", lambda row: row.price, numbers.dollars),
)  # fmt: skip


def day_of(times: Sequence[datetime], moment: datetime) -> list[datetime]:
    """Give the intervals of a moment's day, NEM time, from midnight up to the moment itself."""
    local = moment.astimezone(nem.NEM_ZONE)
    midnight = datetime.combine(local.date(), time(0), nem.NEM_ZONE)
    return [each for each in times if midnight <= each <= moment]


def spans(times: Sequence[datetime], rows: Sequence[Row]) -> tuple[Span, ...]:
    """Give the day's highs and lows; the first of equals counts."""
    found = []
    for id_, _, value, _ in _QUANTITIES:
        known = [
            Peak(number, moment)
            for moment, row in zip(times, rows, strict=True)
            if (number := value(row)) is not None
        ]
        low = min(known, key=lambda peak: peak.value, default=None)
        high = max(known, key=lambda peak: peak.value, default=None)
        found.append(Span(id=id_, low=low, high=high))
    return tuple(found)


def moves(
    past: Past, stations: Sequence[schema.FacilityInfo], moment: datetime
) -> tuple[Move, ...]:
    """Give the stations whose power changed most since `LATELY` before, the largest change first.

    Only who has a value in both intervals is compared: a station that fell silent has not moved.
    """
    power, _ = past.table([moment - LATELY, moment], [each.code for each in stations])
    found = [
        Move(facility=each, change=now - before, power=now)
        for each, before, now in zip(stations, power[0].tolist(), power[1].tolist(), strict=True)
        if not math.isnan(now - before) and abs(now - before) >= LEAST_MOVE_MW
    ]  # fmt: skip
    found.sort(key=lambda move: (-abs(move.change), move.facility.code))
    return tuple(found[:MOST_MOVERS])


def told(store: Store, choice: Choice, moment: datetime) -> dict[str, Any]:
    """Give the panel's texts: `spans` are (id, label, high, its time, low, its time), `moves` (code, name, fuel, change, now)."""
    times = day_of(store.times, moment)
    labels = {id_: (label, text) for id_, label, _, text in _QUANTITIES}
    return {
        "title": _title(times, moment, store.shown_time),
        "spans": [
            [span.id, labels[span.id][0], *_peak(span.high, labels[span.id][1]), *_peak(span.low, labels[span.id][1])]
            for span in spans(times, choice.rows(times))
        ],
        "moves": [
            [move.facility.code, move.facility.name, group_of(move.facility), change(move.change), numbers.megawatts(move.power)]
            for move in moves(store.past, choice.stations, moment)
        ],
    }  # fmt: skip


def change(mw: float) -> str:
    """Give a change with its sign, MW."""
    return numbers.megawatts(mw) if mw < 0 else f"+{numbers.megawatts(mw)}"


def _peak(peak: Peak | None, text: Callable[[float | None], str]) -> tuple[str, str]:
    return (numbers.NONE, "") if peak is None else (text(peak.value), numbers.clock(peak.at))


def _title(times: Sequence[datetime], moment: datetime, newest: datetime | None) -> str:
    """Name the day, and say from when on it is known where that is not from its beginning."""
    local = moment.astimezone(nem.NEM_ZONE)
    same = newest is not None and newest.astimezone(nem.NEM_ZONE).date() == local.date()
    day = "Today" if same else f"{local:%a %d %b}"
    if times and times[0].astimezone(nem.NEM_ZONE).time() > time(0, 5):
        return f"{day} from {numbers.clock(times[0])}"
    return day
