"""What a reader looks at, as the query of the page's address: to reload, to copy, to go back to. Pure."""

import math
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode

import msgspec

from energydash import nem
from energydash.ui.hues import COLOURS, Colours
from energydash.ui.selection import Selection

Tab = Literal["map", "table", "explore"]
MetricId = Literal["power", "emissions", "factor", "capacity"]
ShadeId = Literal["", "price", "renewables"]
Theme = Literal["", "light", "dark"]

TABS: tuple[Tab, ...] = get_args(Tab)
METRIC_IDS: tuple[MetricId, ...] = get_args(MetricId)
SHADE_IDS: tuple[ShadeId, ...] = get_args(ShadeId)

_TEXT_LENGTH = 60
_WORD_LENGTH = 64
_CAPACITY_MW = 100_000.0


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """All that a reader chose; `moment` is None while they look at the newest interval.

    `theme` is "" for the system's, `shade` for plain ground, `colours` for what the browser chose last.
    """

    selection: Selection = Selection()
    tab: Tab = "map"
    metric: MetricId = "power"
    shade: ShadeId = ""
    facility: str = ""
    moment: datetime | None = None
    theme: Theme = ""
    colours: Colours | Literal[""] = ""


def to_query(look: Look) -> str:
    """Give the query; what is as by default is left out."""
    chosen = look.selection
    parts = {
        "region": "" if chosen.region == nem.NETWORK else chosen.region,
        "fuels": ",".join(sorted(chosen.fuels)),
        "status": ",".join(sorted(chosen.statuses)),
        "mw": "" if chosen.least is chosen.most is None else f"{_plain(chosen.least)}-{_plain(chosen.most)}",
        "q": chosen.text,
        "tab": "" if look.tab == "map" else look.tab,
        "metric": "" if look.metric == "power" else look.metric,
        "shade": look.shade,
        "facility": look.facility,
        "at": f"{look.moment.astimezone(nem.NEM_ZONE):%Y-%m-%dT%H:%M}" if look.moment else "",
        "theme": look.theme,
        "colours": look.colours,
    }  # fmt: skip
    return urlencode({name: text for name, text in parts.items() if text}, safe=",:")


def from_query(query: str) -> tuple[Look, list[str]]:
    """Give the look, and for each part that makes no sense a line that says so; that part is as by default."""
    given = dict(parse_qsl(query.removeprefix("?"), max_num_fields=40))
    notices: list[str] = []

    def read[T](name: str, parse: Callable[[str], T], default: T) -> T:
        text = given.get(name, "")
        if not text:
            return default
        try:
            return parse(text)
        except ValueError:
            notices.append(
                f"The address asks for {name} \u201c{text[:30]}\u201d, which does not exist: left out."
            )
            return default

    nothing: tuple[float | None, float | None] = (None, None)
    least, most = read("mw", _range, nothing)
    look = Look(
        selection=Selection(
            region=read("region", _one_of((nem.NETWORK, *nem.REGION_BY_CODE)), nem.NETWORK),
            fuels=read("fuels", _some_of(nem.FUEL_GROUP_BY_ID), frozenset()),
            statuses=read("status", _some_of(None), frozenset()),
            least=least,
            most=most,
            text=given.get("q", "").strip()[:_TEXT_LENGTH],
        ),
        tab=read("tab", _one_of(TABS), "map"),
        metric=read("metric", _one_of(METRIC_IDS), "power"),
        shade=read("shade", _one_of(SHADE_IDS), ""),
        facility=given.get("facility", "")[:_WORD_LENGTH],
        moment=read("at", _moment, None),
        theme=read("theme", _one_of(("light", "dark")), ""),
        colours=read("colours", _one_of(COLOURS), ""),
    )
    return look, notices


def fit(
    look: Look, codes: Collection[str], times: Sequence[datetime]
) -> tuple[Look, list[str]]:
    """Leave out a station and a time that are not there, with a line for each; while nothing is known yet, all may come."""
    notices = []
    if look.facility and codes and look.facility not in codes:
        notices.append(f"No station has the code \u201c{look.facility}\u201d: left out.")
        look = msgspec.structs.replace(look, facility="")
    if look.moment and times and not times[0] <= look.moment <= times[-1]:
        notices.append(
            "The time that the address asks for (at) is not kept any more: the newest is shown."
        )
        look = msgspec.structs.replace(look, moment=None)
    return look, notices


def follow(look: Look, times: Sequence[datetime]) -> Look:
    """Move a time before all that is kept to the oldest that is."""
    if look.moment and times and look.moment < times[0]:
        return msgspec.structs.replace(look, moment=times[0])
    return look


def is_step(old: Look, new: Look) -> bool:
    """Whether going from one look to the other is a step that Back should undo; typing and playing are not."""
    return _steady(old) != _steady(new)


def _steady(look: Look) -> Look:
    selection = msgspec.structs.replace(look.selection, text="", least=None, most=None)
    return msgspec.structs.replace(look, selection=selection, moment=None, theme="", colours="")


def _plain(number: float | None) -> str:
    return "" if number is None else f"{number:g}"


def _one_of(known: Collection[str]) -> Callable[[str], Any]:
    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(text)
        return text

    return parse


def _some_of(known: Collection[str] | None) -> Callable[[str], frozenset[str]]:
    def parse(text: str) -> frozenset[str]:
        words = frozenset(word[:_WORD_LENGTH] for word in text.split(","))
        if known is not None and not words <= set(known):
            raise ValueError(text)
        return words

    return parse


def _range(text: str) -> tuple[float | None, float | None]:
    least, dash, most = text.partition("-")
    if not dash:
        raise ValueError(text)
    return megawatts(least), megawatts(most)


def megawatts(text: str) -> float | None:
    """Read a capacity, MW; nothing is no bound.

    Raises:
        ValueError: it is no capacity.
    """
    if not text.strip():
        return None
    number = float(text)
    if not (math.isfinite(number) and 0 <= number <= _CAPACITY_MW):
        raise ValueError(text)
    return number


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=nem.NEM_ZONE)
    return nem.floor_interval(moment)
