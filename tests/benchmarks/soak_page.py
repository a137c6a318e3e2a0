"""A page left open, watched: `python tests/benchmarks/soak_page.py [--minutes 60] [--speed 300] [--sessions 3]`.

A real `up`, one page in Chromium and some bare sessions beside it, which come and go. It prints, each minute, the dashboard's
memory and CPU, the browser's JavaScript heap after a forced collection, and how many points the page's sources hold.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bare_pages import open_and_close
from bench_dashboard import answers
from browsing import Visit, chromium
from processes import Up, free_port, running, wait_until

EVERY_S = 60.0
POINTS = """[["stack", "t"], ["price", "t"], ["map", "size"]].map(([figure, name]) => grid.column(figure, name).length)"""


def heap_mb(devtools):
    devtools.send("HeapProfiler.collectGarbage")
    told = devtools.send("Performance.getMetrics")["metrics"]
    return next(each["value"] for each in told if each["name"] == "JSHeapUsedSize") / 1e6


def watch(one, ui, port, given, beside):
    devtools = one.context.new_cdp_session(one.page)
    devtools.send("Performance.enable")
    started = time.monotonic()
    ui.cpu_percent()
    while (passed := time.monotonic() - started) < 60 * given.minutes:
        one.frames.clear()
        one.requests.clear()
        one.page.wait_for_timeout(EVERY_S * 1000)
        busy, size = ui.cpu_percent(), ui.memory_info().rss / 1e6
        print(
            f"{(passed + EVERY_S) / 60:6.1f} min  {busy:5.1f} % of a core  {size:6.1f} MB  heap {heap_mb(devtools):5.1f} MB"
            f"  points {one.read(POINTS)}  {one.read('grid.models()')} models  {one.stage()}  {len(one.complaints)} complaints",
            flush=True,
        )
        # Playwright has a loop in this thread.
        beside.submit(asyncio.run, open_and_close(port, given.sessions)).result()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--speed", default="300")
    parser.add_argument("--sessions", type=int, default=3)
    given = parser.parse_args()
    port = free_port()
    ports = ("--port", str(port), "--server-port", str(free_port()))
    with (
        tempfile.TemporaryDirectory() as folder,
        running("up", "--no-open", "--source", "demo", "--speed", given.speed, *ports, cwd=Path(folder)) as up,
        chromium() as browser,
        ThreadPoolExecutor(1) as beside,
    ):  # fmt: skip
        wait_until(lambda: answers(port), 90, "the page answers")
        one = Visit(browser, f"http://127.0.0.1:{port}")
        watch(one, Up(up, "").part("ui"), port, given, beside)


if __name__ == "__main__":
    main()
