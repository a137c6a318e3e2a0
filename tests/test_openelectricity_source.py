import asyncio
import json
import logging
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import standin_grid as grid
from hypothesis import given
from hypothesis import strategies as st
from standin import KEY, NOW, StandIn, serving

from energydash.config import FetchSettings, Secret
from energydash.errors import AuthError, ConfigError, SourceError
from energydash.nem import NEM_ZONE, WEM_ZONE
from energydash.sources.catalogue import parse_facilities
from energydash.sources.choose import make_source
from energydash.sources.openelectricity import OpenElectricitySource, check_vocabulary
from energydash.sources.parse import parse_data
from energydash.sources.protocol import FACILITY_METRICS, MARKET_METRICS, Window

REAL = Path(__file__).resolve().parents[2] / "shared" / "realdata"
START = datetime(2026, 3, 9, 22, 0, tzinfo=NEM_ZONE)
WINDOW = Window(START, START + timedelta(hours=2))
SECRET = "the-key-that-must-stay-hidden"

real_data = pytest.mark.skipif(not REAL.is_dir(), reason="the real sample data is not here")


@pytest.fixture(scope="module")
def api():
    with serving() as standin:
        yield standin


@pytest.fixture
async def source(api):
    source = OpenElectricitySource(Secret(KEY), api.url + "/v4")
    yield source
    await source.aclose()


def answering(status, content=b"", **more):
    transport = httpx.MockTransport(
        lambda _request: httpx.Response(status, content=content, **more)
    )
    return OpenElectricitySource(Secret(SECRET), "http://api.test/v4", transport)


def units_of(code):
    (found,) = (each for each in grid.stations() if each["code"] == code)
    return {unit["code"]: unit for unit in found["units"]}


def naive(moment):
    return moment.replace(tzinfo=None)


async def test_the_catalogue_comes_whole_whatever_the_status(source):
    catalogue = parse_facilities(await source.facilities("NEM"))

    expected = [each for each in grid.stations() if each["network_id"] == "NEM"]
    assert [f.code for f in catalogue.data] == [each["code"] for each in expected]
    assert {u.status_id for f in catalogue.data for u in f.units} == {
        "operating", "commissioning", "committed", "retired",
    }  # fmt: skip
    wambo = next(f for f in catalogue.data if f.code == "0WAMBOWF")
    assert wambo.location is None
    assert wambo.units[0].dispatch_type is None
    wivenhoe = next(f for f in catalogue.data if f.code == "WIVENHOE")
    assert [u.code for u in wivenhoe.units] == ["W/HOE#1", "W/HOE#2", "PUMP1"]


async def test_units_have_the_values_of_the_half_open_window(source):
    answer = parse_data(
        await source.facility_data("NEM", ["VBB", "WIVENHOE", "TORRIS"], WINDOW, "5m")
    )

    assert tuple(metric.metric for metric in answer.data) == FACILITY_METRICS
    units = units_of("VBB") | units_of("WIVENHOE") | units_of("TORRIS")
    for metric, value in zip(answer.data, (grid.power, grid.emissions), strict=True):
        assert {s.columns.unit_code for s in metric.results} == set(units)
        for series in metric.results:
            unit = units[series.columns.unit_code]
            assert [p[1] for p in series.data] == [
                value(unit, naive(p[0])) for p in series.data
            ]
    whole = next(s for s in answer.data[0].results if s.columns.unit_code == "VBB1")
    assert whole.data[0][0] == WINDOW.start
    assert whole.data[-1][0] == WINDOW.end - timedelta(minutes=5)


async def test_any_zone_asks_for_the_same_network_time(api, source):
    utc = Window(WINDOW.start.astimezone(UTC), WINDOW.end.astimezone(UTC))

    assert parse_data(await source.market_data("NEM", utc, "5m", by_region=False))
    query = dict(api.requests[-1][1])
    assert (query["date_start"], query["date_end"]) == ("2026-03-09T22:00:00", "2026-03-10T00:00:00")  # fmt: skip


