import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
import standin_grid as grid
from hypothesis import given
from hypothesis import strategies as st
from standin import KEY, NOW, StandIn, serving

from energydash import schema
from energydash.config import FetchSettings, Secret
from energydash.errors import AuthError, ConfigError, SourceError
from energydash.fetch import job, plan
from energydash.fetch.asking import manner_of
from energydash.files import raw
from energydash.files.folder import DataFolder
from energydash.nem import NEM_ZONE
from energydash.progress import silent
from energydash.sources.choose import make_source
from energydash.sources.demo import DemoSource
from energydash.sources.limits import Account
from energydash.sources.openelectricity import OpenElectricitySource

END = datetime(2026, 3, 10, 12, 0, tzinfo=NEM_ZONE)
STATIONS = [each for each in grid.stations() if each["network_id"] == "NEM"]


@pytest.fixture
def api():
    with serving() as standin:
        yield standin


def settings_for(api, folder, **more):
    asked = {
        "data_dir": folder, "source": "openelectricity", "start": END - timedelta(hours=2), "end": END,
        "batch_delay_s": 0.0, "rate": 1000.0, "backoff_s": 0.0, "api_key": Secret(KEY), "base_url": api.url + "/v4",
    } | more  # fmt: skip
    return FetchSettings(**asked)


def now():
    """The stand-in's clock."""
    return NOW.replace(tzinfo=NEM_ZONE)


async def fetch(settings, progress=silent, tell=job.logged):
    return await job.run(settings, make_source(settings), progress, tell, now)


def asked(api):
    """The paths of the requests that cost a credit."""
    return [path.removeprefix("/v4") for path, _, _ in api.requests if not path.endswith("/me")]


def having(*statuses):
    return [
        each["code"] for each in STATIONS if {grid.status_of(u) for u in each["units"]} & set(statuses)
    ]  # fmt: skip


def values_in(answers):
    """{(metric, unit, time): value} of unit answers, each at most once."""
    values = {}
    for answer in answers:
        for metric in answer.data:
            for series in metric.results:
                for moment, value in series.data:
                    key = metric.metric, series.columns.unit_code, moment
                    assert key not in values
                    values[key] = value
    return values


async def test_a_fetch_over_http_keeps_every_value_of_every_wanted_unit(api, tmp_path):
    summary = await fetch(settings_for(api, tmp_path))

    folder = DataFolder(tmp_path)
    values = values_in(raw.load_units(folder))
    expected = {}
    for each in STATIONS:
        for unit in (
            each["units"] if each["code"] in having("operating", "commissioning") else ()
        ):
            for step in range(24):
                label = (END - timedelta(hours=2)).replace(tzinfo=None) + step * grid.STEP
                if grid.has_row(unit, label) and grid.power(unit, label) is not None:
                    moment = label.replace(tzinfo=NEM_ZONE)
                    expected["power", unit["code"], moment] = grid.power(unit, label)
                    expected["emissions", unit["code"], moment] = grid.emissions(unit, label)
    assert {key: value for key, value in values.items() if value is not None} == expected
    assert ("power", "ER02", END - timedelta(minutes=5)) in values, (
        "a retired unit of a running station"
    )
    assert summary.points == len(values)
    assert summary.market_points == 2 * 24 * 6


async def test_the_files_say_what_was_asked_and_got(api, tmp_path):
    summary = await fetch(settings_for(api, tmp_path))

    folder = DataFolder(tmp_path)
    wanted = having("operating", "commissioning")
    assert (summary.source, summary.simulated) == ("openelectricity", False)
    assert summary.facilities == len(wanted) > 30
    assert summary.requests == summary.sent == len(asked(api)) == 1 + 2 + 2
    visible = [path for path in tmp_path.rglob("*") if path.is_file() and path.name[0] != "."]
    assert tmp_path / "version.json" in visible
    assert summary.files == len(visible) - 1 == 8
    mapping = msgspec.json.decode(folder.mapping.read_bytes())
    assert mapping["WIVENHOE"] == ["W/HOE#1", "W/HOE#2", "PUMP1"]
    assert list(mapping) == [each["code"] for each in STATIONS], (
        "the catalogue is not cut by status"
    )
    assert len(raw.load_facilities(folder).data) == len(STATIONS)
    market = raw.load_market(folder)
    names = [series.name for metric in market.data for series in metric.results]
    assert {"price_total", "price_SA1", "demand_total", "demand_TAS1"} <= set(names)
    provenance = raw.load_provenance(folder)
    assert (provenance.source, provenance.simulated) == ("openelectricity", False)
    assert (provenance.start, provenance.end) == (END - timedelta(hours=2), END)
    assert provenance.fetched_at <= datetime.now(UTC)


