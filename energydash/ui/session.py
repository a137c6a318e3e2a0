"""One browser's page: it remembers what its reader chose and what it has drawn, and pulls from the store what came since."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import panel as pn
from bokeh.document import Document

from energydash.alerting import Rules
from energydash.ui import (
    actions,
    address,
    layout,
    pictures,
    sheets,
    station,
    turns,
)
from energydash.ui.address import TABS, Look
from energydash.ui.alerts import Watch
from energydash.ui.charts import Charts
from energydash.ui.explore.reading import Reading
from energydash.ui.explore.view import Explore
from energydash.ui.hues import Colours
from energydash.ui.map import Map, Share
from energydash.ui.panes import FULL, Panes
from energydash.ui.past import Instant
from energydash.ui.selection import Choice
from energydash.ui.store import Store
from energydash.ui.theme import Mode, Palette, palette


class Session:
    """The views of one browser and what they have seen of the store."""

    def __init__(
        self,
        store: Store,
        look: Look,
        mode: Mode | None,
        *,
        colours: Colours = "usual",
        notices: Sequence[str] = (),
        tiles: str | None = None,
        reading: Reading | None = None,
        watch: Watch | None = None,
    ) -> None:
        look, unfit = address.fit(look, store.by_code, store.times)
        self._store = store
        self._look = look
        self._choice = Choice(store, look.selection)
        self._watch = watch or Watch(store, Rules())
        self._seen = -1
        self._seen_catalogue = -1
        # Where the day began when it was last looked at.
        self._oldest: datetime | None = None
        self._drawn: object = None
        self._beneath: list[str] = []
        self._waiting = False
        self._mode: Mode = mode or "light"
        self._colours: Colours = colours
        self._query = address.to_query(look)
        self._entries = 0
        self._panes = Panes(store, self._query, mode or "", " ".join([*notices, *unfit]))
        self._map = Map(self._palette, tiles)
        self._charts = Charts()
        self._explore = Explore(store, self._palette, reading)
        self._views = layout.views(self._map.view(), self._panes.table, self._explore.view)
        self._panes.status.colours = self._colours
        self._panes.on_action(lambda action: turns.soon(partial(self._heard, action)))
        self._panes.status.param.watch(
            lambda event: turns.soon(partial(self._paint, event.new)), "theme"
        )
        self._panes.status.param.watch(lambda _: turns.soon(self._calm), "narrow")
        self._map.on_open(lambda *clicked: turns.soon(partial(self._open, *clicked)))
        self._colour()
        self._map.measure(look.metric)
        self._map.shade(look.shade)
        self._panes.look(look)
        self.pull()
        self._panes.alert(self._watch)
        self._show_tab(look.tab)

    def place(self, document: Document) -> None:
        """Put the page's parts into its document."""
        panes = self._panes
        layout.place(
            {
                "status": panes.status,
                "cards": panes.cards,
                "toolbar": panes.toolbar,
                "where": self._views,
                "fuels": panes.fuels,
                "stack": pn.pane.Bokeh(self._charts.stack, **FULL),
                "price": pn.pane.Bokeh(self._charts.price, **FULL),
                "today": panes.today,
                "alerts": panes.alerts,
                "detail": panes.detail,
                "time": panes.time,
                "address": panes.address,
                "pictures": panes.pictures,
            },
            document,
        )

    # --- what the reader does ------------------------------------------------------------------------

    def _heard(self, action: dict[str, Any]) -> None:
        """Do what a message asks for; what makes no sense is passed over."""
        match action["do"]:
            case "csv":
                self._hand_out(str(action.get("what")))
            case "back":
                look, notices = address.from_query(str(action.get("query", "")))
                look, unfit = address.fit(look, self._store.by_code, self._store.times)
                self._panes.status.notice = " ".join([*notices, *unfit])
                # The browser is there already: to tell it once more could undo a further step of its own.
                self._query = address.to_query(look)
                self._turn(look)
            case "neighbour":
                step = -1 if action.get("step") == -1 else 1
                code = station.neighbour(self._choice.stations, self._look.facility, step)
                self._open(code, [])
            case "time":
                # The slider may be an interval behind.
                look = actions.after(self._look, action)
                self._turn(address.follow(look, self._store.times))
            case _:
                if action["do"] == "open" and not action.get("keep"):
                    self._beneath = []
                self._turn(actions.after(self._look, action))

    def _open(self, code: str, beneath: list[str]) -> None:
        self._beneath = [code, *beneath]
        self._turn(msgspec.structs.replace(self._look, facility=code))

    def _turn(self, look: Look, *, chosen: bool = True) -> None:
        """Look at something else; what the reader has not `chosen` is no step that Back should undo."""
        old, self._look = self._look, look
        if look.selection != old.selection:
            self._choice = Choice(self._store, look.selection)
        self._draw(look, old)
        query = address.to_query(look)
        if query != self._query:
            self._query = query
            # The number, because after Back the same step would be the same value, which is not sent.
            self._entries += 1
            step = chosen and address.is_step(old, look)
            self._panes.address.entry = {"query": query, "step": step, "number": self._entries}

    def _hand_out(self, what: str) -> None:
        sheet = self._explore.sheet() if self._look.tab == "explore" else self._sheet(what)
        if sheet is not None:
            self._panes.hand_out(sheet)

    def _sheet(self, what: str) -> sheets.Sheet | None:
        store, look, shown = self._store, self._look, self._moment()
        facility = store.by_code.get(look.facility)
        if shown is None:
            return None
        if what == "station" and facility:
            return sheets.station(store, look, facility)
        if what == "series":
            return sheets.series(store, look, self._choice.rows(store.times))
        return sheets.stations(store, look, self._choice.stations, store.instant(shown))

    # --- what the grid does --------------------------------------------------------------------------

    def wake(self, document: Document) -> None:
        """Ask for a `pull` under the document's lock; further calls before it are one with it."""
        if self._waiting:
            return
        self._waiting = True
        turns.take(document, self._pull_once)

    def _pull_once(self) -> None:
        self._waiting = False
        self.pull()
        self._panes.alert(self._watch)

    def pull(self) -> None:
        """Draw what changed in the store since the last time."""
        store, seen = self._store, self._seen
        if store.version == seen:
            return
        self._seen = store.version
        times = store.times_changed(seen, stations=not self._choice.selection.is_whole)
        if store.catalogue_version != self._seen_catalogue:
            self._seen_catalogue = store.catalogue_version
            self._choice = Choice(store, self._look.selection)
            self._map.show(store)
            self._panes.choose(self._choice)
            self._drawn = None
            # What was drawn before may be of another round or source.
            self._charts.show(store, self._choice)
        else:
            self._charts.refresh(store, self._choice, times)
        self._fit()
        self._show_moment()
        self._panes.tell()

    def _fit(self) -> None:
        """Leave what is not there any more; whom the day's beginning overtakes is taken along."""
        look, times, oldest = self._look, self._store.times, self._oldest
        self._oldest = times[0] if times else None
        if look.moment and oldest and look.moment >= oldest:
            look = address.follow(look, times)
        look, unfit = address.fit(look, self._store.by_code, times)
        if unfit:
            self._panes.status.notice = " ".join(unfit)
        if look != self._look:
            self._turn(look, chosen=False)

    # --- drawing -------------------------------------------------------------------------------------

    def _moment(self) -> datetime | None:
        """Give the interval that is shown: the one chosen as far as it is kept, else the newest whole one."""
        store, chosen = self._store, self._look.moment
        times = store.times
        if chosen is None or not times:
            return store.shown_time or store.past.newest
        return min(max(chosen, times[0]), times[-1])

    def _draw(self, look: Look, old: Look) -> None:
        """Show what is looked at; only what differs from before goes to the browser."""
        if look.selection != old.selection:
            self._panes.choose(self._choice)
            self._charts.show(self._store, self._choice)
            self._charts.paint(self._palette, look.selection.region)
        if look.colours and look.colours != self._colours:
            self._colours = look.colours
            self._colour()
        if look.metric != old.metric:
            self._map.measure(look.metric)
        if look.shade != old.shade:
            self._map.shade(look.shade)
        if look.tab != old.tab:
            self._panes.empty_table()
        self._panes.look(look)
        self._show_moment()
        self._show_tab(look.tab)

    def _show_tab(self, tab: address.Tab) -> None:
        layout.show(self._views, TABS.index(tab))
        self._explore.turn(shown=tab == "explore")

    def _show_moment(self) -> None:
        """Bring all views to the interval that is shown."""
        store, look = self._store, self._look
        shown = self._moment()
        if shown is None:
            return
        past = look.moment is not None
        self._charts.mark(store, shown, past=past)
        drawn = (store.state_of(shown), look, self._mode, self._colours, self._beneath)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        instant = store.instant(shown)
        self._map.draw(instant, self._choice.codes, self._share(instant))
        self._map.regions(store, shown)
        row = self._choice.row(shown)
        self._charts.tell(store, row, look.selection.region, shown)
        self._map.choose(look.facility)
        self._panes.number(shown, row, self._choice)
        self._panes.sum_up(shown, self._choice)
        # First, for a pane that closes gives the focus back to the table's row, and the row then keeps its place.
        self._panes.open(look, instant, self._beneath)
        if look.tab == "table":
            self._panes.tabulate(self._choice, instant)
        self._panes.clock(shown, past=past)

    def _share(self, instant: Instant) -> Share:
        """Let pages that look at the same thing share its making; what is filtered is one page's own."""
        store, look = self._store, self._look
        if not self._choice.selection.is_whole:
            return lambda make: make()
        name = ("looks", self._mode, self._colours, look.metric, look.selection.region)
        key = (instant.key, store.catalogue_version)
        return lambda make: store.once(name, key, make)

    def _paint(self, theme: str) -> None:
        self._mode = "dark" if theme == "dark" else "light"
        self._colour()
        self._show_moment()

    def _calm(self) -> None:
        """On a small screen a finger scrolls the page, and takes up a tool to move a picture."""
        self._charts.calm()
        self._map.calm()

    @property
    def _palette(self) -> Palette:
        return palette(self._mode, self._colours)

    def _colour(self) -> None:
        self._map.paint(self._palette)
        self._charts.paint(self._palette, self._look.selection.region)
        self._explore.paint(self._palette)
        self._panes.pictures.looks = pictures.looks(self._mode, self._colours)