async def test_the_western_network_has_its_own_time(source):
    start = datetime(2026, 3, 9, 22, 0, tzinfo=WEM_ZONE)
    window = Window(start, start + timedelta(hours=1))

    answer = parse_data(await source.facility_data("WEM", ["MUJA"], window, "5m"))

    assert answer.data[0].results[0].data[0][0] == start


async def test_the_market_comes_as_a_whole_and_by_region(source):
    window = Window(START, START + timedelta(hours=10))
    whole = parse_data(await source.market_data("NEM", window, "5m", by_region=False))
    parts = parse_data(await source.market_data("NEM", window, "5m", by_region=True))

    assert tuple(metric.metric for metric in whole.data) == MARKET_METRICS
    price = whole.data[0].results[0].data
    assert [value for _, value in price] == [grid.network_price(naive(t)) for t, _ in price]
    assert None in {value for _, value in price}
    assert [s.columns.region for s in parts.data[1].results] == list(grid.REGIONS)
    for series in parts.data[1].results:
        expected = [grid.region_demand(series.columns.region, naive(t)) for t, _ in series.data]
        assert [value for _, value in series.data] == expected


@pytest.mark.parametrize("fill", [True, False])
async def test_a_hole_may_be_null_or_left_out(fill):
    with serving(StandIn(fill_gaps=fill)) as standin:
        source = OpenElectricitySource(Secret(KEY), standin.url)
        answer = parse_data(await source.facility_data("NEM", ["GAPPYWF"], WINDOW, "5m"))
        await source.aclose()

    gappy = next(s for s in answer.data[0].results if s.columns.unit_code == "GAPPY1")
    assert (None in {v for _, v in gappy.data}) is fill
    assert "EARLY1" not in {s.columns.unit_code for s in answer.data[0].results}


async def test_no_rows_is_no_data_and_no_error(source):
    assert await source.facility_data("NEM", ["SILENT", "0WAMBOWF"], WINDOW, "5m") is None
    future = Window(START + timedelta(days=5), START + timedelta(days=6))
    assert await source.market_data("NEM", future, "5m", by_region=False) is None
    assert await answering(416, b'{"error":"none"}').facility_data("NEM", ["A"], WINDOW, "5m") is None  # fmt: skip


async def test_a_wrong_address_is_no_missing_data(api):
    source = OpenElectricitySource(Secret(KEY), api.url + "/elsewhere")

    with pytest.raises(SourceError, match="check --base-url"):
        await source.facility_data("NEM", ["VBB"], WINDOW, "5m")
    with pytest.raises(SourceError, match="check --base-url"):
        await source.facilities("NEM")
    await source.aclose()


@pytest.mark.parametrize(
    ("key", "said"), [("short", "Invalid API key"), (SECRET, "Authentication failed")]
)
async def test_a_key_that_is_not_accepted_is_named_by_its_setting_and_never_shown(
    api, key, said, caplog
):
    caplog.set_level(logging.DEBUG)
    source = OpenElectricitySource(Secret(key), api.url)

    with pytest.raises(AuthError) as caught:
        await source.facilities("NEM")
    await source.aclose()

    text = str(caught.value)
    assert said in text
    assert "OPENELECTRICITY_API_KEY" in text
    assert len(text.splitlines()) == 1
    assert key not in text + caplog.text


async def test_a_server_that_repeats_the_key_does_not_make_us_show_it():
    source = answering(401, f'{{"error":"bad\\nkey {SECRET}"}}'.encode())

    with pytest.raises(AuthError) as caught:
        await source.facilities("NEM")

    assert SECRET not in str(caught.value)
    assert "bad key ***" in str(caught.value)


