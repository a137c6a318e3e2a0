"""Measures of the server's work that more than one module counts."""

from bisect import bisect_left

DELAY_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the histogram's buckets; what is slower still is in one more."""


class Delays:
    """A histogram of seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(DELAY_BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(DELAY_BOUNDS_S, seconds)] += 1
        self.total_s += seconds
