"""REST over real sockets: what may be asked for, in which form it comes, how it is kept, and how it is refused."""

import asyncio
import csv
import io
import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from servers import serving
from stream_tables import at
from test_guard import cut, line
from test_server import CATALOGUE, feed, power, price

from energydash import nem, schema
from energydash.config import parse_tokens
from energydash.files import export
from energydash.files.export import Column
from energydash.server.kept import Kept
from energydash.server.problems import NotAcceptableError
from energydash.server.rest import desk
from energydash.server.rest.answers import FacilityNow
from energydash.server.rest.negotiation import (
    MEDIA_TYPES,
    chosen_format,
    is_current,
    takes_gzip,
)
from energydash.server.rest.parameters import Page, Window

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
OFFERED = ("json", "csv", "arrow")
ANSWERS = [
    "/api/facilities",
    "/api/facilities/FARM",
    "/api/facilities/FARM/history",
    "/api/market/latest",
    "/api/market/NEM/price",
    "/api/charts/snapshot",
    "/api/metadata",
]
TABLES = [path for path in ANSWERS if path not in {"/api/facilities/FARM", "/api/metadata"}]


def large_catalogue(count: int) -> schema.Catalogue:
    return schema.Catalogue(
        source="test",
        simulated=True,
        facilities=tuple(
            schema.FacilityInfo(
                code=f"S{n:03}", name=f"Station {n}", network="NEM", region="NSW1", fueltech="wind", status="operating", capacity=200.0
            )
            for n in range(count)
        ),
    )  # fmt: skip


async def json_of(live, path: str):
    return (await live.get(path)).raise_for_status().json()


async def codes_of(live, query: str) -> list[str]:
    listed = await json_of(live, f"/api/facilities?fields=code&{query}")
    return [each["code"] for each in listed["facilities"]]


# --- what may be asked for ---


async def test_facilities_are_narrowed_by_what_they_are():
    async with serving() as live:
        feed(live)
        assert await codes_of(live, "region=NSW1") == ["FARM", "SUN"]
        assert await codes_of(live, "region=NSW1,VIC1") == ["COAL", "FARM", "SUN"]
        assert await codes_of(live, "fuel=solar") == ["SUN"]
        assert await codes_of(live, "fuel=solar_utility,wind") == ["FARM", "SUN"]
        assert await codes_of(live, "status=operating&network=NEM") == ["COAL", "FARM", "SUN"]
        assert await codes_of(live, "q=farm%20%3CB") == ["FARM"]
        assert await codes_of(live, "q=sun&region=VIC1") == []


async def test_a_facility_comes_with_capacity_factor_and_age():
    async with serving() as live:
        live.hub.broker_state(connected=True)
        live.hub.catalogue(large_catalogue(3))
        live.hub.facilities([power("S000", 4, 50.0), power("S001", 0, -300.0)])
        fresh = await json_of(live, "/api/facilities/S000")
        late = await json_of(live, "/api/facilities/S001")
        silent = await json_of(live, "/api/facilities/S002")

    assert (fresh["power"], fresh["capacity_factor"]) == (50.0, 0.25)
    assert (fresh["event_time"], fresh["age_s"], fresh["stale"]) == (at(4).isoformat(), 0, False)  # fmt: skip
    assert (late["capacity_factor"], late["age_s"], late["stale"]) == (-1.5, 1200, True)
    assert silent["power"] is silent["age_s"] is silent["capacity_factor"] is None
    assert silent["stale"] is True


async def test_values_are_stale_once_nothing_comes_any_more():
    async with serving(ticking=False) as live:
        feed(live)
        before = await live.get("/api/facilities/FARM")
        live.hub.last_record_at = datetime.now(UTC) - timedelta(hours=1)
        after = await live.get("/api/facilities/FARM", headers={"If-None-Match": before.headers["etag"]})  # fmt: skip

    assert before.json()["stale"] is False
    assert after.status_code == 200
    assert after.json()["stale"] is True


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/api/facilities/FARM?fields=power,code", {"code", "power"}),
        (
            "/api/facilities/FARM/history?fields=power",
            {"total", "times", "at", "facility_id", "power"},
        ),
    ],
)
async def test_only_the_fields_that_were_asked_for_come(path, kept):
    async with serving() as live:
        feed(live)
        assert (await json_of(live, path)).keys() == kept


