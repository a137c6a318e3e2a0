"""The ground of the map: a region's shade by its price or its renewable share, in a few steps that anybody can tell apart. Pure."""

from bisect import bisect_right
from collections.abc import Callable

import msgspec

from energydash.ui.address import ShadeId
from energydash.ui.store import Row
from energydash.ui.theme import Palette

# How far each step goes from the land's colour to its own: what is below zero is of another colour, and in each the lightness alone tells the order.
_STRENGTHS = (0.14, 0.28, 0.44, 0.62)


class Shade(msgspec.Struct, frozen=True, kw_only=True):
    """What the ground may show: `steps` part the values, `names` say what lies between them."""

    label: str
    title: str
    value: Callable[[Row], float | None]
    steps: tuple[float, ...]
    names: tuple[str, ...]
    colour: tuple[str, str]
    below: tuple[str, str] | None = None

    def step(self, value: float) -> int:
        """Give the place of a value among `names`."""
        return bisect_right(self.steps, value)


SHADES: dict[ShadeId, Shade] = {
    "price": Shade(
        label="Price",
        title="Price, $/MWh",
        value=lambda row: row.price,
        steps=(0.0, 50.0, 100.0, 300.0),
        names=("below 0", "0\u201350", "50\u2013100", "100\u2013300", "over 300"),
        colour=("#6d3fa8", "#7a55cc"),
        below=("#007f8c", "#1d97a3"),
    ),
    "renewables": Shade(
        label="Renewables",
        title="Renewable share, %",
        value=lambda row: None if row.renewable_share is None else row.renewable_share * 100,
        steps=(25.0, 50.0, 75.0),
        names=("below 25", "25\u201350", "50\u201375", "over 75"),
        colour=("#1d7a3c", "#2a8a4a"),
    ),
}


def colours(shade: Shade, palette: Palette) -> list[str]:
    """Give the colour of each step."""
    colour = shade.colour[palette.dark]
    steps = [_mixed(palette.land, colour, strength) for strength in _STRENGTHS]
    if shade.below is None:
        return steps
    return [_mixed(palette.land, shade.below[palette.dark], _STRENGTHS[2]), *steps]


def ground(id_: ShadeId, row: Row, palette: Palette) -> str:
    """Give a region's ground; the land's own where nothing is asked for or known."""
    shade = SHADES.get(id_)
    value = shade.value(row) if shade else None
    if shade is None or value is None:
        return palette.land
    return colours(shade, palette)[shade.step(value)]


def legend(id_: ShadeId, palette: Palette) -> str:
    """Give the key to the shades as HTML; nothing where there are none."""
    shade = SHADES.get(id_)
    if shade is None:
        return ""
    fields = "".join(
        f'<span><i style="background:{colour}"></i>{name}</span>'
        for colour, name in zip(colours(shade, palette), shade.names, strict=True)
    )
    return f'<div class="key shades" data-testid="shades"><b>{shade.title}</b>{fields}</div>'


def _mixed(ground: str, colour: str, strength: float) -> str:
    pairs = zip(_channels(ground), _channels(colour), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * strength):02x}" for a, b in pairs)


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
