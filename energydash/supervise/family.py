"""The parts that run and what they have started, killed at once."""

from collections.abc import Sequence
from contextlib import suppress

import psutil

from energydash import process
from energydash.supervise.part import Part


class Family:
    """Whom a second Ctrl-C kills: nobody but the parts, for a browser that we have opened is the user's own."""

    def __init__(self) -> None:
        self.parts: Sequence[Part] = ()

    def kill(self) -> None:
        """Kill all of them, which ends our wait for them; where none is alive, end this process."""
        alive = [each for part in self.parts for each in _alive(part.pid)]
        for each in alive:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        if not alive:
            process.exit_at_once()


def _alive(pid: int | None) -> list[psutil.Process]:
    if pid is None:
        return []
    try:
        root = psutil.Process(pid)
        return [
            each
            for each in (root, *root.children(recursive=True))
            if each.status() != psutil.STATUS_ZOMBIE
        ]
    except psutil.NoSuchProcess:
        return []
