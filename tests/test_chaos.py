"""Random kills, a broker that restarts, an API that fails, noise on every wire; then quiet, and everything is as if nothing had been.

`CHAOS_S` makes the storm longer, `CHAOS_SEED` another.
"""

import asyncio
import csv
import json
import os
import random
import re
import socket
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import aiomqtt
import psutil
import pytest
import standin_faults as faults
from browsing import Visit, needs_chromium
from processes import Up, descendants, energydash, free_port, interrupt, running, wait_until
from standin import KEY, StandIn, serving
from test_up import get

from energydash import nem
from energydash.config import FACILITY_TOPIC, MARKET_TOPIC, topic_beside
from energydash.files.folder import DataFolder, clear_abandoned

SEED = int(os.environ.get("CHAOS_SEED", "20260301"))
STORM_S = float(os.environ.get("CHAOS_S", "10"))
PARTS = ("fetch", "broker", "publish", "serve", "ui")
BACK_WITHIN_S = 120
LATER = 4 * nem.INTERVAL
DAY = timedelta(days=1)
TABLES = ("facility_metrics_wide", "market_metrics_data")

pytestmark = pytest.mark.timeout(600 + STORM_S)


# --- what a storm is made of -----------------------------------------------------------------------


def noise(dice):
    """What no reader should have to expect."""
    return dice.choice(
        [
            b"", b"\x00" * 100, b"null", b"[" * 5000, b'{"event_time": 7}', dice.randbytes(300),
            b'{"event_time":"2099-01-01T00:00:00+10:00","facility_id":"X","power":1e9,"emissions":0}',
            b'{"event_time":"1970-01-01T00:00:00+10:00","facility_id":"<script>","power":1,"emissions":0}',
            b'{"network_code":"NEM","metric":"price","event_time":"soon","value":"NaN"}',
        ]
    )  # fmt: skip


async def shout(port, dice):
    topics = (FACILITY_TOPIC, MARKET_TOPIC, topic_beside(FACILITY_TOPIC, "latest"), topic_beside(MARKET_TOPIC, "latest"))  # fmt: skip
    with suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(2), aiomqtt.Client("127.0.0.1", port, timeout=1) as mqtt:
            for _ in range(50):
                await mqtt.publish(dice.choice(topics), noise(dice))


