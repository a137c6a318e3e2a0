"""One browser's page: it remembers what it has drawn and pulls from the store what came since."""

from collections.abc import Callable
from datetime import datetime

import msgspec
import panel as pn
from bokeh.document import Document

from energydash import nem
from energydash.ui import bundled, freshness, numbers
from energydash.ui.charts import Charts
from energydash.ui.components import Cards, FuelList, StatusBar
from energydash.ui.explore.reading import Reading
from energydash.ui.explore.view import Explore
from energydash.ui.map import Map
from energydash.ui.store import Store
from energydash.ui.theme import PALETTES, Mode, css

THEME_COOKIE = "energydash_theme"
_SCOPES = (nem.NETWORK, *nem.NEM_REGIONS)


class Session:
    """The views of one browser and what they have seen of the store."""

    def __init__(
        self,
        store: Store,
        mode: Mode | None,
        tiles: str | None,
        reading: Reading | None = None,
    ) -> None:
        self._store = store
        self._seen = -1
        self._seen_catalogue = -1
        self._waiting = False
        self._told: tuple[freshness.Facts, datetime | None] | None = None
        palette = PALETTES[mode or "light"]
        self._status = StatusBar(theme=mode or "", sizing_mode="stretch_width")
        self._cards = Cards(scope=nem.NETWORK, sizing_mode="stretch_width")
        self._fuels = FuelList(sizing_mode="stretch_width")
        self._map = Map(palette, tiles)
        self._charts = Charts()
        self._explore = Explore(store, palette, reading)
        self._paint(mode or "light")
        self._status.param.watch(lambda event: self._paint(event.new), "theme")
        self._cards.param.watch(lambda _: self._rescope(), "scope")
        self.pull()

    @property
    def scope(self) -> str:
        """The network or the region that this browser looks at."""
        chosen = self._cards.scope
        return chosen if chosen in _SCOPES else nem.NETWORK

    @property
    def _region(self) -> str | None:
        return None if self.scope == nem.NETWORK else self.scope

    def page(self, mode: Mode | None) -> pn.Template:
        """Give the document."""
        tabs = pn.Tabs(
            ("Map", self._map.view()),
            ("Explore", self._explore.view),
            dynamic=True,
            sizing_mode="stretch_both",
            stylesheets=[bundled.text("tabs.css")],
        )
        tabs.param.watch(
            lambda event: self._explore.draw() if event.new == 1 else None, "active"
        )
        template = pn.Template(bundled.text("page.html"))
        for name, view in (
            ("status", self._status),
            ("cards", self._cards),
            ("fuels", self._fuels),
            ("where", tabs),
            ("stack", pn.pane.Bokeh(self._charts.stack, sizing_mode="stretch_both")),
            ("price", pn.pane.Bokeh(self._charts.price, sizing_mode="stretch_both")),
        ):
            template.add_panel(name, view)
        for name, value in (
            ("theme_css", css()),
            ("page_css", bundled.text("page.css")),
            ("favicon", "assets/favicon.svg"),
            ("regions", [(code, nem.REGION_BY_CODE[code].label) for code in nem.NEM_REGIONS]),
            ("html_attrs", f'data-theme="{mode}"' if mode else ""),
        ):
            template.add_variable(name, value)
        return template

    def wake(self, document: Document) -> None:
        """Ask for a `pull` under the document's lock; further calls before it are one with it."""
        if self._waiting:
            return
        self._waiting = True
        document.add_next_tick_callback(self._pull_once)

    def _pull_once(self) -> None:
        self._waiting = False
        # In one message, so that the map, the numbers and the charts show the same interval.
        with pn.io.hold():
            self.pull()

    def pull(self) -> None:
        """Draw what changed in the store since the last time."""
        store, seen = self._store, self._seen
        if store.version == seen:
            return
        self._seen = store.version
        times = store.times_changed(seen)
        if store.catalogue_version != self._seen_catalogue:
            self._seen_catalogue = store.catalogue_version
            self._map.show(store, self._region)
        else:
            # With time, a silent station's last value grows old: then all are looked at.
            self._map.refresh(store, store.readings if times else store.changed(seen))
        self._charts.refresh(store, self.scope, times)
        if times:
            self._number()
        self._tell()

    def _number(self) -> None:
        """Fill the cards and the fuel list."""
        store = self._store
        moment = store.shown_time
        if moment is None:
            return
        self._map.price(store)
        self._cards.cards = [
            msgspec.to_builtins(numbers.card(s, store.row(moment, s), store.rows(s)))
            for s in _SCOPES
        ]
        region = nem.REGION_BY_CODE.get(self.scope)
        where = region.name if region else "the NEM"
        self._fuels.title = f"{where[0].upper()}{where[1:]} at {numbers.clock(moment)}"
        self._fuels.fuels = msgspec.to_builtins(
            numbers.fuel_rows(store.row(moment, self.scope))
        )

    def _tell(self) -> None:
        facts = freshness.facts(self._store, nem.now())
        # The page counts the seconds itself; it hears only what it cannot know.
        news = msgspec.structs.replace(facts, age_s=None, interval_age_min=None)
        last = self._store.status.last_record_at if self._store.status else None
        if (news, last) != self._told:
            self._told = (news, last)
            self._status.facts = msgspec.to_builtins(facts)

    def _rescope(self) -> None:
        mode = self._mode()
        self._map.restyle(self._store, self._region)
        self._charts.paint(PALETTES[mode], self.scope)
        self._charts.show(self._store, self.scope)
        self._number()

    def _mode(self) -> Mode:
        return "dark" if self._status.theme == "dark" else "light"

    def _paint(self, theme: str) -> None:
        palette = PALETTES["dark" if theme == "dark" else "light"]
        self._map.paint(palette)
        self._map.restyle(self._store, self._region)
        self._charts.paint(palette, self.scope)
        self._explore.paint(palette)


def mode_from_cookie(cookies: Callable[[str], str | None]) -> Mode | None:
    """Give the theme that this browser chose before, if any."""
    match cookies(THEME_COOKIE):
        case "dark":
            return "dark"
        case "light":
            return "light"
    return None
