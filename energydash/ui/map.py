"""The live map: one circle a station, coloured by fuel, its area the power; updates patch, never rebuild."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

import panel as pn
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
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
from energydash.ui import bundled, flows, geography, marks, numbers, shades
from energydash.ui.address import MetricId, ShadeId
from energydash.ui.arrows import Arrows
from energydash.ui.ground import Ground
from energydash.ui.past import Instant
from energydash.ui.store import Store
from energydash.ui.theme import Palette, settle, tip

_AT_ONCE = 3
_WORDS = "Map of power stations"

# West, south, east and north of what is shown at first, mercator metres.
EXTENT = (*geography.mercator(130.5, -44.2), *geography.mercator(157.6, -14.2))
_SWATCH = "display:inline-block;width:10px;height:10px;border-radius:50%;background:@color"
_TOOLTIP = tip(
    f"<i style='{_SWATCH}'></i> <b>@name</b>, @region<br>@fuel",
    ("now", "@shown"),
    ("capacity", "@capacity"),
    ("", "@used"),
)
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


Share = Callable[[Callable[[], Any]], Any]


def _alone(make: Callable[[], Any]) -> Any:
    return make()


class Map:
    """One session's map. `figure` is drawn once; `refresh` patches what changed."""

    def __init__(self, palette: Palette, tiles: str | None = None) -> None:
        self._palette = palette
        self._metric: MetricId = "power"
        self._facilities: dict[str, tuple[int, schema.FacilityInfo]] = {}
        self._unplaced = 0
        self._told: flows.Told = ""
        self._words = {"stations": _WORDS, "flows": ""}
        self._chosen_code = ""
        self._open: Callable[[str, list[str]], None] = lambda _code, _others: None
        self.source = ColumnDataSource(_columns([]))
        self._legend, self._shades = (
            pn.pane.HTML(
                "", stylesheets=[bundled.text("legend.css")], css_classes=[place], margin=0
            )
            for place in ("foot", "head")
        )
        self.figure = self._draw(tiles)
        self.source.selected.on_change("indices", lambda _attr, _old, new: self._tapped(new))

    def _draw(self, tiles: str | None) -> figure:
        west, south, east, north = EXTENT
        wheel = WheelZoomTool()
        plot = figure(
            x_range=Range1d(start=west, end=east), y_range=Range1d(start=south, end=north),
            x_axis_type=None, y_axis_type=None, sizing_mode="stretch_both", min_height=300, min_border=0,
            tools=[PanTool(), wheel, ResetTool()], output_backend="canvas",
            html_attributes={"role": "img", "aria-label": _WORDS, "data-testid": "map"},
        )  # fmt: skip
        plot.toolbar.active_scroll = wheel
        plot.grid.visible = False
        settle(plot)
        proportions = CustomJS(
            args={"plot": plot, "extent": [west, south, east, north]},
            code=bundled.text("proportions.js"),
        )
        # Bokeh's own `match_aspect` follows the frame only until it takes a range's first value for a reader's wish.
        plot.js_on_change("inner_width", proportions)
        plot.js_on_change("inner_height", proportions)
        if tiles:
            plot.add_tile(WMTSTileSource(url=tiles))
        self._ground = Ground(plot, tiles=bool(tiles))
        self._arrows = Arrows(plot, self._palette)
        stations = plot.scatter(
            "x", "y", size="size", fill_color="color", fill_alpha="fill_alpha", line_color="line_color",
            line_alpha="line_alpha", line_width="line_width", source=self.source, name="stations",
        )  # fmt: skip
        stations.nonselection_glyph = None
        stations.selection_glyph = self._ring = Scatter(
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
        """Give the map with its legends on it."""
        return pn.Column(
            pn.pane.Bokeh(self.figure, sizing_mode="stretch_both"),
            self._legend,
            self._shades,
            sizing_mode="stretch_both",
        )

    def on_open(self, callback: Callable[[str, list[str]], None]) -> None:
        """Call back with the one station that a click means, and the codes of those beneath it."""
        self._open = callback

    def _tapped(self, indices: Sequence[int]) -> None:
        """Bokeh selects all circles under a click; the smallest of those that are in scope is meant."""
        codes = self.source.data["code"]
        sizes, alphas = self.source.data["size"], self.source.data["line_alpha"]
        fills = self.source.data["fill_alpha"]
        hits = sorted(
            (i for i in indices if max(alphas[i], fills[i]) > marks.FAINT),
            key=lambda i: sizes[i],
        )
        if [codes[i] for i in indices] == [self._chosen_code]:
            return
        if not hits:
            self.choose(self._chosen_code)
            return
        self._open(codes[hits[0]], [codes[i] for i in hits[1:]])

    def calm(self) -> None:
        """Leave wheel and finger to the page until the reader takes up a tool."""
        self.figure.toolbar.active_scroll = self.figure.toolbar.active_drag = None

    def choose(self, code: str) -> None:
        """Put the ring around a station, or around none."""
        self._chosen_code = code
        place = self._facilities.get(code)
        wanted = [place[0]] if place else []
        if list(self.source.selected.indices) != wanted:
            self.source.selected.indices = wanted

    def paint(self, palette: Palette) -> None:
        """Take another theme's colours."""
        self._palette = palette
        self.figure.background_fill_color = palette.sea
        self.figure.border_fill_color = palette.sea
        self.figure.outline_line_color = None
        self._ground.paint(palette)
        self._arrows.paint(palette)
        self._ring.line_color = palette.ink
        self._key()

    def show(self, store: Store) -> None:
        """Take another catalogue; `draw` then gives its circles their looks."""
        there = placed(store)
        self._facilities = {each[0].code: (i, each[0]) for i, each in enumerate(there)}
        self._unplaced = len(store.facilities) - len(there)
        columns = _columns(there)
        unknown = [marks.mark(each, None, self._palette, in_scope=True) for each, _, _ in there]
        for name in _LIVE:
            columns[name] = [getattr(look, name) for look in unknown]
        self.source.data = columns
        self.choose(self._chosen_code)
        self._key()

    def measure(self, metric: MetricId) -> None:
        """Let the circles show another metric; `draw` then does."""
        self._metric = metric
        self._key()

    def shade(self, shade: ShadeId) -> None:
        """Let the ground show another number of the regions; `regions` then does."""
        self._ground.shade = shade
        self._key()

    def _key(self) -> None:
        shade = shades.legend(self._ground.shade, self._palette)
        if shade != self._shades.object:
            self._shades.object = shade
        text = flows.legend(self._told) + marks.legend(self._metric, self._unplaced)
        if text != self._legend.object:
            self._legend.object = text

    def draw(
        self, instant: Instant | None, chosen: Collection[str], share: Share = _alone
    ) -> None:
        """Patch the circles that look different at this instant; zoom and selection stay as they are.

        `share` makes the looks, or hands out those that it made for another page.
        """
        columns, text = share(lambda: self._looks(instant, chosen))
        changed = {}
        for name in _LIVE:
            was = self.source.data[name]
            changes = [(i, new) for i, new in enumerate(columns[name]) if was[i] != new]
            if changes:
                changed[name] = changes
        if changed:
            self.source.patch(changed)
            self._tell(stations=text)

    def _tell(self, **parts: str) -> None:
        """Say what changed to who does not see the picture."""
        self._words |= parts
        text = "".join(self._words.values())
        attributes = self.figure.html_attributes
        if attributes["aria-label"] != text:
            self.figure.html_attributes = {**attributes, "aria-label": text}

    def _looks(
        self, instant: Instant | None, chosen: Collection[str]
    ) -> tuple[dict[str, list[Any]], str]:
        """Give the live columns, and in words what a picture cannot tell to who does not see it."""
        looks, made = [], []
        for code, (_, facility) in self._facilities.items():
            reading = instant.of(code) if instant else None
            newest = (
                instant is not None
                and reading is not None
                and reading.event_time == instant.moment
            )
            inside = code in chosen
            looks.append(
                marks.mark(
                    facility,
                    reading,
                    self._palette,
                    in_scope=inside,
                    newest=newest,
                    metric=self._metric,
                )
            )
            if inside and reading and (reading.power or 0.0) > 0:
                made.append((reading.power, facility.name))
        at = f" at {numbers.clock(instant.moment)} NEM time" if instant else ""
        top = ", ".join(f"{name} {numbers.megawatts(power)}" for power, name in _largest(made))
        shown = sum(code in chosen for code in self._facilities)
        text = f"Map of {shown} power stations{at}, {len(made)} generating. Largest: {top}"
        return {name: [getattr(look, name) for look in looks] for name in _LIVE}, text

    def regions(self, store: Store, moment: datetime) -> None:
        """Show what each region pays, and what flows between them."""
        self._ground.draw(store, moment, self._palette)
        now = store.flows(moment)
        self._arrows.draw(now, shaded=bool(self._ground.shade))
        self._told = (
            "links"
            if now
            else "regions"
            if store.row(moment, nem.NETWORK).net_import is not None
            else ""
        )
        self._key()
        self._tell(flows=flows.summary(now))


def placed(store: Store) -> list[tuple[schema.FacilityInfo, float, float]]:
    """Give the stations that have a place, with longitude and latitude; the small ones last, to be drawn on top of the large."""
    there = [
        (facility, facility.longitude, facility.latitude)
        for facility in store.facilities
        if facility.longitude is not None and facility.latitude is not None
    ]
    return sorted(there, key=lambda each: (-(each[0].capacity or 0.0), each[0].code))


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
