"""Where a stream begins, goes on and begins again: what is chosen, resumed, looped and paused."""

import asyncio
import signal
import time
from datetime import timedelta

import psutil
import pytest
from brokers import KINDS, Server, until
from hypothesis import given
from hypothesis import strategies as st
from processes import running
from stream_tables import CODES, START, at, settings, write_all, write_facilities, write_market
from test_publisher import in_background, stream_of, subscribed
from test_publisher_faults import expected, stations_of, without_repeats

from energydash import config, nem
from energydash.config import Broker
from energydash.errors import ConfigError, FileError
from energydash.progress import silent
from energydash.schema import FacilityRecord, MarketRecord
from energydash.server.hub import Hub
from energydash.stream import client, publisher, subscriber
from energydash.stream.client import Mark
from energydash.stream.outbox import Outbox, after, key_of
from energydash.stream.replay import Interval, rebase, shifted


def interval_of(index, stations, values):
    moment = at(index)
    return Interval(
        moment,
        [FacilityRecord(event_time=moment, facility_id=c, power=1.0, emissions=None) for c in stations],
        [MarketRecord(network_code="NEM", metric=m, event_time=moment, value=1.0) for m in values],
    )  # fmt: skip


INTERVALS = st.lists(
    st.tuples(
        st.lists(st.sampled_from("ABCDEFG"), unique=True).map(sorted),
        st.lists(st.sampled_from(["price", "demand"]), unique=True),
    ).filter(any),
    min_size=1,
    max_size=6,
).map(lambda rows: [interval_of(i, *row) for i, row in enumerate(rows)])


def flat(intervals):
    return [(i.moment, key_of(r)) for i in intervals for r in (*i.facilities, *i.market)]


@given(INTERVALS, st.data())
def test_from_any_place_the_rest_is_exactly_what_was_not_acknowledged(intervals, data):
    outbox = Outbox(("f", "m"))
    for interval in intervals:
        outbox.add(interval, interval.moment)
    arrived = data.draw(st.integers(1, outbox.records))
    for _ in range(arrived):
        outbox._waiting.popleft()

    mark = outbox.place

    rest = [after(interval, mark) for interval in intervals]
    assert flat(filter(None, rest)) == flat(intervals)[arrived:]


def test_a_revised_interval_leaves_the_place_where_it_is():
    outbox = Outbox(("f", "m"))
    outbox.add(interval_of(5, "AB", []), at(5))
    outbox.add(interval_of(3, "A", []), at(3))
    outbox.add(interval_of(5, "C", []), at(5))
    outbox._waiting.clear()
    assert outbox.place == Mark(at(5), whole=True)


def test_an_interval_that_has_changed_since_comes_whole():
    assert after(interval_of(0, "ACD", []), Mark(at(0), "B")).facilities[0].facility_id == "A"


def test_a_rebased_round_begins_now_or_right_after_the_last():
    now = START + timedelta(days=100, minutes=2)
    assert at(0) + rebase(at(0), now, None) == START + timedelta(days=100)
    ahead = START + timedelta(days=101)
    assert at(0) + rebase(at(0), now, ahead) == ahead + nem.INTERVAL
    moved = shifted(interval_of(0, "A", ["price"]), timedelta(days=1))
    assert {moved.moment, moved.facilities[0].event_time, moved.market[0].event_time} == {START + timedelta(days=1)}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stopped_run_is_resumed_after_the_last_answer_without_a_repeat(
    tmp_path, kind, monkeypatch
):
    # What is not answered in time is sent again, as QoS 1 allows: here, the broker has time.
    monkeypatch.setattr(publisher, "_SETTLE_S", 30.0)
    # So that a run is stopped before all of it is sent, however late that is seen.
    monkeypatch.setattr(client, "WINDOW", 50)
    write_all(tmp_path, 200)
    with Server(kind, tmp_path) as server:
        given = settings(
            tmp_path, server.address, qos=1, delay_s=0.0005, offset_file=tmp_path / "offset"
        )
        async with stream_of(server.address, 1) as got:
            for stop in (150, 400, None):
                async with in_background(publisher.run(given, silent)) as publishing:
                    if stop is None:
                        summary = await asyncio.wait_for(publishing, 60)
                    else:
                        await until(lambda stop=stop: len(got) > stop, "some records")
            await until(lambda: len(got) >= 800, "all records")
            assert (await publisher.run(given, silent)).records == 0
    assert 0 < summary.records < 400
    assert len(got) == 800
    assert [(s.event_time, s.facility_id) for s in stations_of(got)] == expected(200)


