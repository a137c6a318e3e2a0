"""Tables to a real broker, and back through the subscriber."""

import asyncio
import contextlib
import socket
import time
from itertools import pairwise

import polars as pl
import pytest
from aiomqtt import MqttError
from brokers import KINDS, Server, Taken, until
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from processes import free_port
from stream_tables import CODES, at, settings, write_all, write_facilities, write_market

from energydash import config, schema
from energydash.errors import BrokerError, FileError
from energydash.progress import silent
from energydash.stream import client, publisher, retained, subscriber, tail
from energydash.stream.client import Client, Outgoing, connected


@contextlib.asynccontextmanager
async def in_background(coroutine):
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def subscribed(broker):
    sink = Taken()
    topics = {
        "facility_topic": config.FACILITY_TOPIC,
        "market_topic": config.MARKET_TOPIC,
    }
    async with in_background(subscriber.run(broker, **topics, sink=sink)):
        await until(lambda: sink.states[-1:] == [True], "the subscriber is connected")
        yield sink


@contextlib.asynccontextmanager
async def stream_of(broker, qos):
    """Read the stream topics alone, as any MQTT client does."""
    got = []

    async def read(mqtt):
        async for message in mqtt.messages:
            got.append((message.topic.value, message.payload))  # noqa: PERF401 (it is read while it grows)

    async with connected(broker, "test") as mqtt:
        await mqtt.subscribe(config.FACILITY_TOPIC, qos=qos)
        await mqtt.subscribe(config.MARKET_TOPIC, qos=qos)
        async with in_background(read(mqtt)):
            yield got


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_everything_arrives_once_in_event_time_order(tmp_path, kind, qos):
    write_all(tmp_path, 40)
    with Server(kind, tmp_path) as server:
        async with stream_of(server.address, qos) as got:
            summary = await publisher.run(settings(tmp_path, server.address, qos=qos), silent)
            await until(lambda: len(got) >= 160, "all records")

    assert (summary.records, summary.intervals, summary.reconnects) == (160, 40, 0)
    assert (summary.start, summary.end) == (at(0), at(39))
    # MQTT promises order within a topic, not between topics.
    stations = [
        schema.decode_facility_record(body) for topic, body in got if "facility" in topic
    ]
    values = [schema.decode_market_record(body) for topic, body in got if "market" in topic]
    assert [(s.event_time, s.facility_id) for s in stations] == [
        (at(i), code) for i in range(40) for code in CODES
    ]
    assert [v.event_time for v in values] == [at(i) for i in range(40)]


@pytest.mark.parametrize("kind", KINDS)
async def test_who_comes_late_gets_the_catalogue_and_the_newest_of_everything(tmp_path, kind):
    write_all(tmp_path, 5)
    with Server(kind, tmp_path) as server:
        await publisher.run(settings(tmp_path, server.address, speed=None), silent)
        async with subscribed(server.address) as sink:
            await until(lambda: sink.catalogues and len(sink.stations) == len(CODES) and sink.values, "the retained messages")  # fmt: skip

    catalogue = sink.catalogues[0]
    assert (catalogue.source, catalogue.simulated, catalogue.speed) == ("demo", True, None)
    assert [facility.code for facility in catalogue.facilities] == list(CODES)
    assert {(s.facility_id, s.event_time) for s in sink.stations} == {(c, at(4)) for c in CODES}
    assert [v.value for v in sink.values] == [54.5]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pace", ["waits for its turn", "waits for more"])
async def test_what_a_broker_was_made_to_forget_is_said_again(
    tmp_path, kind, pace, monkeypatch
):
    monkeypatch.setattr(retained, "_REPEAT_S", 0.5)
    write_all(tmp_path, 2)
    # The second interval's turn comes in five minutes.
    how = {"speed": 1.0} if pace == "waits for its turn" else {"speed": None, "follow": True}
    sent = 0 if pace == "waits for its turn" else 1
    given = settings(tmp_path, "", **how)
    topics = [retained.status_topic(given)]
    topics += [config.topic_beside(config.FACILITY_TOPIC, each) for each in ("catalogue", "latest")]  # fmt: skip
    topics += [config.topic_beside(config.MARKET_TOPIC, "latest")]
    with Server(kind, tmp_path) as server:
        given = settings(tmp_path, server.address, **how)
        async with in_background(publisher.run(given, silent)):
            async with subscribed(server.address) as sink:
                await until(lambda: sink.values and sink.values[-1].event_time == at(sent), "all was said")  # fmt: skip
            async with connected(server.address, "vandal") as vandal:
                for topic in topics:
                    await vandal.publish(topic, b"", qos=1, retain=True)
            async with subscribed(server.address) as late:
                await until(lambda: late.catalogues and late.stations and late.values, "it is said again")  # fmt: skip
            async with connected(server.address, "home") as home:
                await home.subscribe(topics[0])
                async with asyncio.timeout(60):
                    assert (await anext(aiter(home.messages))).payload == retained.ONLINE
    assert {s.event_time for s in late.stations} == {at(sent)}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_broker_that_dies_and_comes_back_loses_no_interval(tmp_path, kind, monkeypatch):
    # So that not all of it can be sent before the broker dies.
    monkeypatch.setattr(client, "WINDOW", 20)
    write_all(tmp_path, 300)
    server = Server(kind, tmp_path)
    with server:
        # 300 intervals of 300 s in 2 s, or as fast as the broker confirms them.
        pace = settings(tmp_path, server.address, qos=1, speed=45_000.0)
        async with (
            subscribed(server.address) as sink,
            in_background(publisher.run(pace, silent)) as publishing,
        ):
            await until(lambda: len(sink.stations) > 12, "the first records")
            server.kill()
            await until(lambda: sink.states[-1] is False, "the loss is noticed")
            seen = len(sink.catalogues)
            server.start()
            await until(lambda: sink.states[-1], "the subscriber is back")
            summary = await asyncio.wait_for(publishing, 60)
            last = at(299)
            await until(lambda: sink.stations[-1].event_time == last, "the last interval")
            assert len(sink.catalogues) > seen
    assert summary.reconnects == 1
    assert summary.intervals == 300