async def test_only_the_series_that_were_asked_for_come():
    async with serving() as live:
        feed(live)
        charts = await json_of(live, "/api/charts/snapshot?fields=price,fuel&region=NSW1")

    (scope,) = charts["scopes"]
    assert scope.keys() == {"scope", "expected", "fuel", "price"}
    assert scope["price"] == [50.0, 51.0, 52.0]


async def test_a_list_is_read_page_by_page_through_its_links():
    async with serving() as live, httpx.AsyncClient(base_url=live.http) as client:
        live.hub.catalogue(large_catalogue(10))
        codes, path = [], "/api/facilities?limit=4&q=station"
        while path:
            answer = await client.get(path)
            codes += [each["code"] for each in answer.json()["facilities"]]
            path = answer.links.get("next", {}).get("url")
        back = answer.links["prev"]["url"]
        before = (await client.get(back)).json()

    assert codes == [f"S{n:03}" for n in range(10)]
    assert before["total"] == 10
    assert [each["code"] for each in before["facilities"]] == codes[4:8]


@pytest.mark.parametrize("path", ["/api/facilities/FARM/history", "/api/market/NEM/price", "/api/charts/snapshot"])  # fmt: skip
async def test_a_history_is_read_window_by_window_through_its_links(path):
    async with serving() as live, httpx.AsyncClient(base_url=live.http) as client:
        feed(live)
        whole = await json_of(live, path)
        bounds = httpx.QueryParams(start=at(1).isoformat(), end=at(3).isoformat(), limit=1)
        seen, url = [], f"{path}?{bounds}"
        while url:
            answer = await client.get(url)
            seen.append(answer.json())
            url = answer.links.get("next", {}).get("url")

    key = "values" if "values" in whole else "times"
    assert [part["total"] for part in seen] == [2, 1]
    parts = [each for part in seen for each in part[key]]
    assert parts == whole[key][-len(parts) :]
    assert len(parts) == 2 * len(whole[key]) // 3


async def test_a_time_may_be_written_with_a_bare_plus_or_without_an_offset():
    async with serving() as live:
        feed(live)
        for text in ("2026-01-05T12:05:00+10:00", "2026-01-05T12:05:00", "2026-01-05T02:05:00Z"):  # fmt: skip
            history = await json_of(live, f"/api/facilities/FARM/history?start={text}")
            assert history["power"] == [101.0, 102.0], text


async def test_a_history_gives_the_fuels_of_a_facility_with_several():
    mixed = schema.FacilityRecord(
        event_time=at(4), facility_id="FARM", power=5.0, emissions=None, by_fuel={"wind": 7.0, "battery": -2.0}
    )  # fmt: skip
    async with serving() as live:
        feed(live)
        live.hub.facilities([mixed])
        history = await json_of(live, "/api/facilities/FARM/history")
        table = await live.get("/api/facilities/FARM/history?format=csv")

    assert history["fuels"] == {
        "battery": [None, None, None, -2.0],
        "wind": [None, None, None, 7.0],
    }
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["battery_mw"] for row in rows] == ["", "", "", "-2.0"]


async def test_no_name_of_a_fuel_takes_another_column_or_is_a_formula():
    odd = {"power": 1.0, "=1+1": 2.0, 'a"b,\nc': 3.0, "fuel_power": 4.0, "wind": 5.0}
    mixed = schema.FacilityRecord(
        event_time=at(4), facility_id="FARM", power=15.0, emissions=None, by_fuel=odd
    )
    async with serving() as live:
        feed(live)
        live.hub.facilities([mixed])
        text = (await live.get("/api/facilities/FARM/history?format=csv")).text
        stream = (await live.get("/api/facilities/FARM/history?format=arrow")).content

    *_, row = csv.DictReader(io.StringIO(text, newline=""))
    assert row["power_mw"] == "15.0"
    assert row["wind_mw"] == "5.0"
    unknown = {f"fuel_{fuel}_mw": str(mw) for fuel, mw in odd.items() if fuel != "wind"}
    assert {name: row[name] for name in unknown} == unknown
    assert pa.ipc.open_stream(stream).read_all().column_names == list(row)


# --- in which form ---


