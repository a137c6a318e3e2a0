"""The tab where people explore: nothing of it is there before it is opened, and from then on it stays."""

import panel as pn

from energydash.ui.explore.desk import Desk
from energydash.ui.explore.reading import Reading
from energydash.ui.sheets import Sheet
from energydash.ui.store import Store
from energydash.ui.theme import Palette


class Explore:
    """One session's view; `reading` is the folder of tables, None where only the history received is at hand."""

    def __init__(self, store: Store, palette: Palette, reading: Reading | None = None) -> None:
        self._store = store
        self._palette = palette
        self._reading = reading
        self._desk: Desk | None = None
        self._shown = False
        self.view = pn.Column(sizing_mode="stretch_both", margin=0)

    def turn(self, *, shown: bool) -> None:
        """Take note whether the view is shown; the first time that it is, build it."""
        self._shown = shown
        document = pn.state.curdoc
        if not shown:
            return
        if self._desk is not None:
            self._desk.paint(self._palette)
        elif document is not None:
            self._desk = Desk(self._store, self._palette, self._reading, document)
            self.view[:] = [self._desk.view]

    def paint(self, palette: Palette) -> None:
        """Take another theme; while the view is hidden, it is drawn anew only when it is shown again."""
        self._palette = palette
        if self._desk is not None and self._shown:
            self._desk.paint(palette)

    def sheet(self) -> Sheet | None:
        """Give what is shown as CSV; None where nothing is."""
        return self._desk.sheet() if self._desk else None
