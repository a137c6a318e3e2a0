"""A process's life: how it ends, and that it does not outlive its supervisor."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

SUPERVISED = "ENERGYDASH_SUPERVISED"
"""Set by the supervisor, which holds the other end of our standard input."""


def end_with_supervisor() -> None:
    """Under a supervisor, end this process when the supervisor's end of our stdin closes.

    A killed supervisor cannot stop its parts; the closed pipe tells them, on every platform.
    """
    if os.environ.get(SUPERVISED) != "1":
        return
    threading.Thread(target=_await_end_of_input, name="supervisor-watch", daemon=True).start()


def _await_end_of_input() -> None:
    with suppress(OSError):
        while os.read(sys.__stdin__.fileno() if sys.__stdin__ else 0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


async def until_terminated[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` so that SIGTERM stops it as cleanly as Ctrl-C does.

    Raises:
        KeyboardInterrupt: SIGTERM came and the work was cancelled.
    """
    task = asyncio.create_task(_named(coroutine), name="main")
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # Windows has no signal handlers in the loop
        loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await task
    except asyncio.CancelledError:
        if terminated:
            raise KeyboardInterrupt from None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        raise


async def _named[T](coroutine: Coroutine[Any, Any, T]) -> T:
    return await coroutine
