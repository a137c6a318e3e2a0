"""Pages without a browser: bare sockets that speak Bokeh's protocol, so that many of them cost little."""

import asyncio
import json
import re
import time

import httpx
import websockets

TOKEN = re.compile(r'"token":"([^"]+)"')
READY = {
    "events": [
        {
            "kind": "MessageSent",
            "msg_type": "bokeh_event",
            "msg_data": {"type": "event", "name": "document_ready", "values": {"type": "map"}},
        }
    ]
}


async def tell(socket, number, kind, content):
    for part in ({"msgid": number, "msgtype": kind}, {}, content):
        await socket.send(json.dumps(part))


class Reader:
    """One session: what it got, and when it first saw each interval."""

    def __init__(self, port):
        self.port = port
        self.bytes = 0
        self.saw = {}
        self.changed = False

    async def run(self, wanted):
        async with httpx.AsyncClient(timeout=60) as http:
            page = (await http.get(f"http://127.0.0.1:{self.port}/")).text
        token = TOKEN.search(page)[1]
        async with websockets.connect(
            f"ws://127.0.0.1:{self.port}/ws", subprotocols=["bokeh", token], max_size=None, compression=None, open_timeout=60
        ) as socket:  # fmt: skip
            for _ in range(3):
                await socket.recv()
            await tell(socket, "1", "PULL-DOC-REQ", {})
            while '"PULL-DOC-REPLY"' not in await socket.recv():
                pass
            self.bytes = sum([len(await socket.recv()) for _ in range(2)])
            # A browser says so once it has drawn the page; until then Panel holds changes back.
            await tell(socket, "2", "PATCH-DOC", READY)
            async for frame in socket:
                now = time.monotonic()
                self.bytes += len(frame)
                if isinstance(frame, str):
                    self.changed |= '"PATCH-DOC"' in frame
                    for moment, text in wanted.items():
                        if moment not in self.saw and text in frame:
                            self.saw[moment] = now


async def open_and_close(port, sessions):
    """Open sessions, wait until each has its page and one change of it, and leave."""
    readers = [Reader(port) for _ in range(sessions)]
    tasks = [asyncio.create_task(reader.run({})) for reader in readers]
    async with asyncio.timeout(120):
        while not all(reader.changed for reader in readers):
            if any(task.done() for task in tasks):
                await asyncio.gather(*(task for task in tasks if task.done()))
            await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
