"""How long to wait before a part is started again. No clock, no I/O."""

import random
from collections.abc import Callable

FIRST_S = 1.0
LONGEST_S = 30.0
"""The range of pauses: up to so long after the first death, and after many."""

HEALTHY_AFTER_S = 30.0
"""Who lived so long is no part that fails at its start: the next pause is short again."""

Pick = Callable[[float, float], float]


class Backoff:
    """Pauses with full jitter: anything from nothing to a bound that doubles with each early death.

    See "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: parts that died together do not come back together.
    """

    def __init__(self, pick: Pick = random.uniform) -> None:
        self._pick = pick
        self.deaths = 0

    def pause_s(self, lived_s: float) -> float:
        """Give the pause after a life of `lived_s` seconds."""
        self.deaths = 1 if lived_s > HEALTHY_AFTER_S else self.deaths + 1
        # Bounded, because 2 to the power of a year of deaths is no float.
        bound = min(LONGEST_S, FIRST_S * 2.0 ** min(self.deaths - 1, 10))
        return self._pick(0.0, bound)
