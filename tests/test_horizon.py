"""Which times are believed: those that the clock or the stream itself bears out, in whatever order they come."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energydash import config, nem, schema
from energydash.server.hub import Hub
from energydash.stream import horizon
from energydash.stream.horizon import AHEAD, WITNESSES, Horizon
from energydash.stream.subscriber import Reader

NOW = datetime(2026, 7, 1, tzinfo=UTC)
GRID = [f"S{number}" for number in range(20)]
STREAM, MARKET = config.FACILITY_TOPIC, config.MARKET_TOPIC


def record(moment, code="A", power=1.0):
    return schema.FacilityRecord(
        event_time=moment, facility_id=code, power=power, emissions=None
    )


def fresh() -> Horizon:
    return Horizon(lambda: NOW)


def grid(moment):
    return [record(moment, code) for code in GRID]


def hub_behind(*frames: tuple[str, schema.Record]) -> Hub:
    """Give the hub behind a reader of what a broker carried."""
    hub = Hub(clock=lambda: NOW)
    reader = Reader(STREAM, MARKET, hub, fresh())
    for topic, frame in frames:
        reader.take(topic, schema.encode(frame))
        reader.flush()
    return hub


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(days=2), timedelta(days=20_000)])  # fmt: skip
def test_one_record_dated_ahead_moves_no_newest_interval_and_is_counted(ahead):
    interval = [(STREAM, each) for each in grid(NOW)]
    later = [(STREAM, each) for each in grid(NOW + nem.INTERVAL)]
    bad = record(NOW + ahead)
    hub = hub_behind(*interval, (STREAM, bad), (STREAM, bad), *later)

    assert hub.event_time == NOW + nem.INTERVAL
    assert hub.counts["facility", "absurd_time"] == 2
    assert hub.counts["facility", "taken"] == 2 * len(GRID)


def test_one_record_dated_ahead_within_the_retained_grid_is_dropped_alone():
    rows = (*grid(NOW), record(NOW + timedelta(days=700), "BROKEN"))
    latest = schema.FacilityLatest(event_time=NOW, facilities=rows)
    hub = hub_behind((config.topic_beside(STREAM, "latest"), latest))

    assert hub.event_time == NOW
    assert set(hub.newest) == set(GRID)
    assert hub.counts["facility_latest", "absurd_time"] == 1


def test_a_server_that_starts_on_a_stream_far_ahead_of_the_clock_takes_its_grid_at_once():
    begin = NOW + timedelta(days=300)
    latest = schema.FacilityLatest(event_time=begin, facilities=tuple(grid(begin)))
    hub = hub_behind((config.topic_beside(STREAM, "latest"), latest))

    assert set(hub.newest) == set(GRID)
    assert not hub.counts["facility_latest", "absurd_time"]


def test_a_stream_that_runs_ahead_of_the_clock_goes_on_also_over_a_gap():
    moments = [NOW + i * nem.INTERVAL for i in range(400)]
    moments += [each + timedelta(days=9) for each in moments]
    whole, alone = fresh(), fresh()
    passed = [each for moment in moments for each in whole.admit(grid(moment))[0]]

    assert [each.event_time for each in passed] == [m for m in moments for _ in GRID]
    assert all(alone.admit([record(moment)])[0] for moment in moments[:400])


def test_todays_data_comes_after_the_replay_of_a_month_long_ago():
    here = fresh()
    here.admit([record(NOW - timedelta(days=200))])
    assert here.admit([record(NOW)]) == ([record(NOW)], 0)


def test_one_station_cannot_bear_itself_out():
    here = fresh()
    far = NOW + timedelta(days=30)
    for index in range(2000):
        assert here.admit([record(far + index * nem.INTERVAL), record(far)]) == ([], 2)
    assert here._count <= horizon._MOST_HELD


times = st.integers(-30, 300).map(lambda hours: NOW + timedelta(hours=hours / 2))
records = st.lists(
    st.builds(record, times, st.sampled_from("ABCD"))
    | st.builds(
        lambda moment, metric: schema.MarketRecord(
            network_code="NEM", metric=metric, event_time=moment, value=1.0
        ),
        times,
        st.sampled_from(["price", "demand"]),
    ),
    max_size=40,
)


@given(records, st.data())
def test_what_passes_depends_on_no_order_no_repeat_and_no_splitting(given_records, data):
    again = data.draw(st.lists(st.sampled_from(given_records), max_size=5)) if given_records else []  # fmt: skip
    shuffled = data.draw(st.permutations([*given_records, *again]))
    cut = data.draw(st.integers(0, len(shuffled)))
    one, other = fresh(), fresh()
    straight, _ = one.admit(given_records)
    split = [*other.admit(shuffled[:cut])[0], *other.admit(shuffled[cut:])[0]]

    def as_set(passed):
        return {schema.encode(each) for each in passed}

    assert as_set(straight) == as_set(split)
    newest = max((each.event_time for each in straight), default=NOW)
    held = [each for each in given_records if schema.encode(each) not in as_set(straight)]
    assert all(each.event_time > max(NOW, newest) + AHEAD for each in held)
    for each in held:
        assert len({schema.encode(x) for x in held if x.event_time == each.event_time}) < WITNESSES  # fmt: skip
