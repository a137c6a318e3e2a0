"""The live map: one circle a station, coloured by fuel, its area the power; updates patch, never rebuild."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import panel as pn
from bokeh.core.properties import value
from bokeh.models import (
    ColumnDataSource,
    HoverTool,
    PanTool,
    Range1d,
    ResetTool,
    Scatter,
    TapTool,
    WheelZoomTool,
    WMTSTileSource,
)
from bokeh.plotting import figure

from energydash import nem, schema
from energydash.ui import bundled, geography, numbers
from energydash.ui.store import Reading, Store
from energydash.ui.theme import FONT, Palette, settle, tip

FULL_MW = 2500.0
FULL_RADIUS_PX = 22.0
LEAST_RADIUS_PX = 2.5
_AT_REST_MW = 0.05
_OUT_OF_SCOPE = 0.12
_AT_ONCE = 3

_WEST, _EAST, _SOUTH, _NORTH = 128.5, 154.6, -44.2, -10.2
_SWATCH = "display:inline-block;width:10px;height:10px;border-radius:50%;background:@color"
_TOOLTIP = tip(
    f"<i style='{_SWATCH}'></i> <b>@name</b>, @region<br>@fuel",
    ("now", "@shown"),
    ("capacity", "@capacity"),
    ("", "@used"),
)
_LEGEND_MW = (100.0, 500.0, 2500.0)
_LIVE = (
    "shown",
    "used",
    "size",
    "color",
    "fill_alpha",
    "line_color",
    "line_alpha",
    "line_width",
)


def radius_px(power_mw: float) -> float:
    """Give a circle's radius: its area is proportional to |power|, down to the least that can be seen."""
    return max(LEAST_RADIUS_PX, FULL_RADIUS_PX * math.sqrt(abs(power_mw) / FULL_MW))


def legend() -> str:
    """Give the key to the circles as HTML; the sizes come from the function that draws them."""
    edge = 2 * (FULL_RADIUS_PX + 1)
    sizes = "".join(
        f'<svg width="{2 * radius_px(mw) + 2:.0f}" height="{edge:.0f}">'
        f'<circle cx="50%" cy="50%" r="{radius_px(mw):.1f}"/></svg>{numbers.megawatts(mw)} '
        for mw in _LEGEND_MW
    )
    looks = "".join(
        f'<svg width="14" height="14"><circle class="{look}" cx="7" cy="7" r="5"/></svg>{word} '
        for look, word in (
            ("rest", "at rest"),
            ("load", "charging, pumping"),
            ("none", "no data"),
        )
    )
    return f'<div class="key">{sizes}</div><div class="key">{looks}</div>'


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How a station looks now; the fields are columns of the map's source."""

    shown: str
    used: str
    size: float
    color: str
    fill_alpha: float
    line_color: str
    line_alpha: float
    line_width: float


def mark(
    facility: schema.FacilityInfo,
    reading: Reading | None,
    palette: Palette,
    *,
    in_scope: bool,
    newest: bool = True,
) -> Mark:
    """Give a station's look: filled where it generates, a ring where it is a load, hollow at rest, grey unknown."""
    faded = 1.0 if in_scope else _OUT_OF_SCOPE
    power = reading.power if reading else None
    if reading is None or power is None:
        return Mark(
            shown="no data", used="", size=2 * LEAST_RADIUS_PX, color=palette.no_data,
            fill_alpha=0.55 * faded, line_color=palette.no_data, line_alpha=0.0, line_width=0.0,
        )  # fmt: skip
    colour = palette.fuel(nem.fueltech(facility.fueltech).group)
    at_rest, is_load = abs(power) < _AT_REST_MW, power < 0
    solid = 0.0 if at_rest else 0.18 if is_load else 0.82
    late = "" if newest else f" at {numbers.clock(reading.event_time)}"
    word = " taken" if is_load and not at_rest else ""
    return Mark(
        shown=f"{numbers.megawatts(abs(power) if word else power)}{word}{late}",
        used=_used(power, facility.capacity),
        size=2 * radius_px(power),
        color=colour,
        fill_alpha=solid * faded,
        line_color=colour if at_rest or is_load else palette.panel,
        line_alpha=(0.7 if at_rest else 0.95) * faded,
        line_width=2.0 if is_load and not at_rest else 1.0,
    )


