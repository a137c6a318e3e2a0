"""Servers that come and go: what they know at once, that two of them know the same, and that no reader is left behind."""

import asyncio
import contextlib
import json
import random
import shutil
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import aiomqtt
import httpx
import psutil
import pytest
import websockets
from brokers import Server, until
from crowd import allow_many_sockets, visit
from processes import energydash, free_port, running
from servers import reader_of
from stream_tables import settings
from test_hub import Screen, fresh
from websockets.asyncio.client import connect

from energydash import schema
from energydash.config import FACILITY_TOPIC, MARKET_TOPIC, ServeSettings
from energydash.files import tables as files
from energydash.progress import silent
from energydash.server import app, backfill
from energydash.server.fanout import Fanout
from energydash.server.hub import Hub
from energydash.stream import publisher

STATIONS = 200
# The limits of a connection's own: a busy machine is slow.
PATIENT = {"open_timeout": 60, "ping_interval": None}


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    """A day of the simulated grid."""
    folder = tmp_path_factory.mktemp("day")
    for arguments in (("fetch", "--source", "demo", "--days", "1"), ("convert",)):
        done = energydash(*arguments, "--quiet", cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder / "data/csv_output"


@pytest.fixture(scope="module")
def evening(tables, tmp_path_factory) -> Path:
    """The last two hours of that day."""
    folder = tmp_path_factory.mktemp("evening")
    for path in tables.iterdir():
        head, *lines = path.read_text().splitlines(keepends=True)
        if path.name in {"facility_metrics_wide.csv", "market_metrics_data.csv"}:
            late = sorted({line[:25] for line in lines})[-24]
            lines = [line for line in lines if line[:25] >= late]
        (folder / path.name).write_text("".join([head, *lines]))
    return folder


@pytest.fixture
def broker(tmp_path):
    with Server("embedded", tmp_path) as server:
        yield server


@asynccontextmanager
async def replica(broker: Server, **more):
    """A server in this process."""
    port = free_port()
    serving = asyncio.create_task(
        app.serve(ServeSettings(broker=broker.address, port=port, **more))
    )
    try:
        yield port
    finally:
        serving.cancel()
        await asyncio.wait([serving], timeout=30)


async def ask(port: int, path: str) -> httpx.Response | None:
    async with httpx.AsyncClient(timeout=30) as client:
        with contextlib.suppress(httpx.TransportError):
            return await client.get(f"http://127.0.0.1:{port}{path}")
    return None


async def ready(port: int, limit_s: float = 60) -> float:
    """Wait until the server holds every station; give the seconds that took from when it first answered."""
    deadline, answered = time.monotonic() + limit_s, 0.0
    while time.monotonic() < deadline:
        answer = await ask(port, "/health")
        if answer is not None:
            answered = answered or time.monotonic()
            if answer.status_code == 200 and await reporting(port) == STATIONS:
                return time.monotonic() - answered
        await asyncio.sleep(0.02)
    raise AssertionError("the server never held the grid")


async def listening(port: int, limit_s: float = 60) -> None:
    """Wait until the server has subscribed."""
    deadline = time.monotonic() + limit_s
    while (answer := await ask(port, "/health")) is None or "record" not in answer.text:
        assert time.monotonic() < deadline, "the server never came to the broker"
        await asyncio.sleep(0.02)


async def reporting(port: int) -> int:
    async with reader_of(f"ws://127.0.0.1:{port}/ws/realtime?channels=facilities") as reader:
        return len((await reader.greeting())["initial_data"]["values"]["facility_id"])


async def seen_at(port: int) -> Screen:
    """Give what a newcomer sees."""
    screen = Screen()
    async with connect(
        f"ws://127.0.0.1:{port}/ws/realtime", max_size=None, **PATIENT
    ) as connection:
        async with asyncio.timeout(30):
            while screen.seq < 0:
                screen.show(await connection.recv())
    return screen


def known(screen: Screen):
    charts = {moment: row for moment, row in screen.charts.items() if row}
    return screen.facilities, screen.values, screen.market, charts


async def test_a_server_that_comes_late_has_the_whole_grid_at_once(broker, evening):
    await publisher.run(settings(evening, broker.address), silent)
    async with replica(broker) as port:
        took = await ready(port)
        answer = (await ask(port, "/api/charts/snapshot")).json()
        async with asyncio.timeout(60):
            # MQTT keeps no order between topics.
            while not (await ask(port, "/api/market/latest")).json()["values"]:
                pass
    # Nothing at all is waited for; a busy machine takes its time.
    assert took < 20
    # Of the past, the broker keeps nothing.
    assert len(answer["times"]) == 1


@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_the_tables_beside_it_give_its_charts_a_past(
    broker, tables, evening, form, tmp_path
):
    await publisher.run(settings(evening, broker.address), silent)
    folder = tables
    if form == "parquet":
        folder = tmp_path / "out"
        done = energydash("convert", "--quiet", "--format", form, "--input-dir", str(tables.parent), "--output-dir", str(folder), cwd=tmp_path)  # fmt: skip
        assert done.returncode == 0, done.stderr
    async with replica(broker, history_dir=folder) as port:
        await ready(port)
        truth = everything_in(tables)
        await sees(port, truth)
        code = next(iter(truth[1]))
        history = (await ask(port, f"/api/facilities/{code}/history")).json()
    assert len(history["times"]) == len(truth[3]) == 288


async def test_what_a_dying_broker_loses_is_taken_from_the_tables(tmp_path, tables):
    moments = [moment for moment, _ in files.market_intervals(tables / "market_metrics_data.csv")]  # fmt: skip
    with Server("embedded", tmp_path) as broker:
        before = settings(tables, broker.address, start=moments[-72], end=moments[-24])
        await publisher.run(before, silent)
        async with replica(broker, history_dir=tables) as port:
            await ready(port)
            broker.kill()
            # An hour and more of the stream passes before anybody listens again.
            await asyncio.to_thread(broker.start)
            await publisher.run(settings(tables, broker.address, start=moments[-1]), silent)
            await sees(port, everything_in(tables))


@cache
def everything_in(folder: Path):
    """Give what a server knows that has seen all of the tables go by."""
    hub = Hub()
    stations = files.catalogue(folder)
    hub.catalogue(schema.Catalogue(source="demo", simulated=True, facilities=stations))
    for _, records in files.facility_intervals(folder / "facility_metrics_wide.csv"):
        hub.facilities(records)
    for _, values in files.market_intervals(folder / "market_metrics_data.csv"):
        hub.market(values)
    return known(fresh(Fanout(hub)))


async def sees(port: int, truth, limit_s: float = 60) -> None:
    """Wait until a newcomer sees the truth."""
    deadline = time.monotonic() + limit_s
    while known(await seen_at(port)) != truth:
        assert time.monotonic() < deadline, "the server never came to the truth"
        await asyncio.sleep(0.1)


async def all_at(one: int, other: int, intervals: int, limit_s: float = 60):
    """Wait until newcomers see that many intervals, and the same, at both: on a busy machine the readers lag behind."""
    deadline = time.monotonic() + limit_s
    while True:
        truth = known(await seen_at(one))
        if len(truth[3]) == intervals and truth == known(await seen_at(other)):
            return
        assert time.monotonic() < deadline, f"{len(truth[3])} of {intervals} intervals"
        await asyncio.sleep(0.1)


async def test_what_was_sent_before_our_subscription_is_taken_from_the_tables(
    evening, monkeypatch
):
    """What is retained is older than the stream is: what lies between it and the first record that we hear, nobody says again."""
    monkeypatch.setattr(backfill, "_SETTLE_S", 0.1)
    stations = [*files.facility_intervals(evening / "facility_metrics_wide.csv")]
    hub = Hub()

    async def heard(moments):
        return await until(lambda: len(known(fresh(Fanout(hub)))[3]) == moments, "its past")

    hub.broker_state(connected=True)
    async with asyncio.TaskGroup() as group:
        filling = group.create_task(backfill.run(hub, evening, timedelta(hours=24)))
        hub.facilities(stations[9][1])
        await heard(10)
        hub.facilities(stations[-2][1])
        await heard(len(stations) - 1)
        hub.facilities(stations[-1][1])
        filling.cancel()
    assert known(fresh(Fanout(hub)))[0:2] == everything_in(evening)[0:2]


async def test_tables_of_another_source_are_left_alone(
    broker, tables, evening, tmp_path, caplog
):
    other = tmp_path / "other"
    other.mkdir()
    for path in tables.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    source = other / "source.json"
    source.write_text(source.read_text().replace('"demo"', '"openelectricity"'))
    await publisher.run(settings(evening, broker.address), silent)
    async with replica(broker, history_dir=other) as port:
        await ready(port)
        await until(lambda: "openelectricity" in caplog.text, "it is said in the log")
        assert len((await ask(port, "/api/charts/snapshot")).json()["times"]) == 1


async def test_tables_that_are_not_there_do_not_stop_the_server(broker, evening, caplog):
    await publisher.run(settings(evening, broker.address), silent)
    async with replica(broker, history_dir=Path("/nowhere")) as port:
        await ready(port)
        await until(lambda: "without a past" in caplog.text, "it is said in the log")


@pytest.mark.parametrize("at_first", ["not there", "another grid's"])
async def test_tables_that_come_later_give_the_past_later(
    broker, tables, evening, tmp_path, caplog, monkeypatch, at_first
):
    folder = tmp_path / "tables"
    if at_first == "another grid's":
        folder.mkdir()
        said = (tables / "source.json").read_text()
        (folder / "source.json").write_text(said.replace('"demo"', '"openelectricity"'))
    looks = []

    def provenance(path):
        looks.append(path)
        return files.provenance(path)

    monkeypatch.setattr(backfill, "_AGAIN_S", 0.05)
    monkeypatch.setattr(backfill, "tables", SimpleNamespace(provenance=provenance, catalogue=files.catalogue))  # fmt: skip
    await publisher.run(settings(evening, broker.address), silent)
    async with replica(broker, history_dir=folder) as port:
        await ready(port)
        await until(lambda: len(looks) >= 5, "it looks again and again")
        assert caplog.text.count("without a past") == 1
        made = shutil.copytree(tables, tmp_path / "made")
        if folder.is_dir():
            for path in sorted(made.iterdir(), key=lambda path: path.name == "source.json"):
                path.replace(folder / path.name)
        else:
            made.rename(folder)
        await sees(port, everything_in(tables))
    assert caplog.text.count("without a past") == 1


async def test_a_thousand_who_come_back_at_once_are_all_served(broker, tables, evening):
    allow_many_sockets()
    await publisher.run(settings(evening, broker.address), silent)
    port = free_port()
    serve = ("serve", "--port", str(port), "--broker", broker.address.url, "--history", str(tables), "--quiet",
             "--connections-per-address", "0", "--requests-per-address", "0")  # fmt: skip
    folder = tables.parent
    with running(*serve, cwd=folder) as before:
        await ready(port)
        first = [await visit(port) for _ in range(20)]
        await asyncio.gather(*(visitor.greeted for visitor in first))
        before.kill()
    with running(*serve, cwd=folder) as server:
        coming = [asyncio.create_task(visit(port, again=True)) for _ in range(1000)]
        await until(lambda: any(task.done() for task in coming), "the server listens", 60)
        started = time.monotonic()
        visitors = await asyncio.gather(*coming)
        async with asyncio.timeout(60):
            greetings = await asyncio.gather(*(visitor.greeted for visitor in visitors))
        took = time.monotonic() - started
        worked = sum(psutil.Process(server.pid).cpu_times()[:2])
        for visitor in visitors:
            visitor.transport.abort()
    # Beside other work it takes longer, yet no more of the processor.
    print(f"{took:.1f} s, of which the server worked {worked:.1f} s, its start included")
    assert worked < 8
    assert took < 60
    assert min(map(len, greetings)) >= 5


async def test_two_replicas_know_the_same_and_stand_in_for_each_other(broker, tables):
    moments = [moment for moment, _ in files.market_intervals(tables / "market_metrics_data.csv")]  # fmt: skip
    async with replica(broker) as one, replica(broker) as other:
        # Who comes later has a shorter past: both listen before the first record.
        await listening(one)
        await listening(other)
        four_hours = settings(tables, broker.address, start=moments[-48], speed=1500)
        publishing = asyncio.create_task(publisher.run(four_hours, silent))
        await ready(one)
        await ready(other)
        screen, last = Screen(), ""
        # One reader, who changes sides all the while and says each time what it has.
        for turn in range(6):
            port = (one, other)[turn % 2]
            url = f"ws://127.0.0.1:{port}/ws/realtime{last}"
            async with connect(url, max_size=None, **PATIENT) as connection:
                hello = json.loads(await connection.recv())
                beginning = await connection.recv()
                assert json.loads(beginning)["type"] == "initial_data"
                screen.show(beginning)
                screen.seq = -1
                while screen.seq < 0 or (
                    screen.seq < hello["seq"] + 5 and not publishing.done()
                ):
                    screen.show(await asyncio.wait_for(connection.recv(), 30))
            last = f"?stream={hello['stream']}&seq={screen.seq}"
            # The one that it left still knows where it stands.
            async with connect(
                url.partition("?")[0] + last, max_size=None, **PATIENT
            ) as connection:
                await connection.recv()
                assert json.loads(await connection.recv())["type"] != "initial_data"
        await asyncio.wait_for(publishing, 60)
        await all_at(one, other, 48)


class Follower:
    """A reader who does as the protocol says, and comes back for ever."""

    def __init__(self, port: int) -> None:
        self.url = f"ws://127.0.0.1:{port}/ws/realtime"
        self.screen = Screen()
        self.resumed = 0
        self._last = ""

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                async with connect(self.url + self._last, max_size=None, open_timeout=2) as connection:  # fmt: skip
                    await self._follow(connection)
            await asyncio.sleep(random.uniform(0.05, 0.3))

    async def _follow(self, connection) -> None:
        text = await connection.recv()
        stream = json.loads(text)["stream"]
        while True:
            self.screen.show(text)
            if text.startswith('{"type":"status"'):
                self._last = f"?stream={stream}&seq={self.screen.seq}"
            text = await asyncio.wait_for(connection.recv(), 5)


NOISE = (
    b"", b"{", b"\xff\xfe", b"[1,2,3]", b'{"event_time":"2026-01-05T12:00:00+10:00"}',
    b'{"event_time":"yesterday","facility_id":"A","power":1,"emissions":0}',
    b'{"event_time":"2026-01-05T12:00:00","facility_id":"A","power":1,"emissions":0}',
    b'{"event_time":"9999-01-05T12:00:00+10:00","facility_id":"A","power":1,"emissions":0}',
    b'{"event_time":"2026-01-05T12:00:00+10:00","facility_id":"A","power":1e300,"emissions":0}',
    b'{"event_time":"2026-01-05T12:00:00+10:00","facility_id":"A","power":"much","emissions":0}',
    b"[" * 5000,
)  # fmt: skip


async def make_noise(broker: Server) -> None:
    """Publish garbage among the records: with some 2,000 of these a second, one message in twenty."""
    task = asyncio.current_task()
    # A farewell that fails takes the place of a cancellation.
    while not task.cancelling():
        with contextlib.suppress(aiomqtt.MqttError):
            # Short limits: a broker that was killed answers nothing.
            async with aiomqtt.Client("127.0.0.1", broker.port, timeout=1) as client:
                while True:
                    await client.publish(
                        random.choice([FACILITY_TOPIC, MARKET_TOPIC]), random.choice(NOISE)
                    )
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)


