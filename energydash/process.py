"""A process's life: how it ends, how it is watched, and that it does not outlive its supervisor."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from energydash.errors import EnergydashError

logger = logging.getLogger(__name__)

SUPERVISED = "ENERGYDASH_SUPERVISED"
"""Set by the supervisor, which holds the other end of our standard input."""

# Set for a command that the user runs alone, these would keep a part from its end, or from its work.
_NOT_INHERITED = dict.fromkeys(
    ("ENERGYDASH_FOLLOW", "ENERGYDASH_DRY_RUN", "ENERGYDASH_RESTART", "ENERGYDASH_LOOP", "ENERGYDASH_STRICT",
     "ENERGYDASH_RESUME", "ENERGYDASH_HOME_ASSISTANT_REMOVE"), "false"
) | dict.fromkeys(
    # Two parts with one name would throw each other out of the broker for ever.
    ("ENERGYDASH_CLIENT_ID", "ENERGYDASH_START", "ENERGYDASH_END", "ENERGYDASH_REBASE", "ENERGYDASH_DELAY"), ""
)  # fmt: skip

Arguments = Callable[[], Sequence[str]]

_STOP_WITHIN_S = 3.0
_BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_STEADY_AFTER_S = 30.0
_EARLY_DEATHS = 3


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


class Part:
    """One supervised child process; started again with back-off when it dies.

    `environment` is for secrets: what stands among a process's arguments, everybody on the machine can read.
    """

    def __init__(
        self, name: str, arguments: Arguments, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.environment = environment or {}
        self.process: asyncio.subprocess.Process | None = None
        self.last_words = ""

    async def once(self) -> int:
        """Run the child to its end; give its exit code. Cancelling stops the child."""
        self.process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.arguments(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **_NOT_INHERITED, **self.environment, SUPERVISED: "1"},
            # A Ctrl-C on the terminal reaches us alone: we stop the parts, in order.
            start_new_session=True,
        )
        try:
            await self._listen(process)
            return await process.wait()
        finally:
            await _stop(process)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is None:
            return
        while line := await process.stderr.readline():
            text = line.decode(errors="replace").strip()
            if text:
                self.last_words = text
                logger.info("%s: %s", self.name, text)

    async def for_ever(self) -> None:
        """Keep the child running.

        Raises:
            EnergydashError: it died `_EARLY_DEATHS` times in a row soon after its start.
        """
        early = 0
        while True:
            started = time.monotonic()
            code = await self.once()
            early = 0 if time.monotonic() - started > _STEADY_AFTER_S else early + 1
            if early >= _EARLY_DEATHS:
                raise EnergydashError(
                    f"{self.name} keeps failing: {self.last_words or f'exit code {code}'}"
                )
            pause = _BACKOFF_S[min(early, len(_BACKOFF_S) - 1)]
            logger.warning(
                "%s ended with exit code %d (%s); starting it again in %.1f s",
                self.name,
                code,
                self.last_words or "it said nothing",
                pause,
            )
            await asyncio.sleep(pause)

    async def or_fail(self) -> None:
        """Run the child once.

        Raises:
            EnergydashError: it failed.
        """
        code = await self.once()
        if code != 0:
            words = self.last_words.removeprefix("energydash: ")
            raise EnergydashError(words or f"{self.name} ended with exit code {code}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a child, politely first; cancelling does not leave it behind."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_WITHIN_S):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError):
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
