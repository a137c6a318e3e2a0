"""What flows between the regions, in words and as arrows: each interconnector apart, and a label for those of two regions. Pure."""

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

from energydash import nem
from energydash.ui import geography, numbers
from energydash.ui.store import Flow

Point = tuple[float, float]

Told = Literal["links", "regions", ""]
"""What the map can say of what flows: through each interconnector, or into each region as the rest of its demand, or nothing."""

_NONE_MW = 1.0
_AT_LIMIT_MW = 0.5
_LEAST_PX, _MOST_PX = 2.0, 7.0
_FULL_MW = 1200.0


class _Place(msgspec.Struct, frozen=True):
    """Where an arrow crosses the border, from the first region to the second, and people's name for the interconnector."""

    name: str
    start: Point
    end: Point


# Longitude and latitude: near the real lines, moved to where few stations are.
_PLACES = {
    "N-Q-MNSP1": _Place("Terranora", (152.3, -30.3), (152.3, -28.3)),
    "NSW1-QLD1": _Place("QNI", (149.5, -30.4), (149.5, -27.7)),
    "T-V-MNSP1": _Place("Basslink", (146.9, -40.8), (146.7, -38.9)),
    "V-S-MNSP1": _Place("Murraylink", (141.9, -34.35), (140.1, -34.35)),
    "V-SA": _Place("Heywood", (142.0, -36.9), (140.0, -36.9)),
    "VIC1-NSW1": _Place("VNI", (149.0, -37.6), (149.0, -35.8)),
}
_Align = Literal["left", "right"]
_LABELS: dict[frozenset[str], tuple[Point, _Align]] = {
    frozenset({"NSW1", "QLD1"}): ((149.0, -28.0), "right"),
    frozenset({"NSW1", "VIC1"}): ((157.4, -37.2), "right"),
    frozenset({"SA1", "VIC1"}): ((139.5, -38.3), "right"),
    frozenset({"TAS1", "VIC1"}): ((148.4, -40.1), "left"),
}

LINKS = tuple(sorted(_PLACES))
"""The interconnectors that have a place of their own on the map."""

BORDERS = tuple(sorted(_LABELS, key=sorted))
"""The pairs of regions between which they are."""


class Arrow(msgspec.Struct, frozen=True, kw_only=True):
    """An interconnector as drawn: where from and to (mercator metres), how wide, how full; texts for its card."""

    link: str
    title: str
    words: str
    used: str
    start: Point
    end: Point
    angle: float
    width_px: float
    flowing: bool
    at_limit: bool


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """What flows between two regions over all their interconnectors, where it is written (mercator metres)."""

    ends: frozenset[str]
    text: str
    place: Point
    align: _Align
    at_limit: bool


def at_limit(flow: Flow) -> bool:
    """Whether a flow is as large as its limits let it be, one way or the other."""
    if flow.mw is None or abs(flow.mw) < _NONE_MW:
        return False
    above = flow.most is not None and flow.mw >= flow.most - _AT_LIMIT_MW
    return above or (flow.least is not None and flow.mw <= flow.least + _AT_LIMIT_MW)


def limit(flow: Flow, way: float) -> float | None:
    """Give how many MW may flow one way (the sign of `way`); None where that is unknown, or what flows is bound the other way."""
    bound = flow.most if way > 0 else None if flow.least is None else -flow.least
    return bound if bound is not None and bound > 0 else None


def words(flow: Flow) -> str:
    """Give a flow as people say it: "QLD to NSW, 310 MW of 1,078"."""
    if flow.mw is None:
        return "no data"
    here, there = (nem.REGION_BY_CODE[code].label for code in flow.ends)
    if abs(flow.mw) < _NONE_MW:
        return f"nothing between {here} and {there}"
    way = f"{here} to {there}" if flow.mw > 0 else f"{there} to {here}"
    most = limit(flow, flow.mw)
    of = "" if most is None else f" of {numbers.grouped(most)}"
    return f"{way}, {numbers.megawatts(abs(flow.mw))}{of}{', at its limit' if at_limit(flow) else ''}"


def summary(flows: Mapping[str, Flow]) -> str:
    """Give all of it as one text for who does not see the map; nothing where nothing is known."""
    told = [f"{_named(link)}: {words(flow)}" for link, flow in sorted(flows.items())]
    return f". Interconnectors: {'; '.join(told)}" if told else ""


