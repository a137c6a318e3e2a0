"""Following the grid beside a stand-in whose clock the test moves: values arrive late, change, and cost credits."""

import asyncio
import itertools
import json
import math
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import standin_faults as faults
import standin_grid as grid
from hypothesis import given
from hypothesis import strategies as st
from standin import KEY, StandIn, serving
from standin_rules import error_body

from energydash import schema
from energydash.config import FetchSettings, Secret
from energydash.errors import ConfigError, FileError
from energydash.fetch import cadence, job
from energydash.fetch.follow import Follower, follow
from energydash.files import manifest, raw
from energydash.files.folder import DataFolder
from energydash.files.known import Known
from energydash.files.stage import claimed
from energydash.nem import NEM_ZONE
from energydash.progress import silent
from energydash.sources.choose import make_source

NOW = datetime(2026, 3, 10, 12, 2)
STEP = timedelta(minutes=5)


class Clockwork:
    """The stand-in's clock for both sides: who sleeps moves it."""

    def __init__(self, api):
        self.api = api
        self.told = []

    def now(self):
        return self.api.now.replace(tzinfo=NEM_ZONE)

    async def sleep(self, seconds):
        self.api.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@pytest.fixture
def api():
    with serving(StandIn(now=NOW, live=True)) as standin:
        yield standin


def settings_for(api, folder, **more):
    asked = {
        "data_dir": folder, "source": "openelectricity", "start": NOW.replace(tzinfo=NEM_ZONE) - timedelta(hours=6),
        "end": NOW.replace(tzinfo=NEM_ZONE, minute=0), "batch_delay_s": 0.0, "rate": 1000.0, "backoff_s": 0.0, "batch_size": 15,
        "api_key": Secret(KEY), "base_url": api.url + "/v4", "fixed": False,
    } | more  # fmt: skip
    return FetchSettings(**asked)


@asynccontextmanager
async def following(api, folder, **more):
    """A follower at work, whose clock is the stand-in's."""
    clockwork = Clockwork(api)
    settings = settings_for(api, folder, **more)
    source = make_source(settings)
    follower = Follower(
        settings, source, silent, clockwork.told.append, clockwork.now, clockwork.sleep
    )
    try:
        await follower.begin()
        with follower.working():
            yield follower, clockwork
    finally:
        await source.aclose()


async def followed(api, folder, length, **more):
    """Follow for so long of the stand-in's clock; give what was told."""
    async with following(api, folder, **more) as (follower, clockwork):
        until = api.now + length
        while api.now < until:
            await clockwork.sleep((await follower.step()).total_seconds())
    return clockwork.told


def values_in(folder):
    """{(metric, unit or region, time): value}, the last of each."""
    data = DataFolder(folder)
    return {
        (metric.metric, s.columns.unit_code or s.columns.region or "", moment): value
        for answer in (*raw.load_units(data), raw.load_market(data))
        for metric in answer.data for s in metric.results for moment, value in s.data
    }  # fmt: skip


def paid(api):
    return [path.removeprefix("/v4") for path, _, _ in api.requests if not path.endswith("/me")]


async def test_after_a_day_the_folder_holds_what_a_fetch_of_the_day_would_bring(api, tmp_path):
    """Late units, revised prices and provisional emissions have all been caught up with, but for the last hours."""
    await followed(api, tmp_path / "follow", timedelta(hours=26))
    end = api.now.replace(tzinfo=NEM_ZONE) - timedelta(hours=16)
    settings = settings_for(
        api, tmp_path / "fetch", start=end - timedelta(hours=12), end=end, fixed=True
    )
    api.credits = 500
    await job.run(settings, make_source(settings), silent, clock=Clockwork(api).now)

    wanted = values_in(tmp_path / "fetch")
    got = values_in(tmp_path / "follow")

    assert len(wanted) > 10_000
    assert {key: got.get(key, "absent") for key in wanted} == wanted


