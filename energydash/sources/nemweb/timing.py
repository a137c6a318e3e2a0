"""When the next file of a report can be there, and how often to look for it. Pure: no clock, no I/O.

A file's label is the end of its interval, but it is published when the interval begins: AEMO's dispatch runs, and reads the
meters, at that moment. How long after that a file appears, its predecessors tell.
"""

import random
from datetime import datetime, timedelta

from energydash import nem

# What is assumed of the first file, and between what bounds the lag is believed.
_LAG = timedelta(seconds=20)
_LEAST_LAG, _MOST_LAG = timedelta(seconds=3), timedelta(seconds=90)
_LEARNT = 0.2
# Looking begins so long before a file is expected, because files come early, too.
_EARLY = timedelta(seconds=10)
# How long a file is overdue, and how often it is then looked for.
_PACES = (
    (timedelta(seconds=60), timedelta(seconds=2)),
    (timedelta(minutes=4), timedelta(seconds=5)),
    (timedelta.max, timedelta(seconds=20)),
)
_JITTER = 0.25


class Awaited:
    """The files of one report: the newest label that came, and when the next one is due."""

    def __init__(self, seed: int | None = None) -> None:
        self.newest: datetime | None = None
        self.lag = _LAG
        self._random = random.Random(seed)  # noqa: S311 (to spread load, not to keep secrets)

    def came(self, label: datetime, now: datetime) -> None:
        """Take in that the newest label is there, seen now for the first time."""
        known, self.newest = self.newest, label
        lag = now - (label - nem.INTERVAL)
        # Only of a file that was waited for is the lag known.
        if known is not None and label - known == nem.INTERVAL and lag <= _MOST_LAG:
            self.lag += (max(lag, _LEAST_LAG) - self.lag) * _LEARNT

    def until_due(self, now: datetime) -> timedelta:
        """Give how long the next file cannot be there yet; zero where it may be."""
        if self.newest is None:
            return timedelta(0)
        # The label of the next file is the end of the interval that begins with the newest label.
        return max(timedelta(0), self.newest + self.lag - _EARLY - now)

    def next_look(self, now: datetime) -> timedelta:
        """Give how long to wait after a look that found nothing, with jitter: all of us need not come at once."""
        overdue = now - (self.newest or now) - self.lag
        pace = next(pace for limit, pace in _PACES if overdue <= limit)
        return max(self.until_due(now), pace * self._random.uniform(1 - _JITTER, 1 + _JITTER))
