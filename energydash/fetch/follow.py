"""Following the grid: round after round, ask for what can be new and keep what is, within the day's quota."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial

import msgspec

from energydash import nem, schema
from energydash.config import FetchSettings
from energydash.errors import ConfigError, FileError, QuotaError, SourceError
from energydash.fetch import cadence as pace
from energydash.fetch import entries, job
from energydash.fetch.asking import (
    Asker,
    Sleep,
    budget_of,
    catalogue_of,
    groups_of,
    manner_of,
    question,
)  # fmt: skip
from energydash.fetch.cadence import Cadence, Overlaps, Turns
from energydash.fetch.job import Tell
from energydash.fetch.plan import Planned, Request, duration, until_reset, wanted
from energydash.files import raw
from energydash.files.folder import DataFolder, write
from energydash.files.growing import Growing
from energydash.files.known import REACH, Known
from energydash.files.stage import claimed
from energydash.progress import Progress
from energydash.sources.limits import next_reset
from energydash.sources.parse import parse_data
from energydash.sources.protocol import Source, Window
from energydash.threads import to_its_end

logger = logging.getLogger(__name__)

_INTERVAL = "5m"
# The API's worker has stored an interval within two minutes of its end.
_STORED_AFTER = timedelta(seconds=150)
# The API counts the credits anew a little after midnight: a key's last verdict is kept for five minutes.
_SURELY_RESET = timedelta(minutes=6)
_LOOK_EVERY = timedelta(minutes=30)
# Files cost no quota, and who offers them has been asked again and again already.
_SOON = timedelta(seconds=15)


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What a round brought: requests sent, values that are new, values that replace others."""

    requests: int = 0
    new: int = 0
    revised: int = 0

    def __add__(self, other: "Round") -> "Round":
        return Round(
            requests=self.requests + other.requests,
            new=self.new + other.new,
            revised=self.revised + other.revised,
        )


async def follow(
    settings: FetchSettings,
    source: Source,
    progress: Progress,
    tell: Tell = job.logged,
    clock: Callable[[], datetime] = nem.now,
    sleep: Sleep = asyncio.sleep,
) -> Planned | None:
    """Fetch what the folder lacks, then go on until cancelled; a dry run ends with the plan.

    Closes `source`.

    Raises:
        ConfigError: the interval is not five minutes, or the settings do not go together.
        SourceError: the first fetch fails; later, a failed request is tried again in the next round.
        FileError: the folder cannot be read or written, or another fetch is at work in it.
    """
    try:
        _check(settings)
        follower = Follower(settings, source, progress, tell, clock, sleep)
        planned = await follower.begin()
        if planned is not None:
            return planned
        with follower.working():
            await follower.run()
    finally:
        await source.aclose()
    return None


def _check(settings: FetchSettings) -> None:
    if settings.interval != _INTERVAL:
        raise ConfigError(f"--follow goes with --interval {_INTERVAL}, not {settings.interval}")
    if not settings.open_end:
        raise ConfigError("--follow goes on past any --end: leave it out")


