"""The arrows between the regions on the map: one for each interconnector; updates patch, never rebuild."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, HoverTool
from bokeh.plotting import figure

from energydash.ui import flows, series
from energydash.ui.series import NAN
from energydash.ui.store import Flow
from energydash.ui.theme import FONT, Palette, tip

_TOOLTIP = tip("<b>@title</b><br>@words", ("", "@used"))
_HEAD_PX = 9.0
# What is not a number in a place where nothing flows; it is nowhere, so that no colour of it is seen.
_NOTHING: dict[str, str | float] = {
    "title": "", "words": "", "used": "", "label": "", "align": "left", "paint": "#000000", "edge": "#000000", "ink": "#000000",
    "angle": 0.0, "width_px": 0.0, "head_px": 0.0,
}  # fmt: skip


class Arrows:
    """The glyphs of one session's map; nothing is there until `draw` is told of a flow."""

    def __init__(self, plot: figure, palette: Palette) -> None:
        self._palette = palette
        self.source = _places("link", flows.LINKS, columns([], palette))
        borders = [_border(ends) for ends in flows.BORDERS]
        self.labels = _places("between", borders, texts([], palette, shaded=False))
        self._flows: Mapping[str, Flow] = {}
        self._shaded = False
        shafts = plot.segment(
            "x0", "y0", "x1", "y1", source=self.source, line_width="width_px", line_color="paint", line_cap="round",
        )  # fmt: skip
        plot.scatter(
            "x1", "y1", marker="triangle", size="head_px", angle="angle", source=self.source,
            fill_color="paint", line_color="edge", line_width=1.5,
        )  # fmt: skip
        plot.text(
            "label_x", "label_y", "label", source=self.labels, text_align="align", text_baseline="middle", text_color="ink",
            text_font=value(FONT), text_font_size="11px", text_font_style="bold", text_line_height=1.2,
        )  # fmt: skip
        # Of the shafts alone, for where the head is the shaft is too, and one card is enough.
        plot.add_tools(
            HoverTool(renderers=[shafts], tooltips=_TOOLTIP, limit=1, show_arrow=False)
        )

    def paint(self, palette: Palette) -> None:
        """Take another theme's colours."""
        self._palette = palette
        self._show()

    def draw(self, now: Mapping[str, Flow], *, shaded: bool) -> None:
        """Show what flows, and patch what differs from before; on a `shaded` ground labels are of ink, to be read on any shade."""
        if (now, shaded) != (self._flows, self._shaded):
            self._flows, self._shaded = now, shaded
            self._show()

    def _show(self) -> None:
        _put(self.source, "link", columns(flows.arrows(self._flows), self._palette))
        _put(
            self.labels,
            "between",
            texts(flows.labels(self._flows), self._palette, shaded=self._shaded),
        )


def _put(source: ColumnDataSource, key: str, columns: dict[str, list[Any]]) -> None:
    """Put each row where its key has its place; places without a row are empty.

    Rows stay the same as long as no key is new, because BokehJS may paint between new rows and their colours and widths, and
    then finds fewer of those than rows.
    """
    known: list[str] = list(source.data[key])
    new = [each for each in columns[key] if each not in known]
    keys = known + new
    rows = {name: _empty(name, len(keys)) for name in columns}
    for i, each in enumerate(columns[key]):
        place = keys.index(each)
        for name, values in columns.items():
            rows[name][place] = values[i]
    rows[key] = keys
    if new:
        source.data = rows
        return
    changed = series.changes(source.data, rows)
    if changed:
        source.patch(changed)


def _empty(name: str, length: int) -> list[Any]:
    return [_NOTHING.get(name, NAN)] * length


def _places(key: str, keys: Sequence[str], columns: dict[str, list[Any]]) -> ColumnDataSource:
    """Give a source with a place for each of the keys, all of them empty."""
    empty = {name: _empty(name, len(keys)) for name in columns}
    return ColumnDataSource(empty | {key: list(keys)})


def columns(arrows: list[flows.Arrow], palette: Palette) -> dict[str, list[Any]]:
    """Give the columns of the arrows themselves."""
    return {
        "link": [each.link for each in arrows],
        "title": [each.title for each in arrows],
        "words": [each.words for each in arrows],
        "used": [each.used for each in arrows],
        "x0": [each.start[0] for each in arrows],
        "y0": [each.start[1] for each in arrows],
        "x1": [each.end[0] for each in arrows],
        "y1": [each.end[1] for each in arrows],
        "angle": [each.angle for each in arrows],
        "width_px": [each.width_px for each in arrows],
        "head_px": [_HEAD_PX + 1.4 * each.width_px if each.flowing else 0.0 for each in arrows],
        "paint": [_paint(palette, at_limit=each.at_limit) for each in arrows],
        # What is at its limit has a rim, too: colour alone does not tell everybody.
        "edge": [_edge(palette, at_limit=each.at_limit) for each in arrows],
    }


def texts(labels: list[flows.Label], palette: Palette, *, shaded: bool) -> dict[str, list[Any]]:
    """Give the columns of what is written beside them."""
    return {
        "between": [_border(each.ends) for each in labels],
        "label_x": [each.place[0] for each in labels],
        "label_y": [each.place[1] for each in labels],
        "label": [each.text for each in labels],
        "align": [each.align for each in labels],
        "ink": [
            palette.ink if shaded else _paint(palette, at_limit=each.at_limit)
            for each in labels
        ],
    }


def _border(ends: Collection[str]) -> str:
    return "-".join(sorted(ends))


def _paint(palette: Palette, *, at_limit: bool) -> str:
    return palette.limit if at_limit else palette.flow


def _edge(palette: Palette, *, at_limit: bool) -> str:
    return palette.ink if at_limit else palette.flow