async def test_a_history_says_the_same_as_json_csv_and_arrow():
    path = "/api/facilities/FARM/history"
    async with serving() as live:
        feed(live)
        live.hub.facilities([power("FARM", 3, None)])
        told = await json_of(live, path)
        text = await live.get(path, headers={"Accept": "text/csv"})
        stream = await live.get(path, headers={"Accept": MEDIA_TYPES["arrow"]})

    # Who reads the WebSocket's columns reads these too.
    columns = msgspec.convert(told, schema.FacilityValues)
    rows = list(csv.DictReader(io.StringIO(text.text)))
    table = pa.ipc.open_stream(stream.content).read_all()
    assert told["power"] == [*columns.power] == [100.0, 101.0, 102.0, None]
    assert [columns.times[i] for i in columns.at] == [at(index) for index in range(4)]
    assert [float(r["power_mw"]) if r["power_mw"] else None for r in rows] == told["power"]
    assert [row["event_time"] for row in rows] == told["times"]
    assert table["power_mw"].to_pylist() == told["power"]
    times = table["event_time"].to_pylist()
    assert times == [datetime.fromisoformat(moment) for moment in told["times"]]
    assert {moment.utcoffset() for moment in times} == {timedelta(hours=10)}
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    assert text.headers["content-disposition"] == 'attachment; filename="FARM-history.csv"'
    assert stream.headers["content-type"] == MEDIA_TYPES["arrow"]


@pytest.mark.parametrize("path", TABLES)
async def test_whatever_is_a_list_can_be_had_as_a_table(path):
    async with serving() as live:
        feed(live)
        text = (await live.get(f"{path}?format=csv")).raise_for_status().text
        stream = (await live.get(f"{path}?format=arrow")).raise_for_status().content

    head, *rows = csv.reader(io.StringIO(text))
    table = pa.ipc.open_stream(stream).read_all()
    assert table.column_names == head
    assert table.num_rows == len(rows) >= 2
    assert {len(row) for row in rows} == {len(head)}


async def test_a_table_without_rows_has_its_columns_all_the_same():
    async with serving() as live:
        feed(live)
        path = "/api/facilities/FARM/history?start=2030-01-01T00:00:00Z"
        text = (await live.get(f"{path}&format=csv")).text
        stream = (await live.get(f"{path}&format=arrow")).content

    assert text.splitlines() == ["event_time,facility_code,power_mw,emissions_t_co2,capacity_factor"]  # fmt: skip
    assert str(pa.ipc.open_stream(stream).schema.field("power_mw").type) == "double"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(TEXTS | st.none(), min_size=1))
def test_no_text_in_a_csv_is_a_formula(texts):
    columns = [Column("text", "text", texts), Column("n", "count", range(len(texts)))]
    _, *rows = csv.reader(io.StringIO(export.csv(columns).decode(), newline=""))
    for (cell, _), text in zip(rows, texts, strict=True):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert cell.removeprefix("'") == (text or "").removeprefix("'")


@given(TEXTS.filter(lambda name: name != "n"))
def test_no_head_of_a_csv_is_a_formula(name):
    table = export.csv([Column(name, "number", [1.0]), Column("n", "count", [1])])
    (cell, _), _ = csv.reader(io.StringIO(table.decode(), newline=""))
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert cell in {name, f"'{name}"}


QUALITIES = st.sampled_from(["", ";q=0", ";q=0.000", ";q=0.2", ";q=0.9", ";q=1"])
RANGES = st.sampled_from([*MEDIA_TYPES.values(), "*/*", "text/*", "application/*", "text/html"])


def liking(media_type: str, accept: list[tuple[str, str]]) -> float:
    """Give the weight of the most specific range that fits, as RFC 9110 has it."""
    main = media_type.split("/", maxsplit=1)[0]
    for pattern in (media_type, f"{main}/*", "*/*"):
        for name, quality in accept:
            if name == pattern:
                return float(quality.removeprefix(";q=") or 1)
    return 0.0


@given(st.lists(st.tuples(RANGES, QUALITIES), min_size=1, max_size=5))
def test_the_format_is_one_that_the_client_likes_best(accept):
    header = ", ".join(name + quality for name, quality in accept)
    likings = {name: liking(MEDIA_TYPES[name], accept) for name in OFFERED}
    if not max(likings.values()):
        with pytest.raises(NotAcceptableError):
            chosen_format(None, header, OFFERED)
        return
    assert likings[chosen_format(None, header, OFFERED)] == max(likings.values())


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("", False), ("gzip", True), ("br, gzip;q=0.5", True), ("GZIP", True), ("*", True), ("identity", False),
        ("gzip;q=0", False), ("gzip; q=0.0, br", False), ("*;q=0", False), ("*, gzip;q=0", False), ("x-gzip", True),
    ],
)  # fmt: skip
def test_gzip_is_sent_to_who_takes_it(header, taken):
    assert takes_gzip(header) is taken


