"""What lies beneath the stations: the states, their names with price and net import, and the shade of each region."""

from datetime import datetime
from typing import Any

from bokeh.core.properties import value
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

from energydash import nem
from energydash.ui import geography, numbers, shades
from energydash.ui.address import ShadeId
from energydash.ui.store import Row, Store
from energydash.ui.theme import FONT, Palette


class Ground:
    """The lowest layer of one session's map; updates patch."""

    def __init__(self, plot: figure, *, tiles: bool) -> None:
        self.shade: ShadeId = ""
        self._states = ColumnDataSource(_outlines())
        self._names = ColumnDataSource(named())
        self._land = plot.multi_polygons(
            xs="xs", ys="ys", source=self._states, line_width=1, fill_color="ground",
            fill_alpha=0.35 if tiles else 1.0, nonselection_alpha=1.0,
        )  # fmt: skip
        self._texts = plot.text(
            "x", "y", "text", source=self._names, text_font=value(FONT), text_font_size="12px", text_align="center",
            text_font_style="bold", text_baseline="middle", text_line_height=1.2, nonselection_text_alpha=1.0,
        )  # fmt: skip

    def paint(self, palette: Palette) -> None:
        """Take another theme's colours; `draw` then shades the regions anew."""
        self._land.glyph.line_color = palette.border
        self._texts.glyph.text_color = palette.muted
        plain = [(i, palette.land) for i in range(len(self._states.data["region"]))]
        self._states.patch({"ground": plain})

    def draw(self, store: Store, moment: datetime, palette: Palette) -> None:
        """Write what each region pays, and imports where no interconnector tells, and shade it."""
        rows = {code: store.row(moment, code) for code in nem.REGION_BY_CODE}
        _patch(self._names, "text", texts(store, moment))
        # Ink where the ground is not the land's own: muted type would be too weak on it.
        ink = palette.ink if self.shade else palette.muted
        if self._texts.glyph.text_color != ink:
            self._texts.glyph.text_color = ink
        nothing = Row(fuel={})
        grounds = [
            shades.ground(self.shade, rows.get(code, nothing), palette)
            for code in self._states.data["region"]
        ]
        _patch(self._states, "ground", grounds)


def _patch(source: ColumnDataSource, column: str, values: list[str]) -> None:
    was = source.data[column]
    changes = [(i, new) for i, new in enumerate(values) if was[i] != new]
    if changes:
        source.patch({column: changes})


def texts(store: Store, moment: datetime) -> list[str]:
    """Give what is written on each region: what it pays, and imports where no interconnector tells."""
    told = bool(store.flows(moment))
    return [_text(each, store.row(moment, each.code), told=told) for each in nem.REGIONS]


def _text(region: nem.Region, row: Row, *, told: bool) -> str:
    lines = [region.label]
    if row.price is not None:
        lines.append(numbers.dollars(row.price))
    if not told and row.net_import is not None:
        lines.append(numbers.flow(row.net_import))
    return "\n".join(lines)


def named() -> dict[str, list[Any]]:
    """Give the columns of the regions' names."""
    points = [geography.mercator(each.longitude, each.latitude) for each in nem.REGIONS]
    return {
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "text": [each.label for each in nem.REGIONS],
    }


def _outlines() -> dict[str, list[Any]]:
    xs, ys = [], []
    for rings in geography.states().values():
        points = [[geography.mercator(*point) for point in ring] for ring in rings]
        xs.append([[[x for x, _ in ring]] for ring in points])
        ys.append([[[y for _, y in ring]] for ring in points])
    regions = list(geography.states())
    return {"xs": xs, "ys": ys, "region": regions, "ground": [""] * len(regions)}
