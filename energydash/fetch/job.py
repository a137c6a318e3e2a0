"""One fetch, from the settings to the data folder: plan, ask for what is missing, and let it count as a whole."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

from energydash import nem, schema
from energydash.config import FetchSettings
from energydash.errors import AuthError, QuotaError, SourceError
from energydash.fetch import entries, unfinished
from energydash.fetch.asking import Asker, groups_of, manner_of, question
from energydash.fetch.entries import CATALOGUE, MARKET, origin_of
from energydash.fetch.plan import (
    Planned,
    Request,
    aligned,
    check_history,
    describe,
    duration,
    requests_of,
    wanted,
    when_again,
    windows,
)
from energydash.fetch.summary import FetchSummary
from energydash.fetch.unfinished import Tell as Tell  # noqa: PLC0414 (for who follows)
from energydash.files import stage as stages
from energydash.files.folder import DataFolder
from energydash.files.stage import Stage, Terms
from energydash.process import only_error
from energydash.progress import Progress
from energydash.sources.catalogue import parse_facilities, unknowns
from energydash.sources.limits import Account
from energydash.sources.parse import parse_data
from energydash.sources.protocol import Source

logger = logging.getLogger(__name__)


def logged(text: str) -> None:
    """Tell nobody but the log."""
    logger.info("%s", text)


async def run(
    settings: FetchSettings,
    source: Source,
    progress: Progress,
    tell: Tell = logged,
    clock: Callable[[], datetime] = nem.now,
) -> FetchSummary | Planned:
    """Fetch catalogue, units and market, and keep them in the data folder as a whole; a dry run ends with the plan.

    Closes `source`. What was answered before a failure is kept for the next run with the same settings.

    Raises:
        ConfigError: no station has the status that was asked for, or the key's plan does not show the window.
        SourceError: the source fails, has no data in the window, or refuses (AuthError: the key, QuotaError: for now).
        FileError: the folder cannot be written, or another fetch is at work in it.
    """
    try:
        return await Fetch(settings, source, progress, tell, clock).run()
    finally:
        await source.aclose()


class Fetch:
    """The state of one fetch."""

    def __init__(
        self,
        settings: FetchSettings,
        source: Source,
        progress: Progress,
        tell: Tell,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._source = source
        self._progress = progress
        self._tell = tell
        self._clock = clock
        self._folder = DataFolder(settings.data_dir)
        self._asker = Asker(manner_of(settings, source), notice=self._notice)
        self._origin = origin_of(settings, source)
        self._started = time.monotonic()
        # The simulated grid computes; it does not make us wait.
        self._workers = 1 if source.simulated else settings.concurrency
        self._keeping = asyncio.Lock()
        self._done = self._total = 0
        self._account: Account | None = None

    async def run(self) -> FetchSummary | Planned:
        """Do it."""
        left = stages.find(self._folder)
        # A key that got answers before is refused for another reason than being wrong.
        self._asker.trusted = (
            left is not None and bool(left.kept) and left.terms.url == self._origin.url
        )
        self._progress(0, None, "the key's account")
        try:
            self._account = await self._asker.ask(self._source.account)
        except QuotaError as exc:
            raise self._ended(exc, left) from exc
        # The account costs nothing.
        self._asker.asked = 0
        check_history(self._terms().start, self._account, self._clock())
        with stages.claimed(self._folder):
            stage = unfinished.take_up(
                self._folder, self._terms(), self._settings, self._tell, self._clock()
            )
            try:
                return await self._into(stage)
            except AuthError:
                raise
            except SourceError as exc:
                raise self._ended(exc, stage) from exc
            except asyncio.CancelledError:
                if stage.kept:
                    self._tell(
                        f"stopped: {self._kept(stage)}, the same command goes on with the rest"
                    )
                raise
            finally:
                unfinished.clear(self._folder)

    def _terms(self) -> Terms:
        settings = self._settings
        start, end = aligned(settings.start, settings.end, settings.interval, settings.network)
        return Terms(
            source=self._source.name, url=self._origin.url, seed=settings.seed,
            network=settings.network, interval=settings.interval, status=settings.status,
            batch_size=settings.batch_size, start=start, end=end,
        )  # fmt: skip

    async def _into(self, stage: Stage) -> FetchSummary | Planned:
        kept_before = CATALOGUE in stage.kept
        raw = await self._catalogue(stage)
        catalogue = parse_facilities(raw)
        facilities = wanted(catalogue, self._settings.status)
        zone = nem.network_zone(self._settings.network)
        requests = entries.named(
            requests_of(
                windows(
                    stage.terms.start.astimezone(zone),
                    stage.terms.end.astimezone(zone),
                    self._settings.interval,
                    self._account,
                ),
                groups_of([each.code for each in facilities], self._settings, self._source),
            )
        )
        stage.retain({CATALOGUE, *requests})
        missing = {
            name: request
            for name, request in requests.items()
            if name not in stage.kept or not entries.answers(stage.kept[name], request)
        }
        kept = len(requests) - len(missing) + kept_before
        planned = self._planned(stage.terms, facilities, len(requests) + 1, kept)
        if self._settings.dry_run:
            return planned
        self._tell(describe(planned, self._clock()))
        self._total = planned.requests
        await self._ask_all(stage, missing)
        return self._commit(stage, raw, catalogue, planned, list(requests))

    async def _catalogue(self, stage: Stage) -> bytes:
        if CATALOGUE in stage.kept:
            return stage.read(CATALOGUE)
        self._progress(0, None, "catalogue")
        answer = await self._asker.parsed(
            lambda: self._source.facilities(self._settings.network), parse_facilities
        )
        if answer is None:
            raise SourceError(f"{self._source.name} has no catalogue")
        entry = entries.catalogue_entry(self._origin, answer.raw, answer.parsed, self._clock())
        stage.keep(entry, answer.raw)
        return answer.raw

    def _planned(
        self, terms: Terms, facilities: list[schema.Facility], requests: int, kept: int
    ) -> Planned:
        to_ask = requests - kept
        left = self._credits_left()
        # The catalogue had to be asked for already: only it says how many batches there are.
        still = to_ask - (self._asker.asked > 0)
        return Planned(
            source=self._source.name,
            start=terms.start,
            end=terms.end,
            facilities=len(facilities),
            units=sum(len(each.units) for each in facilities),
            requests=requests,
            kept=kept,
            to_ask=to_ask,
            plan=self._account.limits.plan if self._account else "",
            credits_left=left,
            enough=left is None or still <= left,
            at_least_s=to_ask * manner_of(self._settings, self._source).spacing_s,
        )

    def _credits_left(self) -> int | None:
        """Give what the key had left when the account was asked, less what was sent since."""
        if self._account is None or self._account.credits is None:
            return None
        return max(0, self._account.credits - self._asker.asked)

    async def _ask_all(self, stage: Stage, missing: dict[str, Request]) -> None:
        queue = iter(missing.items())
        self._show(stage)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work(stage, queue))
        except ExceptionGroup as failures:
            raise only_error(failures) from None

    async def _work(self, stage: Stage, queue: Iterator[tuple[str, Request]]) -> None:
        for name, request in queue:
            answer = await self._asker.parsed(
                partial(question, self._source, self._settings, request), parse_data
            )
            content, data = (answer.raw, answer.parsed) if answer else (b"", None)
            entry = await asyncio.to_thread(
                entries.entry_of, self._origin, name, request, content, data, self._clock()
            )
            async with self._keeping:
                await asyncio.to_thread(stage.keep, entry, content)
                self._show(stage)

    def _notice(self, trouble: str) -> None:
        logger.info("%s", trouble)
        self._progress(self._done, self._total or None, trouble)

    def _show(self, stage: Stage) -> None:
        points = sum(entry.points for entry in stage.kept.values() if entry.kind != "catalogue")
        passed = time.monotonic() - self._started
        rate = self._asker.asked / passed if passed else 0.0
        left = self._total - len(stage.kept)
        text = f"{points:,} points, {rate:.1f} requests/s"
        if left and rate:
            text += f", {duration(left / rate)} left"
        if self._asker.trouble:
            text += f" ({self._asker.trouble})"
        self._done = len(stage.kept)
        self._progress(self._done, self._total, text)

    def _commit(
        self,
        stage: Stage,
        raw: bytes,
        catalogue: schema.FacilitiesAnswer,
        planned: Planned,
        names: list[str],
    ) -> FetchSummary:
        got = [stage.kept[name] for name in names]
        market = [entry for entry in got if entry.kind == "market"]
        points = sum(entry.points for entry in got if entry.kind == "units")
        market_points = sum(entry.points for entry in market)
        if not points and not market_points:
            stage.drop()
            raise SourceError(
                f"{self._source.name} has no data from {planned.start.isoformat()} to {planned.end.isoformat()}: "
                "give another --start and --end"
            )
        files = stage.commit(
            mapping={each.code: [unit.code for unit in each.units] for each in catalogue.data},
            market=entries.joined(market, MARKET),
            provenance=schema.Provenance(
                source=self._source.name,
                simulated=self._source.simulated,
                start=planned.start,
                end=planned.end,
                fetched_at=self._clock(),
            ),
        )
        strange = unknowns(raw)
        logger.info("%d requests, %d values", planned.requests, points)
        return FetchSummary(
            source=self._source.name,
            simulated=self._source.simulated,
            start=planned.start,
            end=planned.end,
            facilities=planned.facilities,
            units=planned.units,
            requests=planned.requests,
            kept=planned.kept,
            sent=self._asker.asked,
            retries=self._asker.retries,
            no_data=sum(not entry.size for entry in got),
            points=points,
            market_points=market_points,
            files=len(files),
            seconds=round(time.monotonic() - self._started, 1),
            credits_left=self._credits_left(),
            unknown_fueltechs=strange.fueltechs,
            unknown_statuses=strange.statuses,
            unknown_networks=strange.networks,
            unknown_fields=strange.fields,
            unreadable=strange.unreadable,
            nameless=strange.nameless,
            data_dir=str(self._settings.data_dir),
        )

    def _ended(self, error: SourceError, stage: Stage | None) -> SourceError:
        """Give the error with what is kept, and when to go on."""
        when = when_again(error, self._clock())
        if stage and stage.kept:
            text = f"{error}: {self._kept(stage)}, the same command{when} goes on with the rest"
        else:
            text = f"{error}: run the same command{when}" if when else str(error)
        if isinstance(error, QuotaError):
            return QuotaError(text, wait_s=error.wait_s)
        return SourceError(text)

    def _kept(self, stage: Stage) -> str:
        of = f" of {self._total}" if self._total else ""
        return f"{len(stage.kept)}{of} answers are kept"
