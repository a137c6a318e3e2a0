"""Noticing that the machine slept, or that its clock was set: the wall clock and the monotonic one no longer agree."""

import asyncio
import time
from collections.abc import Awaitable, Callable

JUMP_S = 30.0
"""What a clock that is kept right by small steps never reaches between two looks."""

_LOOK_EVERY_S = 2.0

Seconds = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Jumps:
    """Compares two clocks, each in seconds."""

    def __init__(self, wall: Seconds = time.time, monotonic: Seconds = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._before = self._apart()

    def _apart(self) -> float:
        return self._wall() - self._monotonic()

    def look(self) -> float:
        """Give by how many seconds the wall clock jumped since the last look: forward is positive, 0 for none."""
        before, self._before = self._before, self._apart()
        jump = self._before - before
        return jump if abs(jump) >= JUMP_S else 0.0


async def watch(
    jumps: Jumps, jumped: Callable[[float], None], sleep: Sleep = asyncio.sleep
) -> None:
    """Tell of every jump, until cancelled."""
    while True:
        await sleep(_LOOK_EVERY_S)
        if jump := jumps.look():
            jumped(jump)
