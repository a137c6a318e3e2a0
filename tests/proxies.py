"""A way to a broker over loopback TCP that can be cut, throttled or torn down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from energydash.config import Broker

_CHUNK = 4096


class Proxy:
    """Forwards to a port; `open` cleared, nothing passes and nobody is told; `rate` is bytes a second."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.port = 0
        self.open = asyncio.Event()
        self.open.set()
        self.rate: float | None = None
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> Broker:
        return Broker(port=self.port)

    def tear(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        both = {writer}
        try:
            # A broker may be away: the connection here ends all the same.
            onward, back = await asyncio.open_connection("127.0.0.1", self._to)
            both.add(back)
            self._writers |= both
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, back, self.rate))
                group.create_task(self._pass(onward, writer, None))
        except* OSError:
            pass
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def end(self) -> None:
        """End what is served, also what has only begun."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float | None
    ) -> None:
        while chunk := await reader.read(_CHUNK):
            await self.open.wait()
            if rate:
                await asyncio.sleep(len(chunk) / rate)
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError


@asynccontextmanager
async def standing[P: Proxy](proxy: P) -> AsyncIterator[P]:
    """Let it stand on a free port; afterwards nothing of it is left."""
    server = await asyncio.start_server(proxy._met, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()


def proxy_to(port: int) -> AbstractAsyncContextManager[Proxy]:
    return standing(Proxy(port))
