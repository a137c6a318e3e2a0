"""What arrives from a broker is untrusted: it is counted and dropped when wrong."""

import asyncio
import json

import pytest
from brokers import KINDS, Server, Taken, put_all, until
from hypothesis import given
from hypothesis import strategies as st
from stream_tables import at, settings, write_all
from test_publisher import in_background, subscribed

from energydash import config, schema
from energydash.progress import silent
from energydash.stream import publisher
from energydash.stream.client import connected
from energydash.stream.subscriber import Reader

STREAM, MARKET = config.FACILITY_TOPIC, config.MARKET_TOPIC
GOOD = (
    b'{"event_time":"2026-01-05T12:00:00+10:00","facility_id":"A","power":1.5,"emissions":null}'
)


def read(*messages: tuple[str, bytes]) -> Taken:
    """Have the subscriber's reader read, and give the sink behind it."""
    sink = Taken()
    reader = Reader(STREAM, MARKET, sink)
    for topic, body in messages:
        reader.take(topic, body)
    reader.flush()
    return sink


def changed(old: bytes, new: bytes) -> bytes:
    assert old in GOOD
    return GOOD.replace(old, new)


HOSTILE = [
    (b"", "not_json"),
    (b"\xff\xfe", "not_json"),
    (b"[" * 60_000, "wrong_fields"),
    (b"null", "wrong_fields"),
    (changed(b"null", b'null,"x":' + b"[" * 30_000 + b"]" * 30_000), "nested_too_deeply"),
    (changed(b"1.5", b"NaN"), "not_json"),
    (changed(b"1.5", b"1e400"), "wrong_fields"),
    (changed(b"1.5", b"1e9"), "absurd_number"),
    (changed(b"1.5", b'"1.5"'), "wrong_fields"),
    (changed(b"+10:00", b""), "no_offset"),
    (changed(b"2026", b"0001"), "absurd_time"),
    (changed(b"2026", b"9999"), "absurd_time"),
    (changed(b'"A"', b'""'), "absurd_name"),
    (changed(b'"A"', b'"' + b"A" * 100 + b'"'), "absurd_name"),
    (changed(b"null", b'null,"latitude":91'), "absurd_place"),
    (changed(b"null", b'null,"by_fuel":{"wind":1e300}'), "absurd_number"),
    (changed(b"null", b'null,"x":"' + b"y" * 70_000 + b'"'), "too_large"),
]


@pytest.mark.parametrize(("body", "cause"), HOSTILE)
def test_a_wrong_record_is_dropped_and_counted(body, cause):
    sink = read((STREAM, body), (STREAM, GOOD))
    assert sink.causes == [("facility", cause)]
    assert [record.facility_id for record in sink.stations] == ["A"]


def test_one_wrong_record_does_not_cost_the_whole_grid():
    records = tuple(
        schema.FacilityRecord(event_time=at(0), facility_id=code, power=power, emissions=0.0)
        for code, power in (("A", 1.0), ("B", 1e9), ("C", 3.0))
    )
    body = schema.encode(schema.FacilityLatest(event_time=at(0), facilities=records))
    sink = read((config.topic_beside(STREAM, "latest"), body))
    assert [record.facility_id for record in sink.stations] == ["A", "C"]
    assert sink.causes == [("facility_latest", "absurd_number")]


def test_a_field_that_nobody_knows_is_ignored():
    sink = read((STREAM, changed(b"null", b'null,"weather":"fine"')))
    assert len(sink.stations) == 1
    assert sink.causes == []


