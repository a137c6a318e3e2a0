"""The live edge: what the API's tables hold by now, which is less and other than what they will hold.

Everything is a function of the unit or region, the label and the clock: two requests at one moment see the same.
"""

import zlib
from datetime import timedelta

import standin_grid as grid
from standin_rules import floor_to_step

WORKER = timedelta(minutes=2)
"""How long after a label the worker has stored what it fetched."""
LATE_BY = timedelta(hours=3)
"""When the rows appear that a partial publication left out."""
REVISED_STEPS = 12
REVISION = 0.25


def _one_in(chance, *words):
    return zlib.crc32("@".join(map(str, words)).encode()) % chance == 0


class Edge:
    """The newest steps there are at a network's wall clock; without `live`, all is stored at once and final."""

    def __init__(self, clock, *, live):
        self.clock, self.live = clock, live
        self.market_newest = grid.step_of(floor_to_step(clock - WORKER if live else clock))
        self.units_newest = self.market_newest - 1 if live else self.market_newest

    def provisional(self, n):
        """Whether the unit rows of this step were written a moment ago: some missing, emissions 0, no energy."""
        return self.live and n == self.units_newest

    def missing(self, code, n):
        """Whether the row of a unit that did send is not there yet."""
        if not self.live:
            return False
        if self.provisional(n) and _one_in(3, code, n):
            return True
        return _one_in(40, "late", code, n) and self.clock < grid.label_of(n) + LATE_BY

    def revised(self, value, n):
        """Give a market value as it stands now: it changes with each label for an hour, then it is final."""
        to_come = REVISED_STEPS - (self.market_newest - n)
        if not self.live or value is None or to_come <= 0:
            return value
        return round(value + REVISION * to_come, 4)
