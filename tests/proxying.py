"""A reverse proxy on a free port: it hands on what is beneath its prefix, as nginx does with `proxy_pass`, and nothing else."""

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

_REFUSED = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LIMIT_S = 30.0


class Proxy:
    """`refused` holds the paths that were asked for and are not beneath the prefix."""

    def __init__(self, prefix: str, upstream: int) -> None:
        self.prefix = prefix
        self.upstream = upstream
        self.refused: list[str] = []
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_LIMIT_S):
                head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            if not path.startswith(f"{self.prefix}/"):
                self.refused.append(path)
                writer.write(_REFUSED)
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.upstream)
            if b"upgrade: websocket" not in head.lower():
                # One request a connection, so that each path is looked at.
                head = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)
                head = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            back.write(head)
            await asyncio.gather(_pour(reader, back), _pour(there, writer))
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
    finally:
        sink.close()


@contextmanager
def proxying(prefix: str, upstream: int) -> Iterator[Proxy]:
    """Run a proxy in a thread of its own, for tests that have no event loop."""
    proxy, ready = Proxy(prefix, upstream), threading.Event()
    stop: Callable[[], object] = lambda: None  # noqa: E731

    async def serve() -> None:
        nonlocal stop
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        stop = partial(loop.call_soon_threadsafe, ended.set)
        server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        ready.set()
        await ended.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(_LIMIT_S)
    try:
        yield proxy
    finally:
        stop()
        thread.join(_LIMIT_S)
