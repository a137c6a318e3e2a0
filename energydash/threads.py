"""Work in a thread that nothing tears: what has begun is brought to its end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress


async def to_its_end[T, **P](work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work in a thread; who is cancelled meanwhile ends after it, also where it has not begun.

    What has come is kept, whatever else fails meanwhile. And a thread cannot be stopped: left behind, it would go on to write into a
    folder that others may have by then.
    """
    doing = asyncio.create_task(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        while not doing.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({doing})
        if not doing.cancelled():
            # Heard, or asyncio would say in the log that nobody did: who is cancelled tells of why.
            doing.exception()
        raise
