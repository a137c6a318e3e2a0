"""The real server on a free port, in this process, and readers of its WebSocket."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import websockets
from websockets.asyncio.client import ClientConnection, connect

from energydash.config import Broker, ServeSettings
from energydash.server import app
from energydash.server.fanout import Fanout
from energydash.server.hub import Hub
from energydash.server.limits import Doorkeeper, Limits

LIMIT_S = 30.0


class Live:
    """A running server: its hub to feed, its address to call."""

    def __init__(self, fanout: Fanout, port: int, doorkeeper: Doorkeeper) -> None:
        self.fanout = fanout
        self.doorkeeper = doorkeeper
        self.hub = fanout.hub
        self.port = port
        self.http = f"http://127.0.0.1:{port}"
        self.ws = f"ws://127.0.0.1:{port}/ws/realtime"
        self.task: asyncio.Task | None = None

    async def get(self, path: str, **more) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.http, timeout=LIMIT_S) as client:
            return await client.get(path, **more)

    @asynccontextmanager
    async def reader(self, **more) -> AsyncIterator["Reader"]:
        async with reader_of(self.ws, **more) as reader:
            yield reader

    @asynccontextmanager
    async def reader_that_stalls(self) -> AsyncIterator["Reader"]:
        """A client that takes next to nothing until the test reads."""
        with socket.socket() as raw:
            small_buffers(raw)
            raw.connect(("127.0.0.1", self.port))
            async with self.reader(sock=raw, max_queue=1) as reader:
                yield reader


class Reader:
    """One WebSocket client; every wait has a limit."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def frame(self) -> dict:
        async with asyncio.timeout(LIMIT_S):
            return json.loads(await self.connection.recv())

    async def until(self, *kinds: str) -> dict:
        """Read on to the next frame of one of these types."""
        async with asyncio.timeout(LIMIT_S):
            while (frame := await self.frame())["type"] not in kinds:
                pass
        return frame

    async def greeting(self, *, anew: bool = False) -> dict[str, dict]:
        """Read what every newcomer gets, to its `status`; who begins `anew` may hear that of a second before."""
        frames = {}
        while "status" not in frames:
            frame = await self.frame()
            if not anew or frames or frame["type"].startswith("initial"):
                frames[frame["type"]] = frame
        return frames

    async def send(self, message: object) -> None:
        raw = message if isinstance(message, str | bytes) else json.dumps(message)
        async with asyncio.timeout(LIMIT_S):
            await self.connection.send(raw)

    async def end(self) -> int | None:
        """Read to the end, and give the close code."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await self.frame()
        return self.connection.close_code


@asynccontextmanager
async def reader_of(url: str, **more) -> AsyncIterator[Reader]:
    given = {
        "max_size": None,
        "open_timeout": LIMIT_S,
        "close_timeout": 1,
        "ping_interval": None,
        "proxy": None,
    }
    async with connect(url, **{**given, **more}) as connection:
        yield Reader(connection)


def small_buffers(*sockets: socket.socket) -> None:
    """Let the system hold little, so that who does not read is felt at once."""
    for each in sockets:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)


@asynccontextmanager
async def serving(
    *, ticking: bool = True, limits: Limits | None = None, **options
) -> AsyncIterator[Live]:
    """Serve a hub that the test feeds; without `ticking`, the test ticks too."""
    fanout = Fanout(Hub())
    doorkeeper = Doorkeeper(limits or Limits())
    asgi = app.create_app(ServeSettings(broker=Broker(), **options), fanout, doorkeeper)
    with app.listen("127.0.0.1", 0) as door:
        if not ticking:
            small_buffers(door)
        live = Live(fanout, door.getsockname()[1], doorkeeper)
        live.task = asyncio.create_task(
            _serve(asgi, door, doorkeeper, fanout if ticking else None)
        )
        try:
            yield live
        finally:
            live.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await live.task


async def _serve(asgi, door: socket.socket, doorkeeper, fanout: Fanout | None) -> None:
    async with asyncio.TaskGroup() as group:
        if fanout is not None:
            group.create_task(fanout.run())
        group.create_task(app.run(asgi, door, doorkeeper))
