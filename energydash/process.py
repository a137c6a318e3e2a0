"""A process's end: SIGTERM is as clean as Ctrl-C, and none outlives its supervisor."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from energydash.errors import EnergydashError

SUPERVISED = "ENERGYDASH_SUPERVISED"
"""Set by the supervisor, which holds the other end of our standard input."""

_INTERRUPTED = 130
_SHOW_CURSOR = "\x1b[?25h"

# Set for a command that the user runs alone, these would keep a part from its end, or from its work.
NOT_INHERITED = dict.fromkeys(
    ("ENERGYDASH_FOLLOW", "ENERGYDASH_DRY_RUN", "ENERGYDASH_RESTART", "ENERGYDASH_LOOP", "ENERGYDASH_STRICT",
     "ENERGYDASH_RESUME", "ENERGYDASH_HOME_ASSISTANT_REMOVE"), "false"
) | dict.fromkeys(
    # Two parts with one name would throw each other out of the broker for ever.
    ("ENERGYDASH_CLIENT_ID", "ENERGYDASH_START", "ENERGYDASH_END", "ENERGYDASH_REBASE", "ENERGYDASH_DELAY",
     "ENERGYDASH_BROKER_HOST", "ENERGYDASH_BROKER_PORT", "ENERGYDASH_CA_FILE", "ENERGYDASH_CERT_FILE", "ENERGYDASH_KEY_FILE",
     "ENERGYDASH_FACILITY_CSV", "ENERGYDASH_MARKET_CSV",
     "ENERGYDASH_INPUT_DIR", "ENERGYDASH_OUTPUT_DIR", "ENERGYDASH_FORMAT"), ""
)  # fmt: skip
"""What a part gets instead of what the user's environment says."""


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


async def until_terminated[T](coroutine: Coroutine[Any, Any, T], kill: Callable[[], None]) -> T:
    """Run `coroutine` so that SIGTERM stops it as cleanly as Ctrl-C does; a second Ctrl-C calls `kill`.

    Raises:
        KeyboardInterrupt: one of them came and the work was cancelled.
    """
    task = asyncio.create_task(_named(coroutine), name="main")
    asked = False

    def terminate() -> None:
        nonlocal asked
        asked = True
        task.cancel()

    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # Windows has no signal handlers in the loop
        loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        with _interrupts(lambda: loop.call_soon_threadsafe(terminate), kill):
            return await task
    except asyncio.CancelledError:
        if asked:
            raise KeyboardInterrupt from None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        raise


@contextmanager
def _interrupts(stop: Callable[[], object], kill: Callable[[], None]) -> Iterator[None]:
    """Have a Ctrl-C `stop` the work, and each further one `kill`.

    Nothing is raised: a KeyboardInterrupt in the event loop loses what it was about to run, which may then be waited for without end.
    """
    pressed = 0

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        if pressed == 1:
            stop()
        else:
            kill()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def exit_at_once() -> None:
    """End this process without any farewell, but with the terminal's cursor back: a progress bar hides it."""
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
        sys.stderr.flush()
    os._exit(_INTERRUPTED)


async def _named[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the work; of several errors that ended it together, the first is the one that a user should read."""
    try:
        return await coroutine
    except* EnergydashError as failures:
        raise only_error(failures) from None


def only_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the error that ended a group of tasks: of several, the first; what is not ours goes before what is."""
    ours, others = group.split(EnergydashError)
    error: BaseException = others or ours or group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextmanager
def paused_by_signal(resumed: Callable[[float], None]) -> Iterator[None]:
    """Stand still on SIGTSTP (Ctrl-Z) until SIGCONT, and then call `resumed` with the seconds that it took."""

    def stop() -> None:
        stopped = time.monotonic()
        os.kill(os.getpid(), signal.SIGSTOP)
        resumed(time.monotonic() - stopped)

    if not hasattr(signal, "SIGTSTP"):  # Windows
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTSTP)
