"""One supervised child process: started, listened to, found ready, started again, stopped."""

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum

from energydash.errors import ConfigError, EnergydashError
from energydash.plain import plain
from energydash.process import NOT_INHERITED, SUPERVISED
from energydash.supervise.backoff import Backoff

logger = logging.getLogger(__name__)

Arguments = Callable[[], Sequence[str]]
Probe = Callable[[], Awaitable[bool]]
"""Whether a part does its work by now; asked again and again after its start."""

_STOP_WITHIN_S = 3.0
_PROBE_EVERY_S = 0.1
_EARLY_DEATHS = 3
_CHUNK = 4096
_WORDS = 500


class Phase(StrEnum):
    """Where a part is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    PAUSED = "restarting"
    DONE = "done"
    FAILED = "failed"


class Part:
    """A child that runs an `energydash` command.

    `environment` is for secrets: what stands among a process's arguments, everybody on the machine can read.
    Without a `probe`, a part counts as ready as soon as it runs. What it `needs` must answer before each of its starts: to die of
    another's absence would be held against it. `port` is where it listens, for whoever looks. A `tireless` part is started again
    whatever happens, any other only once it has been ready: what fails from the start has a cause that stays. A batch job is
    `failing` from a failure to its next success.
    """

    def __init__(
        self,
        name: str,
        arguments: Arguments,
        environment: Mapping[str, str] | None = None,
        *,
        probe: Probe | None = None,
        needs: Probe | None = None,
        port: int | None = None,
        tireless: bool = False,
    ) -> None:
        self.name = name
        self.port = port
        self.phase = Phase.WAITING
        self.process: asyncio.subprocess.Process | None = None
        self.started = 0.0
        self.restarts = 0
        self.last_words = ""
        self.failing = False
        self.ready = asyncio.Event()
        self._arguments = arguments
        self._environment = environment or {}
        self._probe = probe
        self._needs = needs
        self._proven = tireless
        self._again = False

    @property
    def pid(self) -> int | None:
        """The child's process id, while it runs."""
        running = self.process is not None and self.process.returncode is None
        return self.process.pid if self.process is not None and running else None

    async def once(self) -> int:
        """Run the child to its end; give its exit code. Cancelling stops the child."""
        self.phase = Phase.STARTING
        self.process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._arguments(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **NOT_INHERITED, **self._environment, SUPERVISED: "1"},
            # A Ctrl-C on the terminal reaches us alone: we stop the parts, in order.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self.started = time.monotonic()
        watching = asyncio.create_task(self._become_ready(), name=f"{self.name}-ready")
        try:
            await self._listen(process)
            return await process.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await _stop(process)

    async def _become_ready(self) -> None:
        if self._probe is not None:
            while not await self._probe():  # noqa: ASYNC110 (a port sets no event)
                await asyncio.sleep(_PROBE_EVERY_S)
            self._proven = True
        self.phase = Phase.READY
        self.ready.set()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is None:
            return
        async for text in _lines(process.stderr):
            self.last_words = text
            logger.info("%s: %s", self.name, text)

    async def for_ever(self) -> None:
        """Keep the child running.

        Raises:
            ConfigError: it does not accept its settings.
            EnergydashError: it was never seen to be ready, and died `_EARLY_DEATHS` times in a row soon after its start.
        """
        backoff = Backoff()
        while True:
            await self._wait_for_needs()
            code = await self.once()
            lived_s = time.monotonic() - self.started
            if self._again:
                self._again = False
                continue
            worked = self._probe is not None and self.phase is Phase.READY
            pause_s = backoff.pause_s(lived_s, worked=worked)
            self._give_up_if_hopeless(code, backoff.failures)
            self.phase = Phase.PAUSED
            self.restarts += 1
            logger.warning(
                "%s ended with exit code %d (%s); starting it again in %.1f s",
                self.name,
                code,
                self.last_words or "it said nothing",
                pause_s,
            )
            await asyncio.sleep(pause_s)

    async def _wait_for_needs(self) -> None:
        if self._needs is None:
            return
        self.phase = Phase.WAITING
        while not await self._needs():  # noqa: ASYNC110 (a port sets no event)
            await asyncio.sleep(_PROBE_EVERY_S)

    def _give_up_if_hopeless(self, code: int, failures: int) -> None:
        # What was ready once can be so again: a full disk or a stolen port passes.
        if self._proven:
            return
        if code == ConfigError.exit_code and self.last_words:
            self.phase = Phase.FAILED
            raise ConfigError(self.error)
        if failures >= _EARLY_DEATHS:
            self.phase = Phase.FAILED
            words = self.last_words or f"exit code {code}"
            raise EnergydashError(f"{self.name} keeps failing: {words}")

    async def or_fail(self) -> None:
        """Run the child once.

        Raises:
            EnergydashError: it failed.
        """
        code = await self.once()
        if code == 0:
            self.phase = Phase.DONE
            self.last_words = ""
            self.failing = False
            return
        self.phase = Phase.FAILED
        self.failing = True
        self.restarts += 1
        raise EnergydashError(self.error or f"{self.name} ended with exit code {code}")

    def start_anew(self) -> None:
        """End the child, so that `for_ever` starts another at once."""
        if self.process is not None and self.process.returncode is None:
            self._again = True
            with suppress(ProcessLookupError):
                self.process.terminate()

    @property
    def error(self) -> str:
        """The child's last words, as they are told to a user."""
        return self.last_words.removeprefix("energydash: ")


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield what is said, line by line; of a line without an end, a piece."""
    rest = b""
    while chunk := await stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        rest = rest[-_CHUNK:]
        for line in whole:
            if text := plain(line.decode(errors="replace").strip())[:_WORDS]:
                yield text
    if text := plain(rest.decode(errors="replace").strip())[:_WORDS]:
        yield text


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