async def test_a_day_of_following_keeps_within_the_quota(api, tmp_path):
    api.now = datetime(2026, 3, 10, 10, 6)  # just after midnight UTC
    told = await followed(api, tmp_path, timedelta(hours=23))

    spent = 500 - api.credits
    assert 400 < spent <= 500
    assert spent == len(paid(api))
    assert told[1] == (
        "a round every 15 min: the market, the largest and most changing stations, and of the 2 groups of others 2 in turn, "
        "each about every 15 min; that is what the 494 requests that the key (COMMUNITY) has left today allow"
    )  # fmt: skip


async def test_a_round_keeps_only_what_is_new_or_revised(api, tmp_path):
    async with following(api, tmp_path) as (follower, clockwork):
        await follower.step()
        files = len(list(raw.unit_files(DataFolder(tmp_path))))
        idle = await follower.round(follower.cadence)
        await clockwork.sleep(300)
        before = values_in(tmp_path)
        busy = await follower.round(follower.cadence)

    assert (idle.new, idle.revised) == (0, 0)
    after = values_in(tmp_path)
    assert len(after) - len(before) == busy.new > 0
    changed = [key for key in before if before[key] != after[key]]
    assert len(changed) == busy.revised > 0
    assert {metric for metric, _, _ in changed} >= {"price", "demand"}
    new_files = list(raw.unit_files(DataFolder(tmp_path)))[files:]
    assert sum(path.stat().st_size for path in new_files) < 60_000


async def test_the_manifest_tells_of_every_file_that_following_adds(api, tmp_path):
    await followed(api, tmp_path, timedelta(hours=2))

    folder = DataFolder(tmp_path)
    listed = manifest.load(folder.manifest)
    names = {path.relative_to(tmp_path).as_posix() for path in raw.unit_files(folder)}
    assert names < listed.keys()
    for name, entry in listed.items():
        content = (tmp_path / name).read_bytes()
        assert (entry.sha256, entry.size) == (manifest.digest(content), len(content))
    for path in raw.unit_files(folder):
        entry = listed[path.relative_to(tmp_path).as_posix()]
        moments = [p[0] for m in raw.load_answer(path).data for s in m.results for p in s.data]
        assert (entry.first, entry.last, entry.points) == (min(moments), max(moments), len(moments))  # fmt: skip
    joined = raw.load_answer(folder.unit_metrics)
    parts = [metric for path in raw.unit_files(folder) for metric in raw.load_answer(path).data]
    assert list(joined.data) == parts


async def test_following_again_catches_up_without_fetching_anew(api, tmp_path):
    await followed(api, tmp_path, timedelta(minutes=30))
    api.requests.clear()
    api.now += timedelta(hours=9)
    back = api.now.replace(tzinfo=NEM_ZONE)

    await followed(api, tmp_path, timedelta(minutes=1))

    starts = {dict(query)["date_start"] for path, query, _ in api.requests if "/data/" in path}
    assert starts == {"2026-03-10T06:02:00"}, "as far back as the folder reaches"
    assert not any("date_end" in dict(query) for _, query, _ in api.requests)
    newest = max(moment for metric, _, moment in values_in(tmp_path) if metric == "power")
    assert back - newest < timedelta(minutes=20)


async def test_stations_that_have_no_data_are_not_fetched_again_at_each_start(api, tmp_path):
    words = msgspec.json.encode(error_body("No data available for facility"))
    nothing = faults.Fault(faults.Reply(404, words))
    api.faults.add(nothing, route="/data/facilities", times=1)
    settings = settings_for(api, tmp_path)
    for start in range(2):
        source = make_source(settings)
        follower = Follower(settings, source, silent, job.logged, Clockwork(api).now)
        api.requests.clear()
        try:
            await follower.begin()
        finally:
            await source.aclose()
        assert bool([path for path in paid(api) if "/data/" in path]) is (start == 0)


async def test_a_station_that_is_new_and_silent_costs_no_kept_day_at_the_next_start(
    api, tmp_path
):
    async with following(api, tmp_path) as (follower, clockwork):
        await follower.step()
        new = grid.station("BRANDNEW", "Brand New", "NSW1", grid.unit("BRANDNEW1", "wind"))
        api.stations = [*api.stations, new]
        await clockwork.sleep(24 * 3600)
        await follower._plan()
    before = values_in(tmp_path)

    async with following(api, tmp_path) as (follower, clockwork):
        assert values_in(tmp_path).items() >= before.items()