async def test_an_answer_is_compressed_where_that_pays_and_says_the_same():
    async with serving() as live:
        live.hub.catalogue(large_catalogue(50))
        zipped, plain, refused, small = [
            await live.get(path, headers={"Accept-Encoding": coding})
            for path, coding in (
                ("/api/facilities", "gzip"),
                ("/api/facilities", "identity"),
                ("/api/facilities", "gzip;q=0"),
                ("/api/facilities/S001", "gzip"),
            )
        ]

    assert zipped.headers["content-encoding"] == "gzip"
    assert int(zipped.headers["content-length"]) < int(plain.headers["content-length"]) / 4
    assert zipped.json() == plain.json() == refused.json()
    assert zipped.headers["etag"] == plain.headers["etag"]
    assert "Accept-Encoding" in plain.headers["vary"]
    for each in (plain, refused, small):
        assert "content-encoding" not in each.headers


@pytest.mark.parametrize("path", ["/", "/health", *ANSWERS, "/metrics", "/schema", "/nothing"])
async def test_head_says_what_get_says_without_the_body(path):
    async with serving(ticking=False) as live, httpx.AsyncClient(base_url=live.http) as client:
        feed(live)
        got, head = await client.get(path), await client.head(path)

    assert head.status_code == got.status_code
    assert head.content == b""
    for name in ("content-type", "cache-control", "etag", "vary"):
        assert head.headers.get(name) == got.headers.get(name)


# --- how it is kept ---


async def test_who_holds_an_answer_is_not_sent_it_again_until_it_changes():
    async with serving(ticking=False) as live, httpx.AsyncClient(base_url=live.http) as client:
        feed(live)
        for path in ANSWERS:
            live.fanout.tick(with_status=False)
            first = await client.get(path)
            held = {"If-None-Match": first.headers["etag"]}
            same = await client.get(path, headers=held)
            assert (same.status_code, same.content) == (304, b""), path
            assert same.headers["etag"] == first.headers["etag"]
            assert same.headers["cache-control"] == first.headers["cache-control"] == "no-cache"

            live.hub.facilities([power("FARM", 2, float(len(path)))])
            live.hub.market([price(2, float(len(path)))])
            changed = await client.get(path, headers=held)
            assert changed.status_code == 200, path
            assert changed.json() != first.json()


@pytest.mark.parametrize("path", ["/api/facilities/FARM", "/api/facilities/FARM/history"])
async def test_a_catalogue_that_changes_while_an_answer_waits_its_turn_is_in_it(
    monkeypatch, path
):
    changes = []

    class Turn(asyncio.Lock):
        async def acquire(self):
            for change in changes:
                change()
            changes.clear()
            return await super().acquire()

    made = desk.Desk.__init__

    def with_turn(self, *given, **more):
        made(self, *given, **more)
        self._making = Turn()

    monkeypatch.setattr(desk.Desk, "__init__", with_turn)
    async with serving(ticking=False) as live:
        feed(live)
        stations = CATALOGUE.facilities
        larger = [msgspec.structs.replace(each, capacity=1000.0) for each in stations]
        other = msgspec.structs.replace(CATALOGUE, facilities=tuple(larger))
        changes.append(lambda: live.hub.catalogue(other))
        late = await live.get(path)
        after = await live.get(path)

    factor = after.json()["capacity_factor"]
    assert (factor if path.endswith("FARM") else factor[-1]) == 0.102
    assert late.json() == after.json()
    assert late.headers["etag"] == after.headers["etag"]


async def test_the_same_record_again_changes_nothing():
    async with serving(ticking=False) as live:
        feed(live)
        first = await live.get("/api/facilities")
        live.hub.facilities([power("FARM", 2, 102.0)])
        again = await live.get("/api/facilities", headers={"If-None-Match": first.headers["etag"]})  # fmt: skip
    assert again.status_code == 304


async def test_another_form_or_another_question_has_another_tag():
    async with serving(ticking=False) as live:
        feed(live)
        asked = ["", "?format=csv", "?region=NSW1", "?limit=1", "?fields=code"]
        tags = {(await live.get(f"/api/facilities{q}")).headers["etag"] for q in asked}
    assert len(tags) == len(asked)


