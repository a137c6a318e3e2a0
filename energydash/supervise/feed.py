"""Keeping the tables ahead of the clock: the simulated grid is fetched again and again, the real one followed."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from energydash import nem
from energydash.errors import EnergydashError, FileError
from energydash.files import raw
from energydash.files.folder import DataFolder
from energydash.files.growing import Growing
from energydash.supervise import plan as plans
from energydash.supervise.backoff import Backoff
from energydash.supervise.part import Part
from energydash.supervise.plan import Plan

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
# The part of the folder that each round of a follow appends to.
_MANIFEST = "manifest.jsonl"


class Feed:
    """The parts that fill the tables; `ready` is set when there are some."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._goes_on = not plan.recording and not plan.simulated and _is_recent(plan)
        self.ready = asyncio.Event()
        self.fetch = Part("fetch", lambda: plans.fetch_arguments(plan))
        self.convert = Part("convert", lambda: plans.convert_arguments(plan))
        self.follow = Part("follow", lambda: plans.follow_arguments(plan), tireless=True)

    @property
    def parts(self) -> list[Part]:
        """Those that this plan has, in the order of the data's way."""
        if self._plan.recording:
            return [self.convert] if self._plan.recording.raw else []
        if self._plan.simulated:
            return [self.fetch, self.convert]
        first = [] if self._goes_on else [self.fetch]
        return [*first, self.follow, self.convert]

    async def run(self) -> None:
        """Make the first tables, then go on until cancelled.

        Raises:
            EnergydashError: the first tables cannot be made; later failures are said, and tried again.
        """
        plan = self._plan
        if plan.recording:
            if plan.recording.raw:
                await self.convert.or_fail()
            self.ready.set()
            return
        # A fetch would replace the days that are kept by the last one: the follow catches up.
        if not self._goes_on:
            _tell_of_another(plan)
            await self.fetch.or_fail()
        await self.convert.or_fail()
        self.ready.set()
        if plan.simulated:
            await self._again(plans.DEMO_AHEAD.total_seconds() / 2 / plan.clock.speed)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self.follow.for_ever(), name="follow")
            group.create_task(self._convert_changes(), name="convert")

    async def _again(self, pause_s: float) -> None:
        # By the clock, so that slow rounds do not let the stream run dry.
        due = time.monotonic()
        while True:
            due = max(due + pause_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            with _forgiven():
                await self.fetch.or_fail()
                await self.convert.or_fail()

    async def _convert_changes(self) -> None:
        """Convert whenever a round has left something new, and again where that failed, after pauses that grow."""
        manifest = self._plan.folder / _MANIFEST
        seen = _changed(manifest)
        backoff = Backoff()
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            newest = _changed(manifest)
            if newest == seen:
                continue
            with _forgiven():
                await self.convert.or_fail()
                seen, backoff = newest, Backoff()
                continue
            # However long it took to fail: only a success makes the next pause short.
            await asyncio.sleep(backoff.pause_s(0.0, worked=False))


def _is_recent(plan: Plan) -> bool:
    """Whether the follow can go on from what the folder holds."""
    folder = DataFolder(plan.folder)
    try:
        return folder.facilities.exists() and Growing(folder).is_recent(
            plan.clock.now(), source=plan.source, network=nem.NETWORK, interval="5m"
        )
    except FileError as exc:
        logger.warning("%s", exc)
        return False


def _tell_of_another(plan: Plan) -> None:
    with suppress(FileError):
        before = raw.load_provenance(DataFolder(plan.folder))
        if before is not None and before.source != plan.source:
            logger.warning("the folder is of %s: it is fetched anew from %s", before.source, plan.source)  # fmt: skip


def _changed(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return None


@contextmanager
def _forgiven() -> Iterator[None]:
    """Let a round fail: the page says how old its values are."""
    try:
        yield
    except EnergydashError as exc:
        logger.warning("the feed failed, the next round may work: %s", exc)
