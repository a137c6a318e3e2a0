"""How fast `publish` is beside mosquitto_pub, plain paho and plain aiomqtt: `python tests/benchmarks/bench_publish.py [--days 7]`.

All send the same records, as large as the NEM's (420 stations every five minutes; a week is 847,000), to the same Mosquitto. Each is a
process of its own; seconds are those from the first message to the broker's last answer (mosquitto_pub: from its start to its end), and
`publish` is also given whole, with its start and the reading of the tables. Peak memory is that of the process. What arrived is the
broker's own count: mosquitto_pub 2.0.11 ends without an error when its input does, at QoS 1 before half of it is sent, and its speed is that
of what arrived.
"""

# ruff: noqa: PLC0415 (each process imports only what it measures)

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brokers import Server
from processes import clean_environment

from energydash import nem

START = datetime(2026, 1, 5, tzinfo=nem.NEM_ZONE)
STATIONS = 420
INTERVALS_A_DAY = 288
TOPIC = "a02/facility_metrics/v1/stream"
WINDOW = 1000


def write_tables(folder: Path, days: int) -> int:
    """Write the tables, and the same records as lines of JSON; give how many."""
    count = 0
    # Line by line: a child's peak begins at what its parent holds.
    with (
        (folder / "facility_metrics_wide.csv").open("w") as table,
        (folder / "lines.json").open("w") as lines,
    ):
        table.write("timestamp,facility_code,power,emissions,longitude,latitude,by_fuel\n")
        for i in range(days * INTERVALS_A_DAY):
            moment = (START + i * timedelta(minutes=5)).isoformat()
            for n in range(STATIONS):
                power = round(200 + 180 * math.sin(i / 40 + n), 3)
                emissions, place = round(power / 20, 3), (140 + n / 40, -20 - n / 30)
                table.write(f"{moment},FAC{n:03},{power},{emissions},{place[0]},{place[1]},\n")
                lines.write(
                    f'{{"event_time":"{moment}","facility_id":"FAC{n:03}","power":{power},'
                    f'"emissions":{emissions},"longitude":{place[0]},"latitude":{place[1]}}}\n'
                )
                count += 1
    (folder / "market_metrics_data.csv").write_text(
        "timestamp,network_code,metric,value,network_region\n"
        f"{START.isoformat()},NEM,price,50.0,NSW1\n"
    )
    return count


def send_with_paho(port: int, qos: int, lines: list[bytes]) -> None:
    """As paho's own documentation has it: its thread, and a bounded number of messages in flight."""
    import paho.mqtt.client as mqtt

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(WINDOW)
    client.connect("127.0.0.1", port)
    client.loop_start()
    under_way = []
    for line in lines:
        under_way.append(client.publish(TOPIC, line, qos))
        if len(under_way) == WINDOW:
            under_way[WINDOW // 2].wait_for_publish()
            under_way = [each for each in under_way if not each.is_published()]
    for each in under_way:
        each.wait_for_publish()
    client.disconnect()


def send_with_aiomqtt(port: int, qos: int, lines: list[bytes]) -> None:
    """By its public interface alone: at most 100 calls of `publish` at once."""
    import asyncio

    import aiomqtt

    async def send() -> None:
        async with aiomqtt.Client("127.0.0.1", port, max_inflight_messages=WINDOW) as client:
            client.pending_calls_threshold = WINDOW
            room = asyncio.Semaphore(100)

            async def one(line: bytes) -> None:
                try:
                    await client.publish(TOPIC, line, qos)
                finally:
                    room.release()

            async with asyncio.TaskGroup() as group:
                for line in lines:
                    await room.acquire()
                    group.create_task(one(line))

    asyncio.run(send())


LIBRARIES = {"paho": send_with_paho, "aiomqtt": send_with_aiomqtt}


def child(name: str, port: int, qos: int, path: Path) -> None:
    """Send with a library, and print the seconds."""
    lines = path.read_bytes().splitlines()
    started = time.monotonic()
    LIBRARIES[name](port, qos, lines)
    print(time.monotonic() - started)


def measured(command: Sequence[str], stdin: Path | None = None) -> tuple[float, int, str]:
    """Run a command; give seconds, its peak in bytes, and what it said."""
    started = time.monotonic()
    with (stdin or Path(os.devnull)).open("rb") as given:
        process = subprocess.Popen(
            command, stdin=given, stdout=subprocess.PIPE, env=clean_environment(), text=True
        )
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return time.monotonic() - started, usage.ru_maxrss * 1024, said


def received(port: int) -> int:
    """How many messages the broker has taken; it says so once a second."""
    time.sleep(2.5)
    command = ["mosquitto_sub", "-p", str(port), "-t", "$SYS/broker/publish/messages/received", "-C", "1"]  # fmt: skip
    return int(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout)


def show(name: str, qos: int, arrived: int, seconds: float, peak: int) -> None:
    print(f"{name:<28} QoS {qos}  {arrived / seconds:>9,.0f}/s  {seconds:6.1f} s  {peak / 1e6:6.0f} MB  {arrived:>9,} arrived", flush=True)  # fmt: skip


def compare(folder: Path, port: int, qos: int) -> None:
    lines = folder / "lines.json"
    url = f"mqtt://127.0.0.1:{port}"
    before = received(port)
    whole, peak, said = measured(
        [
            sys.executable, "-m", "energydash", "publish", "--json", "--quiet", "--speed", "max", "--qos", str(qos),
            "--broker", url, "--facility-csv", str(folder / "facility_metrics_wide.csv"),
            "--market-csv", str(folder / "market_metrics_data.csv"),
        ]
    )  # fmt: skip
    arrived = received(port) - before
    show("energydash publish, sending", qos, arrived, json.loads(said)["sending_s"], peak)
    show("energydash publish, whole", qos, arrived, whole, peak)
    others = {"mosquitto_pub -l": (["mosquitto_pub", "-p", str(port), "-t", TOPIC, "-q", str(qos), "-l"], lines)}  # fmt: skip
    for name in LIBRARIES:
        command = [sys.executable, __file__, "--child", name, "--port", str(port), "--qos", str(qos), "--lines", str(lines)]  # fmt: skip
        others[f"plain {name}"] = (command, None)
    for name, (command, stdin) in others.items():
        before = received(port)
        seconds, peak, said = measured(command, stdin)
        show(name, qos, received(port) - before, float(said or seconds), peak)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--child")
    parser.add_argument("--port", type=int)
    parser.add_argument("--qos", type=int)
    parser.add_argument("--lines", type=Path)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.port, given.qos, given.lines)
        return
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        count = write_tables(folder, given.days)
        print(f"{count:,} records, to Mosquitto")
        with Server("mosquitto", folder, "allow_anonymous true", "sys_interval 1") as server:
            for qos in (0, 1):
                compare(folder, server.port, qos)


if __name__ == "__main__":
    main()