class Follower:
    """The state of a follow; `begin`, then `round` after `round` while `working`."""

    def __init__(
        self,
        settings: FetchSettings,
        source: Source,
        progress: Progress,
        tell: Tell,
        clock: Callable[[], datetime],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._source = source
        self._progress = progress
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._folder = DataFolder(settings.data_dir)
        self._origin = entries.origin_of(settings, source)
        self._asker = Asker(manner_of(settings, source), sleep)
        self._growing = Growing(self._folder)
        self._known = Known()
        self._overlaps = Overlaps(None)
        self._since = settings.start
        self._groups: list[tuple[str, ...]] = []
        self._turns = Turns([])
        self._rounds = 0
        self._resting = False
        self._replan_at = clock()
        self.cadence: Cadence | None = None

    async def begin(self) -> Planned | None:
        """Fetch what is missing of the window, if the folder cannot be caught up with; a dry run gives its plan."""
        before = raw.load_provenance(self._folder) if self._folder.source.exists() else None
        if before is not None and before.source != self._source.name:
            self._tell(f"the folder is of {before.source}: it is fetched anew from {self._source.name}")  # fmt: skip
        if not self._can_be_caught_up():
            fetch = job.Fetch(
                self._settings, self._source, self._progress, self._tell, self._clock
            )
            summary = await fetch.run()
            if isinstance(summary, Planned):
                return summary
        self._asker.trusted = True
        return None

    def _can_be_caught_up(self) -> bool:
        if self._settings.dry_run or not self._folder.source.exists():
            return False
        growing, settings = self._growing, self._settings
        if not growing.is_recent(
            self._clock(), source=self._source.name, network=settings.network, interval=settings.interval
        ):  # fmt: skip
            return False
        provenance = raw.load_provenance(self._folder)
        if settings.fixed and provenance is not None and provenance.start > settings.start:
            return False
        catalogue = raw.load_facilities(self._folder)
        stations = wanted(catalogue, settings.status) if catalogue.data else []
        return {each.code for each in stations} <= growing.facilities()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Keep the folder for as long as the block runs, and leave it settled."""
        with claimed(self._folder):
            self._growing = Growing(self._folder)
            self._growing.recover()
            self._known = self._growing.known(REACH)
            self._overlaps = Overlaps(self._growing.newest)
            self._since = self._growing.since
            try:
                yield
            finally:
                self._growing.settle()

    async def run(self) -> None:
        """Go on, round after round."""
        while True:
            pause = await self.step()
            await self._sleep(pause.total_seconds())

    async def step(self) -> timedelta:
        """Do what is due now, and give how long there is nothing to do."""
        try:
            if self._clock() >= self._replan_at:
                await self._plan()
            if self.cadence is None:
                return self._rest("the key has too few requests left today")
            pause = await self._source.news()
            if pause:
                return pause
            done = await self.round(self.cadence)
        except QuotaError as exc:
            return self._look_again(exc)
        except SourceError as exc:
            logger.warning("a round failed, the next may work: %s", exc)
            if self.cadence is None and not self._resting:
                self._tell(f"{exc}: waiting for it, what the folder holds stays")
                self._resting = True
            return _SOON if self._source.whole else self._until_next(self.cadence)
        self._resting = False
        await self._tidy()
        if pause is None:
            pause = self._until_next(self.cadence)
        at = (self._clock() + pause).astimezone(nem.network_zone(self._settings.network))
        self._rounds += 1
        brought = (
            f"{done.requests} requests, {done.new:,} new and {done.revised:,} revised values"
        )
        logger.info("%s", brought)
        self._progress(self._rounds, None, f"{brought}; next at {at:%H:%M}")
        return pause

    async def _tidy(self) -> None:
        """Keep the folder small; a disk that fails must not end the following: the next round tries again."""
        keep = self._settings.keep_days
        now = self._clock().astimezone(nem.network_zone(self._settings.network))
        try:
            done = await to_its_end(
                self._growing.tidy, now, None if keep is None else timedelta(days=keep)
            )
        except FileError as exc:
            logger.warning("the folder cannot be tidied: %s", exc)
        else:
            if done:
                logger.info("merged small answers into one a day")

    def _rest(self, why: str) -> timedelta:
        now = self._clock()
        self._tell(f"{why}: resting until {until_reset(now)}")
        return next_reset(now) + _SURELY_RESET - now

    def _look_again(self, refusal: QuotaError) -> timedelta:
        """Rest for a while: asking for the account costs nothing, and a refused key may be a passing fault."""
        now = self._clock()
        self._replan_at = now
        if refusal.wait_s is not None:
            pause = timedelta(seconds=refusal.wait_s)
        else:
            pause = min(_LOOK_EVERY, next_reset(now) + _SURELY_RESET - now)
        if not self._resting:
            self._tell(
                f"{refusal}: resting, and looking again every {duration(pause.total_seconds())}"
            )
        self._resting = True
        return pause

    def _until_next(self, cadence: Cadence | None) -> timedelta:
        """Give the time to the next round: with the real grid, soon after its interval is stored."""
        if cadence is None:
            return pace.LEAST
        if self._source.simulated:
            return cadence.every
        now = self._clock()
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        passed = (now - day - _STORED_AFTER) // cadence.every
        return day + (passed + 1) * cadence.every + _STORED_AFTER - now

    async def _plan(self) -> None:
        """Take the catalogue and the key's credits anew, and choose what they allow."""
        now = self._clock()
        account = await self._asker.ask(self._source.account)
        facilities = wanted(await self._catalogue(), self._settings.status)
        ranked = pace.ranked(facilities, self._known.movement())
        self._groups = groups_of(ranked, self._settings, self._source)
        await to_its_end(self._growing.asking, ranked)
        self._turns = Turns(self._groups)
        budget = budget_of(account)
        every = timedelta(seconds=self._settings.every_s)
        if self._source.simulated:
            self.cadence = Cadence(every=every, groups=len(self._groups))
        else:
            self.cadence = pace.choose(
                every=every,
                groups=len(self._groups),
                budget=budget,
                lasts=next_reset(now) - now,
            )
        self._replan_at = next_reset(now) + _SURELY_RESET
        if self.cadence is not None:
            plan = account.limits.plan if account else ""
            self._tell(pace.describe(self.cadence, len(self._groups), plan=plan, budget=budget))

    async def _catalogue(self) -> schema.FacilitiesAnswer:
        # Once it is kept, a catalogue without a station would end each later start.
        answer = await self._asker.parsed(
            partial(self._source.facilities, self._settings.network),
            partial(catalogue_of, status=self._settings.status),
        )
        if answer is None:
            raise SourceError(f"{self._source.name} has no catalogue")
        if answer.raw != self._folder.facilities.read_bytes():
            mapping = {f.code: [unit.code for unit in f.units] for f in answer.parsed.data}
            write(self._folder.facilities, answer.raw)
            write(self._folder.mapping, msgspec.json.encode(mapping))
            self._growing.list_catalogue(
                entries.catalogue_entry(self._origin, answer.raw, answer.parsed, self._clock())
            )
        return answer.parsed

    async def round(self, cadence: Cadence) -> Round:
        """Ask for the market and for the groups whose turn it is, and keep what was not known.

        Raises:
            SourceError: a request failed; what came before it is kept.
        """
        now = self._clock()
        done = Round()
        for by_region in (False, True):
            done += await self._ask(None, now, by_region=by_region)
        for codes in self._turns.take(cadence.groups):
            done += await self._ask(codes, now, by_region=False)
        await to_its_end(self._growing.reached, now, self._clock())
        return done

    async def _ask(
        self, codes: tuple[str, ...] | None, now: datetime, *, by_region: bool
    ) -> Round:
        what = codes or (by_region,)
        window = Window(max(self._since, self._overlaps.start(what, now)), None)
        request = Request(window, codes, by_region)
        answer = await self._asker.parsed(
            partial(question, self._source, self._settings, request), parse_data
        )
        if answer is None:
            # Nothing there yet is the normal answer to who asks early.
            self._overlaps.read(what, now, None)
            return Round(requests=1)
        new, revised, newest = await to_its_end(self._keep, request, answer.parsed)
        self._overlaps.read(what, now, newest)
        return Round(requests=1, new=new, revised=revised)

    def _keep(
        self, request: Request, answer: schema.DataAnswer
    ) -> tuple[int, int, datetime | None]:
        """Keep what of an answer was not known, and give how much is new, how much revised, and its newest label."""
        whole = entries.entry_of(self._origin, "", request, b"", answer, self._clock())
        changes = self._known.changes(answer)
        if changes.answer.data:
            entry = entries.entry_of(
                self._origin, "", request, b"", changes.answer, self._clock()
            )
            add = self._growing.add_market if request.codes is None else self._growing.add_units
            add(entry, changes.answer)
        return changes.new, changes.revised, whole.last
