"""The dashboard under load: CPU of its process, age of what the pages get, bytes; against sending everything anew.

    python tests/benchmarks/bench_dashboard.py [--sessions 1,20,60] [--seconds 20] [--memory] [--paint] [--rush 40]

A real `up` moves on by one interval a second. Sessions are bare sockets that speak Bokeh's protocol, so that the reader's work
is none of the measurement. "Replace" is the same dashboard, with one difference: it sends all data of map and charts to each
session each second, as many dashboards do.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import websockets

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bare_pages import Reader, open_and_close
from browsing import chromium, first_view
from processes import Up, free_port, running, wait_until

SPEED = "300"
SETTLE_S = 4
REPLACING = """
import asyncio, sys, time
from energydash.config import UiSettings
from energydash.ui import page
from energydash.ui.session import Session

class Replacing(Session):
    last = 0.0
    def pull(self):
        super().pull()
        if time.monotonic() - self.last < 0.95:
            return
        self.last = time.monotonic()
        for source in (self._map.source, self._charts._stack.source, self._charts._price.source):
            source.data = dict(source.data)

page.Session = Replacing
asyncio.run(page.serve(UiSettings(backend=sys.argv[1], port=int(sys.argv[2]))))
"""


async def listen(url, wanted, came):
    """Note when the feed itself says that an interval is whole."""
    async with websockets.connect(url, max_size=None) as socket:
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] != "charts_update":
                continue
            for moment in frame["times"]:
                # The charts' own milliseconds: the time of day in NEM time read as UTC.
                ms = str(int(wall_s(moment) * 1000))
                if moment not in came:
                    came[moment] = time.monotonic()
                    wanted[moment] = ms


def wall_s(moment):
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()


async def measure(port, feed, process, sessions, seconds):
    wanted, came = {}, {}
    readers = [Reader(port) for _ in range(sessions)]
    tasks = [asyncio.create_task(listen(feed, wanted, came))]
    opened = time.monotonic()
    for reader in readers:
        tasks.append(asyncio.create_task(reader.run(wanted)))
        await asyncio.sleep(0.05)
    while not all(reader.bytes for reader in readers):
        if any(task.done() for task in tasks):
            await asyncio.gather(*(task for task in tasks if task.done()))
        await asyncio.sleep(0.2)
    opened = time.monotonic() - opened
    await asyncio.sleep(SETTLE_S)
    before, cpu, began = (
        [r.bytes for r in readers],
        sum(process.cpu_times()[:2]),
        time.monotonic(),
    )
    await asyncio.sleep(seconds)
    ended = time.monotonic()
    cpu = (sum(process.cpu_times()[:2]) - cpu) / (ended - began)
    rate = statistics.mean(r.bytes - b for r, b in zip(readers, before, strict=True)) / (
        ended - began
    )
    inside = [m for m, at in came.items() if began <= at < ended - 3]
    ages = sorted(r.saw.get(m, ended) - came[m] for m in inside for r in readers)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return opened, cpu, ages, rate


def report(name, sessions, measured, process):
    opened, cpu, ages, rate = measured
    p50, p95 = ages[len(ages) // 2], ages[int(len(ages) * 0.95)]
    print(
        f"{name:8} {sessions:3} sessions: {cpu * 100:5.1f} % of a core, age over feed p50 {p50:.2f} s p95 {p95:.2f} s"
        f" max {ages[-1]:.2f} s, {rate / 1024:6.1f} kB/s each, {process.memory_info().rss / 2**20:.0f} MB,"
        f" all open after {opened:.1f} s",
        flush=True,
    )


async def rush(port, feed, process, many, already=20):
    """So many pages at once, while others are open: what a page costs, and how late the open ones hear of an interval meanwhile."""
    wanted, came = {}, {}
    open_ones, new_ones = ([Reader(port) for _ in range(count)] for count in (already, many))
    tasks = [asyncio.create_task(listen(feed, wanted, came))]
    tasks += [asyncio.create_task(each.run(wanted)) for each in open_ones]

    async def until_there(readers):
        while not all(each.bytes for each in readers):
            if any(task.done() for task in tasks):
                await asyncio.gather(*(task for task in tasks if task.done()))
            await asyncio.sleep(0.1)

    async def spend(seconds):
        cpu = sum(process.cpu_times()[:2])
        await asyncio.sleep(seconds)
        return (sum(process.cpu_times()[:2]) - cpu) / seconds

    await until_there(open_ones)
    await asyncio.sleep(SETTLE_S)
    idle = await spend(5)
    began, cpu = time.monotonic(), sum(process.cpu_times()[:2])
    tasks += [asyncio.create_task(each.run({})) for each in new_ones]
    await until_there(new_ones)
    ended, cpu = time.monotonic(), sum(process.cpu_times()[:2]) - cpu
    await asyncio.sleep(10)
    inside = [m for m, at in came.items() if began <= at < ended]
    ages = sorted(r.saw.get(m, time.monotonic()) - came[m] for m in inside for r in open_ones)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    took = ended - began
    print(
        f"rush: {many} pages at once beside {already}: all there after {took:.1f} s, {(cpu - idle * took) / many:.2f} s of CPU each;"
        f" age over feed of the others p50 {ages[len(ages) // 2]:.2f} s p95 {ages[int(len(ages) * 0.95)]:.2f} s",
        flush=True,
    )


async def memory(port, process):
    """A page that nobody returns to is kept for half a minute, and looked for as often."""
    await open_and_close(port, 10)
    await asyncio.sleep(60)
    before = process.memory_info().rss
    for _ in range(10):
        await open_and_close(port, 10)
    most = process.memory_info().rss
    await asyncio.sleep(70)
    after = process.memory_info().rss
    print(
        f"memory: {before / 2**20:.0f} MB, {most / 2**20:.0f} MB after 100 sessions, {after / 2**20:.0f} MB once they are gone"
        f" ({after / before - 1:+.1%})",
        flush=True,
    )


def painted(port):
    """How soon map and numbers are painted, for who comes for the first time and for who comes again."""
    with chromium() as browser:
        for _ in range(3):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            for name in ("cold", "warm", "warm"):
                seen = first_view(context, f"http://127.0.0.1:{port}")
                print(
                    f"{name}: document after {seen['answered']:.2f} s, map and numbers painted after {seen['painted']:.2f} s, live after {seen['live']:.2f} s,"
                    f" {seen['models']} models, {seen['bytes'] / 1024:.0f} kB",
                    flush=True,
                )
            context.close()


@contextmanager
def replacing(feed, folder):
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", REPLACING, feed, str(port)], cwd=folder, stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        wait_until(lambda: answers(port), 60, "the other dashboard answers")
        yield port, psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def answers(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", default="1,20,60")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--paint", action="store_true")
    parser.add_argument("--rush", type=int, default=0)
    chosen = parser.parse_args()
    counts = [int(count) for count in filter(None, chosen.sessions.split(","))]
    port, server = free_port(), free_port()
    feed = f"ws://127.0.0.1:{server}/ws/realtime"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ports = ("--port", str(port), "--server-port", str(server))
        with running(
            "up", "--no-open", "--source", "demo", "--speed", SPEED, *ports, cwd=folder
        ) as up:
            wait_until(lambda: answers(port), 90, "the page answers")
            log = folder / "logs/ui.log"
            wait_until(lambda: "stations has come" in log.read_text(), 60, "the past has come")
            ui = Up(up, "").part("ui")
            if chosen.paint:
                painted(port)
            if chosen.rush:
                asyncio.run(rush(port, feed, ui, chosen.rush))
            for count in counts:
                report("patch", count, asyncio.run(measure(port, feed, ui, count, chosen.seconds)), ui)  # fmt: skip
            with replacing(feed, folder) as (other, process):
                for count in counts:
                    report("replace", count, asyncio.run(measure(other, feed, process, count, chosen.seconds)), process)  # fmt: skip
            if chosen.memory:
                asyncio.run(memory(port, ui))


if __name__ == "__main__":
    main()