async def test_not_modified_is_told_without_making_the_answer(monkeypatch):
    async with serving(ticking=False) as live:
        feed(live)
        tag = (await live.get("/api/charts/snapshot")).headers["etag"]
        monkeypatch.delattr(type(live.hub), "initial_charts")
        same = await live.get("/api/charts/snapshot", headers={"If-None-Match": f'"x", {tag}'})
    assert same.status_code == 304


async def test_many_who_ask_at_once_cost_one_answer(monkeypatch):
    made = []
    async with serving(ticking=False) as live, httpx.AsyncClient(base_url=live.http) as client:
        feed(live)
        make = live.hub.initial_charts
        monkeypatch.setattr(live.hub, "initial_charts", lambda: made.append(1) or make())
        answers = await asyncio.gather(*(client.get("/api/charts/snapshot") for _ in range(50)))  # fmt: skip
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len(made) == 1


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(1, 60))),
    st.integers(1, 100),
    st.integers(1, 4),
)
def test_what_is_kept_is_true_bounded_and_the_newest(puts, most_bytes, most):
    kept = Kept(most_bytes, most)
    for number, (key, moment, size) in enumerate(puts):
        kept.put(key, moment, number, size)
        assert kept.get(key, moment) == number
        assert kept.get(key, moment + 1) is None
        newest = {k: (m, n, s) for n, (k, m, s) in enumerate(puts[: number + 1])}
        there = {k: n for k, (m, n, s) in newest.items() if kept.get(k, m) == n}
        assert len(there) <= most
        assert len(there) == 1 or sum(puts[n][2] for n in there.values()) <= most_bytes


@pytest.mark.parametrize(
    ("held", "current"),
    [
        (None, False), ("*", True), ('W/"a.1"', True), ('"a.1"', True), ('"x", W/"a.1"', True), ('"x",W/"a.1" ,"y"', True),
        ('"a.2"', False), ("", False), ("a.1", False), ('W/"x"', False), ('"a.1', False),
    ],
)  # fmt: skip
def test_a_tag_is_compared_weakly_with_each_that_is_held(held, current):
    assert is_current(held, 'W/"a.1"') is current


async def test_behind_a_token_only_its_holder_may_keep_a_copy():
    async with serving(tokens=parse_tokens(["s3cret"])) as live:
        feed(live)
        headers = {"Authorization": "Bearer s3cret"}
        kept = await live.get("/api/facilities", headers=headers)
        measured = await live.get("/metrics", headers=headers)
        health = await live.get("/health")
        described = await live.get("/schema")

    assert described.headers["cache-control"] == "max-age=300"
    assert kept.headers["cache-control"] == "private, no-cache"
    assert measured.headers["cache-control"] == health.headers["cache-control"] == "no-store"


# --- pages and windows ---


@given(st.integers(0, 60), st.integers(1, 70), st.integers(0, 80))
def test_pages_hold_everything_once(total, limit, offset):
    seen, page = [], Page(limit, 0)
    while page is not None:
        seen += range(total)[page.offset : page.offset + page.limit]
        following = page.others(total).get("next")
        page = Page(**following) if following else None
    assert seen == list(range(total))
    before = Page(limit, offset).others(total).get("prev")
    assert (before is None) == (offset == 0)
    if before:
        assert before["offset"] + before["limit"] == offset


MOMENTS = st.integers(0, 40).map(at)


@given(
    st.sets(MOMENTS).map(sorted), st.none() | MOMENTS, st.none() | MOMENTS, st.integers(1, 45)
)
def test_windows_hold_everything_between_their_bounds_once(times, start, end, limit):
    wanted = [t for t in times if (start is None or t >= start) and (end is None or t < end)]
    seen, window = [], Window(start, end, limit)
    while window is not None:
        first, last, total = window.bounds(times)
        assert total == len(wanted) - len(seen)
        assert last - first <= limit
        seen += times[first:last]
        following = window.others(times).get("next")
        since = datetime.fromisoformat(following["start"]) if following else None
        window = Window(since, end, limit) if following else None
    assert seen == wanted


