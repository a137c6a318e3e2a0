"""The text around the pictures of one page: head, numbers, fuels, toolbar, table, pane, time; filled from what is shown."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from energydash import nem
from energydash.ui import (
    address,
    alerts,
    freshness,
    marks,
    numbers,
    pictures,
    shades,
    station,
    today,
    words,
)
from energydash.ui.address import Look
from energydash.ui.components import (
    Address,
    Alerts,
    Cards,
    Detail,
    FuelList,
    Pictures,
    StationTable,
    StatusBar,
    TimeBar,
    Today,
    Toolbar,
)
from energydash.ui.past import Instant
from energydash.ui.selection import Choice
from energydash.ui.sheets import Sheet
from energydash.ui.store import Row, Store

WIDE = {"sizing_mode": "stretch_width"}
FULL = {"sizing_mode": "stretch_both"}


class Panes:
    """One session's parts; each method sends what differs from what is there."""

    def __init__(self, store: Store, query: str, theme: str, notice: str) -> None:
        self._store = store
        self._tabled: Instant | None = None
        self._told: tuple[freshness.Facts, datetime | None] | None = None
        self.status = StatusBar(theme=theme, notice=notice, **WIDE)
        self.cards = Cards(**WIDE)
        self.fuels = FuelList(**WIDE)
        self.alerts = Alerts()
        self._news = alerts.News()
        self.today = Today(**WIDE)
        self.toolbar = Toolbar(
            metrics=[[m, each.label] for m, each in marks.METRICS.items()],
            shades=[["", "Nothing"], *([s, each.label] for s, each in shades.SHADES.items())],
            **WIDE,
        )
        self.table = StationTable(**FULL)
        self.time = TimeBar(**WIDE)
        self.detail = Detail(**FULL)
        self.pictures = Pictures()
        self.address = Address(entry={"query": query, "step": False})

    def on_action(self, callback: Callable[[dict[str, Any]], None]) -> None:
        """Call back with what the reader did in any part."""
        for part in (
            self.status, self.cards, self.fuels, self.today, self.toolbar, self.table, self.time, self.detail, self.address,
            self.alerts,
        ):  # fmt: skip
            part.heard(callback)

    def hand_out(self, sheet: Sheet) -> None:
        """Let the browser save a file."""
        self.toolbar._send_msg(msgspec.to_builtins(sheet))  # noqa: SLF001 (Panel has no public name for it)

    def choose(self, choice: Choice) -> None:
        """Show which filters are on, and what they leave."""
        self.toolbar.filters = words.filters(choice)
        self.toolbar.hits = words.hits(choice)
        self.fuels.shown = sorted(choice.selection.fuels)
        self.empty_table()

    def look(self, look: Look) -> None:
        """Show what was chosen beside the filters."""
        self.toolbar.tab, self.toolbar.metric, self.toolbar.shade = (
            look.tab,
            look.metric,
            look.shade,
        )
        self.cards.scope = look.selection.region
        self.table.chosen = look.facility
        if look.theme and look.theme != self.status.theme:
            self.status.theme = look.theme
        if look.colours and look.colours != self.status.colours:
            self.status.colours = look.colours

    def number(self, shown: datetime, row: Row, choice: Choice) -> None:
        """Fill the cards and the fuel list."""
        store = self._store
        self.cards.cards = store.once("cards", store.state_of(shown), lambda: _cards(store, shown))  # fmt: skip
        fuels = numbers.fuel_rows(row)
        self.pictures.mix = pictures.mix(fuels)
        of = f"{row.reporting} of {choice.counts.shown} reporting"
        self.fuels.now = {
            "title": f"{words.where(choice.selection)} at {numbers.clock(shown)}",
            "note": of if choice.selection.is_whole else f"filtered, {of}",
            "total": numbers.megawatts(row.generation),
            "fuels": msgspec.to_builtins(fuels),
        }

    def sum_up(self, shown: datetime, choice: Choice) -> None:
        """Fill the day's highs and lows, and what moved; who looks at a whole region shares them."""
        store = self._store
        if not choice.selection.is_whole:
            self.today.now = today.told(store, choice, shown)
            return
        name = ("today", choice.selection.region)
        self.today.now = store.once(name, store.state_of(shown), lambda: today.told(store, choice, shown))  # fmt: skip

    def alert(self, watch: alerts.Watch) -> None:
        """List what calls for attention, and call out what is new of it."""
        store = self._store
        found = watch.alerts(nem.now())
        news = self._news.of(found, store.shown_time)
        now = {
            "alerts": [alerts.told(each, store, watch.rules) for each in found],
            "news": [alerts.told(each, store, watch.rules) for each in news],
        }
        if news or now["alerts"] != self.alerts.now.get("alerts", []):
            self.alerts.now = now

    def empty_table(self) -> None:
        """Fill the table anew the next time: its rows are others, or it was not on the page."""
        self._tabled = None

    def tabulate(self, choice: Choice, instant: Instant) -> None:
        """Fill the table, or patch the rows whose values changed."""
        before, self._tabled = self._tabled, instant
        if before is instant:
            return
        cells = {each.code: words.table_cells(each, instant) for each in choice.stations}
        if before is None:
            self.table.cells = cells
            self.table.rows = words.table_rows(choice)
            return
        changed = {
            each.code: cells[each.code]
            for each in choice.stations
            if cells[each.code] != words.table_cells(each, before)
        }
        if changed:
            self.table.cells = changed

    def open(self, look: Look, instant: Instant, beneath: Sequence[str]) -> None:
        """Fill the pane of the station that is looked at, or close it."""
        known = self._store.by_code
        facility = known.get(look.facility)
        if facility is None:
            self.detail.card = {}
            return
        others = [known[code] for code in beneath if code in known and code != look.facility]
        self.detail.href = f"?{address.to_query(look)}"
        self.detail.card = msgspec.to_builtins(station.card(self._store, facility, instant, others))  # fmt: skip

    def clock(self, shown: datetime, *, past: bool) -> None:
        """Show the time, and how far one can go."""
        store = self._store
        times = store.times or [shown]
        newest = store.shown_time or times[-1]
        text = words.moment(shown, newest, past=past)
        self.status.shown = numbers.clock(shown) if past else ""
        self.time.now = {
            "start": int(times[0].timestamp()),
            "end": int(newest.timestamp()),
            "moment": int(shown.timestamp()) if past else 0,
            "text": text,
        }

    def tell(self) -> None:
        """Say how fresh all is."""
        facts = freshness.facts(self._store, nem.now())
        # The page counts the seconds itself; it hears only what it cannot know.
        news = msgspec.structs.replace(facts, age_s=None, interval_age_min=None)
        last = self._store.status.last_record_at if self._store.status else None
        if (news, last) != self._told:
            self._told = (news, last)
            self.status.facts = msgspec.to_builtins(facts)


def _cards(store: Store, shown: datetime) -> list[dict[str, Any]]:
    times = numbers.sparsely(store.times)
    return [
        msgspec.to_builtins(numbers.card(scope, store.row(shown, scope), store.rows(scope, times)))
        for scope in store.scopes
    ]  # fmt: skip