SAYINGS = (
    b"\x81\x80\0\0\0\0",
    b"\x81\x82\0\0\0\0{}",
    b"\x88\x80\0\0\0\0",
    b"\x01\x02\x03",
    b"\x89\x80\0\0\0\0" * 200,
)


async def vanish(port: int) -> None:
    """Connect, read a little or nothing, say something or nothing, and go without a word."""
    try:
        visitor = await visit(port)
        if random.random() < 0.5:
            await asyncio.wait([visitor.greeted], timeout=random.uniform(0, 0.5))
        if random.random() < 0.3:
            visitor.transport.write(random.choice(SAYINGS))
        if random.random() < 0.2:
            await asyncio.sleep(random.uniform(0, 1))
        visitor.transport.abort()
    except OSError:
        await asyncio.sleep(0.05)


async def come_and_go(port: int, number: int) -> None:
    for _ in range(number // 50):
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(vanish(port))
        await asyncio.sleep(0.2)


async def garbage_counted(port: int, limit_s: float = 60) -> None:
    """Wait until the server has met what is no JSON among the records."""
    deadline = time.monotonic() + limit_s
    while 'result="not_json"' not in (await ask(port, "/metrics")).text:
        assert time.monotonic() < deadline, "the server never met any garbage"
        await asyncio.sleep(0.1)


async def all_agree(port: int, followers: list[Follower], limit_s: float = 60):
    deadline = time.monotonic() + limit_s
    while True:
        truth = known(await seen_at(port))
        # A server that was started anew takes its past from the tables.
        if len(truth[3]) > 50 and all(known(each.screen) == truth for each in followers):
            return truth
        assert time.monotonic() < deadline, "some reader never came to the truth"
        await asyncio.sleep(0.2)


async def test_after_chaos_every_reader_holds_what_the_server_holds(tables, tmp_path):
    allow_many_sockets()
    port = free_port()
    options = ("--port", str(port), "--quiet", "--connections-per-address", "0", "--requests-per-address", "0")  # fmt: skip
    with Server("embedded", tmp_path) as broker:
        serve = ("serve", "--broker", broker.address.url, "--history", str(tables), *options)
        followers = [Follower(port) for _ in range(20)]
        async with asyncio.TaskGroup() as group:
            with contextlib.ExitStack() as server:
                process = server.enter_context(running(*serve, cwd=tmp_path))
                publishing = group.create_task(
                    publisher.run(settings(tables, broker.address, speed=3000), silent)
                )
                await ready(port)
                tasks = [group.create_task(follower.run()) for follower in followers]
                tasks.append(group.create_task(make_noise(broker)))
                tasks.append(group.create_task(come_and_go(port, 500)))
                await asyncio.sleep(2)
                broker.kill()
                await asyncio.sleep(1)
                broker.start()
                await asyncio.sleep(2)
                process.kill()
                process.wait()
                await asyncio.sleep(0.5)
                server.enter_context(running(*serve, cwd=tmp_path))
                await ready(port)
                await asyncio.sleep(2)
                await garbage_counted(port)
                # Then it is quiet.
                publishing.cancel()
                for task in tasks[len(followers) :]:
                    task.cancel()
                truth = await all_agree(port, followers)
                health = await ask(port, "/health")
                for task in tasks[: len(followers)]:
                    task.cancel()

    assert health.status_code == 200
    assert len(truth[1]) == STATIONS
    assert "Traceback" not in (tmp_path / "logs/serve.log").read_text()