async def test_a_network_that_is_away_at_the_start_is_waited_for_and_said_so_once(
    api, tmp_path
):
    await followed(api, tmp_path, timedelta(minutes=10))
    before = values_in(tmp_path)
    async with following(api, tmp_path, base_url="http://127.0.0.1:9/v4", retries=0) as (
        follower,
        clockwork,
    ):
        for _ in range(3):
            await clockwork.sleep((await follower.step()).total_seconds())

    assert len(clockwork.told) == 1
    assert clockwork.told[0].endswith("waiting for it, what the folder holds stays")
    assert values_in(tmp_path) == before


async def test_a_spent_quota_rests_and_goes_on_after_midnight_utc(api, tmp_path):
    async with following(api, tmp_path) as (follower, clockwork):
        await follower.step()
        api.credits = 1
        before = len(values_in(tmp_path))
        told = len(clockwork.told)
        for _ in range(100):
            await clockwork.sleep((await follower.step()).total_seconds())
            if clockwork.now().astimezone(UTC).hour == 1:
                break
        assert clockwork.now() < datetime(2026, 3, 11, 2, tzinfo=UTC)
        (refused, goes_on) = clockwork.told[told:]
        assert refused.endswith("resting, and looking again every 30 min")
        assert goes_on.startswith("a round every")
        assert len(values_in(tmp_path)) > before


async def test_a_long_retry_after_is_a_rest_of_that_length(api, tmp_path):
    async with following(api, tmp_path) as (follower, clockwork):
        await follower.step()
        api.faults.add(faults.rate_limited(1200), route="/market")

        assert await follower.step() == timedelta(minutes=20)
        assert "left alone for 20 min" in clockwork.told[-1]


async def test_a_failing_round_is_not_the_end(api, tmp_path):
    async with following(api, tmp_path, retries=0) as (follower, clockwork):
        await follower.step()
        api.faults.add(faults.gateway(502), route="/market")
        await clockwork.sleep(300)
        before = len(values_in(tmp_path))
        await clockwork.sleep((await follower.step()).total_seconds())
        assert len(values_in(tmp_path)) == before
        await follower.step()
        assert len(values_in(tmp_path)) > before


async def test_a_station_that_appears_is_followed_too(api, tmp_path):
    new = grid.station("BRANDNEW", "Brand New", "NSW1", grid.unit("BRANDNEW1", "wind"))
    async with following(api, tmp_path) as (follower, clockwork):
        await follower.step()
        api.stations = [*api.stations, new]
        await clockwork.sleep(24 * 3600)
        await follower.step()

    folder = DataFolder(tmp_path)
    assert any(unit == "BRANDNEW1" for _, unit, _ in values_in(tmp_path))
    assert json.loads(folder.mapping.read_bytes())["BRANDNEW"] == ["BRANDNEW1"]


async def test_a_catalogue_without_a_station_is_not_kept_and_not_the_end(api, tmp_path):
    async with following(api, tmp_path, retries=0) as (follower, clockwork):
        await follower.step()
        before = DataFolder(tmp_path).facilities.read_bytes()
        api.faults.add(faults.Fault(faults.Reply(200, b'{"success":true,"data":[]}')), route="/facilities/")  # fmt: skip
        follower._replan_at = clockwork.now()
        await clockwork.sleep((await follower.step()).total_seconds())
        assert DataFolder(tmp_path).facilities.read_bytes() == before
        spent = len(values_in(tmp_path))
        await clockwork.sleep(600)
        await follower.step()
        assert len(values_in(tmp_path)) > spent


async def test_a_folder_whose_catalogue_was_kept_empty_is_gone_on_with(api, tmp_path):
    await followed(api, tmp_path, timedelta(minutes=10))
    before = values_in(tmp_path)
    DataFolder(tmp_path).facilities.write_bytes(b'{"success":true,"data":[]}')

    await followed(api, tmp_path, timedelta(minutes=10))

    assert raw.load_facilities(DataFolder(tmp_path)).data
    assert values_in(tmp_path).keys() > before.keys()


