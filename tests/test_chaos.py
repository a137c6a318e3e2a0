"""Half a minute of random kills, broker restarts and noise on every wire; then quiet, and everything is as if nothing had been."""

import asyncio
import csv
import json
import random
import socket
import time
from contextlib import suppress
from datetime import datetime

import aiomqtt
import psutil
from processes import Up, descendants, free_port, interrupt, running, wait_until
from test_up import get

from energydash.config import FACILITY_TOPIC, MARKET_TOPIC, topic_beside

SEED = 20260301
STORM_S = 20
PARTS = ("broker", "publish", "serve", "ui")
BACK_WITHIN_S = 60


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


def storm(up, ports, dice):
    """Kill, stop and shout at random for a while; give how many parts were killed."""
    killed = 0
    until = time.monotonic() + STORM_S
    while time.monotonic() < until:
        deed = dice.random()
        if deed < 0.4:
            with suppress(AssertionError, psutil.Error):
                up.part(dice.choice(PARTS)).kill()
                killed += 1
        elif deed < 0.7:
            asyncio.run(shout(ports[2], dice))
        else:
            knock(dice.choice(ports), dice)
        time.sleep(dice.uniform(0.0, 0.8))
    return killed


def table(folder, name):
    with (folder / f"data/live/csv_output/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def stations_in_tables(folder, until):
    """{code: (newest time, power)} of the rows up to a time."""
    newest = {}
    for row in table(folder, "facility_metrics_wide"):
        moment = datetime.fromisoformat(row["timestamp"])
        if moment <= until and moment >= newest.get(row["facility_code"], (moment,))[0]:
            power = float(row["power"]) if row["power"] else None
            newest[row["facility_code"]] = (moment, power)
    return newest


def stations_of(api):
    answer = json.loads(get(f"{api}/api/facilities")[1])
    rows = answer["facilities"]
    return {
        row["code"]: (datetime.fromisoformat(row["event_time"]), row.get("power"))
        for row in rows
        if row.get("event_time")
    }  # fmt: skip


def agree(api, folder):
    """Whether REST shows, of every station, a value of the tables that is at most an interval from the newest."""
    shown = stations_of(api)
    moment = max(when for when, _ in shown.values())
    wanted = stations_in_tables(folder, moment)
    return shown == wanted and len(shown) > 100


def listening(ports):
    for port in ports:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
            yield port


def test_after_half_a_minute_of_chaos_everything_recovers_by_itself_and_nothing_is_left(
    tmp_path,
):
    dice = random.Random(SEED)
    base = next(
        b for b in iter(free_port, 0) if b < 65000 and not [*listening(range(b, b + 3))]
    )
    ports = (base, base + 1, base + 2)
    api = f"http://127.0.0.1:{base + 1}"
    arguments = ("--source", "demo", "--no-open", "--speed", "120", "--port-base", str(base))
    with running("up", *arguments, cwd=tmp_path) as process:
        wait_until(lambda: get(f"{api}/health")[0] == 200, 60, "the server is ready")

        killed = storm(Up(process, api), ports, dice)

        assert process.poll() is None, (tmp_path / "stderr.txt").read_text()[-2000:]
        wait_until(lambda: get(f"{api}/health")[0] == 200, BACK_WITHIN_S, "the server is ready")
        wait_until(lambda: get(f"http://127.0.0.1:{base}/")[0] == 200, BACK_WITHIN_S, "the page answers")  # fmt: skip

        def newest():
            return json.loads(get(f"{api}/health")[1])["event_time"]

        first = newest()
        wait_until(lambda: newest() > first, BACK_WITHIN_S, "the grid moves on")
        wait_until(lambda: agree(api, tmp_path), 30, "REST shows what the tables say")
        family = descendants(process.pid)
        assert interrupt(process, 10) == 130

    assert killed >= 5
    assert psutil.wait_procs(family, timeout=2)[1] == []
    assert [*listening(ports)] == []
    left = [path.name for path in (tmp_path / "data").rglob("*")]
    assert not [name for name in left if ".tmp" in name or name == "up.json"]
    log = (tmp_path / "logs/up.log").read_text()
    assert "Traceback" not in log
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()
