"""An open explore tab: it asks off the event loop, draws when an answer has come, and follows the zoom."""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

import holoviews as hv
import msgspec
import panel as pn
from bokeh.document import Document, without_document_lock
from bokeh.events import RangesUpdate
from bokeh.models import Range1d

from energydash import nem, schema
from energydash.errors import EnergydashError
from energydash.files.archive import Contents
from energydash.files.tracks import METRICS, Kind, Question, Tracks
from energydash.ui import bundled, turns
from energydash.ui.components import Rendered
from energydash.ui.explore import export, looks, received, shapes, words
from energydash.ui.explore.choices import Choices, Offer
from energydash.ui.explore.looks import Look, Subject
from energydash.ui.explore.plots import DRAWING, Plots
from energydash.ui.explore.reading import Reading
from energydash.ui.sheets import Sheet
from energydash.ui.store import Store
from energydash.ui.theme import Palette

_KINDS: tuple[Kind, ...] = ("region", "fuel", "station")
_PLOTS = ("over_time", "heat", "duration", "profile", "scatter")
# These are of the window that the reader has zoomed to; the others are that window.
_FOLLOWERS = _PLOTS[2:]
# A zoom is a row of events: the other plots follow when it has come to rest.
_SETTLE_MS = 250
# How often to see whether source or round is another one.
_RENEW_MS = 2000
# A look at a folder's ends reads its tables: no new interval is missed for longer.
_LOOK_AGAIN_S = nem.INTERVAL.total_seconds()
_LOOKING = "Looking at what there is …"
_NOTHING_YET = "Nothing has been received yet: this fills as soon as the stream server sends"
_LOOKS = [bundled.text("widgets.css")]


class _Shown(msgspec.Struct, frozen=True):
    """An answer on the page, and its question."""

    question: Question
    tracks: Tracks