def knock(port, dice):
    """Say nonsense to whatever listens, and hang up or not."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5) as door:
        door.settimeout(0.5)
        door.sendall(dice.choice([b"GET /ws/realtime HTTP/1.1\r\nUpgrade: websocket\r\n", b"\x16\x03\x01"]) + dice.randbytes(200))  # fmt: skip
        door.recv(100)


def fault(dice):
    """What an API does on a bad day."""
    kinds = (faults.failing, faults.gateway, faults.dropped, faults.torn, faults.short, faults.half_json)  # fmt: skip
    return dice.choice([*(kind() for kind in kinds), faults.slow(0.5), faults.rate_limited(1)])


def kill(up, word):
    """Kill a part, unless it lies dead already; tell whether it was killed."""
    for process in up.parts(word):
        with suppress(psutil.NoSuchProcess):
            process.kill()
            return True
    return False


def storm(up, ports, api, dice):
    """Do harm at random for a while, each kind at least once; count what was done."""
    done = Counter()
    deeds = [*PARTS, "noise", "noise", "fault", "fault", "knock", "knock"]
    to_do = dice.sample(deeds, len(deeds))
    until = time.monotonic() + STORM_S
    while to_do or time.monotonic() < until:
        deed = to_do.pop() if to_do else dice.choice(deeds)
        match deed:
            case "noise":
                asyncio.run(shout(ports[2], dice))
            case "fault":
                api.faults.add(fault(dice))
            case "knock":
                knock(dice.choice(ports), dice)
            case part if not kill(up, part):
                continue
        done[deed] += 1
        time.sleep(dice.uniform(0.0, 0.8))
    return done


# --- what is to be true afterwards ------------------------------------------------------------------


def table(folder, name):
    """Read a table, which is replaced as a whole."""
    with (folder / f"csv_output/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def moment_of(row):
    return datetime.fromisoformat(row["timestamp"])


def number(text):
    return float(text) if text else None


class Footprint(NamedTuple):
    """What a process holds."""

    files: int
    threads: int
    memory_mb: float

    @classmethod
    def of(cls, pid):
        process = psutil.Process(pid)
        return cls(process.num_fds() if hasattr(process, "num_fds") else process.num_handles(), process.num_threads(), process.memory_info().rss / 1e6)  # fmt: skip


class Grid:
    """An `up` on the stand-in API, what it asks and shows, and where its ports begin."""

    def __init__(self, process, folder, api, base):
        self.process, self.folder, self.api, self.base = process, folder, api, base
        self.ports = (base, base + 1, base + 2)
        self.page = f"http://127.0.0.1:{base}"
        self.rest = f"http://127.0.0.1:{base + 1}"
        self.up = Up(process, self.rest)
        self.before = None

    @property
    def live(self) -> Path:
        return self.folder / "data/live"

    def ask(self, path):
        """Give what REST says, None where it does not."""
        status, body = get(self.rest + path)
        return json.loads(body) if status == 200 else None

    def is_well(self):
        """Whether every part runs once, and server and page answer."""
        parts = [len(self.up.parts(word)) for word in PARTS]
        return parts == [1] * len(PARTS) and self.ask("/health") and get(f"{self.page}/")[0] == 200  # fmt: skip

    def newest(self):
        health = self.ask("/health")
        return datetime.fromisoformat(health["event_time"]) if health else None


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """`up` with a key, after the storm and with twenty more minutes of grid; the last test to use it ends it."""
    dice = random.Random(SEED)
    folder = tmp_path_factory.mktemp("chaos")
    now = nem.now().replace(tzinfo=None)
    base = free_port(row=3)
    with serving(StandIn(now=now - LATER, plan="ENTERPRISE")) as api:
        key = {"OPENELECTRICITY_API_KEY": KEY, "OE_BASE_URL": f"{api.url}/v4"}
        # `auto` would take the simulated grid where the API is slow to answer at the start.
        arguments = ("up", "--source", "openelectricity", "--no-open", "--port-base", str(base))
        with running(*arguments, cwd=folder, **key) as process:
            grid = Grid(process, folder, api, base)
            wait_until(grid.is_well, BACK_WITHIN_S, "all of it is up")
            grid.before = Footprint.of(process.pid)

            done = storm(grid.up, grid.ports, api, dice)

            began = time.monotonic()
            assert process.poll() is None, (folder / "stderr.txt").read_text()[-2000:]
            api.faults.clear()
            wait_until(grid.is_well, BACK_WITHIN_S, f"all of it is back (seed {SEED})")
            print(f"seed {SEED}, {STORM_S:.0f} s: {dict(done)}; back after {time.monotonic() - began:.1f} s")  # fmt: skip
            api.now = now
            # Its rounds are five minutes apart; a new one begins with one.
            kill(grid.up, "fetch")
            yield grid


@pytest.fixture(scope="module")
def calm(grid):
    """The tables that another makes of all that the API holds, with nothing in its way."""
    end = nem.floor_interval(grid.api.now.replace(tzinfo=nem.NEM_ZONE))
    start = min(map(moment_of, table(grid.live, TABLES[1])))
    key = {"OPENELECTRICITY_API_KEY": KEY, "OE_BASE_URL": f"{grid.api.url}/v4"}
    quiet = ("--quiet", "--data-dir", "calm")
    window = ("--start", start.isoformat(), "--end", end.isoformat())
    assert energydash("fetch", *quiet, *window, cwd=grid.folder, **key).returncode == 0
    assert energydash("convert", *quiet, cwd=grid.folder).returncode == 0
    return {name: table(grid.folder / "calm", name) for name in TABLES}


@pytest.mark.parametrize("name", TABLES)
def test_after_chaos_every_value_that_the_api_holds_is_in_the_tables(grid, calm, name):
    wait_until(lambda: table(grid.live, name) == calm[name], BACK_WITHIN_S, f"{name} is whole (seed {SEED})")  # fmt: skip


def test_after_chaos_the_server_holds_every_value_of_its_day(grid, calm):
    stations, market = calm[TABLES[0]], calm[TABLES[1]]
    newest = max(map(moment_of, (*stations, *market)))
    wait_until(lambda: grid.newest() == newest, BACK_WITHIN_S, f"the server is at the newest (seed {SEED})")  # fmt: skip
    day = [row for row in stations if moment_of(row) > newest - DAY]

    def differing(code):
        """What either has and the other has not."""
        said = grid.ask(f"/api/facilities/{code}/history") or {"times": [], "power": []}
        held = set(zip(map(datetime.fromisoformat, said["times"]), said["power"], strict=True))
        wanted = {(moment_of(row), number(row["power"])) for row in day if row["facility_code"] == code}  # fmt: skip
        return sorted(held ^ wanted, key=str)

    codes = sorted({row["facility_code"] for row in day})
    assert len(codes) > 30
    left = {}
    try:
        for code in codes:
            wait_until(lambda code=code: not left.update({code: differing(code)}) and not left[code], BACK_WITHIN_S, f"all of {code} (seed {SEED})")  # fmt: skip
    finally:
        print({code: (len(rows), [*map(str, rows[:6])]) for code, rows in left.items() if rows})


@needs_chromium[0]
@needs_chromium[1]
def test_after_chaos_the_page_shows_what_the_tables_say(grid, calm, browser):
    rows = [row for row in calm[TABLES[1]] if row["metric"] == "demand"]
    # The API leaves out a value now and then; the page shows the newest interval with a demand of the whole network.
    whole = max(moment_of(row) for row in rows if not row["network_region"] and row["value"])
    newest = {row["network_region"] or "NEM": number(row["value"]) for row in rows if moment_of(row) == whole}  # fmt: skip
    visit = Visit(browser, grid.page)

    def shown(scope):
        text = visit.page.get_by_test_id(f"card-{scope}").get_by_test_id("demand").inner_text()
        return number(re.sub(r"[^\d.]", "", text))

    try:
        for scope in ("NEM", "NSW1", "TAS1"):
            wanted = pytest.approx(newest[scope], abs=0.6)
            wait_until(lambda s=scope, w=wanted: shown(s) == w, BACK_WITHIN_S, f"demand of {scope}")  # fmt: skip
    finally:
        visit.close()


def test_after_chaos_nothing_is_left_behind(grid):
    wait_until(grid.is_well, BACK_WITHIN_S, "all of it is up")
    before, pid = grid.before, grid.process.pid
    # It asks the parts with a pool of threads that grows to its size and stays.
    wait_until(
        lambda: (now := Footprint.of(pid)).files <= before.files + 5 and now.threads <= before.threads + 8,
        BACK_WITHIN_S, f"the supervisor holds no more than before: {before}",
    )  # fmt: skip
    assert Footprint.of(pid).memory_mb < before.memory_mb + 30
    family = descendants(pid)

    assert interrupt(grid.process, 60) == 130
    assert psutil.wait_procs(family, timeout=60)[1] == []
    for port in grid.ports:
        with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", port), timeout=1):  # fmt: skip
            pass
    # What was killed as it wrote leaves its file, and a later fetch takes it away.
    for path in grid.live.rglob(".*.tmp"):
        os.utime(path, (0, 0))
    clear_abandoned(DataFolder(grid.live))
    left = [path.name for path in (grid.folder / "data").rglob("*")]
    assert not [name for name in left if ".tmp" in name or name == "up.json"]
    for said in (*(grid.folder / "logs").glob("*.log"), grid.folder / "stderr.txt"):
        assert "Traceback" not in said.read_text(), said
