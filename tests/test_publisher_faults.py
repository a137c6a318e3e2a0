"""What may happen between the publisher and a broker: nothing is lost at QoS 1, the order stays, memory is bounded."""

import asyncio
import logging
import re
import resource
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from brokers import MOSQUITTO, Server, Taken, until
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from processes import free_port
from proxies import proxy_to
from stream_tables import CODES, at, settings, write_all
from test_publisher import in_background, stream_of, subscribed

from energydash import config, schema
from energydash.files.folder import write
from energydash.progress import silent
from energydash.stream import client, link, position, publisher, subscriber
from energydash.stream.client import Mark, Outgoing
from energydash.stream.position import Position

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]


def stations_of(got):
    return [schema.decode_facility_record(body) for topic, body in got if "facility" in topic]


def expected(count):
    return [(at(i), code) for i in range(count) for code in CODES]


def without_repeats(got):
    """The order in which each record first came."""
    return list(dict.fromkeys((each.event_time, each.facility_id) for each in stations_of(got)))


def be_impatient(monkeypatch):
    """What takes ten seconds takes three, for whoever connects from now on."""
    monkeypatch.setattr(client, "_TIMEOUT_S", 3.0)
    monkeypatch.setattr(client, "_KEEPALIVE_S", 3)
    monkeypatch.setattr(link, "_LONGEST_PAUSE_S", 0.5)


@pytest.fixture
def changes(caplog):
    """What the log says of the connection at INFO and above."""
    caplog.set_level(logging.INFO, "energydash.stream.link")
    return lambda: [r.getMessage() for r in caplog.records if r.name.endswith("stream.link")]


async def test_a_broker_that_comes_late_is_waited_for(tmp_path, changes):
    write_all(tmp_path, 2)
    server = Server("mosquitto", tmp_path)
    async with in_background(
        publisher.run(settings(tmp_path, server.address), silent, connect_timeout_s=60)
    ) as publishing:
        await until(changes, "the first try")
        with server:
            summary = await asyncio.wait_for(publishing, 60)
    assert summary.records == 8
    assert [line.split()[0] for line in changes()] == ["no", "connected"]


async def test_a_connection_torn_again_and_again_loses_nothing_and_keeps_the_order(
    tmp_path, monkeypatch
):
    # So that a hundred records more need another connection, however late they are seen.
    monkeypatch.setattr(client, "WINDOW", 50)
    write_all(tmp_path, 400)
    with Server("mosquitto", tmp_path) as server:
        async with proxy_to(server.port) as proxy, stream_of(server.address, 1) as got:
            wanted = settings(tmp_path, proxy.address, qos=1, delay_s=0.0005)
            shown = []
            show = lambda *progress: shown.append(progress)  # noqa: E731 (as short as it is)
            async with in_background(publisher.run(wanted, show)) as publishing:
                for number in range(1, 4):
                    await until(lambda n=number: len(got) > 100 * n, "some records")
                    proxy.tear()
                summary = await asyncio.wait_for(publishing, 60)
            await until(lambda: len(without_repeats(got)) == 1200, "all records")
    assert without_repeats(got) == expected(400)
    assert summary.reconnects == 3
    assert summary.acknowledged == summary.records == 1600
    assert len(got) - 1600 <= 3 * (client.WINDOW + 8)
    done, total, text = shown[-1]
    assert (done, total) == (1600, None)
    assert re.fullmatch(
        rf"{re.escape(at(399).isoformat())}, [\d,]+ a second, 0\.0 s behind, [\d,]+ acknowledged, 3 reconnects",
        text,
    )


async def test_the_next_node_is_tried_where_one_is_away(tmp_path, changes):
    write_all(tmp_path, 2)
    with Server("mosquitto", tmp_path) as server:
        nodes = config.parse_broker(f"127.0.0.1:{free_port()},127.0.0.1:{server.port}")
        summary = await publisher.run(settings(tmp_path, nodes), silent)
    assert (summary.records, summary.broker) == (8, server.address.url)
    assert changes()[-1] == f"connected to {server.address.url}"