@pytest.mark.parametrize("key", ["line\nbreak-in-it", "schlüssel-mit-umlaut", "two words", ""])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(key):
    with pytest.raises(ConfigError) as caught:
        OpenElectricitySource(Secret(key), "http://api.test")

    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("url", ["", "api.test/v4", "ftp://api.test", "http://", "http://u:p@api.test", "http://api.test:port"])  # fmt: skip
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigError, match="--base-url"):
        OpenElectricitySource(Secret(KEY), url)


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (400, b'{"error":"Unsupported metrics: price"}', "Unsupported metrics: price"),
        (422, b'{"detail":[{"loc":["query","interval"],"msg":"Input should be 5m"}]}', "interval: Input should be 5m"),
        (500, b'{"error":"Error executing query"}', "Error executing query"),
        (503, b'{"error":"Maintenance Mode"}', "Maintenance Mode"),
        (502, b"<html>Bad gateway</html>", "Bad Gateway"),
        (418, b'{"detail":["a",{"msg":"b"}]}', "a; b"),
        (400, b'{"detail":"\xff"}', "Bad Request"),
    ],
)  # fmt: skip
async def test_a_refusal_is_told_in_the_servers_own_words(status, content, said):
    with pytest.raises(SourceError) as caught:
        await answering(status, content).market_data("NEM", WINDOW, "5m", by_region=True)

    assert said in str(caught.value)
    assert str(status) in str(caught.value)


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("refused"), httpx.ReadTimeout(""), httpx.ReadError(""), httpx.DecodingError("gzip")],
)  # fmt: skip
async def test_a_broken_network_is_one_line(failure):
    def fail(_request):
        raise failure

    source = OpenElectricitySource(
        Secret(SECRET), "http://api.test/v4", httpx.MockTransport(fail)
    )

    with pytest.raises(SourceError, match=r"http://api\.test/v4/"):
        await source.facilities("NEM")


async def test_a_connection_that_nobody_takes_is_one_line():
    source = OpenElectricitySource(Secret(KEY), "http://127.0.0.1:1")

    with pytest.raises(SourceError, match="cannot be reached"):
        await source.facilities("NEM")
    await source.aclose()


async def test_more_codes_than_the_api_takes_are_not_sent(source):
    with pytest.raises(ConfigError, match="30"):
        await source.facility_data("NEM", ["A"] * 31, WINDOW, "5m")


# --- the stand-in keeps the real server's rules ------------------------------------------------------

DATA = "/data/facilities/NEM?facility_code=VBB&"
MARKET = "/market/network/NEM?"
GOOD = "metrics=power&date_start=2026-03-01&date_end=2026-03-02"
OLD = NOW - timedelta(days=731)