@pytest.mark.parametrize("stops", [1, 2])
async def test_a_follow_that_is_stopped_holds_its_folder_until_the_last_answer_is_written(
    api, tmp_path, monkeypatch, stops
):
    writing, go_on, held = threading.Event(), threading.Event(), []
    append = manifest.append

    def slow(path, entry):
        writing.set()
        assert go_on.wait(30)
        try:
            with claimed(DataFolder(tmp_path)):
                held.append(False)
        except FileError:
            held.append(True)
        append(path, entry)

    async def work():
        async with following(api, tmp_path) as (follower, clockwork):
            await follower.step()
            await clockwork.sleep(600)
            monkeypatch.setattr(manifest, "append", slow)
            await follower.step()

    working = asyncio.create_task(work())
    assert await asyncio.to_thread(writing.wait, 60)
    for _ in range(stops):
        working.cancel()
        await asyncio.wait({working}, timeout=0.2)
    go_on.set()
    await asyncio.wait({working}, timeout=60)

    assert working.cancelled()
    assert held == [True]
    listed = manifest.load(DataFolder(tmp_path).manifest)
    assert all(f"batch_data/{p.name}" in listed for p in raw.unit_files(DataFolder(tmp_path)))


async def test_what_cannot_be_followed_is_refused(api, tmp_path):
    for more, text in (
        ({"interval": "1h"}, "--interval 5m"),
        ({"open_end": False}, "leave it out"),
    ):
        settings = settings_for(api, tmp_path, **more)
        with pytest.raises(ConfigError, match=text):
            await follow(settings, make_source(settings), silent)


async def test_a_dry_run_of_following_asks_for_no_data(api, tmp_path):
    settings = settings_for(api, tmp_path, dry_run=True)

    planned = await follow(settings, make_source(settings), silent, clock=Clockwork(api).now)

    assert planned.requests == 6
    assert paid(api) == ["/facilities/"]