@given(st.integers(0, 10_000))
def test_a_pause_has_full_jitter_below_a_bound_that_grows(failures):
    most = min(10.0, 0.25 * 2 ** min(failures, 10))
    pauses = [link.pause_s(failures) for _ in range(50)]
    assert all(0 <= pause <= most for pause in pauses)
    assert max(pauses) - min(pauses) > most / 4


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_the_broker_keeps_for_a_named_reader_what_it_misses(tmp_path, version):
    write_all(tmp_path, 40)
    topics = {"facility_topic": config.FACILITY_TOPIC, "market_topic": config.MARKET_TOPIC}
    with Server("mosquitto", tmp_path) as server:
        named = replace(server.address, client_id="serve-1", version=version)
        for sink in (first := Taken(), second := Taken()):
            async with in_background(subscriber.run(named, **topics, sink=sink, qos=1)):
                await until(lambda sink=sink: sink.states[-1:] == [True], "it is connected")
                if sink is second:
                    await until(lambda: len(second.values) >= 40, "what was missed")
                    await until(lambda: second.catalogues, "what is retained")
            if sink is first:
                await publisher.run(settings(tmp_path, server.address, qos=1), silent)
    assert first.stations == []
    assert {(s.event_time, s.facility_id) for s in second.stations} == set(expected(40))


async def test_a_cut_is_noticed_said_once_and_made_up_for(tmp_path, changes, monkeypatch):
    # So that it is not over before the cut.
    monkeypatch.setattr(client, "WINDOW", 20)
    write_all(tmp_path, 100)
    with Server("mosquitto", tmp_path) as server:
        async with proxy_to(server.port) as proxy, stream_of(server.address, 1) as got:
            wanted = settings(tmp_path, proxy.address, qos=1, speed=15000.0)
            be_impatient(monkeypatch)
            monkeypatch.setattr(client, "_TIMEOUT_S", 4.0)
            async with (
                subscribed(proxy.address) as sink,
                in_background(publisher.run(wanted, silent)) as publishing,
            ):
                await until(lambda: len(got) > 40, "some records")
                proxy.open.clear()
                await until(lambda: sink.states[-1] is False, "the reader notices", 60)
                tried = proxy.connections
                await until(lambda: proxy.connections > tried + 3, "several tries", 90)
                proxy.open.set()
                await asyncio.wait_for(publishing, 60)
                await until(lambda: sink.stations[-1].event_time == at(99), "the end")
            await until(lambda: len(without_repeats(got)) == 300, "all records")
    assert without_repeats(got) == expected(100)
    said = Counter(line.split()[0] for line in changes())
    # The publisher's connection and the reader's; a busy machine may lose one more.
    assert said["lost"] == said["connected"] - 2 >= 2, changes()
    assert said["no"] == 0


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_slow_broker_slows_the_publisher_and_fills_no_memory(
    tmp_path, monkeypatch, qos
):
    write_all(tmp_path, 750)
    most = 0
    put = client.Client.put

    def counted(self, message):
        nonlocal most
        put(self, message)
        most = max(most, len(self.under_way))

    monkeypatch.setattr(client.Client, "put", counted)
    with Server("mosquitto", tmp_path) as server:
        async with proxy_to(server.port) as proxy, stream_of(server.address, qos) as got:
            proxy.rate = 500_000
            summary = await publisher.run(settings(tmp_path, proxy.address, qos=qos), silent)
            await until(lambda: len(got) == 3000, "all records", 60)
    assert summary.reconnects == 0
    # The window, and the few retained messages between two looks at it.
    assert most <= client.WINDOW + 8


