"""Generation by fuel with demand, and price by region, on one time axis; new intervals stream in."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bokeh.core.properties import field, value
from bokeh.models import (
    ColumnDataSource,
    CrosshairTool,
    DataRange1d,
    FixedTicker,
    HoverTool,
    Line,
    NumeralTickFormatter,
    PanTool,
    ResetTool,
    Scatter,
    Text,
    VArea,
    WheelZoomTool,
)
from bokeh.models.annotations import BoxAnnotation, Span
from bokeh.models.glyph import Glyph
from bokeh.models.renderers import GlyphRenderer
from bokeh.models.text import BaseText
from bokeh.plotting import figure

from energydash import nem
from energydash.ui import hues, numbers, series
from energydash.ui.past import HISTORY
from energydash.ui.selection import Choice
from energydash.ui.store import Row, Store
from energydash.ui.theme import FONT, Palette, paint, settle, tip

_DAY_MS = HISTORY.total_seconds() * 1000
_WHEN = "@t{%a %d %b %H:%M} NEM time"
_POINTS = round(HISTORY / nem.INTERVAL)


class _Live:
    """A source whose rows are intervals: it streams new ones and patches those that changed."""

    def __init__(self, columns: series.Columns) -> None:
        self.source = ColumnDataSource({name: [] for name in columns})
        self._times: deque[datetime] = deque(maxlen=_POINTS)

    def replace(self, times: Sequence[datetime], columns: series.Columns) -> None:
        """Show something else altogether."""
        self._times.clear()
        self._times.extend(times[-_POINTS:])
        self.source.data = {name: values[-_POINTS:] for name, values in columns.items()}

    def fits(self, times: Sequence[datetime]) -> bool:
        """Whether intervals can be patched or appended: none falls into a hole before the end."""
        if not self._times:
            return False
        known, last = set(self._times), self._times[-1]
        return all(moment in known or moment > last for moment in times)

    def update(self, times: Sequence[datetime], columns: series.Columns) -> None:
        """Patch the intervals that are there and stream the ones after them."""
        places = {moment: i for i, moment in enumerate(self._times)}
        old = [i for i, moment in enumerate(times) if moment in places]
        new = [i for i, moment in enumerate(times) if moment not in places]
        if old:
            self.source.patch(
                {n: [(places[times[i]], v[i]) for i in old] for n, v in columns.items()}
            )
        if new:
            self.source.stream(
                {n: [v[i] for i in new] for n, v in columns.items()}, rollover=_POINTS
            )
            self._times.extend(times[i] for i in new)


class Charts:
    """One session's charts."""

    def __init__(self) -> None:
        self._stack = _Live(series.stack([], []))
        self._price = _Live(series.prices([], {code: [] for code in nem.NEM_REGIONS}))
        self._x = DataRange1d(
            follow="end", follow_interval=_DAY_MS, range_padding=0.0, default_span=_DAY_MS
        )
        self._line = Span(dimension="height", line_width=1)
        self._extremes = ColumnDataSource(series.extremes({}))
        self._moments: list[Span] = []
        self._unsettled: list[BoxAnnotation] = []
        self.stack = self._draw_stack()
        self.price = self._draw_price()

    def _figure(self, testid: str, label: str) -> figure:
        wheel = WheelZoomTool(dimensions="width")
        plot = figure(
            x_range=self._x, x_axis_type="datetime", sizing_mode="stretch_both", min_height=120,
            tags=["day"], min_border_left=74, min_border_right=8, min_border_top=6,
            tools=[PanTool(dimensions="width"), wheel, ResetTool(),
                   CrosshairTool(overlay=self._line)],
            html_attributes={"role": "img", "aria-label": label, "data-testid": testid},
        )  # fmt: skip
        plot.toolbar.active_scroll = wheel
        settle(plot)
        plot.xgrid.visible = False
        moment = Span(dimension="height", line_width=2, line_dash="dashed", visible=False)
        unsettled = BoxAnnotation(
            line_alpha=0.0, fill_alpha=0.14, visible=False, level="underlay"
        )
        plot.add_layout(moment)
        plot.add_layout(unsettled)
        self._moments.append(moment)
        self._unsettled.append(unsettled)
        return plot

    def _draw_stack(self) -> figure:
        plot = self._figure("stack", "Generation by fuel and demand over 24 hours")
        plot.yaxis.axis_label = "MW"
        plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
        self._areas = {}
        for ids, edge in ((series.ABOVE, "top"), (series.BELOW, "low")):
            beneath = "zero"
            for group in ids:
                area = VArea(
                    x="t", y1=beneath, y2=f"{group}_{edge}",
                    hatch_scale=8.0, hatch_weight=0.7, hatch_alpha=0.55,
                )  # fmt: skip
                self._areas[group, edge] = _add(plot, self._stack.source, area)
                beneath = f"{group}_{edge}"
        self._demand = _add(plot, self._stack.source, Line(x="t", y="demand", line_width=2))
        plot.add_tools(
            HoverTool(
                renderers=[self._demand],
                mode="vline",
                tooltips=tip(
                    _WHEN,
                    ("generation", "@generation{0,0} MW"),
                    ("demand", "@demand{0,0} MW"),
                ),
                show_arrow=False,
                formatters={"@t": "datetime"},
            )
        )
        return plot

    def _draw_price(self) -> figure:
        plot = self._figure("price", "Price by region over 24 hours")
        plot.yaxis.axis_label = "$/MWh"
        self._prices = {}
        for code in nem.NEM_REGIONS:
            line = Line(x="t", y=f"{code}_y", line_width=1.6)
            self._prices[code] = _add(plot, self._price.source, line)
        self._dots = _add(plot, self._extremes, Scatter(x="t", y="y", size=6))
        self._marked = _add(plot, self._extremes, Text(
            x="t", y="y", text="text", text_font=value(FONT), text_font_size="11px", text_font_style="bold",
            text_align=field("align"), text_baseline=field("baseline"), x_offset=field("shift_px"),
            background_fill_alpha=0.75,
        ))  # fmt: skip
        labels = [(nem.REGION_BY_CODE[c].label, f"$@{c}{{0,0.00}}") for c in nem.NEM_REGIONS]
        plot.add_tools(
            HoverTool(
                renderers=[self._prices["NSW1"]],
                mode="vline",
                tooltips=tip(_WHEN, *labels),
                show_arrow=False,
                formatters={"@t": "datetime"},
            )
        )
        return plot

    def paint(self, palette: Palette, scope: str) -> None:
        """Take a theme's colours; the price of a chosen region stands out."""
        for plot in (self.stack, self.price):
            paint(plot, palette)
        self._line.line_color = palette.muted
        self._marked.glyph.text_color = self._dots.glyph.fill_color = palette.ink
        self._marked.glyph.background_fill_color = self._dots.glyph.line_color = palette.panel
        for moment, unsettled in zip(self._moments, self._unsettled, strict=True):
            moment.line_color = palette.accent
            unsettled.fill_color = palette.muted
        for (group, edge), area in self._areas.items():
            area.glyph.fill_color = palette.fuel(group)
            area.glyph.fill_alpha = 0.92 if edge == "top" else 0.6
            area.glyph.hatch_pattern = palette.pattern(group)
            area.glyph.hatch_color = hues.hatch(palette.fuel(group))
        self._demand.glyph.line_color = palette.ink
        for code, line in self._prices.items():
            line.glyph.line_color = palette.regions[code]
            line.glyph.line_alpha = 1.0 if scope in {nem.NETWORK, code} else 0.25
            line.glyph.line_width = 2.6 if scope == code else 1.6

    def mark(self, store: Store, moment: datetime, *, past: bool) -> None:
        """Show which interval the page is at, if not the newest, and from when on the values are not whole yet."""
        shown, newest = store.shown_time, store.event_time
        for line, box in zip(self._moments, self._unsettled, strict=True):
            line.location = series.wall_ms(moment)
            line.visible = past
            if shown is not None and newest is not None:
                box.left = series.wall_ms(shown)
                box.visible = shown < newest

    def show(self, store: Store, choice: Choice) -> None:
        """Draw the whole history of what is chosen."""
        times = list(store.times)
        self._stack.replace(times, series.stack(times, choice.rows(times)))
        self._price.replace(times, series.prices(times, _by_region(store, times)))

    def refresh(self, store: Store, choice: Choice, times: Sequence[datetime]) -> None:
        """Stream the intervals that are new, patch those that changed."""
        if not times:
            return
        if not (self._stack.fits(times) and self._price.fits(times)):
            self.show(store, choice)
            return
        self._stack.update(times, series.stack(times, choice.rows(times)))
        self._price.update(times, series.prices(times, _by_region(store, times)))

    def calm(self) -> None:
        """Leave wheel and finger to the page until the reader takes up a tool."""
        for plot in (self.stack, self.price):
            plot.toolbar.active_scroll = plot.toolbar.active_drag = None

    def tell(self, store: Store, row: Row, scope: str, moment: datetime) -> None:
        """Say in words what the pictures show at a moment; label the prices."""
        fuels = ", ".join(
            f"{nem.FUEL_GROUP_BY_ID[group].label} {numbers.megawatts(mw)}"
            for group, mw in sorted(row.fuel.items(), key=lambda item: -item[1])
            if group in nem.FUEL_GROUP_BY_ID
        )
        at = f"at {numbers.clock(moment)} NEM time"
        _describe(self.stack, f"Generation by fuel in {scope} {at}: {fuels}; demand {numbers.megawatts(row.demand)}")  # fmt: skip
        prices = ", ".join(
            f"{nem.REGION_BY_CODE[code].label} {numbers.dollars(store.row(moment, code).price)}"
            for code in nem.NEM_REGIONS
        )
        _describe(self.price, f"Price by region {at}, $/MWh: {prices}")
        self._label_prices()
        self._mark_extremes()

    def _label_prices(self) -> None:
        """Label the price axis for what is drawn now; an unchanged range sends nothing."""
        drawn = (p for code in nem.NEM_REGIONS for p in self._price.source.data[code])
        ticks: dict[float | str, str | BaseText] = {
            series.bend(price): numbers.grouped(price) for price in series.price_ticks(drawn)
        }
        if ticks != self.price.yaxis[0].major_label_overrides:
            self.price.yaxis.ticker = FixedTicker(ticks=[float(place) for place in ticks])
            self.price.yaxis.major_label_overrides = ticks

    def _mark_extremes(self) -> None:
        """Mark the highest and the lowest price of what is drawn now; those that stay where they are send nothing."""
        drawn: Mapping[str, Any] = self._price.source.data
        changes = series.changes(self._extremes.data, series.extremes(drawn))
        if changes:
            self._extremes.patch(changes)


def _add(plot: figure, source: ColumnDataSource, glyph: Glyph) -> "GlyphRenderer[Any]":
    """Draw a glyph; `figure`'s own methods make four more for states that no chart has here."""
    return plot.add_glyph(source, glyph, nonselection_glyph=None, muted_glyph=None)


def _describe(plot: figure, text: str) -> None:
    attributes: Mapping[str, str] = plot.html_attributes
    plot.html_attributes = {**attributes, "aria-label": text}


def _by_region(store: Store, times: Sequence[datetime]) -> dict[str, Sequence[Row]]:
    return {code: store.rows(code, times) for code in nem.NEM_REGIONS}