@given(
    st.integers(1, 7200), st.integers(1, 20), st.integers(0, 6000),
    st.timedeltas(timedelta(minutes=1), timedelta(hours=24)),
)  # fmt: skip
def test_a_cadence_never_costs_more_than_the_budget(every_s, groups, budget, lasts):
    every = timedelta(seconds=every_s)
    chosen = cadence.choose(every=every, groups=groups, budget=budget, lasts=lasts)

    if chosen is None:
        assert budget * 0.96 < 2 + min(groups, 2.5)
        return
    rounds = max(1, lasts // chosen.every)
    assert rounds * (2 + chosen.groups) <= budget
    assert chosen.every >= every
    assert chosen.every % STEP == timedelta(0)
    assert 1 <= chosen.groups <= groups


def test_without_a_budget_a_round_asks_for_everything_as_soon_as_there_is_news():
    chosen = cadence.choose(every=timedelta(seconds=60), groups=14, budget=None, lasts=timedelta(hours=1))  # fmt: skip

    assert chosen == cadence.Cadence(every=STEP, groups=14)
    assert cadence.describe(chosen, 14, plan="ENTERPRISE", budget=None) == "a round every 5 min: the market and all stations"  # fmt: skip


def test_the_free_keys_cadence_over_the_whole_grid_is_said_with_its_reason():
    chosen = cadence.choose(every=timedelta(seconds=60), groups=14, budget=500, lasts=timedelta(hours=24))  # fmt: skip

    assert chosen == cadence.Cadence(every=timedelta(minutes=15), groups=3)
    assert cadence.describe(chosen, 14, plan="COMMUNITY", budget=500) == (
        "a round every 15 min: the market, the largest and most changing stations, and of the 13 groups of others 2 in turn, "
        "each about every 1 h 38 min; that is what the 500 requests that the key (COMMUNITY) has left today allow"
    )  # fmt: skip


@given(st.integers(1, 15), st.floats(1, 15), st.integers(1, 60))
def test_turns_take_the_first_group_always_and_leave_nobody_out(groups, average, rounds):
    all_groups = [(f"G{n}",) for n in range(groups)]
    average = min(average, groups)
    turns = cadence.Turns(all_groups)
    taken = [turns.take(average) for _ in range(rounds)]

    assert all(each[0] == ("G0",) for each in taken)
    assert all(len(set(each)) == len(each) for each in taken)
    assert math.floor(average * rounds) - 1 <= sum(map(len, taken)) <= average * rounds + 1e-6
    if average > 1.01:
        sweep = math.ceil((groups - 1) / (average - 1)) + 1
        for at in range(rounds - sweep + 1):
            seen = set(itertools.chain.from_iterable(taken[at : at + sweep]))
            assert seen == set(all_groups)


def test_what_was_read_is_read_again_an_hour_deep_then_twelve_then_two_days():
    start = datetime(2026, 3, 10, tzinfo=NEM_ZONE)
    overlaps = cadence.Overlaps(start - STEP)
    depths = []
    for minutes in range(0, 26 * 60, 15):
        now = start + timedelta(minutes=minutes)
        depths.append((minutes, now - overlaps.start(["x"], now)))
        overlaps.read(["x"], now, now)

    assert [m for m, depth in depths if depth >= timedelta(hours=48)] == [0, 24 * 60]
    deep = [m for m, depth in depths if depth >= timedelta(hours=12)]
    assert deep == list(range(0, 26 * 60, 120))
    # The newest value was read a quarter of an hour ago.
    assert min(depth for _, depth in depths) == timedelta(minutes=60 + 15)


def test_a_group_of_stations_is_read_from_where_the_one_read_last_ends():
    start = datetime(2026, 3, 10, tzinfo=NEM_ZONE)
    overlaps = cadence.Overlaps(start)
    for days in range(30):
        now = start + timedelta(days=days)
        overlaps.read(["often", "seldom"][: 1 + (days < 20)], now, now)
    now = start + timedelta(days=29, minutes=30)

    assert now - overlaps.start(["often"], now) == timedelta(minutes=90)
    # The others' last reading is nine days old: as far back as one request may ask.
    assert now - overlaps.start(["often", "seldom"], now) == timedelta(days=7)
    assert now - overlaps.start(["new"], now) == timedelta(days=7)


def test_the_largest_and_most_changing_stations_come_first():
    def station(code, capacity, *units):
        return schema.Facility(
            code=code, name=code, units=tuple(schema.Unit(code=u, capacity_registered=capacity) for u in units)
        )  # fmt: skip

    stations = [station("SMALL", 10.0, "S1"), station("BIG", 700.0, "B1"), station("RESTLESS", 100.0, "R1"), station("CALM", 200.0, "C1")]  # fmt: skip

    assert cadence.ranked(stations, {"R1": 20.0, "B1": 0.1}) == ["BIG", "RESTLESS", "CALM", "SMALL"]  # fmt: skip


points = st.dictionaries(st.integers(0, 200), st.none() | st.floats(-9, 9), max_size=30)


@given(st.lists(points, max_size=8))
def test_what_is_known_is_not_told_again_and_what_changed_is(answers):
    known, held = Known(), {}
    for answer in answers:
        changes = known.changes(answer_of(answer))
        told = {
            (moment - grid.EPOCH.replace(tzinfo=NEM_ZONE)) // STEP: value
            for metric in changes.answer.data for s in metric.results for moment, value in s.data
        }  # fmt: skip
        assert told == {n: v for n, v in answer.items() if n not in held or held[n] != v}
        assert changes.new == len(answer.keys() - held.keys())
        assert changes.new + changes.revised == len(told)
        held |= answer


def answer_of(values):
    data = tuple(
        (grid.EPOCH.replace(tzinfo=NEM_ZONE) + n * STEP, value)
        for n, value in sorted(values.items())
    )
    series = schema.Series(name="power_A1", columns=schema.Columns(unit_code="A1"), data=data)
    return schema.DataAnswer(data=(schema.Metric(metric="power", results=(series,)),))
