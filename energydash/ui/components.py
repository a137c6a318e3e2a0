"""The page's own parts: small ES modules that patch their text in place, so that nothing jumps or loses focus."""

import param
from panel.custom import JSComponent

from energydash.ui import bundled

_SHARED = bundled.text("parts.css")


class StatusBar(JSComponent):
    """The head of the page: source, data time, freshness, which stage is lost, and the theme's switch.

    `facts` comes from the server side (see `status.facts`); the page itself counts the seconds, and says so when it
    loses its own server.
    """

    facts = param.Dict(default={})
    theme = param.String(default="")

    _esm = bundled.FOLDER / "status.js"
    _stylesheets = [_SHARED]  # noqa: RUF012 (Panel's own form)


class Cards(JSComponent):
    """A card for the network and each region; `scope` is the chosen one."""

    cards = param.List(default=[])
    scope = param.String(default="")

    _esm = bundled.FOLDER / "cards.js"
    _stylesheets = [_SHARED]  # noqa: RUF012


class FuelList(JSComponent):
    """Every fuel's power now and its share: the legend of the map and of the stack at once."""

    fuels = param.List(default=[])
    title = param.String(default="")

    _esm = bundled.FOLDER / "fuels.js"
    _stylesheets = [_SHARED]  # noqa: RUF012


class Wide(JSComponent):
    """Gives the tab that it is in the page's whole width."""

    _esm = bundled.FOLDER / "wide.js"
