"""The page's own parts: small ES modules that patch their text in place, so that nothing jumps or loses focus.

What changes with each interval is one value (`now`) a part, because Panel's cost is by the value and not by its size.
They hold no state of the reader's. Each says what was done by a message (`{"do": …}`) and paints what the session then sets.
"""

from collections.abc import Callable
from typing import Any

import param
from panel.custom import JSComponent

from energydash.ui import bundled


def _looks(name: str) -> list[str]:
    return [bundled.text("parts.css"), bundled.text(name)]


class Part(JSComponent):
    """The base: tell `heard` of each message."""

    __abstract = True

    def heard(self, callback: Callable[[dict[str, Any]], None]) -> None:
        """Call back with what was done; anything that is no mapping with a `do` is passed over."""
        self.on_msg(lambda event: callback(event.data) if _is_action(event.data) else None)


def _is_action(data: object) -> bool:
    return isinstance(data, dict) and isinstance(data.get("do"), str)


class StatusBar(Part):
    """The head of the page: source, data time, freshness, which stage is lost, help, the theme's switch.

    `facts` comes from the server side (see `freshness.facts`); the page itself counts the seconds, and says so when it
    loses its own server. `notice` is shown once, until it is closed;
    `shown` is the past moment that the page is at, if any. The page tells its own theme, and whether it is `narrow`.
    """

    facts = param.Dict(default={})
    theme = param.String(default="")
    colours = param.String(default="usual")
    notice = param.String(default="")
    shown = param.String(default="")
    narrow = param.Boolean(default=False)

    _esm = bundled.FOLDER / "status.js"
    _stylesheets = _looks("status.css")


class Cards(Part):
    """A card for the network and each region; `scope` is the chosen one."""

    cards = param.List(default=[])
    scope = param.String(default="")

    _esm = bundled.FOLDER / "cards.js"
    _stylesheets = _looks("cards.css")


class FuelList(Part):
    """Every fuel's power now and its share: legend of the map and of the stack at once, and their switches.

    `shown` are the ids of the fuels that are looked at; none: all.
    """

    now = param.Dict(default={"fuels": [], "title": "", "note": "", "total": ""})
    shown = param.List(default=[])

    _esm = bundled.FOLDER / "fuels.js"
    _stylesheets = _looks("fuels.css")


class Today(Part):
    """The day's highs and lows, and the stations that moved most (see `today.told`)."""

    now = param.Dict(default={})

    _esm = bundled.FOLDER / "today.js"
    _stylesheets = _looks("today.css")


class Alerts(Part):
    """What calls for attention: `now` has all `alerts`, the latest first, and the `news` among them (see `alerts.told`)."""

    now = param.Dict(default={})

    _esm = bundled.FOLDER / "alerts.js"
    _stylesheets = _looks("alerts.css")


class Toolbar(Part):
    """Views, search, filters with counts, the map's metric and shade; `hits` are (code, name, what, fuel)."""

    tab = param.String(default="map")
    metric = param.String(default="power")
    metrics = param.List(default=[])
    shade = param.String(default="")
    shades = param.List(default=[])
    filters = param.Dict(default={})
    hits = param.List(default=[])

    _esm = bundled.FOLDER / "toolbar.js"
    _stylesheets = _looks("toolbar.css")


class StationTable(Part):
    """The stations as a table. `cells` holds, by code, (number, text) for each live column; a part of it patches."""

    rows = param.List(default=[])
    cells = param.Dict(default={})
    chosen = param.String(default="")

    _esm = bundled.FOLDER / "table.js"
    _stylesheets = _looks("table.css")


class TimeBar(Part):
    """The moment shown: seconds since 1970 of the first and the newest interval, and of the one chosen (0: live)."""

    now = param.Dict(default={"start": 0, "end": 0, "moment": 0, "text": ""})

    _esm = bundled.FOLDER / "timebar.js"
    _stylesheets = _looks("timebar.css")


class Detail(Part):
    """The pane of one station; an empty `card` closes it."""

    card = param.Dict(default={})
    href = param.String(default="")

    _esm = bundled.FOLDER / "detail.js"
    _stylesheets = _looks("detail.css")


class Address(Part):
    """The page's address: `entry` is {"query", "step"}; a step can be undone by Back."""

    entry = param.Dict(default={})

    _esm = bundled.FOLDER / "address.js"


class Pictures(Part):
    """Charts as files, with `pictures.looks`; the tab's sign, from the `mix` of (fuel, share)."""

    looks = param.Dict(default={})
    mix = param.List(default=[])

    _esm = bundled.FOLDER / "pictures.js"


class Rendered(Part):
    """Says that the browser has rendered what it stands behind: a widget that is changed before that fails there."""

    _esm = bundled.FOLDER / "rendered.js"