class Desk:
    """The widgets and plots of one open tab."""

    def __init__(
        self, store: Store, palette: Palette, reading: Reading | None, document: Document
    ) -> None:
        self._store = store
        self._palette = palette
        self._reading = reading
        self._document = document
        self._facilities: dict[str, schema.FacilityInfo] = {}
        self._origin = ""
        self._asked = 0
        self._looked_at = 0.0
        # Which catalogue of the store the view has begun with; none before it has begun.
        self._began: int | None = None
        self._waits = False
        self._which = 0
        self._shown: _Shown | None = None
        self._window: tuple[float, float] | None = None
        self._follows = False
        # A set that keeps its order.
        self._due: dict[str, None] = {}
        self._choices = Choices(self._ask)
        self._lay_out()
        document.add_periodic_callback(without_document_lock(self._watch), _RENEW_MS)

    def _lay_out(self) -> None:
        self._heat_of = pn.widgets.Select(label="Heat map of", options={}, width=140, margin=(2, 4), stylesheets=_LOOKS)  # fmt: skip
        self._heat_of.param.watch(lambda _: turns.soon(self._choose_heat), "value")
        again = pn.widgets.Button(label="Refresh", width=70, margin=(2, 10), stylesheets=_LOOKS)
        again.on_click(lambda _: turns.soon(self._begin))
        own = [bundled.text("explore.css")]
        self._status = pn.pane.HTML(words.status("busy", _LOOKING), margin=0, stylesheets=own)
        self._key = pn.pane.HTML("", margin=0, stylesheets=own)
        self._panes = {
            name: pn.pane.HoloViews(None, linked_axes=False, sizing_mode="stretch_both", min_height=170, margin=0, css_classes=[name])
            for name in _PLOTS
        }  # fmt: skip
        grid = pn.Column(*self._panes.values(), sizing_mode="stretch_both", margin=0, stylesheets=[bundled.text("explore_plots.css")])  # fmt: skip
        # In a frame, because a grid of our own style does not let itself be hidden.
        self._area = pn.Column(grid, sizing_mode="stretch_both", margin=0, visible=False)
        self._controls = pn.FlexBox(*self._choices.widgets, self._heat_of, margin=(6, 4, 0, 4), align_items="end", visible=False)  # fmt: skip
        told = pn.FlexBox(
            self._key, self._status, again, margin=(2, 0, 0, 0), align_items="center"
        )
        self.view = pn.Column(
            self._controls, told, self._area, self._rendered(),
            sizing_mode="stretch_both", margin=0, scroll="y-auto",
        )  # fmt: skip

    def _rendered(self) -> Rendered:
        """Give what begins, as the last part of the view, when the browser has rendered all before it."""
        part = Rendered(width=0, height=0, margin=0)
        part.heard(lambda _: turns.soon(self._begin))
        return part

    def _begin(self) -> None:
        """See what there is, then ask."""
        self._began, self._waits = self._store.catalogue_version, False
        self._say("busy", _LOOKING)
        self._later(self._open)

    async def _watch(self) -> None:
        """Begin anew where source or round is another one, or where there was nothing and now is something."""
        changed = self._began not in {None, self._store.catalogue_version}
        if changed or (self._waits and len(self._store.times) > 1):
            self._began = self._store.catalogue_version
            self._back(self._begin)

    def paint(self, palette: Palette) -> None:
        """Take another theme."""
        if palette is self._palette:
            return
        self._palette = palette
        if self._shown is not None:
            self._draw(self._shown, keep_window=True)

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` without the document's lock: the page goes on meanwhile."""

        async def unlocked() -> None:
            try:
                await work()
            except EnergydashError as exc:
                self._back(partial(self._fail, str(exc)))

        self._document.add_next_tick_callback(without_document_lock(unlocked))

    def _back(self, show: Callable[[], None]) -> None:
        """Show something under the lock; where the session has ended, nobody runs it."""
        turns.take(self._document, show)

    async def _open(self) -> None:
        if self._reading is None:
            self._offer_received()
            return
        contents = await self._reading.contents()
        self._looked_at = time.monotonic()
        origin = words.place(str(self._reading.folder), contents.source, simulated=contents.simulated)  # fmt: skip
        offer = Offer(
            metrics={kind: tuple(m.id for m in METRICS.values() if kind in m.kinds) for kind in _KINDS},
            facilities=contents.facilities, start=contents.start, end=self._end(contents),
        )  # fmt: skip
        self._back(partial(self._take, offer, origin))

    def _end(self, contents: Contents) -> datetime:
        newest = self._store.event_time
        if contents.simulated and contents.source == self._store.source and newest is not None:
            # The simulated grid's tables are ahead of its clock.
            return min(contents.end, newest)
        return contents.end

    async def _reach(self) -> None:
        """Take the ends of what there is anew, so that the last hours are those of now."""
        if self._reading is None:
            if times := self._store.times:
                first, last = (t.astimezone(nem.NEM_ZONE) for t in (times[0], times[-1]))
                self._choices.reach(first, last)
        elif time.monotonic() - self._looked_at >= _LOOK_AGAIN_S:
            contents = await self._reading.contents()
            self._looked_at = time.monotonic()
            self._choices.reach(contents.start, self._end(contents))

    def _offer_received(self) -> None:
        # On the event loop, like all that reads the store: its feed writes it there.
        times = self._store.times
        if len(times) < 2:  # noqa: PLR2004 (a span has two ends)
            self._waits = True
            self._back(partial(self._fail, _NOTHING_YET))
            return
        offer = Offer(
            metrics={kind: received.metrics(kind) for kind in _KINDS},
            facilities=(), start=times[0].astimezone(nem.NEM_ZONE), end=times[-1].astimezone(nem.NEM_ZONE),
        )  # fmt: skip
        origin = words.place(None, self._store.source, simulated=self._store.simulated)
        self._back(partial(self._take, offer, origin))

    def _take(self, offer: Offer, origin: str) -> None:
        self._origin = origin
        self._facilities = {each.code: each for each in offer.facilities}
        self._choices.offer(offer)
        self._controls.visible = True
        self._ask()

    def _ask(self) -> None:
        self._asked += 1
        if self._choices.question() is None:
            self._fail("Choose at least one to look at, and a span that ends after it starts")
            return
        self._say("busy", "Reading …")
        self._later(partial(self._answer, self._asked))

    async def _answer(self, number: int) -> None:
        try:
            await self._reach()
            question = self._choices.question()
            if question is None:
                # It was changed meanwhile, and who changed it has been told.
                return
            if self._reading is None:
                tracks = received.answer(question, self._store)
            else:
                tracks = await self._reading.ask(question)
        except EnergydashError:
            if number == self._asked:
                raise
            return
        # Of several questions in a row only the last one is answered.
        if number == self._asked:
            self._back(partial(self._show, _Shown(question, tracks)))

    def _show(self, shown: _Shown) -> None:
        if not shown.tracks.length:
            self._fail("There is nothing in this span: choose another, or fetch and convert it")
            return
        self._draw(shown, keep_window=False)

    def _fail(self, text: str) -> None:
        self._shown = None
        self._area.visible = False
        self._key.object = ""
        self._say("fault", text)

    def _say(self, kind: str, text: str) -> None:
        self._status.object = words.status(kind, text)
        self._area.styles = {"opacity": "0.45" if kind == "busy" else "1"}

    def _draw(self, shown: _Shown, *, keep_window: bool) -> None:
        self._shown = shown
        tracks = shown.tracks
        whole = (shapes.begin(tracks), shapes.end(tracks))
        self._window = self._window if keep_window else None
        low, high = self._window or whole
        self._range = Range1d(
            start=low, end=high, reset_start=whole[0], reset_end=whole[1], bounds=whole
        )
        drawn = self._looks(shown.question)
        labels = {look.label: i for i, look in enumerate(drawn)}
        self._key.object = words.legend(drawn)
        if self._heat_of.options != labels:
            self._which = 0
            self._heat_of.param.update(options=labels, value=0)
        self._area.visible = True
        self._redraw(*_PLOTS)

    def _choose_heat(self) -> None:
        which = self._heat_of.value
        if which not in {None, self._which}:
            self._which = which
            self._redraw("heat")

    def _redraw(self, *names: str) -> None:
        """Draw plots in a worker thread of Bokeh's, so that other readers' pages go on meanwhile."""
        idle = not self._due
        self._due.update(dict.fromkeys(names))
        if idle:
            self._document.add_next_tick_callback(self._draw_due)

    def _draw_due(self) -> None:
        """Draw what is due in one message: for each that comes by itself the browser lays out all of them anew."""
        if self._shown is None:
            self._due.clear()
            return
        with DRAWING, pn.io.hold(self._document):
            try:
                while self._due:
                    name = next(iter(self._due))
                    del self._due[name]
                    self._panes[name].object = self._picture(name, self._shown)
            finally:
                # One that fails does not keep the others away.
                if self._due:
                    self._document.add_next_tick_callback(self._draw_due)
                else:
                    self._tell_what()

    def _picture(self, name: str, shown: _Shown) -> hv.Element | hv.Overlay:
        tracks = self._within(shown) if name in _FOLLOWERS else shown.tracks
        plots, subject = Plots(self._palette, self._range, self._zoomed), self._subject(tracks)
        if name == "heat":
            return plots.heat(subject, self._which)
        draw: Callable[[Subject], hv.Overlay] = getattr(plots, name)
        return draw(subject)

    def _tell_what(self) -> None:
        if self._shown is not None:
            tracks = self._within(self._shown)
            every_ms = self._choices.every_ms(self._shown.tracks)
            span = words.shown(tracks, every_ms, zoomed=self._window is not None)
            self._say("fact", f"{span} · {self._origin}")

    def _within(self, shown: _Shown) -> Tracks:
        return shapes.window(shown.tracks, *self._window) if self._window else shown.tracks

    def _zoomed(self, event: RangesUpdate) -> None:
        """Note where the reader has zoomed to, and let the other plots follow."""
        if self._shown is None or event.x0 is None or event.x1 is None:
            return
        low, high = shapes.begin(self._shown.tracks), shapes.end(self._shown.tracks)
        whole = event.x0 <= low and event.x1 >= high
        window = None if whole else (max(event.x0, low), min(event.x1, high))
        if window == self._window:
            return
        self._window = window
        if not self._follows:
            self._follows = True
            self._document.add_timeout_callback(self._follow, _SETTLE_MS)

    def _follow(self) -> None:
        self._follows = False
        self._redraw(*_FOLLOWERS)

    def _subject(self, tracks: Tracks) -> Subject:
        """Give what the plots draw; a step is that of the whole span, whatever part of it is looked at."""
        if self._shown is None:
            raise RuntimeError("the plots are drawn before there is an answer")
        scopes = [looks.of_scope(track.name, self._palette) for track in tracks.prices]
        return Subject(
            tracks=tracks, looks=tuple(self._looks(self._shown.question)), scope_looks=tuple(scopes),
            metric=self._shown.question.metric, every_ms=self._choices.every_ms(self._shown.tracks),
        )  # fmt: skip

    def _looks(self, question: Question) -> list[Look]:
        return looks.of_question(
            question, self._choices.labels, self._facilities, self._palette
        )

    def sheet(self) -> Sheet | None:
        """Give what is shown, the part that the reader has zoomed to, as CSV; None where nothing is."""
        if self._shown is None:
            return None
        question, tracks = self._shown.question, self._within(self._shown)
        every_ms = self._choices.every_ms(self._shown.tracks)
        labels = [look.label for look in self._looks(question)]
        lines = shapes.lines(tracks.tracks, tracks, every_ms)
        about = words.about(question, tracks, every_ms, self._origin)
        text = export.lines_csv(lines, labels, METRICS[question.metric].unit, about)
        return Sheet(f"energydash_{question.kind}_{question.metric}.csv", text)
