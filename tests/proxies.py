"""A way to a broker over loopback TCP that can be cut, throttled or torn down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

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

    @property
    def address(self) -> Broker:
        return Broker(port=self.port)

    def tear(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(OSError):
            onward, back = await asyncio.open_connection("127.0.0.1", self._to)
            both = {writer, back}
            self._writers |= both
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass(reader, back, self.rate))
                    group.create_task(self._pass(onward, writer, None))
            except* OSError:
                pass
            finally:
                self._writers -= both
                for each in both:
                    each.transport.abort()

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
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.open.set()
        proxy.tear()
        await asyncio.sleep(0.05)