@given(st.floats(-1e4, 1e4) | st.none(), st.floats(0.001, 1e4) | st.just(0.0) | st.none())
def test_a_capacity_factor_is_power_by_capacity_or_nothing(mw, capacity):
    factor = nem.capacity_factor(mw, capacity)
    if mw is None or not capacity:
        assert factor is None
    else:
        assert factor * capacity == pytest.approx(mw)


# --- how it is refused ---

REFUSED = [
    ("/api/facilities?region=MARS", 400, "region"),
    ("/api/facilities?status=asleep", 400, "operating"),
    ("/api/facilities?network=WWW", 400, "NEM"),
    ("/api/facilities?fields=code,colour", 400, "capacity_factor"),
    ("/api/facilities?limit=0", 400, "limit"),
    ("/api/facilities?limit=two", 400, "limit"),
    ("/api/facilities?offset=-1", 400, "offset"),
    ("/api/facilities?format=xml", 400, "format"),
    ("/api/facilities?regoin=NSW1", 400, "region"),
    ("/api/facilities?region=NSW1&region=VIC1", 400, "commas"),
    ("/api/facilities/FARM/history?start=yesterday", 400, "2026-03-01T00:00:00+10:00"),
    ("/api/facilities/FARM/history?fields=colour", 400, "fuels"),
    ("/api/charts/snapshot?region=MARS", 400, "NSW1"),
    ("/api/market/NEM/price?region=MARS", 400, "NSW1"),
    ("/api/metadata?x=1", 400, "no such parameter"),
    ("/api/facilities/NOBODY", 404, "NOBODY"),
    ("/api/market/NEM/weather", 404, "weather"),
    ("/nothing", 404, "Not Found"),
]


async def test_each_refusal_is_a_problem_that_says_what_to_do():
    async with serving() as live, httpx.AsyncClient(base_url=live.http) as client:
        feed(live)
        answers = [(await client.get(path), *wanted) for path, *wanted in REFUSED]
        accept = {"Accept": "text/html"}
        answers += [
            (await client.get("/api/facilities", headers=accept), 406, "text/csv"),
            (await client.get("/api/facilities/FARM", headers={"Accept": "text/csv"}), 406, "application/json"),
            (await client.get("/api/facilities", headers={"Host": "evil.example"}), 403, "--allow-origin"),
            (await client.delete("/api/facilities"), 405, "Method Not Allowed"),
        ]  # fmt: skip
        options = await client.options("/api/facilities")

    for answer, status, words in answers:
        problem = answer.json()
        assert answer.status_code == problem["status"] == status, answer.url
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert problem["title"] == httpx.codes(status).name.replace("_", " ").title()
        assert words in problem["detail"]
    for answer in (answers[-1][0], options):
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_a_bug_is_a_problem_that_tells_nothing_and_a_line_in_the_log(monkeypatch, caplog):
    async with serving(ticking=False) as live:
        feed(live)
        monkeypatch.setattr(live.hub, "initial_charts", lambda: {}["inside"])
        answer = await live.get("/api/charts/snapshot")
        again = await live.get("/api/facilities")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "inside" not in answer.text
    assert "KeyError" not in answer.text
    assert again.status_code == 200
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.exc_info


async def test_what_is_no_http_is_refused_as_a_problem_too():
    async with serving() as live, line(live) as (reader, writer):
        writer.write(b"\x16\x03\x01 this is no request\r\n\r\n")
        answer = await cut(reader)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"application/problem+json" in head
    assert b'"status":400' in body


async def test_each_route_of_the_document_but_two_asks_for_the_token():
    async with serving(tokens=parse_tokens(["s3cret"])) as live, httpx.AsyncClient(base_url=live.http) as client:  # fmt: skip
        feed(live)
        document = (await client.get("/schema/openapi.json")).json()
        paths = [path.format(code="FARM", network="NEM", metric="price") for path in document["paths"]]  # fmt: skip
        shut = {path for path in paths if (await client.get(path)).status_code == 401}
        tagged = (await client.get("/api/facilities", headers={"If-None-Match": "*"})).status_code  # fmt: skip

    assert set(paths) - shut == {"/", "/health"}
    assert tagged == 401
    for path, item in document["paths"].items():
        assert ("security" in item["get"]) == (path not in {"/", "/health"})
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


