"""Hours of streaming in one process, watched: `python tests/benchmarks/soak_stream.py [--minutes 60] [--speed 60] [--qos 1]`.

A week as large as the NEM's goes round and round (`--loop --rebase now`) to Mosquitto. It prints, each half
minute, the publisher's memory, how far its newest interval is from where an absolute clock would have it, and what arrived.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil
from bench_publish import STATIONS, write_tables
from brokers import Server
from processes import running

from energydash import config, schema
from energydash.stream.client import connected

EVERY_S = 30.0


class Seen:
    """What a reader of the stream has seen: when each interval's first record came."""

    def __init__(self) -> None:
        self.records = 0
        self.first: tuple[float, datetime] | None = None
        self.newest: tuple[float, datetime] | None = None

    def take(self, _topic: str, body: bytes) -> None:
        self.records += 1
        moment = schema.decode_facility_record(body).event_time
        if self.newest is None or moment > self.newest[1]:
            self.newest = (time.monotonic(), moment)
            self.first = self.first or self.newest

    def drift_s(self, speed: float) -> float:
        """How much later than an absolute clock from the first interval on would have it, wall seconds."""
        if self.first is None or self.newest is None:
            return 0.0
        event_s = (self.newest[1] - self.first[1]).total_seconds()
        return self.newest[0] - self.first[0] - event_s / speed


async def watch(process: psutil.Process, seen: Seen, given: argparse.Namespace) -> None:
    started = time.monotonic()
    while (passed := time.monotonic() - started) < 60 * given.minutes:
        await asyncio.sleep(EVERY_S)
        size = process.memory_info().rss / 1e6
        event = seen.newest[1].isoformat() if seen.newest else "-"
        print(
            f"{passed / 60 + EVERY_S / 60:6.1f} min  {size:6.1f} MB  {seen.drift_s(given.speed) * 1000:+7.1f} ms  {seen.records:>9,} records  {event}",
            flush=True,
        )


async def soak(given: argparse.Namespace, folder: Path) -> None:
    tables = folder / "data" / "csv_output"
    tables.mkdir(parents=True)
    write_tables(tables, given.days)
    seen = Seen()
    with Server("mosquitto", folder) as server:
        arguments = (
            "publish", "--broker", server.address.url, "--qos", str(given.qos), "--speed", str(given.speed),
            "--loop", "--rebase", "now", "--resume", "--quiet",
        )  # fmt: skip
        async with connected(server.address, "soak", take=seen.take) as reader:
            await reader.subscribe(config.FACILITY_TOPIC, qos=1)
            with running(*arguments, cwd=folder) as process:
                await watch(psutil.Process(process.pid), seen, given)
    print(f"{seen.records:,} records, {seen.records / STATIONS:,.1f} intervals")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--qos", type=int, default=1)
    parser.add_argument("--days", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(soak(given, Path(folder)))


if __name__ == "__main__":
    main()