async def test_between_messages_far_apart_the_place_follows_the_answers(tmp_path):
    """With a distance of seconds an interval of the grid takes a quarter of an hour: a kill must not have all of it come again."""
    write_all(tmp_path, 1)
    offset = tmp_path / "offset"
    with Server("embedded", tmp_path) as server:
        given = settings(tmp_path, server.address, qos=1, delay_s=2.5, offset_file=offset)
        async with (
            stream_of(server.address, 1) as got,
            in_background(publisher.run(given, silent)),
        ):
            for number in range(2):
                # A later one, where two answers have come since the last look.
                later = CODES[number:]
                await until(
                    lambda later=later: (
                        offset.exists() and any(code in offset.read_text() for code in later)
                    ),
                    later[0],
                )
                # Before its interval is over.
                assert len(got) < 4


async def test_a_loop_that_is_stopped_in_a_later_round_is_resumed_in_that_round(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(publisher, "_SETTLE_S", 30.0)
    write_all(tmp_path, 100)
    with Server("embedded", tmp_path) as server:
        given = settings(
            tmp_path, server.address, qos=1, loop=True, delay_s=0.0005, offset_file=tmp_path / "offset"
        )  # fmt: skip
        async with stream_of(server.address, 1) as got:
            for enough in (560, 760):
                async with in_background(publisher.run(given, silent)):
                    await until(lambda enough=enough: len(got) > enough, "some of a round")
    stations = [(s.event_time, s.facility_id) for s in stations_of(got)]
    assert stations == (expected(100) * 3)[: len(stations)]


def written(path):
    """When it was; None where it is not there."""
    return path.stat().st_mtime_ns if path.exists() else None


async def test_after_a_kill_only_the_last_moment_comes_twice(tmp_path):
    tables = tmp_path / "data/csv_output"
    tables.mkdir(parents=True)
    write_all(tables, 300)
    with Server("embedded", tmp_path) as server:
        arguments = (
            "publish", "--resume", "--qos", "1", "--speed", "max", "--delay", "0.002", "--broker", server.address.url,
        )  # fmt: skip
        async with stream_of(server.address, 1) as got:
            with running(*arguments, cwd=tmp_path) as process:
                await until(lambda: len(got) > 500, "some records", 60)
                place = tmp_path / "data/publish_offset.json"
                seen = written(place)
                await until(
                    lambda: written(place) != seen or process.poll() == 0,
                    "its place is written",
                )
                process.kill()
                process.wait()
            before = len(got)
            with running(*arguments, cwd=tmp_path) as process:
                assert await asyncio.to_thread(process.wait, 60) == 0
            await until(lambda: len(without_repeats(got)) == 900, "all records")
    assert without_repeats(got) == expected(300)
    # A quarter of a second at five hundred a second, and what it takes to write a file.
    assert len(got) - 1200 < 600 <= before + 100


@pytest.mark.parametrize("content", [b"{", b'{"moment":"2026-01-05T12:00:00+10:00","topics":["x","y"]}'])  # fmt: skip
async def test_a_position_of_something_else_is_not_gone_on_from(tmp_path, content):
    write_all(tmp_path, 1)
    (tmp_path / "offset").write_bytes(content)
    with pytest.raises(FileError, match="offset is "):
        await publisher.run(
            settings(tmp_path, Broker(), offset_file=tmp_path / "offset"), silent
        )


@pytest.mark.parametrize(
    ("choice", "stations", "prices"),
    [
        ({"start": at(2), "end": at(4)}, [(i, c) for i in (2, 3) for c in CODES], 2),
        ({"facilities": ("BRAVO",)}, [(i, "BRAVO") for i in range(5)], 5),
        ({"fuels": ("wind",), "start": at(4)}, [(4, c) for c in CODES], 1),
        ({"regions": ("NSW1",), "end": at(1)}, [(0, c) for c in CODES], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
async def test_only_what_was_chosen_is_sent(tmp_path, choice, stations, prices):
    write_all(tmp_path, 5)
    with Server("embedded", tmp_path) as server:
        async with stream_of(server.address, 1) as got:
            summary = await publisher.run(
                settings(tmp_path, server.address, qos=1, **choice), silent
            )
            await until(lambda: len(got) == summary.records, "all records")
    found = [(s.event_time, s.facility_id) for s in stations_of(got)]
    assert found == [(at(i), code) for i, code in stations]
    assert len(got) - len(found) == prices


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"facilities": ("DELTA",)}, "--facility DELTA"),
        ({"regions": ("NSW",)}, "--region NSW"),
        ({"fuels": ("plutonium",)}, "--fuel plutonium"),
        ({"regions": ("VIC1",)}, "no station is all of"),
    ],
)
async def test_what_is_not_there_cannot_be_chosen(tmp_path, choice, words):
    write_all(tmp_path, 1)
    with pytest.raises(ConfigError, match=words):
        await publisher.run(settings(tmp_path, Broker(), **choice), silent)


