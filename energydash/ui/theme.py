"""Colours of both themes, and how a figure is painted with them."""

from functools import cache
from typing import Literal

import msgspec
from bokeh.models import DatetimeAxis, DatetimeTickFormatter, Plot
from bokeh.plotting import figure

from energydash.ui import hues
from energydash.ui.hues import Colours, Pattern

Mode = Literal["light", "dark"]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


_TIP = (
    "margin:-5px;padding:6px 10px;background:var(--panel);color:var(--ink);border-bottom:1px solid var(--line);"
    "font:12.5px/1.4 var(--font);font-variant-numeric:tabular-nums"
)
_TOOLBAR = ":host { background: color-mix(in srgb, var(--panel) 80%, transparent) !important; --icon-color: var(--muted); }"
_ROW = "display:flex;justify-content:space-between;gap:14px"


class Palette(msgspec.Struct, frozen=True, kw_only=True):
    """One theme; CSS has the same under the same names."""

    page: str
    panel: str
    ink: str
    muted: str
    line: str
    sea: str
    land: str
    border: str
    control: str
    accent: str
    no_data: str
    flow: str
    limit: str
    regions: dict[str, str]
    fuels: dict[str, str]
    rings: dict[str, str] = {}
    rims: dict[str, str] = {}
    patterns: dict[str, Pattern | None] = {}
    dark: bool

    def fuel(self, group: str) -> str:
        """Give a fuel group's colour."""
        return self.fuels.get(group, self.fuels["other"])

    def ring(self, group: str) -> str:
        """Give the colour of a fuel group's line on the map: the fuel's, as dark or light as it takes to be seen."""
        return self.rings.get(group, self.rings["other"])

    def rim(self, group: str) -> str:
        """Give the colour of the line around a fuel group's filled circle."""
        return self.rims.get(group, self.rims["other"])

    def pattern(self, group: str) -> Pattern | None:
        """Give a fuel group's hatch, if it has one."""
        return self.patterns.get(group)


def _lined(palette: Palette) -> Palette:
    """Give a palette with the lines of the map's circles, which follow from its other colours."""
    grounds = (palette.land, palette.sea)
    return msgspec.structs.replace(
        palette,
        rings=hues.rings(palette.fuels, grounds, palette.ink),
        rims=hues.rims(palette.fuels, grounds, palette.ink, palette.panel),
    )


_PLAIN: dict[Mode, Palette] = {
    "light": Palette(
        page="#f3f4f6",
        panel="#ffffff",
        ink="#1b1f24",
        muted="#59626e",
        line="#dde1e6",
        sea="#e9eff4",
        land="#fbfaf7",
        border="#b9c0c9",
        control="#868e99",
        accent="#0b62b8",
        no_data="#7f8792",
        flow="#3d4653",
        limit="#b93a06",
        regions={
            "QLD1": "#8a2f8f",
            "NSW1": "#0f6fc6",
            "VIC1": "#12306b",
            "SA1": "#c8372d",
            "TAS1": "#11805c",
        },
        fuels=hues.USUAL["light"],
        dark=False,
    ),
    "dark": Palette(
        page="#0f1216",
        panel="#171b21",
        ink="#e8ebef",
        muted="#9aa4b1",
        line="#2a313a",
        sea="#11161c",
        land="#1f252d",
        border="#414b57",
        control="#636e7b",
        accent="#6cb2ff",
        no_data="#6f7a87",
        flow="#cdd5df",
        limit="#ff9d4d",
        regions={
            "QLD1": "#d98be0",
            "NSW1": "#5fb0ff",
            "VIC1": "#a8b9f0",
            "SA1": "#ff8a7f",
            "TAS1": "#4fd0a2",
        },
        fuels=hues.USUAL["dark"],
        dark=True,
    ),
}

PALETTES = {mode: _lined(each) for mode, each in _PLAIN.items()}