def _used(power: float, capacity: float | None) -> str:
    return f"{numbers.share(abs(power) / capacity)} of capacity" if capacity else ""


class Map:
    """One session's map. `figure` is drawn once; `refresh` patches what changed."""

    def __init__(self, palette: Palette, tiles: str | None = None) -> None:
        self._palette = palette
        self._scope: str | None = None
        self._facilities: dict[str, tuple[int, schema.FacilityInfo]] = {}
        self.source = ColumnDataSource(_columns([]))
        self._labels = ColumnDataSource(_labels())
        self.figure = self._draw(tiles)

    def _draw(self, tiles: str | None) -> figure:
        west, south = geography.mercator(_WEST, _SOUTH)
        east, north = geography.mercator(_EAST, _NORTH)
        wheel = WheelZoomTool()
        plot = figure(
            x_range=Range1d(start=west, end=east), y_range=Range1d(start=south, end=north), match_aspect=True,
            x_axis_type=None, y_axis_type=None, sizing_mode="stretch_both", min_height=300, min_border=0,
            tools=[PanTool(), wheel, ResetTool()], output_backend="canvas",
            html_attributes={"role": "img", "aria-label": "Map of power stations", "data-testid": "map"},
        )  # fmt: skip
        plot.toolbar.active_scroll = wheel
        plot.grid.visible = False
        settle(plot)
        if tiles:
            plot.add_tile(WMTSTileSource(url=tiles))
        self._land = plot.multi_polygons(
            xs="xs", ys="ys", source=ColumnDataSource(_outlines()), line_width=1,
            fill_alpha=0.35 if tiles else 1.0, nonselection_alpha=1.0,
        )  # fmt: skip
        self._names = plot.text(
            "x", "y", "text", source=self._labels, text_font=value(FONT), text_font_size="12px", text_align="center",
            text_font_style="bold", text_baseline="middle", text_line_height=1.2, nonselection_text_alpha=1.0,
        )  # fmt: skip
        stations = plot.scatter(
            "x", "y", size="size", fill_color="color", fill_alpha="fill_alpha", line_color="line_color",
            line_alpha="line_alpha", line_width="line_width", source=self.source, name="stations",
        )  # fmt: skip
        stations.nonselection_glyph = None
        stations.selection_glyph = self._chosen = Scatter(
            size="size", fill_color="color", fill_alpha="fill_alpha", line_width=3
        )
        plot.add_tools(
            HoverTool(
                renderers=[stations], tooltips=_TOOLTIP, limit=_AT_ONCE, show_arrow=False
            ),
            TapTool(renderers=[stations], mode="replace"),
        )
        return plot

    def view(self) -> pn.Column:
        """Give the map with its legend on it."""
        return pn.Column(
            pn.pane.Bokeh(self.figure, sizing_mode="stretch_both"),
            pn.pane.HTML(legend(), stylesheets=[bundled.text("legend.css")], margin=0),
            sizing_mode="stretch_both",
        )

    def paint(self, palette: Palette) -> None:
        """Take another theme's colours."""
        self._palette = palette
        self.figure.background_fill_color = palette.sea
        self.figure.border_fill_color = palette.sea
        self.figure.outline_line_color = None
        self._land.glyph.fill_color = palette.land
        self._land.glyph.line_color = palette.border
        self._names.glyph.text_color = palette.muted
        self._chosen.line_color = palette.ink

    def show(self, store: Store, scope: str | None) -> None:
        """Draw a catalogue anew; `scope` is a region whose stations stand out, or None for all."""
        self._scope = scope
        placed = [
            (facility, facility.longitude, facility.latitude)
            for facility in store.facilities
            if facility.longitude is not None and facility.latitude is not None
        ]
        # The small ones last, so that they are drawn on top of the large.
        placed.sort(key=lambda each: (-(each[0].capacity or 0.0), each[0].code))
        self._facilities = {each[0].code: (i, each[0]) for i, each in enumerate(placed)}
        columns = _columns(placed)
        marks = [self._mark(store, facility) for facility, _, _ in placed]
        for name in _LIVE:
            columns[name] = [getattr(each, name) for each in marks]
        self.source.data = columns
        self._summarise(store)

    def restyle(self, store: Store, scope: str | None) -> None:
        """Show another scope or theme: the same stations, another look."""
        self._scope = scope
        self.refresh(store, self._facilities)

    def refresh(self, store: Store, codes: Iterable[str]) -> None:
        """Patch the stations whose value changed; zoom and selection stay as they are."""
        patches: dict[str, list[tuple[int, Any]]] = {name: [] for name in _LIVE}
        for code in codes:
            if code not in self._facilities:
                continue
            row, facility = self._facilities[code]
            look = self._mark(store, facility)
            for name, changes in patches.items():
                value = getattr(look, name)
                if self.source.data[name][row] != value:
                    changes.append((row, value))
        changed = {name: changes for name, changes in patches.items() if changes}
        if changed:
            self.source.patch(changed)
            self._summarise(store)

    def price(self, store: Store) -> None:
        """Write each region's price under its name."""
        moment = store.shown_time
        texts = list(_labels()["text"])
        for i, region in enumerate(nem.REGIONS):
            row = store.row(moment, region.code) if moment else None
            if row and row.price is not None:
                texts[i] = f"{region.label}\n{numbers.dollars(row.price)}"
        changes = [(i, t) for i, t in enumerate(texts) if self._labels.data["text"][i] != t]
        if changes:
            self._labels.patch({"text": changes})

    def _mark(self, store: Store, facility: schema.FacilityInfo) -> Mark:
        reading = store.current(facility.code)
        return mark(
            facility,
            reading,
            self._palette,
            in_scope=self._scope in {None, facility.region},
            newest=reading is not None
            and store.event_time is not None
            and reading.event_time >= store.event_time,
        )

    def _summarise(self, store: Store) -> None:
        """Say in words what a picture cannot tell to who does not see it."""
        made = [
            (reading.power, facility.name)
            for _, facility in self._facilities.values()
            if (reading := store.current(facility.code)) and (reading.power or 0.0) > 0
        ]
        top = ", ".join(f"{name} {numbers.megawatts(power)}" for power, name in _largest(made))
        text = f"Map of {len(self._facilities)} power stations, {len(made)} generating. Largest: {top}"
        self.figure.html_attributes = {**self.figure.html_attributes, "aria-label": text}