async def test_a_long_window_is_asked_for_in_parts_that_make_one(api, tmp_path):
    start = END - timedelta(days=17, minutes=35)

    await fetch(settings_for(api, tmp_path, start=start, status="retired"))

    values = values_in(raw.load_units(DataFolder(tmp_path)))
    moments = sorted(t for metric, unit, t in values if (metric, unit) == ("power", "OLDPS1"))
    assert moments[0] == start
    assert moments[-1] == END - timedelta(minutes=5)
    assert len(moments) == (END - start) // timedelta(minutes=5)
    assert len(asked(api)) == 1 + 3 * 3


async def test_a_window_of_hours_is_cut_between_them(api, tmp_path):
    start = END - timedelta(days=40, minutes=5)

    await fetch(settings_for(api, tmp_path, start=start, interval="1h", status="retired"))

    ends = [dict(query)["date_end"] for path, query, _ in api.requests if "/data/" in path]
    assert ends == ["2026-03-02T11:00:00", "2026-03-10T12:00:00"]
    values = values_in(raw.load_units(DataFolder(tmp_path)))
    assert len([key for key in values if key[:2] == ("power", "OLDPS1")]) == 40 * 24 + 1


@pytest.mark.parametrize(("interval", "bucket"), [("1h", timedelta(hours=1)), ("1d", timedelta(days=1))])  # fmt: skip
async def test_a_window_of_hours_or_days_holds_whole_ones_alone(
    api, tmp_path, interval, bucket
):
    start, end = END - timedelta(days=3, minutes=35), END - timedelta(minutes=35)

    summary = await fetch(
        settings_for(api, tmp_path, start=start, end=end, interval=interval, status="retired")
    )

    midnight = datetime(2026, 3, 1, tzinfo=NEM_ZONE)
    assert (summary.start, summary.end) == tuple(
        t - (t - midnight) % bucket for t in (start, end)
    )
    moments = {t for _, unit, t in values_in(raw.load_units(DataFolder(tmp_path))) if unit == "OLDPS1"}  # fmt: skip
    assert (min(moments), max(moments)) == (summary.start, summary.end - bucket)
    assert len(moments) == timedelta(days=3) // bucket


async def test_a_window_without_one_whole_hour_is_refused(api, tmp_path):
    start = END + timedelta(minutes=5)
    with pytest.raises(ConfigError, match="no whole 1h: give an --end of 2026-03-10T13:00:00"):
        await fetch(
            settings_for(api, tmp_path, start=start, end=start + timedelta(minutes=50), interval="1h")
        )  # fmt: skip


async def test_a_window_that_cannot_be_cut_is_refused_before_any_data_request(api, tmp_path):
    with pytest.raises(ConfigError, match="the API answers 366 days in one request"):
        await fetch(settings_for(api, tmp_path, start=END - timedelta(days=400), interval="7d"))
    assert asked(api) == ["/facilities/"]


async def test_a_window_beyond_the_history_is_refused_before_the_first_request(api, tmp_path):
    with pytest.raises(
        ConfigError, match="the COMMUNITY plan shows the last 730 days, so give 2024-03-11"
    ):
        await fetch(settings_for(api, tmp_path, start=END - timedelta(days=731)))
    assert asked(api) == []
    assert list(tmp_path.iterdir()) == []