@pytest.mark.parametrize("kind", KINDS)
async def test_hostile_messages_pass_through_a_broker_and_harm_nobody(tmp_path, kind):
    topics = (STREAM, MARKET, config.topic_beside(STREAM, "latest"))
    topics += (config.topic_beside(MARKET, "latest"), config.topic_beside(STREAM, "catalogue"))
    bodies = [body for body, _ in HOSTILE if body]
    with Server(kind, tmp_path) as server:
        async with subscribed(server.address) as sink, connected(server.address, "x") as mqtt:
            hostile = [(topic, body) for topic in topics for body in bodies]
            await put_all(mqtt, [*hostile, (STREAM, GOOD)])
            # MQTT keeps no order between topics.
            await until(
                lambda: len(sink.causes) + len(sink.stations) > len(hostile), "all of it"
            )
            assert sink.states == [True]
    assert len(sink.causes) == len(hostile)
    assert len(sink.stations) == 1


# Any JSON, and any change of a right record: a field dropped, replaced or added.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=80)
    | st.datetimes().map(str),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = ("event_time", "facility_id", "power", "emissions", "longitude", "latitude", "by_fuel", "network_code", "metric", "value", "facilities", "values", "source", "speed")  # fmt: skip
CHANGED = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4).map(
    lambda change: json.dumps({**json.loads(GOOD), **change}).encode()
)
TOPICS = (STREAM, MARKET, *(config.topic_beside(t, "latest") for t in (STREAM, MARKET)), config.topic_beside(STREAM, "catalogue"))  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*TOPICS, "elsewhere"]),
            st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()) | CHANGED,
        ),
        max_size=30,
    )
)
def test_whatever_comes_is_taken_or_counted_and_what_follows_is_read(messages):
    kinds = [topic for topic, _ in messages if topic in (STREAM, MARKET)]
    empty = schema.encode(schema.Catalogue(source="x", simulated=True, facilities=()))
    sink = read(*messages, (config.topic_beside(STREAM, "catalogue"), empty), (STREAM, GOOD))

    assert sink.stations[-1].facility_id == "A"
    single = [kind for kind, _ in sink.causes if kind in {"facility", "market"}]
    fresh = sum(topic == STREAM for topic in kinds)
    assert single.count("facility") <= fresh
    assert single.count("market") <= len(kinds) - fresh
    for record in sink.stations:
        assert record.power is None or abs(record.power) <= 1e6
        assert 1998 <= record.event_time.year < 2101


def test_a_station_that_the_catalogue_does_not_know_is_dropped_until_it_does():
    def catalogue(*codes):
        infos = tuple(schema.FacilityInfo(code=c, name=c, network="NEM", region="NSW1", fueltech="wind", status="operating") for c in codes)  # fmt: skip
        said = schema.Catalogue(source="x", simulated=True, facilities=infos)
        return config.topic_beside(STREAM, "catalogue"), schema.encode(said)

    sink = read(catalogue("B"), (STREAM, GOOD), catalogue("A", "B"), (STREAM, GOOD))
    assert sink.causes == [("facility", "unknown_facility")]
    assert len(sink.stations) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_flood_costs_no_record_of_the_valid_stream(tmp_path, kind):
    """Thousands of wrong messages while the publisher sends: the same topics, the same connection of the reader."""
    write_all(tmp_path, 150)
    noise = [body for body, _ in HOSTILE if body and len(body) < 1000]

    async def flood(address):
        async with connected(address, "flood") as mqtt:
            while True:
                for body in noise * 10:
                    await mqtt.publish(STREAM, body, timeout=120)

    with Server(kind, tmp_path) as server:
        async with subscribed(server.address) as sink, in_background(flood(server.address)):
            await until(lambda: len(sink.causes) > 100, "the flood")
            calm = settings(tmp_path, server.address, qos=1, delay_s=0.001)
            await asyncio.wait_for(publisher.run(calm, silent), 90)
            last = at(149)
            await until(lambda: sink.values and sink.values[-1].event_time == last, "the end")
            # The other topic may still have a flood before it.
            taken = lambda: {(s.event_time, s.facility_id) for s in sink.stations}  # noqa: E731
            await until(lambda: len(taken()) >= 450, "each station's values")
            await until(lambda: len(sink.causes) > 1000, "thousands of wrong messages")
    assert len(taken()) == 450
    assert sink.states == [True]
