"""What open pages cost: `python tests/benchmarks/bench_dashboard.py [--seconds 15] [--sessions 20 60] [--opened 100]`.

A real `serve` gets the simulated grid, one interval of the whole of it a second, and a real `ui` follows it. Pages are opened as a
browser does: the document by HTTP, then Bokeh's protocol over a WebSocket, without a browser's own cost. Beside it runs a small app
that draws the same data and replaces all of it for every session each second, as dashboards of this kind usually do.
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import psutil
from websockets.asyncio.client import ClientConnection, connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brokers import Server
from processes import clean_environment, energydash, free_port, running, wait_until

from energydash import nem, schema

SPEED = 300  # one interval a second
MESSAGE = 3  # frames: header, metadata, content
PARALLEL = 5
LIMIT_S = 90.0


class Page:
    """One session, as a browser has it; `ages` are seconds from the feed to this socket."""

    def __init__(self, url: str, known: "Known") -> None:
        self.url = url
        self.known = known
        self.received = 0
        self.ages: list[float] = []
        self.document_bytes = 0
        self.models = 0
        self.first_document_s = 0.0
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, client: httpx.AsyncClient) -> None:
        began = time.perf_counter()
        html = (await client.get(self.url)).text
        token = re.search(r'"token":"([^"]+)"', html).group(1)
        self._socket = await connect(
            self.url.replace("http", "ws") + "ws", subprotocols=["bokeh", token], max_size=None, proxy=None
        )  # fmt: skip
        await self._message()  # ACK: asked before it, the server fails
        header = json.dumps({"msgid": "1", "msgtype": "PULL-DOC-REQ"})
        for part in (header, "{}", "{}"):
            await self._socket.send(part)
        content = await self._message("PULL-DOC-REPLY")
        self.first_document_s = time.perf_counter() - began
        self.document_bytes = len(content)
        self.models = content.count('"type":"object"')
        self._reading = asyncio.create_task(self._read())

    async def _message(self, kind: str = "") -> str:
        """Give the content of the next message of a kind, with the buffers that follow it."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                header = await self._socket.recv()
                parts = [await self._socket.recv() for _ in range(MESSAGE - 1)]
                buffers = json.loads(header).get("num_buffers", 0)
                binary = [await self._socket.recv() for _ in range(2 * buffers)]
                if kind in header:
                    return parts[-1] + "".join(str(len(each)) for each in binary)

    async def _read(self) -> None:
        seen: set[str] = set()
        async for frame in self._socket:
            now = time.perf_counter()
            self.received += len(frame)
            text = frame if isinstance(frame, str) else ""
            for mark, since in list(self.known.marks.items()):
                if mark not in seen and mark in text:
                    seen.add(mark)
                    self.ages.append(now - since)

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._socket is not None:
            await self._socket.close()


class Known:
    """What the feed has told since when: by the milliseconds with which a chart marks an interval."""

    def __init__(self) -> None:
        self.marks: dict[str, float] = {}
        self.newest: datetime | None = None

    async def follow(self, backend: str) -> None:
        async with connect(backend, max_size=None, proxy=None) as feed:
            async for message in feed:
                frame = schema.decode_server_frame.decode(message)
                if isinstance(frame, schema.InitialCharts):
                    self.newest = max(frame.times, default=None)
                if isinstance(frame, schema.ChartsUpdate):
                    for moment in frame.times:
                        self._mark(moment)

    def _mark(self, moment: datetime) -> None:
        if self.newest is not None and moment <= self.newest:
            return
        self.newest = moment
        wall = moment.astimezone(nem.NEM_ZONE).replace(tzinfo=None) - datetime(1970, 1, 1)
        self.marks[str(round(wall / timedelta(milliseconds=1)))] = time.perf_counter()
        while len(self.marks) > 60:
            del self.marks[next(iter(self.marks))]


class Figures(msgspec.Struct, kw_only=True):
    """One line of the table."""

    what: str
    sessions: int
    cpu_percent: float
    p50_age_s: float
    p95_age_s: float
    kb_a_second: float
    first_document_s: float
    document_kb: float
    models: int


@asynccontextmanager
async def open_pages(url: str, count: int, known: Known) -> AsyncIterator[list[Page]]:
    pages = [Page(url, known) for _ in range(count)]
    gate = asyncio.Semaphore(PARALLEL)
    async with httpx.AsyncClient(timeout=LIMIT_S, limits=httpx.Limits(max_connections=PARALLEL)) as client:  # fmt: skip

        async def open_one(page: Page) -> None:
            async with gate:
                await page.open(client)

        await asyncio.gather(*(open_one(page) for page in pages))
    try:
        yield pages
    finally:
        await asyncio.gather(*(page.close() for page in pages))


