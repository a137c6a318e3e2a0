"""What a reader did, and what they look at after it. Pure; what comes from a browser is not trusted."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from energydash import nem
from energydash.ui.address import METRIC_IDS, SHADE_IDS, TABS, Look, megawatts
from energydash.ui.hues import COLOURS
from energydash.ui.selection import Selection

_TEXT_LENGTH = 60
_WORD_LENGTH = 64
_MOST_WORDS = 64
_LATEST_S = 4_102_444_800


def after(look: Look, action: Mapping[str, Any]) -> Look:
    """Give what is looked at after an action; one that makes no sense changes nothing."""
    try:
        return _STEPS[action["do"]](look, action)
    except (KeyError, TypeError, ValueError):
        return look


def _region(look: Look, action: Mapping[str, Any]) -> Look:
    return _select(look, region=_known(action["region"], (nem.NETWORK, *nem.REGION_BY_CODE)))


def _fuels(look: Look, action: Mapping[str, Any]) -> Look:
    words = _words(action["fuels"])
    # All of them is none in particular.
    fuels = words & nem.FUEL_GROUP_BY_ID.keys()
    return _select(look, fuels=frozenset() if len(fuels) == len(nem.FUEL_GROUPS) else fuels)


def _statuses(look: Look, action: Mapping[str, Any]) -> Look:
    return _select(look, statuses=_words(action["statuses"]))


def _range(look: Look, action: Mapping[str, Any]) -> Look:
    return _select(
        look, least=megawatts(str(action["least"])), most=megawatts(str(action["most"]))
    )


def _text(look: Look, action: Mapping[str, Any]) -> Look:
    return _select(look, text=str(action["text"]).strip()[:_TEXT_LENGTH])


def _clear(look: Look, action: Mapping[str, Any]) -> Look:
    whole = Selection()
    match action["field"]:
        case "":
            return _select(look, **{name: getattr(whole, name) for name in _CLEARED})
        case "capacity":
            return _select(look, least=None, most=None)
        case "fuels" | "statuses" | "text" | "region" as name:
            return _select(look, **{name: getattr(whole, name)})
        case _:
            return look


_CLEARED = ("region", "fuels", "statuses", "least", "most", "text")


def _tab(look: Look, action: Mapping[str, Any]) -> Look:
    return msgspec.structs.replace(look, tab=_known(action["tab"], TABS))


def _metric(look: Look, action: Mapping[str, Any]) -> Look:
    return msgspec.structs.replace(look, metric=_known(action["metric"], METRIC_IDS))


def _shade(look: Look, action: Mapping[str, Any]) -> Look:
    return msgspec.structs.replace(look, shade=_known(action["shade"], SHADE_IDS))


def _open(look: Look, action: Mapping[str, Any]) -> Look:
    return msgspec.structs.replace(look, facility=str(action["code"])[:_WORD_LENGTH])


def _close(look: Look, _: Mapping[str, Any]) -> Look:
    return msgspec.structs.replace(look, facility="")


def _time(look: Look, action: Mapping[str, Any]) -> Look:
    seconds = int(action["moment"])
    if not 0 <= seconds < _LATEST_S:
        raise ValueError(seconds)
    moment = nem.floor_interval(datetime.fromtimestamp(seconds, UTC)) if seconds else None
    return msgspec.structs.replace(look, moment=moment)


def _jump(look: Look, action: Mapping[str, Any]) -> Look:
    """Go to a station, or to a region without any, at a time."""
    if action["region"]:
        look = _region(look, action)
    return _open(_time(look, action), action)


def _theme(look: Look, action: Mapping[str, Any]) -> Look:
    return msgspec.structs.replace(look, theme=_known(action["theme"], ("light", "dark")))


def _colours(look: Look, action: Mapping[str, Any]) -> Look:
    return msgspec.structs.replace(look, colours=_known(action["colours"], COLOURS))


_STEPS = {
    "region": _region,
    "fuels": _fuels,
    "statuses": _statuses,
    "range": _range,
    "text": _text,
    "clear": _clear,
    "tab": _tab,
    "metric": _metric,
    "shade": _shade,
    "open": _open,
    "close": _close,
    "time": _time,
    "jump": _jump,
    "theme": _theme,
    "colours": _colours,
}


def _select(look: Look, **more: Any) -> Look:
    return msgspec.structs.replace(
        look, selection=msgspec.structs.replace(look.selection, **more)
    )


def _known(word: Any, known: Collection[str]) -> Any:
    if word not in known:
        raise ValueError(word)
    return word


def _words(words: Any) -> frozenset[str]:
    if not isinstance(words, list) or len(words) > _MOST_WORDS:
        raise ValueError(words)
    return frozenset(str(word)[:_WORD_LENGTH] for word in words)