async def test_who_is_to_end_while_the_broker_takes_nothing_any_more_ends(monkeypatch):
    """No farewell can be said, and to connect anew instead would take the end back."""
    monkeypatch.setattr(client, "_TIMEOUT_S", 0.5)
    gone, full = asyncio.Event(), asyncio.Event()

    async def mute(reader, writer):
        await reader.read(1)
        writer.write(b"\x20\x02\x00\x00")
        await gone.wait()
        writer.close()

    async def work(mqtt):
        mqtt.put(Outgoing("t", bytes(64_000_000)))
        full.set()
        await asyncio.Event().wait()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        broker = config.Broker(port=server.sockets[0].getsockname()[1])
        running = asyncio.create_task(link.Link(broker, "test").run(work))
        async with asyncio.timeout(60):
            await full.wait()
        running.cancel()
        await asyncio.wait({running}, timeout=20)
        ended = running.cancelled()
        running.cancel()
        gone.set()
        await asyncio.wait({running}, timeout=60)
    assert ended


async def test_at_qos_2_nothing_is_lost_at_a_broker_that_stands_still_for_a_moment(
    tmp_path, monkeypatch
):
    """What comes to Mosquitto all at once, it may confirm and forget."""
    monkeypatch.setattr(client, "_TIMEOUT_S", 60.0)
    write_all(tmp_path, 200)
    put, last = client.Client.put, time.monotonic()

    def noted(self, message):
        nonlocal last
        put(self, message)
        last = time.monotonic()

    monkeypatch.setattr(client.Client, "put", noted)
    with Server("mosquitto", tmp_path) as server:
        given = settings(tmp_path, server.address, qos=2)
        async with (
            stream_of(server.address, 2) as got,
            in_background(publisher.run(given, silent)) as publishing,
        ):
            await until(lambda: len(got) > 40, "some records")
            server.process.send_signal(signal.SIGSTOP)
            await until(lambda: time.monotonic() - last > 0.3, "no more is sent")
            server.process.send_signal(signal.SIGCONT)
            summary = await asyncio.wait_for(publishing, 60)
            await until(lambda: len(got) >= 800, "all records")
    assert (summary.records, summary.acknowledged, summary.reconnects) == (800, 800, 0)
    assert [(s.event_time, s.facility_id) for s in stations_of(got)] == expected(200)


@contextmanager
def full_disk():
    """No file can grow in here, as on a disk that is full."""
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_a_place_that_is_still_being_written_does_not_come_after_the_last(
    tmp_path, monkeypatch
):
    path, topics = tmp_path / "offset.json", ("f", "m")
    begun, go_on = threading.Event(), threading.Event()

    def slow(*what):
        begun.set()
        assert go_on.wait(60)
        write(*what)

    monkeypatch.setattr(position, "write", slow)
    place = Position(path, topics)
    keeping = asyncio.create_task(place.keep(Mark(at(0), whole=True), now=True))
    await until(begun.is_set, "it is being written")
    keeping.cancel()
    # As the end of a run, which follows a loop that was cancelled.
    done, _ = await asyncio.wait({keeping}, timeout=0.2)
    go_on.set()
    await asyncio.wait({keeping}, timeout=60)

    assert not done
    assert keeping.cancelled()
    await place.keep(Mark(at(1), whole=True), now=True)
    assert Position(path, topics).load() == Mark(at(1), whole=True)


async def test_a_full_disk_is_said_once_stops_nothing_and_is_tried_again(tmp_path, caplog):
    caplog.set_level(logging.INFO, "energydash.stream.position")
    path, topics = tmp_path / "offset.json", ("f", "m")
    place = Position(path, topics)
    await place.keep(Mark(at(0), whole=True), now=True)
    with full_disk():
        for index in (1, 2, 3):
            await place.keep(Mark(at(index), whole=True), now=True)
    assert Position(path, topics).load() == Mark(at(0), whole=True)
    await place.keep(Mark(at(4), "A"), now=True)

    assert Position(path, topics).load() == Mark(at(4), "A")
    said = [record.getMessage() for record in caplog.records]
    assert ["not kept" in line for line in said] == [True, False]
    assert "kept again" in said[1]
    assert [each.name for each in tmp_path.iterdir()] == ["offset.json"]