async def measure(what: str, url: str, pid: int, count: int, seconds: float, known: Known) -> Figures:  # fmt: skip
    process = psutil.Process(pid)
    async with open_pages(url, count, known) as pages:
        await asyncio.sleep(3)  # what opening costs is another figure
        for page in pages:
            page.ages.clear()
            page.received = 0
        began, used = time.perf_counter(), _cpu(process)
        await asyncio.sleep(seconds)
        wall, used = time.perf_counter() - began, _cpu(process) - used
        ages = sorted(age for page in pages for age in page.ages) or [float("nan")]
        return Figures(
            what=what, sessions=count, cpu_percent=100 * used / wall,
            p50_age_s=statistics.median(ages), p95_age_s=ages[int(0.95 * (len(ages) - 1))],
            kb_a_second=statistics.mean(page.received for page in pages) / wall / 1000,
            first_document_s=statistics.median(page.first_document_s for page in pages),
            document_kb=pages[0].document_bytes / 1000, models=pages[0].models,
        )  # fmt: skip


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def open_and_close(url: str, pid: int, count: int) -> tuple[float, float]:
    """Give MB of resident memory before and after so many sessions came and went."""
    process, known = psutil.Process(pid), Known()

    async def rounds(n: int) -> None:
        for _ in range(n // PARALLEL):
            async with open_pages(url, PARALLEL, known):
                pass

    async def gone() -> float:
        # Bokeh lets a session without a page live for half a minute and looks every 17 seconds.
        await asyncio.sleep(55)
        return process.memory_info().rss / 1e6

    await rounds(20)  # caches are filled once
    before = await gone()
    await rounds(count)
    return before, await gone()


def prepare(folder: Path) -> datetime:
    """Make tables of four days, so that the stream lasts a quarter of an hour, and give the moment at which the stream shall be now."""
    for command in (("fetch", "--source", "demo", "--days", "4"), ("convert",)):
        done = energydash(*command, "--quiet", cwd=folder, limit_s=300)
        assert done.returncode == 0, done.stderr
    source = schema.decode_provenance((folder / "data/csv_output/source.json").read_bytes())
    return source.start + timedelta(hours=24)


@contextmanager
def grid(stack: ExitStack, folder: Path) -> Iterator[str]:
    """Run broker, server and publisher; give the server's WebSocket."""
    now = prepare(folder)
    broker = stack.enter_context(Server("embedded", folder))
    port = free_port()
    data = str(folder / "data")
    stack.enter_context(running("serve", "--broker", broker.address.url, "--port", str(port),
        "--history", f"{data}/csv_output", cwd=_within(folder, "serve")))  # fmt: skip
    wait_until(lambda: _answers(f"http://127.0.0.1:{port}/"), 30, "the server answers")
    stack.enter_context(running("publish", "--broker", broker.address.url, "--data-dir", data,
        "--speed", str(SPEED), "--backfill-until", now.isoformat(), cwd=_within(folder, "publish")))  # fmt: skip
    wait_until(lambda: _status(f"http://127.0.0.1:{port}/health") == 200, 60, "it is filled")
    yield f"ws://127.0.0.1:{port}/ws/realtime"


def _within(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir(exist_ok=True)
    return path


def _answers(url: str) -> bool:
    return _status(url) > 0


def _status(url: str) -> int:
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.HTTPError:
        return 0


@contextmanager
def served(
    stack: ExitStack, folder: Path, backend: str, what: str
) -> Iterator[tuple[str, int]]:
    """Run the dashboard, or the app that replaces everything; give its address and process."""
    port = free_port()
    if what == "ui":
        process = stack.enter_context(running("ui", "--backend", backend, "--port", str(port), "--no-open",
            "--history", str(folder / "data/csv_output"), cwd=_within(folder, "ui")))  # fmt: skip
    else:
        process = stack.enter_context(_replacing(port, backend))
    url = f"http://127.0.0.1:{port}/"
    wait_until(lambda: _status(url) == 200, 60, f"{what} answers")
    yield url, process.pid


@contextmanager
def _replacing(port: int, backend: str) -> Iterator[object]:
    import subprocess  # noqa: PLC0415

    command = [
        sys.executable,
        str(Path(__file__).with_name("replacing.py")),
        str(port),
        backend,
    ]
    process = subprocess.Popen(command, env=clean_environment())
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def run(arguments: argparse.Namespace, folder: Path) -> None:
    table = []
    with ExitStack() as stack:
        backend = stack.enter_context(grid(stack, folder))
        known = Known()
        following = asyncio.create_task(known.follow(backend))
        for what in ("ui", "replace all"):
            with ExitStack() as own:
                url, pid = own.enter_context(served(own, folder, backend, what))
                for count in arguments.sessions:
                    table.append(await measure(what, url, pid, count, arguments.seconds, known))
                    print(_line(table[-1]), flush=True)
                if what == "ui" and arguments.opened:
                    before, after = await open_and_close(url, pid, arguments.opened)
                    print(f"RSS before and after {arguments.opened} sessions opened and closed: {before:.0f} and {after:.0f} MB, {100 * (after / before - 1):+.1f} %", flush=True)  # fmt: skip
        following.cancel()


def _line(figures: Figures) -> str:
    return (
        f"{figures.what:<12} {figures.sessions:>3} sessions: {figures.cpu_percent:6.1f} % of a core, age p50 {figures.p50_age_s:.2f} s "
        f"p95 {figures.p95_age_s:.2f} s, {figures.kb_a_second:.1f} kB/s a session, first document {figures.first_document_s:.2f} s, "
        f"{figures.document_kb:.0f} kB, {figures.models} models"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--sessions", type=int, nargs="*", default=[20, 60])
    parser.add_argument("--opened", type=int, default=100)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(parser.parse_args(), Path(folder)))


if __name__ == "__main__":
    main()
