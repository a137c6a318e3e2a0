"""The five pictures of an answer, drawn by HoloViews in the page's colours."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, cast

import holoviews as hv
import numpy as np
import pandas as pd  # noqa: F401 (see below)
from bokeh.events import RangesUpdate
from bokeh.models import (
    FixedTicker,
    HoverTool,
    NoOverlap,
    NumeralTickFormatter,
    Range1d,
    WheelZoomTool,
)
from bokeh.models.annotations import ColorBar, Title
from bokeh.plotting import figure

from energydash.files.tracks import METRICS, Numbers
from energydash.ui import numbers, series
from energydash.ui.explore import shapes
from energydash.ui.explore.looks import Look, Subject
from energydash.ui.theme import FONT, Palette, paint, settle, tip

# HoloViews would import pandas with its first plot, in a thread, and Bokeh in another would use the half of it that is
# there: so it comes with this module, before anybody is served.
hv.extension("bokeh", logo=False)

DRAWING = Lock()
"""Hold it while a plot is made and put into its pane: HoloViews keeps options for the whole process, and no lock."""

HEIGHT = 170
_WHEN = "@time{%a %d %b %H:%M} NEM time"
_TOOLS = ["xpan", "xwheel_zoom", "xbox_zoom", "reset", "save"]
# Colours follow these shares of the values, so that one spike does not make all else look alike.
_COLOUR_SHARES = (0.02, 0.98)
_PRICE = "price"
# Readable on light and dark alike, and by who sees few hues.
_COLOURS = "cividis"


class Plots:
    """Draws in one theme; the time axis is shared by the plots that have one."""

    def __init__(
        self, palette: Palette, time_range: Range1d, zoomed: Callable[[RangesUpdate], None]
    ) -> None:
        self._palette = palette
        self._time = time_range
        self._zoomed = zoomed

    def over_time(self, subject: Subject) -> hv.Overlay:
        """Give the lines over time."""
        lines = shapes.lines(subject.tracks.tracks, subject.tracks, subject.every_ms)
        times = lines.times.astype("datetime64[ms]")
        points = [(times, values) for values in lines.columns]
        tips = (_WHEN, ("$name", _value(subject.metric)))
        metric = METRICS[subject.metric]
        title = f"Over time: {metric.label.lower()}, {metric.unit}"
        return self._curves(subject, points, "time", title, tips, self._share_time)

    def duration(self, subject: Subject) -> hv.Overlay:
        """Give the duration curves."""
        lines = shapes.lines(subject.tracks.tracks, subject.tracks, subject.every_ms)
        points = [shapes.duration(values) for values in lines.columns]
        tips = ("at least this, @share{0.0} % of the time", ("$name", _value(subject.metric)))
        title = f"Duration curve: {METRICS[subject.metric].unit} by % of the time"
        return self._curves(subject, points, "share", title, tips)

    def profile(self, subject: Subject) -> hv.Overlay:
        """Give the mean days."""
        points = [shapes.profile(track, subject.tracks) for track in subject.tracks.tracks]
        tips = ("@hour{00.0} h, mean of all days", ("$name", _value(subject.metric)))
        title = f"Daily profile: mean {METRICS[subject.metric].unit} by hour"
        return self._curves(subject, points, "hour", title, tips)

    def heat(self, subject: Subject, which: int) -> hv.Image:
        """Give a line's values by day and time of day."""
        metric = METRICS[subject.metric]
        found = shapes.heat(subject.tracks.tracks[which], subject.tracks)
        first = np.datetime64(found.first_day, "ms")
        edges = (first, 0, first + np.timedelta64(found.days, "D"), 24)
        known = found.cells[~np.isnan(found.cells)]
        low, high = np.quantile(known, _COLOUR_SHARES) if known.size else (0.0, 1.0)
        hover = HoverTool(
            tooltips=tip("@image{0,0.00} " + metric.unit, ("hour", "$y{0.0} NEM time"))
        )
        return hv.Image(
            found.cells[::-1], bounds=edges, kdims=["time", "hour"], vdims=[subject.metric]
        ).opts(
            cmap=_COLOURS, clim=(float(low), float(max(high, low + 1e-9))), colorbar=True, colorbar_opts={"title": ""}, tools=[hover],
            default_tools=_TOOLS, active_tools=["xwheel_zoom"], responsive=True, min_height=HEIGHT, ylim=(0, 24), yticks=[0, 6, 12, 18, 24],
            title=f"Time of day: {subject.looks[which].label}, {metric.unit}",
            hooks=[self._finish, self._share_time, _finish_bar(self._palette)],
        )  # fmt: skip

    def scatter(self, subject: Subject) -> hv.Overlay:
        """Give prices against renewable shares, a point for each step."""
        tracks = subject.tracks
        prices = shapes.lines(tracks.prices, tracks, subject.every_ms).columns
        shares = shapes.lines(tracks.renewables, tracks, subject.every_ms).columns
        parts, known = [], []
        for x, y, look in zip(shares, prices, subject.scope_looks, strict=True):
            share, price = shapes.against(x, y)
            points = hv.Points((share, _bent(price)), ["share", "place"])
            known.append(price)
            parts.append(points.opts(color=look.colour, size=4, alpha=0.55))
        tips = ("@share{0.0} % renewable", ("$name", _value(_PRICE)))
        return self._overlay(parts).opts(
            hv.opts.Overlay(
                title="Price against renewables, $/MWh by %",
                hooks=[self._finish, _name(subject.scope_looks, tips, known), _bend_axis(prices)], **_frame(),
            )
        )  # fmt: skip

    def _curves(
        self,
        subject: Subject,
        points: Sequence[tuple[Any, Numbers]],
        across: str,
        title: str,
        tips: tuple[str, tuple[str, str]],
        *hooks: Callable[[Any, Any], None],
    ) -> hv.Overlay:
        bent = subject.metric == _PRICE
        parts = [
            hv.Curve((x, _bent(y) if bent else y), [across], ["place"]).opts(
                color=look.colour, line_dash=look.dash, line_width=1.6
            )
            for (x, y), look in zip(points, subject.looks, strict=True)
        ]
        axis = (_bend_axis([y for _, y in points]),) if bent else ()
        return self._overlay(parts).opts(
            hv.opts.Overlay(
                title=title,
                hooks=[self._finish, _name(subject.looks, tips, [y for _, y in points]), *hooks, *axis], **_frame(),
            )
        )  # fmt: skip

    @staticmethod
    def _overlay(parts: Sequence[Any]) -> hv.Overlay:
        # Not an NdOverlay: of many elements it makes one, in which all points have one colour.
        return hv.Overlay(list(parts))

    def _share_time(self, plot: Any, _: object) -> None:
        state: figure = plot.state
        state.x_range = self._time
        plot.handles["x_range"] = self._time
        state.on_event(RangesUpdate, self._zoomed)  # type: ignore[arg-type]

    def _finish(self, plot: Any, _: object) -> None:
        state: figure = plot.state
        settle(state)
        paint(state, self._palette)
        title = cast("Title", state.title)
        title.text_color = self._palette.ink
        title.text_font = FONT
        title.text_font_size = "12.5px"
        state.html_attributes = {"role": "img", "aria-label": str(title.text)}
        # The title says what the axes are, and leaves their room to the picture.
        for axis in (*state.xaxis, *state.yaxis):
            axis.axis_label = None
            axis.major_label_policy = NoOverlap()
        for axis in state.yaxis:
            if not isinstance(axis.formatter, NumeralTickFormatter):
                axis.formatter = NumeralTickFormatter(format="0,0.[00]")
        state.toolbar.active_scroll = next(
            t for t in state.tools if isinstance(t, WheelZoomTool)
        )


