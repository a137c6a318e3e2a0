"""The processes that this one has started, and those that they have."""

from contextlib import suppress

import psutil

from energydash import process


def kill() -> None:
    """Kill all of them, which ends our wait for them; where there is none, end this process."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    if not children:
        process.exit_at_once()