def _largest(made: Sequence[tuple[float | None, str]]) -> list[tuple[float | None, str]]:
    return sorted(made, key=lambda each: -(each[0] or 0.0))[:3]


def _columns(
    placed: Sequence[tuple[schema.FacilityInfo, float, float]],
) -> dict[str, list[Any]]:
    """Give the columns that do not change with the grid, and empty ones for those that do."""
    points = [geography.mercator(longitude, latitude) for _, longitude, latitude in placed]
    stations = [facility for facility, _, _ in placed]
    columns: dict[str, list[Any]] = {
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "code": [each.code for each in stations],
        "name": [each.name for each in stations],
        "region": [
            nem.REGION_BY_CODE[each.region].label if each.region in nem.REGION_BY_CODE else each.region
            for each in stations
        ],
        "fuel": [nem.fueltech(each.fueltech).label for each in stations],
        "capacity": [numbers.megawatts(each.capacity) for each in stations],
    }  # fmt: skip
    return columns | {name: [] for name in _LIVE}


def _outlines() -> dict[str, list[Any]]:
    xs, ys = [], []
    for rings in geography.states().values():
        points = [[geography.mercator(*point) for point in ring] for ring in rings]
        xs.append([[[x for x, _ in ring]] for ring in points])
        ys.append([[[y for _, y in ring]] for ring in points])
    return {"xs": xs, "ys": ys}


def _labels() -> dict[str, list[Any]]:
    points = [geography.mercator(each.longitude, each.latitude) for each in nem.REGIONS]
    return {
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "text": [each.label for each in nem.REGIONS],
    }