async def test_no_broker_is_one_line_that_says_what_to_do(tmp_path):
    write_all(tmp_path, 1)
    nowhere = config.Broker(port=free_port())
    with pytest.raises(
        BrokerError, match=r"no MQTT broker answers at mqtt://127\.0\.0\.1:.*start"
    ):
        await publisher.run(settings(tmp_path, nowhere), silent, connect_timeout_s=0.3)


@pytest.fixture(params=["takes no connection", "says nothing"])
def mute(request):
    """A port behind which nobody answers: the system drops what comes, or takes it and that is all."""
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = door.getsockname()[1]
        if request.param == "takes no connection":
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.settimeout(0)
                waiting.connect_ex(("127.0.0.1", port))
        yield port


async def test_a_broker_that_does_not_answer_is_waited_for_no_longer_than_was_said(
    tmp_path, mute
):
    write_all(tmp_path, 1)
    broker = config.Broker(port=mute)
    began = time.monotonic()
    with pytest.raises(BrokerError, match="no MQTT broker answers"):
        await publisher.run(settings(tmp_path, broker), silent, connect_timeout_s=0.5)
    # Its patience is half a second, and the system's two minutes.
    assert 0.4 < time.monotonic() - began < 60


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(("told", "refused"), [(["1h"], True), (["1d", "1h"], True), (["5m"], False), (["30m", "5m"], False)])  # fmt: skip
async def test_tables_of_longer_intervals_are_refused_before_a_broker_is_asked(
    tmp_path, form, told, refused
):
    write_all(tmp_path, 2)
    table = pl.DataFrame({"metric": "price", "interval": told})
    path = tmp_path / f"market_metrics_metadata.{form}"
    table.write_csv(path) if form == "csv" else table.write_parquet(path)
    nowhere = settings(tmp_path, config.Broker(port=free_port()))

    error, text = (FileError, f"are of {', '.join(told)}.*`energydash fetch` without --interval") if refused else (BrokerError, "no MQTT broker")  # fmt: skip
    with pytest.raises(error, match=text):
        await publisher.run(nowhere, silent, connect_timeout_s=0.3)


async def test_missing_tables_are_said_before_a_broker_is_asked(tmp_path):
    with pytest.raises(FileError, match="energydash convert"):
        await publisher.run(settings(tmp_path, config.Broker(port=free_port())), silent)


async def test_intervals_keep_to_an_absolute_schedule(tmp_path):
    write_all(tmp_path, 25)

    async def drift():
        """By how much the last intervals are later than the first ones; any one may be late, but none because of those before it."""
        arrivals = []
        await publisher.run(given, lambda *_: arrivals.append(time.monotonic()))
        late = [arrival - arrivals[0] - i * 0.1 for i, arrival in enumerate(arrivals)]
        return min(late[-12:]) - min(late[:12])

    with Server("embedded", tmp_path) as server:
        given = settings(tmp_path, server.address, speed=3000.0)
        # A machine that stands still in the middle makes all of the last ones late; a fault does in each try.
        for _ in range(3):
            if abs(found := await drift()) < 0.08:
                break
    assert abs(found) < 0.08


async def test_the_backfill_is_sent_at_once_and_the_rest_is_paced(tmp_path):
    write_all(tmp_path, 63)
    arrivals = []

    def note(_done, _total, _text):
        arrivals.append(time.monotonic())

    with Server("embedded", tmp_path) as server:
        given = settings(tmp_path, server.address, speed=3000.0, backfill_until=at(60))
        began = time.monotonic()
        await publisher.run(given, note)

    # At the pace of the rest, it would take six seconds.
    assert arrivals[60] - arrivals[0] < 4
    assert arrivals[62] - began >= 0.2


