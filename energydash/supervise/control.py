"""How `status` and `down` reach a running `up`: one JSON line each way over a loopback socket, alike on every platform.

The token in the folder's private file is what lets in. Who has none, sends something else or nothing is hung up on.
"""

import asyncio
import contextlib
import hmac
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import msgspec

from energydash.errors import EnergydashError
from energydash.supervise.claim import Running
from energydash.supervise.now import UpNow
from energydash.supervise.ports import LOOPBACK

logger = logging.getLogger(__name__)

_LINE_BYTES = 1024
_ANSWER_BYTES = 1_000_000
# A machine that is busy answers late. Who says nothing holds a place for less time than others wait for one.
_ASK_WITHIN_S = 5.0
_ANSWER_WITHIN_S = 15.0
_GUESTS = 8


class Request(msgspec.Struct, frozen=True):
    """What is wanted, and why it may be."""

    token: str
    wish: Literal["status", "down"]


Answer = Callable[[], UpNow]


class Control:
    """The listening end; `down` is set once somebody wants an end."""

    def __init__(self, now: Answer) -> None:
        self._now = now
        self._places = asyncio.Semaphore(_GUESTS)
        self._guests: set[asyncio.StreamWriter] = set()
        self.token = secrets.token_urlsafe(32)
        self.port = 0
        self.down = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Answer for as long as the block runs."""
        server = await asyncio.start_server(self._met, LOOPBACK, 0, limit=_LINE_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for guest in self._guests:
                guest.close()
            await server.wait_closed()

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._guests.add(writer)
        with contextlib.suppress(TimeoutError, OSError, ValueError, msgspec.MsgspecError):
            async with asyncio.timeout(_ANSWER_WITHIN_S), self._places:
                await self._answer(reader, writer)
        self._guests.discard(writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_ASK_WITHIN_S):
            line = await reader.readline()
        request = msgspec.json.decode(line, type=Request)
        if not hmac.compare_digest(request.token.encode(), self.token.encode()):
            logger.warning("somebody without the token asked for %s", request.wish)
            return
        now = await asyncio.to_thread(self._now)
        writer.write(msgspec.json.encode(now) + b"\n")
        await writer.drain()
        if request.wish == "down":
            logger.info("energydash down asks for the end")
            self.down.set()


def ask(running: Running, wish: Literal["status", "down"]) -> UpNow:
    """Send a wish and give the answer.

    Raises:
        EnergydashError: nobody answers, or nothing that makes sense.
    """
    request = msgspec.json.encode(Request(running.token, wish)) + b"\n"
    try:
        with socket.create_connection(
            (LOOPBACK, running.port), timeout=_ANSWER_WITHIN_S
        ) as door:
            door.sendall(request)
            with door.makefile("rb") as answer:
                return msgspec.json.decode(answer.readline(_ANSWER_BYTES), type=UpNow)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise EnergydashError(f"`energydash up` (pid {running.up.pid}) does not answer: {exc}") from exc  # fmt: skip