@pytest.mark.parametrize(
    ("path", "key", "status", "said"),
    [
        (DATA + "metrics=bogus", None, 401, "Not authenticated"),
        (DATA + "metrics=bogus", "short", 401, "Invalid API key"),
        (MARKET + "metrics=price", "unknown-key", 401, "Authentication failed"),
        ("/data/facilities/nem?facility_code=VBB", KEY, 422, "Field required"),
        (DATA + "metrics=power,emissions", KEY, 422, "enum"),
        (DATA + "metrics[]=power", KEY, 422, "Field required"),
        (DATA + "metrics=power&interval=30m", KEY, 422, "enum"),
        (DATA + "metrics=power&date_start=yesterday", KEY, 422, "datetime_from_date_parsing"),
        (DATA + "metrics=power&date_start=2026-03-01T00:00:00+10:00", KEY, 422, "datetime_from_date_parsing"),
        ("/data/facilities/nem?metrics=power&" + "&".join(f"facility_code=F{n}" for n in range(31)), KEY, 422, "at most 30 items after validation, not 31"),
        ("/data/facilities/nem?metrics=price&facility_code=VBB", KEY, 400, "Network nem not supported"),
        (DATA + "metrics=price&date_start=2026-03-01T00:00:00Z", KEY, 400, "Unsupported metrics: price"),
        (DATA + "metrics=power&date_start=2020-03-01T00:00:00Z", KEY, 400, "Date start must be timezone naive"),
        (DATA + "metrics=power&date_end=" + quote("2026-03-01T00:00:00+10:00"), KEY, 400, "Date end must be timezone naive"),
        (DATA + "metrics=power&date_start=1772300000", KEY, 400, "Date start must be timezone naive"),
        (DATA + "metrics=power&date_start=2020-03-01&date_end=2020-03-10", KEY, 400, "Date range too large for 5m interval. Maximum range is 8 days."),
        (DATA + f"metrics=power&date_start={OLD:%Y-%m-%d}&date_end={OLD:%Y-%m-%d}", KEY, 400, "too far in the past"),
        (MARKET + "metrics=price&date_start=2026-03-02&date_end=2026-03-01", None, 400, "Date start must be before date end"),
        (DATA + "metrics=power&date_start=2026-03-02&date_end=2026-03-01", KEY, 404, "No data available for facility=['VBB']"),
        (DATA + "metrics=power&metrics=power", KEY, 400, "zip() argument 2 is shorter than argument 1"),
        ("/facilities/?facility_code=VBB&status_id=retired", KEY, 404, "No facilities found matching filters: facility_codes=[VBB], status_ids=[UnitStatusType.retired]"),
        ("/facilities/?status_id=bogus", KEY, 422, "enum"),
        ("/nowhere", KEY, 404, "Not Found"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("root", ["", "/v4"])
def test_the_stand_in_refuses_as_the_real_server_does(api, root, path, key, status, said):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = httpx.get(api.url + root + path, headers=headers)

    assert answer.status_code == status
    assert said in answer.text
    assert ("error" in answer.json()) is (status != 422 and path != "/nowhere")


def test_the_stand_in_takes_eight_days_and_almost_nine(api):
    for end, status in (("2026-03-09T23:55:00", 200), ("2026-03-10", 400)):
        query = f"{MARKET}metrics=demand&date_start=2026-03-01&date_end={end}"
        assert httpx.get(api.url + query).status_code == status


def test_the_stand_in_redirects_and_knows_one_verb(api):
    assert httpx.get(api.url + "/v4/facilities").status_code == 307
    assert httpx.get(api.url + "/market/network/NEM/").status_code == 307
    assert httpx.head(api.url + "/facilities/").status_code == 405


def test_the_stand_in_filters_by_unit_and_tells_who_is_commissioning(api):
    def codes(query):
        answer = httpx.get(api.url + "/facilities/" + query, headers={"Authorization": f"Bearer {KEY}"})  # fmt: skip
        return {f["code"]: [u["code"] for u in f["units"]] for f in answer.json()["data"]}

    operating = codes("?status_id=operating")
    assert operating["TORRIS"] == ["TORRB1"]
    assert "NEWSF" not in operating
    assert codes("?status_id=commissioning") == {"NEWSF": ["NEWSF1"], "TORRIS": ["TIBG1"], "VBB": ["VBB1"]}  # fmt: skip


# --- the SDK is the reference ------------------------------------------------------------------------


def test_the_sdk_reads_the_same_numbers_from_the_same_server(api, tmp_path):
    """In a process of its own, as the SDK logs and opens event loops as it likes."""
    script = tmp_path / "reference.py"
    script.write_text(
        "import json, sys\n"
        "from datetime import datetime\n"
        "from openelectricity import OEClient\n"
        "from openelectricity.types import DataMetric, MarketMetric\n"
        "client = OEClient(api_key=sys.argv[2], base_url=sys.argv[1])\n"
        "window = {'interval': '5m', 'date_start': datetime(2026, 3, 9, 22), 'date_end': datetime(2026, 3, 10)}\n"
        "found = client.get_facilities(status_id=['operating'], network_id=['NEM'])\n"
        "units = client.get_facility_data('NEM', ['VBB', 'ERARING'], [DataMetric.POWER, DataMetric.EMISSIONS], **window)\n"
        "market = client.get_market('NEM', [MarketMetric.PRICE, MarketMetric.DEMAND], primary_grouping='network_region', **window)\n"
        "def rows(answer):\n"
        "    return [[m.metric, s.name, [[p.timestamp.isoformat(), p.value] for p in s.data]] for m in answer.data for s in m.results]\n"
        "codes = [f.code for f in found.data]\n"
        "json.dump({'codes': codes, 'units': rows(units), 'market': rows(market)}, open(sys.argv[3], 'w'))\n"
    )
    out = tmp_path / "reference.json"
    subprocess.run([sys.executable, script, api.url, KEY, out], check=True, capture_output=True, timeout=60)  # fmt: skip

    theirs = json.loads(out.read_text())

    async def ours():
        source = OpenElectricitySource(Secret(KEY), api.url)
        units = await source.facility_data("NEM", ["VBB", "ERARING"], WINDOW, "5m")
        market = await source.market_data("NEM", WINDOW, "5m", by_region=True)
        catalogue = parse_facilities(await source.facilities("NEM"))
        await source.aclose()
        return units, market, catalogue

    def rows(raw):
        return [
            [m.metric, s.name, [[t.isoformat(), v] for t, v in s.data]]
            for m in parse_data(raw).data for s in m.results
        ]  # fmt: skip

    units, market, catalogue = asyncio.run(ours())
    assert rows(units) == theirs["units"]
    assert rows(market) == theirs["market"]
    assert theirs["codes"] == [
        f.code for f in catalogue.data if any(u.status_id == "operating" for u in f.units)
    ]


# --- words, parsing, choice --------------------------------------------------------------------------


def test_our_metrics_are_words_of_the_sdk_and_importing_it_stays_quiet(capsys):
    check_vocabulary("NEM", "5m")
    from openelectricity.types import DataMetric, MarketMetric  # noqa: PLC0415 (its import is the point)

    assert set(FACILITY_METRICS) <= set(DataMetric)
    assert set(MARKET_METRICS) <= set(MarketMetric)
    logging.getLogger("openelectricity.client").info("a line that must not reach stdout")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("network", "interval"), [("nem", "5m"), ("NEM", "5min")])
def test_a_word_that_the_api_does_not_know_is_refused_before_it_is_sent(network, interval):
    with pytest.raises(ConfigError, match="it knows"):
        check_vocabulary(network, interval)


@real_data
def test_the_older_dump_form_reads_alike():
    catalogue = parse_facilities((REAL / "facilities_data.json").read_bytes())
    market = parse_data((REAL / "market_data.json").read_bytes())

    assert (len(catalogue.data), sum(len(f.units) for f in catalogue.data)) == (515, 884)
    price = market.data[0].results[0].data
    assert len(price) == 2016
    assert price[0] == (datetime(2025, 10, 1, tzinfo=NEM_ZONE), 25.796)
    assert sum(value is None for _, value in price) == 41
    assert sum(value is not None and value < 0 for _, value in price) == 640


def test_words_that_nobody_knows_yet_pass():
    catalogue = parse_facilities(
        b'{"data":[{"code":"X","name":"X","new":{"a":[1]},"units":[{"code":"X1","fueltech_id":"fusion","status_id":"dreamt","dispatch_type":"SIDEWAYS"}]}]}'
    )

    assert catalogue.data[0].units[0].fueltech_id == "fusion"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "truncated"),
        (b"<html>", "malformed"),
        (b"[]", "Expected `object`"),
        (b'{"data":[{"metric":"\xff"}]}', "utf-8"),
        (b'{"success":false,"error":"out\\nof order"}', "out of order"),
        (b'{"success":false,"data":[]}', "failed"),
        (b'{"data":[{"metric":"power","results":[{"name":"power_A","data":[["2026-03-01T00:00:00",1]]}]}]}', "without an offset in power_A"),
        (b'{"data":[{"metric":"power","results":[{"name":"a","data":[["2026-03-01T00:00:00+10:00","1"]]}]}]}', "$.data[0].results[0].data[0][1]"),
    ],
)  # fmt: skip
def test_an_answer_that_makes_no_sense_says_where(raw, said):
    with pytest.raises(SourceError) as caught:
        parse_data(raw)

    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@given(st.binary(max_size=200))
def test_no_bytes_at_all_break_the_parser(raw):
    for parse in (parse_data, parse_facilities):
        with suppress(SourceError):
            parse(raw)


async def test_the_choice_follows_source_and_key(tmp_path):
    def settings(source, key):
        return FetchSettings(
            data_dir=tmp_path, source=source, start=WINDOW.start, end=WINDOW.end, api_key=Secret(key) if key else None,
        )  # fmt: skip

    with pytest.raises(
        ConfigError, match=r"OPENELECTRICITY_API_KEY is not set: .*--source demo"
    ):
        make_source(settings("openelectricity", ""))
    chosen = make_source(settings("auto", KEY))
    assert (chosen.name, chosen.simulated) == ("openelectricity", False)
    await chosen.aclose()
