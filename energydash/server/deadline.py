"""A time limit on what the other side does, which does not run out because this process stood still."""

import asyncio
from collections.abc import Callable

_STOOD_STILL_S = 0.25
"""A limit that is noticed so late says that the loop stood still: what has come meanwhile is not read yet."""


class Deadline:
    """One limit at a time; where its end was missed it is granted once more."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def set(self, within_s: float, end: Callable[[], None]) -> None:
        """Call `end` after so many seconds, unless another limit or none takes the place of this one."""
        self._set(within_s, end, again=True)

    def clear(self) -> None:
        """Have no limit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, within_s: float, end: Callable[[], None], *, again: bool) -> None:
        self.clear()
        due = self._loop.time() + within_s

        def over() -> None:
            if again and self._loop.time() - due > _STOOD_STILL_S:
                self._set(within_s, end, again=False)
            else:
                end()

        self._timer = self._loop.call_at(due, over)