def legend(told: Told) -> str:
    """Give the key to what flows as HTML."""
    if told == "regions":
        return '<div class="key" data-testid="flows">imports: demand − generation of each region</div>'
    if not told:
        return ""
    signs = "".join(
        f'<span><svg width="24" height="12"><line class="{look}" x1="1" y1="6" x2="15" y2="6"/>'
        f'<path d="M14 1l9 5-9 5z"/></svg>{word}</span>'
        for look, word in (("flow", "flow between regions"), ("limit", "at its limit"))
    )
    return f'<div class="key" data-testid="flows">{signs}</div>'


def arrows(flows: Mapping[str, Flow]) -> list[Arrow]:
    """Give an arrow for each interconnector, in the order of their names."""
    return [_arrow(link, flow) for link, flow in sorted(flows.items())]


def labels(flows: Mapping[str, Flow]) -> list[Label]:
    """Give a label for each two regions: the net of what flows, of what might that way, and who is at a limit."""
    between: dict[frozenset[str], list[str]] = {}
    for link in sorted(flows):
        between.setdefault(frozenset(flows[link].ends), []).append(link)
    return [_label(ends, links, flows) for ends, links in between.items()]


def _arrow(link: str, flow: Flow) -> Arrow:
    place = _PLACES.get(link) or _between(link, flow.ends)
    start, end = geography.mercator(*place.start), geography.mercator(*place.end)
    mw = flow.mw or 0.0
    if mw < 0:
        start, end = end, start
    most = limit(flow, mw)
    used = "" if most is None else f"{numbers.share(abs(mw) / most)} of its limit"
    share = min(abs(mw) / _FULL_MW, 1.0)
    return Arrow(
        link=link,
        title=_named(link),
        words=words(flow),
        used=used,
        start=start,
        end=end,
        # A triangle points up at no angle, and turns against the clock.
        angle=math.atan2(end[1] - start[1], end[0] - start[0]) - math.pi / 2,
        width_px=_LEAST_PX + (_MOST_PX - _LEAST_PX) * share,
        flowing=abs(mw) >= _NONE_MW,
        at_limit=at_limit(flow),
    )


def _label(ends: frozenset[str], links: list[str], flows: Mapping[str, Flow]) -> Label:
    first = flows[links[0]].ends
    parts = [_towards(flows[link], first[1]) for link in links]
    known = [part.mw for part in parts if part.mw is not None]
    full = [link for link in links if at_limit(flows[link])]
    place, align = _LABELS.get(ends) or (_middle(first), "left")
    return Label(
        ends=ends,
        text=_text(first, known, parts, full),
        place=geography.mercator(*place),
        align=align,
        at_limit=bool(full),
    )


def _text(ends: tuple[str, str], known: list[float], parts: list[Flow], full: list[str]) -> str:
    if not known:
        return ""
    net = sum(known)
    here, there = (nem.REGION_BY_CODE[code].label for code in ends)
    who = "" if len(full) == len(parts) else f"{', '.join(_name(link) for link in full)} "
    told = f"\n{who}at limit" if full else ""
    if abs(net) < _NONE_MW:
        return (
            f"{here}\u2013{there}\nno net flow{told}"
            if full
            else f"{here}\u2013{there}\nno flow"
        )
    way = f"{here} to {there}" if net > 0 else f"{there} to {here}"
    most = sum(limit(part, net) or 0.0 for part in parts)
    of = f" of {numbers.grouped(most)}" if most >= abs(net) else ""
    return f"{way}\n{numbers.megawatts(abs(net))}{of}{told}"


def _towards(flow: Flow, region: str) -> Flow:
    """Give a flow with its sign such that it is positive towards a region."""
    if flow.ends[1] == region:
        return flow
    back = [None if mw is None else -mw for mw in (flow.mw, flow.most, flow.least)]
    return Flow(ends=flow.ends[::-1], mw=back[0], least=back[1], most=back[2])


def _between(link: str, ends: tuple[str, str]) -> _Place:
    """Give a place for an interconnector that is newer than this table: half-way, with a direction to be seen."""
    here, there = (nem.REGION_BY_CODE[code] for code in ends)
    across, up = there.longitude - here.longitude, there.latitude - here.latitude
    middle = _middle(ends)
    length = math.hypot(across, up)
    start = (middle[0] - across / length, middle[1] - up / length)
    return _Place(link, start, (middle[0] + across / length, middle[1] + up / length))


def _middle(ends: tuple[str, str]) -> Point:
    here, there = (nem.REGION_BY_CODE[code] for code in ends)
    return (here.longitude + there.longitude) / 2, (here.latitude + there.latitude) / 2


def _name(link: str) -> str:
    place = _PLACES.get(link)
    return place.name if place else link


def _named(link: str) -> str:
    name = _name(link)
    return name if name == link else f"{name} ({link})"
