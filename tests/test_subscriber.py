"""What arrives from a broker is untrusted: it is counted and dropped when wrong."""

import pytest
from brokers import KINDS, Server, Taken, put_all, until
from stream_tables import at
from test_publisher import subscribed

from energydash import config, schema
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
            await until(lambda: sink.stations, "the good one")
            assert sink.states == [True]
    assert len(sink.causes) == len(hostile)
    assert len(sink.stations) == 1
