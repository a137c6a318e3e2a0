"""When it is an interval's turn, and how well the stream keeps to that."""

import asyncio
import time
from datetime import datetime

from energydash.stream.replay import Pacer

_RATE_OVER_S = 5.0


class Pace:
    """Waits for each interval's turn. What lies at or before `backfill_until` has it at once."""

    def __init__(self, speed: float | None, backfill_until: datetime | None = None) -> None:
        self._speed = speed
        self._backfill_until = backfill_until
        self._pacer: Pacer | None = None
        self._rate_from = (time.monotonic(), 0)
        self._rate = 0.0
        self.lag_s = 0.0

    def start_over(self) -> None:
        """Let the next interval be the first."""
        self._pacer = None

    def pause(self, seconds: float) -> None:
        """Take note that the process stood still on purpose: what comes is not in a hurry."""
        if self._pacer is not None:
            self._pacer.pause(seconds)

    def wait_s(self, moment: datetime) -> float:
        """Give how long it is until an interval's turn; negative where it is late."""
        if self._pacer is None:
            origin = max(moment, self._backfill_until or moment)
            self._pacer = Pacer(self._speed, time.monotonic(), origin)
        return self._pacer.due(moment) - time.monotonic()

    async def turn(self, moment: datetime) -> None:
        """Wait for an interval's turn."""
        # A pause in the meantime has moved it.
        while (wait_s := self.wait_s(moment)) > 0:  # noqa: ASYNC110 (a clock sets no event)
            await asyncio.sleep(wait_s)
        self.lag_s = 0.0 if self._speed is None else -wait_s

    def rate(self, records: int) -> float:
        """Give records a second over the last seconds."""
        since, then = self._rate_from
        elapsed = time.monotonic() - since
        if elapsed > 0 and (self._rate == 0 or elapsed > _RATE_OVER_S):
            self._rate = (records - then) / elapsed
        if elapsed > _RATE_OVER_S:
            self._rate_from = (time.monotonic(), records)
        return self._rate