def _frame() -> dict[str, Any]:
    return {
        "responsive": True, "min_height": HEIGHT, "show_legend": False, "default_tools": _TOOLS, "active_tools": ["xwheel_zoom"],
    }  # fmt: skip


def _value(metric: str) -> str:
    return "@value{0,0.00} " + METRICS[metric].unit


def _bent(prices: Numbers) -> Numbers:
    return np.array([series.bend(price) for price in prices.tolist()], float)


def _name(
    looks: Sequence[Look], tips: tuple[str, tuple[str, str]], values: Sequence[Numbers]
) -> Callable[[Any, Any], None]:
    """Let the hover card name the line and its value.

    As a renderer's name, the line's name is put in as text, whatever is in it. The value is not where the line is drawn if the axis
    is bent, and HoloViews leaves out a column that it does not draw.
    """

    def hook(plot: Any, _: object) -> None:
        drawn = [each.handles["glyph_renderer"] for each in plot.subplots.values()]
        for renderer, look, column in zip(drawn, looks, values, strict=True):
            renderer.name = look.label
            renderer.data_source.data["value"] = column
            renderer.nonselection_glyph = renderer.selection_glyph = renderer.muted_glyph = None
            renderer.view = drawn[0].view
        plot.state.add_tools(
            HoverTool(
                renderers=drawn, tooltips=tip(*tips), formatters={"@time": "datetime"}, show_arrow=False
            )
        )  # fmt: skip

    return hook


def _bend_axis(prices: Sequence[Numbers]) -> Callable[[Any, Any], None]:
    """Label the bent axis with prices."""

    def hook(plot: Any, _: object) -> None:
        drawn = np.concatenate(prices) if len(prices) else np.empty(0)
        ends = [] if np.isnan(drawn).all() else [np.nanmin(drawn), np.nanmax(drawn)]
        ticks = {series.bend(p): numbers.grouped(p) for p in series.price_ticks(ends)}
        plot.state.yaxis.ticker = FixedTicker(ticks=list(ticks))
        plot.state.yaxis.major_label_overrides = ticks

    return hook


def _finish_bar(palette: Palette) -> Callable[[Any, Any], None]:
    def hook(plot: Any, _: object) -> None:
        for bar in plot.state.select(ColorBar):
            bar.background_fill_color = palette.panel
            bar.major_label_text_color = palette.muted
            bar.major_label_text_font = FONT
            bar.formatter = NumeralTickFormatter(format="0,0.[00]")
            bar.width = 8
            bar.title = None
            bar.padding = 2
            bar.bar_line_color = bar.major_tick_line_color = None

    return hook