@cache
def palette(mode: Mode, colours: Colours) -> Palette:
    """Give a theme with one set of colours for fuels and regions."""
    usual = PALETTES[mode]
    if colours == "usual":
        return usual
    distinct = msgspec.structs.replace(
        usual, fuels=hues.DISTINCT[mode], regions=hues.DISTINCT_REGIONS[mode], patterns=hues.PATTERNS
    )  # fmt: skip
    return _lined(distinct)


def css() -> str:
    """Give both themes as CSS variables: the system's choice, unless the page says its own; likewise the other set of colours."""
    light, dark = (_variables(PALETTES[mode]) for mode in ("light", "dark"))
    distinct, dark_distinct = (_hues(palette(mode, "distinct")) for mode in ("light", "dark"))
    return (
        f":root{{color-scheme:light;{light}}}"
        f"@media (prefers-color-scheme:dark){{:root{{color-scheme:dark;{dark}}}}}"
        f":root[data-theme=light]{{color-scheme:light;{light}}}"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}"
        f":root[data-colours=distinct]{{{distinct}}}"
        f"@media (prefers-color-scheme:dark){{:root[data-colours=distinct]{{{dark_distinct}}}}}"
        f":root[data-theme=light][data-colours=distinct]{{{distinct}}}"
        f":root[data-theme=dark][data-colours=distinct]{{{dark_distinct}}}"
    )


def _variables(palette: Palette) -> str:
    plain = ("page", "panel", "ink", "muted", "line", "sea", "land", "accent", "flow", "limit")
    own = [f"--{name}:{getattr(palette, name)}" for name in plain]
    # Not "--border": Bokeh's own style sheets use that name.
    own += [
        f"--edge:{palette.control}",
        f"--coast:{palette.border}",
        f"--no-data:{palette.no_data}",
    ]
    return ";".join([*own, _hues(palette)])


def _hues(palette: Palette) -> str:
    own = [f"--fuel-{group}:{colour}" for group, colour in palette.fuels.items()]
    own += [f"--ring-{group}:{colour}" for group, colour in palette.rings.items()]
    own += [f"--rim-{group}:{colour}" for group, colour in palette.rims.items()]
    own += [f"--region-{code}:{colour}" for code, colour in palette.regions.items()]
    own += [
        f"--pattern-{group}:{hues.swatch(pattern, palette.fuel(group))}"
        for group, pattern in palette.patterns.items()
    ]
    return ";".join(own)


def paint(plot: Plot, palette: Palette) -> None:
    """Give a figure's ground, grid and axes their colours."""
    plot.background_fill_color = palette.panel
    plot.border_fill_color = palette.panel
    plot.outline_line_color = None
    for grid in (*plot.xgrid, *plot.ygrid):
        grid.grid_line_color = palette.line
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.axis_line_color = palette.line
        axis.major_tick_line_color = palette.line
        axis.major_label_text_color = palette.muted
        axis.axis_label_text_color = palette.muted


def tip(head: str, *rows: tuple[str, str]) -> str:
    """Give the HTML of a hover card, a head and named values; Bokeh puts columns into it as text, not as HTML.

    The card brings its own ground, because Bokeh's is white in every theme.
    """
    lines = "".join(
        f"<div style='{_ROW}'><span>{name}</span><b>{text}</b></div>" for name, text in rows
    )
    return f"<div style='{_TIP}'><div>{head}</div>{lines}</div>"


def settle(plot: figure) -> None:
    """Give a figure what does not depend on colours: type, thin lines, no logo."""
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.toolbar_inner = True
    plot.toolbar.stylesheets = [_TOOLBAR]
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.major_label_text_font = FONT
        axis.axis_label_text_font = FONT
        axis.major_label_text_font_size = "11px"
        axis.axis_label_text_font_size = "11px"
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
        if isinstance(axis, DatetimeAxis):
            axis.formatter.hours = "%H:%M"
            axis.formatter.minutes = "%H:%M"
            axis.formatter.hourmin = "%H:%M"
            axis.formatter.days = "%a %d %b"
            axis.formatter.context = DatetimeTickFormatter(hours="%a %d %b", hourmin="%a %d %b", minutes="%a %d %b",
                days="", months="", years="", hide_repeats=True)  # fmt: skip
