"""AEMO's file server over HTTP: politely, again where that may help, and not what has not changed."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
import msgspec
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from energydash import __version__
from energydash.errors import SourceError, TransientError
from energydash.sources.nemweb.keeping import Answer
from energydash.sources.web import checked_url, one_line, retry_after_s

RATE = 20.0
"""Requests in a second at most, unless the user says otherwise: the files are small, and static."""

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_WHOLE_REQUEST_S = 180.0
_MOST_BYTES = 256 * 2**20
_LONGEST_WAIT_S = 30.0
_RETRIES_OF_A_STRANGER = 1
# Who asks too often is refused with 403 here, not with 429 alone.
_LATER = {403, 408, 425, 429}

Sleep = Callable[[float], Awaitable[None]]


class AbsentError(SourceError):
    """There is no such file: AEMO takes the current ones away after some days."""


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask: requests in a second and at once, how often again, seconds of the first back-off."""

    rate: float = RATE
    concurrency: int = 4
    retries: int = 5
    backoff_s: float = 1.0


class Transport:
    """A connection to the server; `requests` and `received` (bytes of bodies, unpacked) count what went and came.

    Raises:
        ConfigError: the address is none.
    """

    def __init__(
        self,
        base_url: str,
        manner: Manner,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._manner = manner
        self._sleep = sleep
        self._places = asyncio.Semaphore(manner.concurrency)
        self._turn = asyncio.Lock()
        self._next = 0.0
        self._met = False
        self.requests = 0
        self.received = 0
        self._client = httpx.AsyncClient(
            base_url=checked_url(base_url, "--nemweb-url"),
            headers={"User-Agent": f"energydash/{__version__}"},
            timeout=_TIMEOUT,
            follow_redirects=True,
            transport=transport,
        )

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return str(self._client.base_url).rstrip("/")

    async def get(self, path: str, known: Answer | None = None) -> Answer:
        """Give what is at a path; `known` itself where the server says that it has not changed.

        Raises:
            AbsentError: there is nothing there.
            SourceError: the server cannot be reached, or refuses, at each try.
        """
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=self._is_enough,
            wait=self._pause,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            async for attempt in attempts:
                with attempt:
                    answer = await self._once(path, known)
        except TransientError as exc:
            # Who asks us need not try again in turn: we did.
            raise SourceError(str(exc)) from exc
        self._met = True
        return answer

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    async def _once(self, path: str, known: Answer | None) -> Answer:
        async with self._places:
            await self._await_turn()
            self.requests += 1
            try:
                async with asyncio.timeout(_WHOLE_REQUEST_S):
                    return await self._ask(path, known)
            except (httpx.TimeoutException, TimeoutError) as exc:
                raise TransientError(
                    f"{self.url} did not answer in time: try again later", reached=False
                ) from exc
            except httpx.HTTPError as exc:
                reason = one_line(str(exc)) or type(exc).__name__
                raise TransientError(
                    f"{self.url} cannot be reached ({reason}): check the network and --nemweb-url",
                    reached=False,
                ) from exc

    async def _ask(self, path: str, known: Answer | None) -> Answer:
        request = self._client.build_request("GET", path, headers=_conditions(known))
        response = await self._client.send(request, stream=True)
        try:
            if response.status_code == httpx.codes.NOT_MODIFIED and known is not None:
                return known
            if not response.is_success:
                _refuse(response, path)
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > _MOST_BYTES:
                    raise SourceError(f"{path} is larger than any file that AEMO publishes")
        finally:
            await response.aclose()
        self.received += len(content)
        headers = response.headers
        return Answer(bytes(content), headers.get("etag", ""), headers.get("last-modified", ""))

    def _is_enough(self, state: RetryCallState) -> bool:
        tries = self._manner.retries
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TransientError) and not error.reached and not self._met:
            # An address where nobody has ever answered is more likely wrong than out of order.
            tries = min(tries, _RETRIES_OF_A_STRANGER)
        return state.attempt_number > tries

    def _pause(self, state: RetryCallState) -> float:
        """Give the seconds until the next try: full jitter, but no less than the server asks for."""
        jitter = wait_random_exponential(
            multiplier=self._manner.backoff_s, max=_LONGEST_WAIT_S
        )(state)
        error = state.outcome.exception() if state.outcome else None
        asked_for = error.retry_after_s if isinstance(error, TransientError) else None
        if asked_for is None:
            return jitter
        pause = max(jitter, min(asked_for, _LONGEST_WAIT_S))
        # It means all of us, not this request alone.
        self._next = max(self._next, time.monotonic() + pause)
        return pause

    async def _await_turn(self) -> None:
        async with self._turn:
            while (wait := self._next - time.monotonic()) > 0:
                await self._sleep(wait)
            self._next = time.monotonic() + 1 / self._manner.rate


def _conditions(known: Answer | None) -> dict[str, str]:
    if known is None:
        return {}
    headers = {"If-None-Match": known.etag, "If-Modified-Since": known.modified}
    return {name: value for name, value in headers.items() if value}


def _refuse(response: httpx.Response, path: str) -> None:
    status = response.status_code
    if status in {httpx.codes.NOT_FOUND, httpx.codes.GONE}:
        raise AbsentError(f"there is no {path} on AEMO's server")
    if status in _LATER or httpx.codes.is_server_error(status):
        raise TransientError(
            f"AEMO's server answered {status} for {path}: try again later",
            retry_after_s=retry_after_s(response),
        )
    raise SourceError(f"AEMO's server answered {status} for {path}: check --nemweb-url")
