"""The colours of fuels and regions: the familiar set, and one that colour-blind eyes tell apart, with patterns. Pure.

The second was found by a search for the largest least difference (CIEDE2000) between fuels as normal, protan, deutan and tritan
eyes see them; `tests/test_hues.py` holds it to that. Fuels next to each other in the stack differ most.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from energydash import nem

Colours = Literal["usual", "distinct"]
"""Which set: what Australians know from their market's own pages, or the one for everybody's eyes."""

COLOURS: tuple[Colours, ...] = get_args(Colours)

USUAL = {
    "light": {group.id: group.colour for group in nem.FUEL_GROUPS},
    "dark": {group.id: group.colour_dark for group in nem.FUEL_GROUPS},
}

DISTINCT = {
    "light": {
        "coal_brown": "#684e3f",
        "coal_black": "#14110d",
        "bioenergy": "#3fd8c4",
        "distillate": "#6d1450",
        "gas": "#d56408",
        "battery": "#2a22a8",
        "hydro": "#4a78e0",
        "wind": "#a0ae8c",
        "solar": "#f2dc35",
        "other": "#747c84",
        "pumps": "#a6c4f2",
    },
    "dark": {
        "coal_brown": "#9b6d2f",
        "coal_black": "#574d4a",
        "bioenergy": "#e6fbee",
        "distillate": "#e5367e",
        "gas": "#efb997",
        "battery": "#918efc",
        "hydro": "#3566b4",
        "wind": "#9cb34c",
        "solar": "#fbf55c",
        "other": "#858691",
        "pumps": "#aedbff",
    },
}

DISTINCT_REGIONS = {
    "light": {
        "QLD1": "#641a68",
        "NSW1": "#2550dc",
        "VIC1": "#15120f",
        "SA1": "#dc4d0f",
        "TAS1": "#089f8b",
    },
    "dark": {
        "QLD1": "#f0b4f6",
        "NSW1": "#2f7cf0",
        "VIC1": "#f8f6fb",
        "SA1": "#ee8d43",
        "TAS1": "#55c8a6",
    },
}

Pattern = Literal[
    "right_diagonal_line", "left_diagonal_line", "horizontal_line", "vertical_line",
    "cross", "diagonal_cross", "dot",
]  # fmt: skip
"""Bokeh's names of hatches; no two neighbours in the stack have the same."""

PATTERNS: dict[str, Pattern | None] = {
    "coal_brown": "right_diagonal_line",
    "coal_black": None,
    "bioenergy": "dot",
    "distillate": "cross",
    "gas": "left_diagonal_line",
    "battery": "horizontal_line",
    "hydro": None,
    "wind": "vertical_line",
    "solar": None,
    "other": "diagonal_cross",
    "pumps": "dot",
}

_LINES = "repeating-linear-gradient({angle}deg,{ink} 0 1px,transparent 1px 4px)"
_ANGLES: dict[Pattern, tuple[int, ...]] = {
    "right_diagonal_line": (135,),
    "left_diagonal_line": (45,),
    "horizontal_line": (0,),
    "vertical_line": (90,),
    "cross": (0, 90),
    "diagonal_cross": (45, 135),
}
_HALF = 0.18

LEAST_CONTRAST = 3.0
"""What a graphic that says something has to have against its ground (WCAG 2.2, 1.4.11)."""

FILLED = 0.82
"""How opaque a circle is that stands for what a station makes."""


def swatch(pattern: Pattern | None, colour: str) -> str:
    """Give a pattern as CSS `background` layers that lie on a colour."""
    if pattern is None:
        return "none"
    ink = hatch(colour)
    if pattern == "dot":
        return f"radial-gradient({ink} 1px,transparent 1.3px) 0 0/4px 4px"
    return ",".join(_LINES.format(angle=angle, ink=ink) for angle in _ANGLES[pattern])


def hatch(colour: str) -> str:
    """Give the colour of a hatch on a fuel's colour: the lighter or the darker, whichever is seen."""
    return "#1b1f24" if luminance(colour) > _HALF else "#ffffff"


def contrast(one: str, other: str) -> float:
    """Give the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def mixed(ground: str, colour: str, strength: float) -> str:
    """Give what is seen of a colour on a ground; at a strength of 1 the colour alone."""
    pairs = [(int(ground[i : i + 2], 16), int(colour[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * strength):02x}" for a, b in pairs)


def rings(fuels: Mapping[str, str], grounds: Sequence[str], ink: str) -> dict[str, str]:
    """Give for each fuel the colour of a line that is told from every ground: its own, with as much ink in it as that takes."""
    return {group: _ring(colour, grounds, ink) for group, colour in fuels.items()}


def rims(
    fuels: Mapping[str, str], grounds: Sequence[str], ink: str, panel: str
) -> dict[str, str]:
    """Give for each fuel the line around a filled circle: `panel`, which parts it from the next one, where the filling is seen."""
    return {
        group: panel
        if all(_seen(mixed(ground, colour, FILLED), [ground]) for ground in grounds)
        else _ring(colour, grounds, ink)
        for group, colour in fuels.items()
    }


def _ring(colour: str, grounds: Sequence[str], ink: str) -> str:
    steps = (mixed(colour, ink, step / 20) for step in range(21))
    return next((each for each in steps if _seen(each, grounds)), ink)


def _seen(colour: str, grounds: Sequence[str]) -> bool:
    return all(contrast(colour, ground) >= LEAST_CONTRAST for ground in grounds)


def luminance(colour: str) -> float:
    """Give the relative luminance of "#rrggbb", 0 to 1 (WCAG 2.2)."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 (sRGB)
        for c in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
