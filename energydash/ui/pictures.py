"""What leaves the page as a picture: a chart on a light ground, and the mix as the browser tab's sign. Pure."""

from typing import Any

from energydash import nem
from energydash.ui.hues import Colours
from energydash.ui.numbers import FuelRow
from energydash.ui.theme import Mode, Palette, palette

_PLAIN = ("panel", "ink", "muted", "line", "accent")


def looks(mode: Mode, colours: Colours) -> dict[str, Any]:
    """Give what a chart's picture is made with: `swap` has the light colour for each of the page's own, `keys` the legends."""
    own, light = palette(mode, colours), palette("light", colours)
    return {
        "swap": dict(zip(_all(own), _all(light), strict=True)) if mode == "dark" else {},
        "ground": light.panel,
        "ink": light.ink,
        "keys": {
            "stack": [
                *[[group.label, light.fuel(group.id)] for group in reversed(nem.FUEL_GROUPS)],
                ["Demand", light.ink],
            ],
            "price": [
                [nem.REGION_BY_CODE[code].label, light.regions[code]]
                for code in nem.NEM_REGIONS
            ],
        },
    }


def _all(of: Palette) -> list[str]:
    plain = [getattr(of, name) for name in _PLAIN]
    return [*plain, *(of.fuel(group.id) for group in nem.FUEL_GROUPS), *of.regions.values()]


def mix(rows: list[FuelRow]) -> list[list[Any]]:
    """Give (fuel, share of what is generated), the bottom of the stack first, in hundredths: a sign shows no more."""
    shares = [[row.id, round(row.share, 2)] for row in reversed(rows) if row.share]
    return [each for each in shares if each[1]]