async def test_the_document_names_and_exemplifies_each_route():
    async with serving() as live:
        document = await json_of(live, "/schema/openapi.json")

    operations = [item["get"] for item in document["paths"].values()]
    assert len({each["operationId"] for each in operations}) == len(operations) == 10
    for each in operations:
        assert each["description"]
        for media in each["responses"]["200"]["content"].values():
            assert "schema" in media
        assert "problem" in str(each["responses"]["429"]["content"])
    example = document["paths"]["/api/facilities"]["get"]["responses"]["200"]["content"]["application/json"]["examples"]["example"]["value"]  # fmt: skip
    assert example["facilities"][0].keys() == set(FacilityNow.__struct_fields__)
    assert "securitySchemes" not in document["components"]


async def test_the_readmes_requests_are_answered():
    requests = re.findall(r"^curl 'http://127.0.0.1:8000(\S+)'(?:.*'(.+): (.+)')?", README, re.MULTILINE)  # fmt: skip
    async with serving() as live:
        feed(live)
        for path, name, value in requests:
            answer = await live.get(path, headers={name: value} if name else {})
            assert answer.status_code == 200, path
    assert len(requests) >= 5


async def test_the_readme_lists_each_route_with_its_parameters():
    async with serving() as live:
        document = await json_of(live, "/schema/openapi.json")
    for path, item in document["paths"].items():
        (row,) = [line for line in README.splitlines() if line.startswith("| `/") and f"`{path}`" in line.split("|")[1]]  # fmt: skip
        told = set(re.findall(r"`(\w+)`", row.split("|")[3]))
        there = {p["name"] for p in item["get"].get("parameters", ()) if p["in"] == "query"}
        assert told == there, path


# --- the measures ---


async def measures(live) -> dict[str, float]:
    """Give every sample by its name and labels, as Prometheus' own parser reads it."""
    answer = await live.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.text))
    assert all(family.documentation and family.type != "unknown" for family in families)
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


async def test_the_publishers_state_is_told_to_be_that_of_its_news():
    async with serving(ticking=False) as live:
        said = (await live.get("/metrics")).text
    (told,) = [line for line in said.splitlines() if line.startswith("# HELP energydash_publisher_state")]  # fmt: skip
    assert "news" in told
    assert "records" not in told


async def test_the_measures_say_what_has_happened():
    async with serving(ticking=False) as live:
        feed(live)
        live.hub.rejected("market", "malformed")
        async with live.reader() as reader:
            await reader.greeting()
            live.hub.facilities([power("FARM", 3, 1.0)])
            live.fanout.tick(with_status=False)
            told = await measures(live)
        live.doorkeeper.turned_away["connections"] += 2
        later = await measures(live)

    expected = {
        "energydash_records_total facility taken": 10,
        "energydash_records_total market taken": 6,
        "energydash_records_total market malformed": 1,
        "energydash_broker_connected": 1,
        "energydash_publisher_state live": 1,
        "energydash_publisher_state stale": 0,
        "energydash_event_time_seconds": at(3).timestamp(),
        "energydash_ticks_total": 2,
        "energydash_ticks_late_total": 0,
        "energydash_seq": 2,
        "energydash_clients": 1,
        "energydash_views": 1,
        "energydash_clients_behind": 0,
        "energydash_joins_total": 1,
        "energydash_arrival_to_send_seconds_count": 2,
        "energydash_arrival_to_send_seconds_bucket +Inf": 2,
        "energydash_event_lag_seconds_count": 2,
    }
    assert {name: told[name] for name in expected} == expected
    age_s = datetime.now(UTC).timestamp() - at(3).timestamp()
    assert told["energydash_event_lag_seconds_sum"] == pytest.approx(2 * age_s, rel=0.01)
    assert told["energydash_sent_bytes_total"] > 1000
    assert told["energydash_connections"] >= 1
    assert told["process_resident_memory_bytes"] > 1e7
    assert told["process_start_time_seconds"] > 1e9
    assert later["energydash_turned_away_total connections"] == 2


async def test_bytes_that_a_client_does_not_take_are_measured():
    async with serving(ticking=False) as live:
        feed(live)
        live.hub.facilities([power(f"X{n}", 2, float(n)) for n in range(1500)])
        async with live.reader_that_stalls():
            for step in range(200):
                live.hub.facilities([power(f"X{n}", 2, float(step - n)) for n in range(500)])
                live.fanout.tick(with_status=False)
                await asyncio.sleep(0)
                if (told := await measures(live))["energydash_clients_behind"]:
                    break
    assert told["energydash_clients_behind"] == 1
    assert told["energydash_queue_bytes"] > 0
