"""Asking a source: not faster than it bears, again where that may help, and what a refusal means."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from energydash import schema
from energydash.config import FetchSettings
from energydash.errors import AuthError, ConfigError, QuotaError, SourceError, TransientError
from energydash.fetch.plan import Request, batches, duration, wanted
from energydash.sources.catalogue import parse_facilities
from energydash.sources.limits import FREE, Account
from energydash.sources.protocol import Source

logger = logging.getLogger(__name__)

_RATE = 2.0
_RETRIES_OF_A_STRANGER = 2
_LONGEST_WAIT_S = 60.0
# Whoever is told to wait for longer has nothing better to do than something else.
_LONGEST_REST_S = 300.0


Sleep = Callable[[float], Awaitable[None]]


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask: seconds between the starts of two requests, how often again, seconds of the first back-off."""

    spacing_s: float
    retries: int
    backoff_s: float


def manner_of(settings: FetchSettings, source: Source) -> Manner:
    """Give how to ask: nobody needs to spare a simulated grid, and who gets whole files paces himself."""
    free = source.simulated or source.whole
    spacing = 0.0 if free else max(1 / (settings.rate or _RATE), settings.batch_delay_s)
    return Manner(spacing_s=spacing, retries=settings.retries, backoff_s=settings.backoff_s)


def groups_of(
    codes: Sequence[str], settings: FetchSettings, source: Source
) -> list[tuple[str, ...]]:
    """Cut codes into groups that one question may name, in order.

    Raises:
        ConfigError: the size that the settings ask for is out of range.
    """
    return [tuple(codes)] if source.whole else batches(codes, settings.batch_size)


async def question(source: Source, settings: FetchSettings, request: Request) -> bytes | None:
    """Put a request to a source.

    Raises:
        SourceError: it fails or refuses.
    """
    network, interval = settings.network, settings.interval
    if request.codes is None:
        return await source.market_data(
            network, request.window, interval, by_region=request.by_region
        )
    return await source.facility_data(network, request.codes, request.window, interval)


def catalogue_of(raw: bytes, status: str) -> schema.FacilitiesAnswer:
    """Parse a catalogue in which there is somebody to ask about.

    Raises:
        SourceError: it is none, or no station in it has the status.
    """
    answer = parse_facilities(raw)
    try:
        wanted(answer, status)
    except ConfigError as exc:
        raise SourceError(f"the catalogue is of no use: {exc}") from exc
    return answer


def budget_of(account: Account | None) -> int | None:
    """Give how many requests today still allows; None where nothing limits them."""
    if account is None or account.limits.credits_a_day is None:
        return None
    if account.credits is None:
        return FREE.credits_a_day
    return account.credits


class Answer[T](msgspec.Struct, frozen=True):
    """An answer that made sense: its bytes, and what they parse to."""

    raw: bytes
    parsed: T


class Asker:
    """Asks within the pace, which all who ask share; `asked` counts requests, `retries` those asked again.

    `trusted` says that the key has worked before, so that a refusal now means something else.
    """

    def __init__(
        self,
        manner: Manner,
        sleep: Sleep = asyncio.sleep,
        notice: Callable[[str], None] = logger.info,
    ) -> None:
        self._manner = manner
        self._sleep = sleep
        self._notice = notice
        self._turn = asyncio.Lock()
        self._next = 0.0
        self.trusted = False
        self.asked = 0
        self.retries = 0
        self.trouble = ""

    async def ask[T](self, question: Callable[[], Awaitable[T]]) -> T:
        """Give the answer of a question that raises SourceError where it has none.

        Raises:
            QuotaError: the key worked before and is refused now, or the source wants to be left alone for long.
            TransientError: it failed at each try.
            SourceError: it refuses (AuthError: the key).
        """
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=self._is_enough,
            wait=self._pause,
            sleep=self._sleep,
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                await self._await_turn()
                self.asked += 1
                answer = await self._once(question)
        self.trusted = True
        self.trouble = ""
        return answer

    async def parsed[T](
        self, question: Callable[[], Awaitable[bytes | None]], parse: Callable[[bytes], T]
    ) -> Answer[T] | None:
        """Give an answer that makes sense, None where there is no data; one that makes none is asked for again.

        Raises:
            SourceError: as in `ask`; or `parse` raises it of every answer.
        """

        async def sensible() -> Answer[T] | None:
            raw = await question()
            if raw is None:
                return None
            try:
                return Answer(raw, await asyncio.to_thread(parse, raw))
            except SourceError as exc:
                raise TransientError(str(exc)) from exc

        return await self.ask(sensible)

    async def _once[T](self, question: Callable[[], Awaitable[T]]) -> T:
        try:
            return await question()
        except AuthError as exc:
            if self.trusted:
                raise QuotaError(
                    f"the API refuses the key that it accepted before ({exc.reason}), as it does when the day's "
                    "quota is used up"
                ) from exc
            raise

    def _is_enough(self, state: RetryCallState) -> bool:
        tries = self._manner.retries
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TransientError) and not error.reached and not self.trusted:
            # An address where nobody has ever answered is more likely wrong than out of order.
            tries = min(tries, _RETRIES_OF_A_STRANGER)
        return state.attempt_number > tries

    def _pause(self, state: RetryCallState) -> float:
        """Give the seconds until the next try: full jitter, but no less than the source asks for.

        Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        error = state.outcome.exception() if state.outcome else None
        jitter = wait_random_exponential(
            multiplier=self._manner.backoff_s, max=_LONGEST_WAIT_S
        )(state)
        asked_for = error.retry_after_s if isinstance(error, TransientError) else None
        pause = max(jitter, asked_for or 0.0)
        if pause > _LONGEST_REST_S:
            raise QuotaError(
                f"the API wants to be left alone for {duration(pause)} ({error})", wait_s=pause
            ) from error
        if asked_for is not None:
            # It means all of us, not this request alone.
            self._next = max(self._next, time.monotonic() + asked_for)
        self.retries += 1
        self.trouble = f"{error}; again in {pause:.0f} s"
        self._notice(self.trouble)
        return pause

    async def _await_turn(self) -> None:
        async with self._turn:
            # The source may ask for a longer rest while we wait.
            while (wait := self._next - time.monotonic()) > 0:
                await self._sleep(wait)
            self._next = time.monotonic() + self._manner.spacing_s