async def test_a_rebased_loop_never_goes_back_in_time(tmp_path):
    write_all(tmp_path, 3)
    with Server("embedded", tmp_path) as server:
        given = settings(tmp_path, server.address, loop=True, rebase="now", delay_s=0.001)
        async with (
            stream_of(server.address, 0) as got,
            in_background(publisher.run(given, silent)),
        ):
            await until(lambda: len(stations_of(got)) >= 27, "three rounds")
    times = list(dict.fromkeys(each.event_time for each in stations_of(got)[:27]))
    assert abs(times[0] - nem.now()) < timedelta(minutes=6)
    assert times == [times[0] + i * nem.INTERVAL for i in range(9)]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_loop_moves_the_grid_again_in_each_round(tmp_path, kind):
    """The tables are what they are: the first interval of a round is older than the last of the round before."""
    write_all(tmp_path, 20)
    # The stations alone: what comes on the other topic may be ahead of them.
    write_market(tmp_path, range(0))
    rounds = []

    class Watched(Hub):
        def facilities(self, records):
            # A busy reader takes several intervals at once.
            for record in records:
                super().facilities([record])
                if not rounds or self.event_time < rounds[-1][-1]:
                    rounds.append([])
                rounds[-1].append(self.event_time)

    hub = Watched()
    topics = {"facility_topic": config.FACILITY_TOPIC, "market_topic": config.MARKET_TOPIC}
    with Server(kind, tmp_path) as server:
        given = settings(tmp_path, server.address, qos=1, loop=True, speed=12_000.0)
        async with in_background(subscriber.run(server.address, **topics, sink=hub)):
            await until(lambda: hub.connected, "the subscriber is there")
            async with in_background(publisher.run(given, silent)):
                await until(lambda: len(rounds) > 3, "the end of the third round", 60)
    assert [(each[0], each[-1]) for each in rounds[:3]] == [(at(0), at(19))] * 3
    assert all(len(set(each)) == 20 for each in rounds[:3])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_that_begins_anew_moves_the_grid_from_its_first_interval(tmp_path, kind):
    """Stopped and started again, at once or after another: to who listens, no interval of it is old news."""
    write_all(tmp_path, 20)
    # The stations alone: what comes on the other topic may be ahead of them.
    write_market(tmp_path, range(0))
    times = []

    class Watched(Hub):
        def facilities(self, records):
            for record in records:
                super().facilities([record])
                if times[-1:] != [self.event_time]:
                    times.append(self.event_time)

    hub = Watched()
    topics = {"facility_topic": config.FACILITY_TOPIC, "market_topic": config.MARKET_TOPIC}
    with Server(kind, tmp_path) as server:
        given = settings(tmp_path, server.address, speed=6000.0)
        async with in_background(subscriber.run(server.address, **topics, sink=hub)):
            await until(lambda: hub.connected, "the subscriber is there")
            async with in_background(publisher.run(given, silent)):
                await until(lambda: (hub.event_time or at(0)) >= at(9), "half of it", 60)
            await publisher.run(given, silent)
            await until(lambda: times[-1] == at(19), "all of it")
    # What was on its way as it was stopped comes before.
    assert times[-20:] == [at(i) for i in range(20)]


@pytest.mark.parametrize(
    ("more", "begin"),
    [({}, [True, True]), ({"follow": True}, [False, False]), ({"resume": True}, [True, False])],
)
async def test_only_a_run_that_begins_at_the_beginning_says_that_event_time_does(
    tmp_path, more, begin, monkeypatch
):
    monkeypatch.setattr(publisher, "_SETTLE_S", 30.0)
    write_all(tmp_path, 1)
    if more.pop("resume", False):
        more["offset_file"] = tmp_path / "offset"
    with Server("embedded", tmp_path) as server:
        async with subscribed(server.address) as sink:
            for number in (1, 2):
                run = publisher.run(settings(tmp_path, server.address, qos=1, **more), silent)
                async with in_background(run):
                    await until(lambda n=number: len(sink.catalogues) == n, "its catalogue")
                    await until(lambda: len(sink.stations) >= 3, "its values")
    rounds = [each.round_id for each in sink.catalogues]
    assert [bool(each) for each in rounds] == begin
    assert len(set(filter(None, rounds))) == sum(begin)


