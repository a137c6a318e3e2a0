"""The process's one way to the data folder: off the event loop, a few questions at a time, each with a time limit."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from energydash.errors import FileError
from energydash.files.archive import Archive, Contents
from energydash.files.tracks import Question, Tracks

logger = logging.getLogger(__name__)

# A question keeps both cores busy by itself; more at once would only wait for each other, and take memory.
_AT_ONCE = 2
_LIMIT_S = 60.0


class Reading:
    """Asks the tables of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._archive = Archive(folder)
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def contents(self) -> Contents:
        """Say what the folder holds.

        Raises:
            FileError: it cannot be read, or not within the limit.
        """
        return await self._within_limits(lambda archive: archive.contents())

    async def ask(self, question: Question) -> Tracks:
        """Answer a question from the folder.

        Raises:
            FileError: it cannot be read, or not within the limit.
        """
        began = time.perf_counter()
        tracks = await self._within_limits(lambda archive: archive.ask(question))
        logger.info("%s of %d %ss: %d intervals in %.2f s", question.metric, len(question.names), question.kind, tracks.length, time.perf_counter() - began)  # fmt: skip
        return tracks

    async def _within_limits[T](self, do: Callable[[Archive], T]) -> T:
        try:
            async with asyncio.timeout(_LIMIT_S):
                await self._gate.acquire()
                work = asyncio.get_running_loop().run_in_executor(None, do, self._archive)
                work.add_done_callback(self._finished)
                # Unlike `await work`, this leaves it alone when the time is up: nothing can stop its thread.
                await asyncio.wait({work})
                return work.result()
        except TimeoutError:
            raise FileError(
                f"{self.folder} took longer than {_LIMIT_S:.0f} s: ask for less, or convert with --format parquet"
            ) from None

    def _finished(self, work: asyncio.Future[Any]) -> None:
        """Let the next question in, now that the thread of this one is done, whether or not somebody still waits for it."""
        self._gate.release()
        if not work.cancelled() and (error := work.exception()) is not None:
            logger.debug("a question of %s failed: %s", self.folder, error)