async def test_messages_keep_their_distance(tmp_path):
    write_all(tmp_path, 3)
    with Server("embedded", tmp_path) as server:
        started = time.monotonic()
        await publisher.run(settings(tmp_path, server.address, delay_s=0.02), silent)
    assert time.monotonic() - started >= 11 * 0.02


async def test_follow_sends_what_renewed_tables_add_and_revise(tmp_path, monkeypatch):
    monkeypatch.setattr(tail, "_POLL_S", 0.1)
    write_all(tmp_path, 4)
    with Server("embedded", tmp_path) as server:
        given = settings(tmp_path, server.address, follow=True)
        async with (
            stream_of(server.address, 0) as got,
            in_background(publisher.run(given, silent)),
        ):
            await until(lambda: len(got) == 16, "the first tables")
            # The facilities come first; the market's table is renewed after they were sent.
            write_facilities(tmp_path, range(2, 6))
            await until(lambda: len(got) == 22, "new intervals, nothing twice")
            write_market(tmp_path, range(2, 6))
            await until(lambda: len(got) == 24, "the market's late intervals")
            write_facilities(tmp_path, range(5, 6), plus=0.25)
            await until(lambda: len(got) == 27, "the revised interval")

    values = [schema.decode_market_record(body) for topic, body in got if "market" in topic]
    assert [v.event_time for v in values] == [at(i) for i in range(6)]
    revised = [schema.decode_facility_record(body) for _, body in got[24:]]
    assert [r.power for r in revised] == [5.25, 105.25, 205.25]


async def test_renewed_tables_that_are_broken_on_the_way_are_waited_for_until_they_are_whole(
    tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(tail, "_POLL_S", 0.1)
    write_all(tmp_path, 4)
    table, stations = tmp_path / "facility_metrics_wide.csv", tmp_path / "facilities.csv"
    with Server("embedded", tmp_path) as server:
        given = settings(tmp_path, server.address, follow=True, facilities=CODES)
        async with (
            stream_of(server.address, 0) as got,
            in_background(publisher.run(given, silent)) as publishing,
        ):
            await until(lambda: len(got) == 16, "the first tables")
            write_facilities(tmp_path, range(10))
            rows = table.read_text().splitlines()
            last = f"{rows.pop()}{{broken"
            table.write_text("\n".join([*rows, last]) + "\n")
            await until(lambda: "to their end" in caplog.text, "the broken row")
            await until(lambda: len(got) > 16, "what came before it")
            assert len(got) < 34
            # The catalogue may be half renewed too, without a station that was chosen.
            known = stations.read_text()
            stations.write_text(known.rpartition("CHARLIE")[0])
            await until(lambda: "--facility CHARLIE" in caplog.text, "the missing station")
            stations.write_text(known)
            write_facilities(tmp_path, range(10))
            await until(lambda: len(got) == 34, "the whole tables")
            assert not publishing.done()
    stations_sent = [schema.decode_facility_record(b) for topic, b in got if "facility" in topic]  # fmt: skip
    sent = [(each.event_time, each.facility_id) for each in stations_sent]
    assert sent == [(at(i), code) for i in range(10) for code in CODES]


async def test_a_refused_message_is_sent_again_before_those_after_it():
    refusal, success = (ReasonCode(PacketTypes.PUBACK, name) for name in ("Quota exceeded", "Success"))  # fmt: skip
    client = Client(config.Broker(version="5"), "test", qos=1)
    first, second, third = (Outgoing("t", body) for body in (b"1", b"2", b"3"))
    client._under_way = {1: first, 2: second, 3: third}
    client._on_publish(None, None, 1, refusal, None)
    client._on_publish(None, None, 2, success, None)
    assert client.under_way == [first, third]
    with pytest.raises(MqttError, match="refused"):
        await client.room()


async def test_a_socket_that_is_closed_before_its_turn_to_write_is_left_alone(caplog):
    one, other = Client(config.Broker(), "one"), Client(config.Broker(), "other")
    here, there = socket.socketpair()
    one._on_socket_register_write(one._client, None, here)
    here.close()
    await asyncio.sleep(0)
    other._on_socket_register_write(other._client, None, there)
    await asyncio.sleep(0)

    assert caplog.records == []
    assert asyncio.get_running_loop().remove_writer(there.fileno())
    there.close()


async def test_loop_starts_again_at_the_end(tmp_path):
    write_all(tmp_path, 2)
    with Server("embedded", tmp_path) as server:
        given = settings(tmp_path, server.address, loop=True, delay_s=0.002)
        async with (
            stream_of(server.address, 0) as got,
            in_background(publisher.run(given, silent)),
        ):
            await until(lambda: len(got) >= 24, "three rounds")
    # By topic: brokers keep no order between two.
    for kind, a_round in (("facility", 6), ("market", 2)):
        bodies = [body for topic, body in got if kind in topic]
        assert len(bodies) >= 2 * a_round
        assert bodies[a_round:] == bodies[:-a_round]
        assert all(a != b for a, b in pairwise(bodies))