async def test_follow_sends_a_value_again_that_was_revised_two_days_back(tmp_path):
    write_all(tmp_path, 600)
    with Server("embedded", tmp_path) as server:
        given = settings(tmp_path, server.address, qos=1, follow=True)
        async with (
            stream_of(server.address, 1) as got,
            in_background(publisher.run(given, silent)),
        ):
            await until(lambda: len(got) == 2400, "the first tables")
            rows = (tmp_path / "facility_metrics_wide.csv").read_text().splitlines()
            row = 1 + 3 * (599 - 570)
            assert f"{at(29).isoformat()},ALPHA,29" in rows[row]
            write_facilities(tmp_path, range(600))
            rows[row] = rows[row].replace(",29", ",77", 1)
            table = tmp_path / "facility_metrics_wide.csv"
            (tmp_path / "new").write_text("\n".join(rows) + "\n")
            (tmp_path / "new").replace(table)
            await until(lambda: len(got) == 2401, "the revised value")
    (revised,) = stations_of(got[2400:])
    assert (revised.event_time, revised.facility_id, revised.power) == (at(29), "ALPHA", 77)


async def test_what_was_revised_while_nobody_published_comes_again(tmp_path, monkeypatch):
    monkeypatch.setattr(publisher, "_SETTLE_S", 30.0)
    write_all(tmp_path, 5)
    with Server("embedded", tmp_path) as server:
        given = settings(
            tmp_path, server.address, qos=1, follow=True, offset_file=tmp_path / "offset"
        )
        async with stream_of(server.address, 1) as got:
            async with in_background(publisher.run(given, silent)):
                await until(lambda: len(got) == 20, "the first tables")
            table = tmp_path / "facility_metrics_wide.csv"
            table.write_text(table.read_text().replace("BRAVO,102.0", "BRAVO,112.0"))
            async with in_background(publisher.run(given, silent)):
                await until(lambda: len(got) == 24, "the interval that has changed")
                write_facilities(tmp_path, range(6))
                # The table is the old one again, with an interval more.
                await until(lambda: len(got) == 28, "what is new, and the value revised back")
    revised = [(s.event_time, s.facility_id, s.power) for s in stations_of(got[20:])]
    assert revised[1] == (at(2), "BRAVO", 112.0)
    assert {each[0] for each in revised[:3]} == {at(2)}
    assert revised[3:] == [(at(2), "BRAVO", 102.0), *[(at(5), c, 100.0 * n + 5) for n, c in enumerate(CODES)]]  # fmt: skip


async def test_a_pause_is_not_made_up_for(tmp_path):
    """At an interval each 50 ms, a pause of four seconds would leave eighty to make up for."""
    tables = tmp_path / "data/csv_output"
    tables.mkdir(parents=True)
    write_all(tables, 400)
    with Server("embedded", tmp_path) as server:
        arguments = ("publish", "--speed", "6000", "--broker", server.address.url)
        async with stream_of(server.address, 0) as got:
            with running(*arguments, cwd=tmp_path) as process:
                await until(lambda: len(got) > 40, "the stream has begun", 60)
                process.send_signal(signal.SIGTSTP)
                seen = psutil.Process(process.pid)
                await until(lambda: seen.status() == psutil.STATUS_STOPPED, "it stands still")
                stopped = time.monotonic()
                await until(lambda: time.monotonic() - stopped > 4.0, "four seconds")
                before = len(got)
                process.send_signal(signal.SIGCONT)
                await until(lambda: len(got) > before, "it goes on")
                gone_on, first = time.monotonic(), len(got)
                await until(lambda: time.monotonic() - gone_on > 1.0, "a second")
                await until(lambda: len(got) >= first + 40, "ten intervals")
                intervals, due = (len(got) - first) / 4, (time.monotonic() - gone_on) / 0.05
    # What was under way as it stopped comes late, where the broker is slow.
    assert intervals <= due + 40
