"""The tab where people explore: nothing of it is there before it is opened."""

import panel as pn

from energydash.ui.explore.desk import Desk
from energydash.ui.explore.reading import Reading
from energydash.ui.store import Store
from energydash.ui.theme import Palette


class Explore:
    """One session's view; `reading` is the folder of tables, None where only the history received is at hand."""

    def __init__(self, store: Store, palette: Palette, reading: Reading | None = None) -> None:
        self._store = store
        self._palette = palette
        self._reading = reading
        self._desk: Desk | None = None
        self.view = pn.Column(sizing_mode="stretch_both", margin=0)

    def draw(self) -> None:
        """Show the view; the first time, build it and ask its first question."""
        document = pn.state.curdoc
        if self._desk is not None or document is None:
            return
        self._desk = Desk(self._store, self._palette, self._reading, document)
        self.view[:] = [self._desk.view]
        self._desk.begin()

    def paint(self, palette: Palette) -> None:
        """Take another theme."""
        self._palette = palette
        if self._desk is not None:
            self._desk.paint(palette)
