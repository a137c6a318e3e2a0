"""WebSocket clients by the hundred in one process: they read frames as bytes and keep none."""

import asyncio
import resource

from wire import split

HANDSHAKE = (
    b"GET /ws/realtime%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_STATUS = b'{"type":"status"'


class Visitor(asyncio.Protocol):
    """One client; `greeted` is done once its snapshot has come, with the frames of it."""

    def __init__(self, query: str = "") -> None:
        self._query = query
        self._buffer = bytearray()
        self._open = False
        self.frames: list[bytes] = []
        self.greeted: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport) -> None:
        self.transport = transport
        transport.write(HANDSHAKE % self._query.encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head[:200]
            self._open, self._buffer = True, bytearray(rest)
        frames, used = split(bytes(self._buffer))
        del self._buffer[:used]
        if not self.greeted.done():
            self.frames += frames
            if any(_STATUS in frame[:40] for frame in frames):
                self.greeted.set_result(self.frames)

    def connection_lost(self, _: Exception | None) -> None:
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError("it was hung up on"))
            self.greeted.exception()


def allow_many_sockets() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def visit(port: int, query: str = "", *, again: bool = False) -> Visitor:
    """Connect one client; `again`: also while nobody listens yet."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            _, visitor = await loop.create_connection(lambda: Visitor(query), "127.0.0.1", port)
        except OSError:
            if not again:
                raise
            await asyncio.sleep(0.05)
        else:
            return visitor
