"""One browser's page: it remembers what its reader chose and what it has drawn, and pulls from the store what came since."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import panel as pn
from bokeh.document import Document

from energydash import nem
from energydash.ui import (
    actions,
    address,
    freshness,
    layout,
    marks,
    numbers,
    sheets,
    station,
    words,
)
from energydash.ui.address import TABS, Look
from energydash.ui.charts import Charts
from energydash.ui.components import (
    Address,
    Cards,
    Detail,
    FuelList,
    StationTable,
    StatusBar,
    TimeBar,
    Toolbar,
)
from energydash.ui.explore import Explore
from energydash.ui.map import Map
from energydash.ui.past import Instant
from energydash.ui.selection import Choice
from energydash.ui.store import Store
from energydash.ui.theme import PALETTES, Mode

THEME_COOKIE = "energydash_theme"
_WIDE = {"sizing_mode": "stretch_width"}
_FULL = {"sizing_mode": "stretch_both"}


class Session:
    """The views of one browser and what they have seen of the store."""

    def __init__(
        self,
        store: Store,
        look: Look,
        mode: Mode | None,
        *,
        notices: Sequence[str] = (),
        tiles: str | None = None,
    ) -> None:
        look, unfit = address.fit(look, store.by_code, store.times)
        self._store = store
        self._look = look
        self._choice = Choice(store, look.selection)
        self._seen = -1
        self._seen_catalogue = -1
        self._drawn: object = None
        self._tabled: Instant | None = None
        self._beneath: list[str] = []
        self._waiting = False
        self._told: tuple[freshness.Facts, datetime | None] | None = None
        self._mode: Mode = mode or "light"
        self._status = StatusBar(theme=mode or "", notice=" ".join([*notices, *unfit]), **_WIDE)
        self._cards = Cards(scope=look.selection.region, **_WIDE)
        self._fuels = FuelList(**_WIDE)
        self._toolbar = Toolbar(
            metrics=[[m, marks.METRICS[m].label] for m in marks.METRICS], **_WIDE
        )
        self._table = StationTable(**_FULL)
        self._time = TimeBar(**_WIDE)
        self._detail = Detail(**_FULL)
        self._query = address.to_query(look)
        self._address = Address(entry={"query": self._query, "step": False})
        self._map = Map(PALETTES[self._mode], tiles)
        self._charts = Charts()
        self._explore = Explore(store, PALETTES[self._mode])
        self._tabs = layout.tabs(self._map.view(), self._table, self._explore.view)
        self._listen()
        self._paint(self._mode)
        self.pull()
        self._draw(look)

    def _listen(self) -> None:
        for part in (
            self._status, self._cards, self._fuels, self._toolbar, self._table, self._time, self._detail, self._address,
        ):  # fmt: skip
            part.heard(self._heard)
        self._status.param.watch(lambda event: self._paint(event.new), "theme")
        self._map.on_open(self._open)

    def page(self, mode: Mode | None) -> pn.Template:
        """Give the document."""
        return layout.page(
            {
                "status": self._status,
                "cards": self._cards,
                "toolbar": self._toolbar,
                "where": self._tabs,
                "fuels": self._fuels,
                "stack": pn.pane.Bokeh(self._charts.stack, **_FULL),
                "price": pn.pane.Bokeh(self._charts.price, **_FULL),
                "detail": self._detail,
                "time": self._time,
                "address": self._address,
            },
            mode,
        )

    # --- what the reader does ------------------------------------------------------------------------

    def _heard(self, action: dict[str, Any]) -> None:
        """Do what a message asks for; what makes no sense is passed over."""
        with pn.io.hold():
            match action["do"]:
                case "csv":
                    self._hand_out(str(action.get("what")))
                case "narrow":
                    self._charts.calm()
                    self._map.calm()
                case "back":
                    look, notices = address.from_query(str(action.get("query", "")))
                    look, unfit = address.fit(look, self._store.by_code, self._store.times)
                    self._status.notice = " ".join([*notices, *unfit])
                    # The browser is there already: to tell it once more could undo a further step of its own.
                    self._query = address.to_query(look)
                    self._turn(look)
                case "neighbour":
                    step = -1 if action.get("step") == -1 else 1
                    code = station.neighbour(self._choice.stations, self._look.facility, step)
                    self._open(code, [])
                case _:
                    if action["do"] == "open" and not action.get("keep"):
                        self._beneath = []
                    self._turn(actions.after(self._look, action))

    def _open(self, code: str, beneath: list[str]) -> None:
        self._beneath = [code, *beneath]
        self._turn(msgspec.structs.replace(self._look, facility=code))

    def _turn(self, look: Look) -> None:
        """Look at something else."""
        old, self._look = self._look, look
        if look.selection != old.selection:
            self._choice = Choice(self._store, look.selection)
        self._draw(look, old)
        query = address.to_query(look)
        if query != self._query:
            self._query = query
            self._address.entry = {"query": query, "step": address.is_step(old, look)}

    def _hand_out(self, what: str) -> None:
        store, look, shown = self._store, self._look, self._moment()
        facility = store.by_code.get(look.facility)
        if shown is None:
            return
        if what == "station" and facility:
            sheet = sheets.station(store, look, facility)
        elif what == "series":
            sheet = sheets.series(store, look, self._choice.rows(store.times))
        else:
            sheet = sheets.stations(store, look, self._choice.stations, store.instant(shown))
        self._toolbar._send_msg(msgspec.to_builtins(sheet))  # noqa: SLF001 (Panel has no public name for it)

    # --- what the grid does --------------------------------------------------------------------------

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
        times = store.times_changed(seen, stations=not self._choice.selection.is_whole)
        if store.catalogue_version != self._seen_catalogue:
            self._seen_catalogue = store.catalogue_version
            self._choice = Choice(store, self._look.selection)
            self._map.show(store)
            self._show_choice()
            self._drawn = None
        self._charts.refresh(store, self._choice, times)
        self._show_moment()
        self._tell()

    # --- drawing -------------------------------------------------------------------------------------

    def _moment(self) -> datetime | None:
        """Give the interval that is shown: the one chosen as far as it is kept, else the newest whole one."""
        store, chosen = self._store, self._look.moment
        if chosen is None or not store.times:
            return store.shown_time or store.past.newest
        return min(max(chosen, store.times[0]), store.times[-1])

    def _draw(self, look: Look, old: Look | None = None) -> None:
        """Show what is looked at; only what differs from before goes to the browser."""
        if old is None or look.selection != old.selection:
            self._show_choice()
            self._charts.show(self._store, self._choice)
            self._charts.paint(PALETTES[self._mode], look.selection.region)
        if old is None or look.metric != old.metric:
            self._map.measure(look.metric)
        self._toolbar.tab, self._toolbar.metric = look.tab, look.metric
        self._cards.scope = look.selection.region
        self._table.chosen = look.facility
        if look.theme and look.theme != self._status.theme:
            self._status.theme = look.theme
        self._show_moment()
        self._show_tab(look.tab)

    def _show_choice(self) -> None:
        self._toolbar.filters = words.filters(self._choice)
        self._toolbar.hits = words.hits(self._choice)
        self._fuels.shown = sorted(self._choice.selection.fuels)
        self._tabled = None

    def _show_tab(self, tab: address.Tab) -> None:
        place = TABS.index(tab)
        if self._tabs.active == place:
            return
        self._tabs.active = place
        if tab == "explore":
            self._explore.draw()

    def _show_moment(self) -> None:
        """Bring all views to the interval that is shown."""
        store, look = self._store, self._look
        shown = self._moment()
        if shown is None:
            return
        instant = store.instant(shown)
        drawn = (instant, self._choice, look.metric, self._mode)
        if drawn != self._drawn:
            self._drawn = drawn
            self._map.draw(instant, self._choice.codes)
            self._map.price(store, shown)
        row = self._choice.row(shown)
        past = look.moment is not None
        self._charts.mark(store, shown, past=past)
        self._charts.tell(store, row, look.selection.region, shown)
        self._number(shown, row)
        if look.tab == "table":
            self._tabulate(instant)
        self._detail_of(instant)
        self._clock(shown, past=past)

    def _number(self, shown: datetime, row: Any) -> None:
        """Fill the cards and the fuel list."""
        store = self._store
        self._cards.cards = [
            msgspec.to_builtins(numbers.card(s, store.row(shown, s), store.rows(s)))
            for s in store.scopes
        ]
        counts = self._choice.counts
        of = f"{row.reporting} of {counts.shown} reporting"
        self._fuels.title = f"{words.where(self._look)} at {numbers.clock(shown)}"
        self._fuels.note = of if self._choice.selection.is_whole else f"filtered, {of}"
        self._fuels.total = numbers.megawatts(row.generation)
        self._fuels.fuels = msgspec.to_builtins(numbers.fuel_rows(row))

    def _tabulate(self, instant: Instant) -> None:
        """Fill the table, or patch the rows whose values changed."""
        if self._tabled is instant:
            return
        cells = {e.code: words.table_cells(e, instant) for e in self._choice.stations}
        if self._tabled is None:
            self._table.cells = cells
            self._table.rows = words.table_rows(self._choice)
        else:
            before = self._tabled
            changed = {
                e.code: cells[e.code]
                for e in self._choice.stations
                if cells[e.code] != words.table_cells(e, before)
            }
            if changed:
                self._table.cells = changed
        self._tabled = instant

    def _detail_of(self, instant: Instant) -> None:
        code = self._look.facility
        facility = self._store.by_code.get(code)
        self._map.choose(code)
        if facility is None:
            self._detail.card = {}
            return
        beneath = [
            self._store.by_code[c]
            for c in self._beneath
            if c in self._store.by_code and c != code
        ]
        self._detail.href = f"?{address.to_query(self._look)}"
        self._detail.card = msgspec.to_builtins(
            station.card(self._store, facility, instant, beneath)
        )

    def _clock(self, shown: datetime, *, past: bool) -> None:
        store = self._store
        times = store.times or [shown]
        newest = store.shown_time or times[-1]
        text = words.moment(shown, newest, past=past)
        self._status.shown = text if past else ""
        self._time.param.update(
            start=int(times[0].timestamp()),
            end=int(newest.timestamp()),
            moment=int(shown.timestamp()) if past else 0,
            text=text,
        )

    def _tell(self) -> None:
        facts = freshness.facts(self._store, nem.now())
        # The page counts the seconds itself; it hears only what it cannot know.
        news = msgspec.structs.replace(facts, age_s=None, interval_age_min=None)
        last = self._store.status.last_record_at if self._store.status else None
        if (news, last) != self._told:
            self._told = (news, last)
            self._status.facts = msgspec.to_builtins(facts)

    def _paint(self, theme: str) -> None:
        self._mode = "dark" if theme == "dark" else "light"
        palette = PALETTES[self._mode]
        self._map.paint(palette)
        self._charts.paint(palette, self._look.selection.region)
        self._explore.paint(palette)
        self._show_moment()


def mode_from_cookie(cookies: Callable[[str], str | None]) -> Mode | None:
    """Give the theme that this browser chose before, if any."""
    match cookies(THEME_COOKIE):
        case "dark":
            return "dark"
        case "light":
            return "light"
    return None
