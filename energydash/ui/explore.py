"""Where people explore the day: any metric by region, against time, as a duration curve, or against another metric."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import holoviews as hv
import panel as pn
from bokeh.plotting import figure

from energydash import nem
from energydash.ui import bundled, series
from energydash.ui.store import Row, Store
from energydash.ui.theme import FONT, Palette, paint, settle

hv.extension("bokeh")

_Value = Callable[[Row], float | None]

METRICS: dict[str, tuple[str, _Value]] = {
    "Price": ("$/MWh", lambda row: row.price),
    "Demand": ("MW", lambda row: row.demand),
    "Generation": ("MW", lambda row: row.generation),
    "Renewable share": (
        "%",
        lambda row: None if row.renewable_share is None else 100 * row.renewable_share,
    ),
    "Emissions intensity": ("t/MWh", lambda row: row.emissions_intensity),
    "Net import": ("MW", lambda row: row.net_import),
}
AGAINST_TIME = "over time"
DURATION = "duration curve"
AGAINST_RENEWABLES = "against renewable share"
_LOOKS = [bundled.text("widgets.css")]
FORMS = (AGAINST_TIME, DURATION, AGAINST_RENEWABLES)


def duration(values: Sequence[float | None]) -> list[tuple[float, float]]:
    """Give (share of the time in %, value): how long a value was reached or exceeded. Missing ones left out."""
    known = sorted((v for v in values if v is not None), reverse=True)
    return [(100 * (i + 1) / len(known), value) for i, value in enumerate(known)]


def points(
    form: str, value_of: _Value, times: Sequence[datetime], rows: Sequence[Row]
) -> list[tuple[datetime | float, float]]:
    """Give a region's points in one of the `FORMS`; a missing value breaks a line over time."""
    values = [value_of(row) for row in rows]
    if form == DURATION:
        return list(duration(values))
    if form == AGAINST_RENEWABLES:
        share = METRICS["Renewable share"][1]
        return [
            (x, y) for row, y in zip(rows, values, strict=True)
            if (x := share(row)) is not None and y is not None
        ]  # fmt: skip
    local = [
        datetime.fromtimestamp(series.wall_ms(t) / 1000, UTC).replace(tzinfo=None)
        for t in times
    ]
    return [(t, math.nan if v is None else v) for t, v in zip(local, values, strict=True)]


class Explore:
    """One session's view of the history; drawn when it is opened and when a choice is made, never by the stream."""

    def __init__(self, store: Store, palette: Palette) -> None:
        self._store = store
        self._palette = palette
        self._metric = pn.widgets.Select(
            label="Metric", options=list(METRICS), width=190, stylesheets=_LOOKS
        )
        self._form = pn.widgets.RadioButtonGroup(
            label="Form", options=list(FORMS), align="end", stylesheets=_LOOKS
        )
        self._again = pn.widgets.Button(
            label="Take in the newest", width=150, align="end", stylesheets=_LOOKS
        )
        self._pane = pn.pane.HoloViews(sizing_mode="stretch_both", min_height=300)
        for widget in (self._metric, self._form):
            widget.param.watch(lambda _: self.draw(), "value")
        self._again.on_click(lambda _: self.draw())
        self.view = pn.Column(
            pn.FlexBox(
                self._metric, self._form, self._again, margin=(44, 8, 0, 8), align_items="end"
            ),
            self._pane,
            sizing_mode="stretch_both",
        )

    def paint(self, palette: Palette) -> None:
        """Take another theme."""
        self._palette = palette
        if self._pane.object is not None:
            self.draw()

    def draw(self) -> None:
        """Draw the choice from what is known now."""
        self._pane.object = self.plot(self._metric.value, self._form.value)

    def plot(self, metric: str, form: str) -> hv.NdOverlay:
        """Give every region's curve (or points) of a metric."""
        unit, value_of = METRICS[metric]
        times = list(self._store.times)
        element = hv.Points if form == AGAINST_RENEWABLES else hv.Curve
        x_label = {
            AGAINST_TIME: "NEM time (UTC+10)",
            DURATION: "share of the time, %",
            AGAINST_RENEWABLES: "renewable share, %",
        }[form]
        parts = {}
        for code in nem.NEM_REGIONS:
            found = points(form, value_of, times, self._store.rows(code))
            colour = self._palette.regions[code]
            dimensions = (
                {"kdims": ["x", "y"]}
                if element is hv.Points
                else {"kdims": ["x"], "vdims": ["y"]}
            )
            parts[nem.REGION_BY_CODE[code].label] = element(found, **dimensions).opts(
                color=colour
            )
        return hv.NdOverlay(parts, kdims=["region"]).opts(
            hv.opts.Curve(line_width=1.8, tools=["hover"], responsive=True, min_height=300),
            hv.opts.Points(size=5, alpha=0.7, tools=["hover"], responsive=True, min_height=300),
            hv.opts.NdOverlay(
                responsive=True, min_height=300, legend_position="top", xlabel=x_label,
                ylabel=f"{metric}, {unit}", hooks=[self._finish],
            ),
        )  # fmt: skip

    def _finish(self, plot: object, _: object) -> None:
        state: figure = plot.state  # type: ignore[attr-defined]
        settle(state)
        paint(state, self._palette)
        for legend in state.legend:
            legend.background_fill_color = self._palette.panel
            legend.label_text_color = self._palette.ink
            legend.border_line_color = None
            legend.title = ""
            legend.orientation = "horizontal"
            legend.label_text_font = FONT
            legend.label_text_font_size = "12px"
