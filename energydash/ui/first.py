"""The first view: what is known when the document is written, for the browser to paint before the live page stands. Pure.

It is the parts' own values and the map's own looks. Colours are names of the page's CSS variables: the browser knows its theme.
"""

from functools import cache
from typing import Any

import msgspec

from energydash import nem
from energydash.ui import arrows, bundled, flows, geography, ground, marks
from energydash.ui.address import Look
from energydash.ui.map import EXTENT, placed
from energydash.ui.panes import Panes
from energydash.ui.selection import Choice
from energydash.ui.store import Store
from energydash.ui.theme import PALETTES, Palette

PARTS = {
    "status": "status", "cards": "cards", "toolbar": "toolbar", "fuels": "fuels", "today": "today", "time": "timebar",
}  # fmt: skip
"""The parts that are painted at first, and their files."""

_USUAL = PALETTES["light"]
# Outlines in whole kilometres: a pixel is three of them.
_KM = 1000
_NAMES: Palette = msgspec.structs.replace(
    _USUAL,
    **{name: f"--{name}" for name in ("page", "panel", "ink", "muted", "line", "sea", "land", "accent", "flow", "limit")},
    border="--coast", control="--edge", no_data="--no-data",
    regions={code: f"--region-{code}" for code in _USUAL.regions},
    fuels={group: f"--fuel-{group}" for group in _USUAL.fuels},
    rings={group: f"--ring-{group}" for group in _USUAL.fuels}, rims={group: f"--rim-{group}" for group in _USUAL.fuels},
)  # fmt: skip


@cache
def script() -> str:
    """Give what paints it: the parts' own modules, and the map."""
    own = ",".join(
        f"{name}: (() => {{ {bundled.text(f'{file}.js').replace('export function', 'function')}\nreturn render }})()"
        for name, file in PARTS.items()
    )
    styles = {name: bundled.text("parts.css") + bundled.text(f"{file}.css") for name, file in PARTS.items()}  # fmt: skip
    styles["where"] = bundled.text("legend.css")
    fixed = {"styles": styles, "land": _land(), "extent": EXTENT}
    return f"{bundled.text('first.js')}\nfirst({{ {own} }}, {_json(fixed)}, told)"


def told(store: Store, look: Look) -> str:
    """Give its values as JSON; "null" where the page shows something else at first, or there is nothing to show."""
    shown = store.shown_time
    other = look.tab != "map" or look.moment or look.facility or look.shade
    if shown is None or other or not store.facilities:
        return "null"
    key = (store.state_of(shown), look)
    parts, picture = store.once("first", key, lambda: _view(store, look))
    # How old it is changes by itself.
    panes = Panes(store, "", "", "")
    panes.tell()
    return _json({"parts": {**parts, "status": _values(panes.status)}, "map": picture})


def _view(store: Store, look: Look) -> tuple[dict[str, Any], dict[str, Any]]:
    shown = store.shown_time or nem.now()
    choice = Choice(store, look.selection)
    panes = Panes(store, "", "", "")
    panes.look(look)
    panes.choose(choice)
    panes.number(shown, choice.row(shown), choice)
    panes.sum_up(shown, choice)
    panes.clock(shown, past=False)
    parts = {name: _values(getattr(panes, name)) for name in PARTS}
    return parts, _picture(store, look, choice)


def _values(part: Any) -> dict[str, Any]:
    own = type(part).__dict__.keys() & set(part.param)
    return {name: getattr(part, name) for name in own}


def _picture(store: Store, look: Look, choice: Choice) -> dict[str, Any]:
    shown = store.shown_time or nem.now()
    instant, now, codes = store.instant(shown), store.flows(shown), set(choice.codes)
    there = placed(store)
    circles = []
    for facility, longitude, latitude in there:
        reading = instant.of(facility.code)
        newest = reading is not None and reading.event_time == instant.moment
        each = marks.mark(facility, reading, _NAMES, in_scope=facility.code in codes, newest=newest, metric=look.metric)  # fmt: skip
        x, y = geography.mercator(longitude, latitude)
        circles.append([
            round(x), round(y), round(each.size, 2), each.color, each.fill_alpha, each.line_color, each.line_alpha, each.line_width,
        ])  # fmt: skip
    names = ground.named()
    names["text"] = ground.texts(store, shown)
    told: flows.Told = "links" if now else "regions" if store.row(shown, nem.NETWORK).net_import is not None else ""  # fmt: skip
    return {
        "circles": circles,
        "names": names,
        "arrows": arrows.columns(flows.arrows(now), _NAMES),
        "labels": arrows.texts(flows.labels(now), _NAMES, shaded=False),
        "legend": flows.legend(told) + marks.legend(look.metric, len(store.facilities) - len(there)),
    }  # fmt: skip


@cache
def _land() -> list[list[list[int]]]:
    return [
        [[round(metres / _KM) for point in ring for metres in geography.mercator(*point)] for ring in rings]
        for rings in geography.states().values()
    ]  # fmt: skip


def _json(value: object) -> str:
    # Within a script element, so that nothing in it may end that.
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")