async def test_progress_is_told_at_each_request_and_ends_complete(api, tmp_path):
    told = []
    await fetch(
        settings_for(api, tmp_path, batch_size=10), lambda *each: told.append(each)
    )  # fmt: skip

    total = len(asked(api))
    assert [each[:2] for each in told if each[1]] == [
        (done, total) for done in range(1, total + 1)
    ]
    assert re.fullmatch(r"[\d,]+ points, \d+\.\d requests/s, \d+ s left", told[-2][2])
    assert re.fullmatch(r"[\d,]+ points, \d+\.\d requests/s", told[-1][2])


async def test_a_wrong_key_is_one_line_without_the_key_and_writes_nothing(api, tmp_path):
    key = "no-such-key-anywhere"

    with pytest.raises(AuthError) as caught:
        await fetch(settings_for(api, tmp_path, api_key=Secret(key)))

    assert "check OPENELECTRICITY_API_KEY" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert key not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


async def test_a_window_without_data_says_so(api, tmp_path):
    with pytest.raises(SourceError, match="has no data from"):
        await fetch(
            settings_for(
                api, tmp_path, start=END + timedelta(days=1), end=END + timedelta(days=2)
            )
        )


async def test_a_status_that_no_unit_has_names_those_that_exist(api, tmp_path):
    with pytest.raises(ConfigError, match="commissioning, committed, operating, retired, all"):
        await fetch(settings_for(api, tmp_path, status="operatng"))


@pytest.mark.parametrize(
    ("status", "statuses"),
    [
        ("operating", ("operating", "commissioning")),
        ("retired", ("retired",)),
        ("committed, commissioning", ("committed", "commissioning")),
        ("all", ("operating", "commissioning", "committed", "retired")),
    ],
)
def test_a_station_is_wanted_for_any_of_its_units(status, statuses):
    catalogue = StandIn().envelope(
        [each | {"units": [u | {"status_id": grid.status_of(u)} for u in each["units"]]} for each in STATIONS]
    )  # fmt: skip
    answer = schema.decode_facilities(msgspec.json.encode(catalogue))

    assert [f.code for f in plan.wanted(answer, status)] == having(*statuses)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    st.timedeltas(timedelta(minutes=1), timedelta(days=400)),
    st.sampled_from([("5m", 8, timedelta(minutes=5)), ("1h", 32, timedelta(hours=1)), ("1d", 366, timedelta(days=1))]),
)  # fmt: skip
def test_windows_touch_cover_all_stay_within_the_limit_and_cut_no_bucket(start, length, kind):
    interval, days, bucket = kind
    start = start.replace(tzinfo=NEM_ZONE)
    parts = plan.windows(start, start + length, interval, Account())

    assert parts[0].start == start
    assert parts[-1].end == start + length
    assert all(a.end == b.start for a, b in pairwise(parts))
    assert all(timedelta(0) < part.end - part.start <= timedelta(days=days) for part in parts)
    midnight = datetime(2020, 1, 1, tzinfo=NEM_ZONE)
    assert all((part.start - midnight) % bucket == timedelta(0) for part in parts[1:])


@given(st.lists(st.text(min_size=1, max_size=4), max_size=100), st.integers(1, 30))
def test_batches_hold_every_code_once_in_order(codes, size):
    groups = plan.batches(codes, size)

    assert [code for group in groups for code in group] == codes
    assert all(1 <= len(group) <= size for group in groups)
    assert len(groups) == -(-len(codes) // size)


@pytest.mark.parametrize(
    ("rate", "delay", "spacing"), [(2.0, 0.5, 0.5), (2.0, 3.0, 3.0), (0.25, 0.5, 4.0), (100.0, 0.0, 0.01)]
)  # fmt: skip
def test_requests_keep_the_longer_of_the_two_distances(api, tmp_path, rate, delay, spacing):
    settings = settings_for(api, tmp_path, rate=rate, batch_delay_s=delay)

    assert manner_of(settings, OpenElectricitySource).spacing_s == spacing
    assert manner_of(settings, DemoSource).spacing_s == 0


@pytest.mark.parametrize("size", [0, 31])
def test_a_batch_that_the_api_would_refuse_is_refused_here(size):
    with pytest.raises(ConfigError, match="--batch-size"):
        plan.batches(["A"], size)
