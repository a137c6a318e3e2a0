"""A process's life: it starts soon, SIGTERM is as clean as Ctrl-C, and none outlives its supervisor."""

import asyncio
import gc
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
_SHOW_CURSOR = b"\x1b[?25h"

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


def exit_at_once() -> None:
    """End this process without any farewell, but with the terminal's cursor back: a progress bar hides it."""
    with suppress(OSError):
        if os.isatty(2):
            # A terminal that its user has stopped must not hold the end up.
            os.set_blocking(2, False)
            os.write(2, _SHOW_CURSOR)
            os.set_blocking(2, True)
    os._exit(_INTERRUPTED)


def run[T](work: Coroutine[Any, Any, T], kill: Callable[[], None] = exit_at_once) -> T:
    """Run `work` so that SIGTERM stops it as cleanly as Ctrl-C; a second Ctrl-C calls `kill`, and so does each that meets no work.

    Raises:
        KeyboardInterrupt: one of them came and the work was cancelled.
    """
    interrupts = _Interrupts(kill)
    with interrupts.heard():
        return asyncio.run(_until_terminated(work, interrupts))


class _Interrupts:
    """What a Ctrl-C does: it stops the work, once, and each further one kills.

    Nothing is raised: a KeyboardInterrupt in the event loop loses what it was about to run, which may then be waited for without end.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self.stop: Callable[[], object] | None = None
        self._kill = kill

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Take the signal, unless who started us has it ignored, as a shell does for what it runs in the background."""
        here = threading.current_thread() is threading.main_thread()
        if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return
        signal.signal(signal.SIGINT, self._take)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        stop, self.stop = self.stop, None
        if stop is None:
            self._kill()
        else:
            stop()


async def _until_terminated[T](work: Coroutine[Any, Any, T], interrupts: _Interrupts) -> T:
    task = asyncio.create_task(_named(work), name="main")
    asked = False

    def terminate() -> None:
        nonlocal asked
        asked = True
        task.cancel()

    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # Windows has no signal handlers in the loop
        loop.add_signal_handler(signal.SIGTERM, terminate)
    interrupts.stop = lambda: loop.call_soon_threadsafe(terminate)
    try:
        return await task
    except asyncio.CancelledError:
        if asked:
            raise KeyboardInterrupt from None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        raise
    finally:
        interrupts.stop = None


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
def loading() -> Iterator[None]:
    """Look for no garbage while much is imported, nor later among that: Panel is there a fifth sooner."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


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
