"""How long to wait before a part is started again. No clock, no I/O."""

import random
from collections.abc import Callable

FIRST_S = 1.0
LONGEST_S = 30.0
"""The range of pauses of a part that fails from its start: up to so long after the first time, and after many."""

LONGEST_AFTER_WORK_S = 5.0
"""The longest pause of one that did its work before it died: somebody is looking at the page."""

HEALTHY_AFTER_S = 30.0
"""Who lived so long died of something new: the next pause is short again."""

Pick = Callable[[float, float], float]


class Backoff:
    """Pauses with full jitter: anything from nothing to a bound that doubles with each early death.

    `failures` counts the early deaths in a row before any work was done. See "Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015: parts that died together do not come back together.
    """

    def __init__(self, pick: Pick = random.uniform) -> None:
        self._pick = pick
        self._deaths = 0
        self.failures = 0

    def pause_s(self, lived_s: float, *, worked: bool) -> float:
        """Give the pause after a life of `lived_s` seconds, in which the part was seen to do its work or not."""
        if lived_s > HEALTHY_AFTER_S:
            self._deaths = self.failures = 0
        self._deaths += 1
        self.failures = 0 if worked else self.failures + 1
        count, longest = (self._deaths, LONGEST_AFTER_WORK_S) if worked else (self.failures, LONGEST_S)  # fmt: skip
        # Bounded, because 2 to the power of a year of deaths is no float.
        return self._pick(0.0, min(longest, FIRST_S * 2.0 ** min(count - 1, 10)))
