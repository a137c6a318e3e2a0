import json
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest
import standin_faults as faults
import standin_grid as grid
import standin_market as market
from standin import KEY, NOW, StandIn, serving
from standin_edge import LATE_BY, Edge
from standin_rules import MARKET_METRICS
from standin_series import bucket_of

AUTH = {"Authorization": f"Bearer {KEY}"}
UNITS = "/data/facilities/NEM?facility_code=VBB&facility_code=ERARING&facility_code=WIVENHOE"
MARKET = "/market/network/NEM?metrics=price&metrics=demand"
HOURS = "&date_start=2026-03-10T08:00:00&date_end=2026-03-10T10:00:00"
GRID = {unit["code"]: (each, unit) for each in grid.stations() for unit in each["units"]}


@pytest.fixture
def api():
    with serving() as standin:
        yield standin


@pytest.fixture(scope="module")
def calm():
    """A stand-in that nobody turns a switch of, for those who only read."""
    with serving() as standin:
        yield standin


def get(api, path, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(api, path, **(AUTH | named))


def ask(api, path, **headers):
    # Reading the certificates that no loopback needs is what a client takes longest for.
    return httpx.get(api.url + path, headers=headers, timeout=20, verify=False)


def series(answer):
    """{name: (columns, {naive label: value})} of an answer of status 200."""
    assert answer.status_code == 200, answer.text
    return {
        s["name"]: (s["columns"], {datetime.fromisoformat(t).replace(tzinfo=None): v for t, v in s["data"]})
        for metric in answer.json()["data"] for s in metric["results"]
    }  # fmt: skip


def labels(start, end):
    return [grid.label_of(n) for n in range(grid.step_of(start), grid.step_of(end))]


def edge_at(now):
    return Edge(now, live=True)


# --- faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "headers", "said"),
    [
        (faults.quota(), 401, {}, '"error":"Authentication failed"'),
        (faults.rate_limited(), 429, {"retry-after": None}, '"error"'),
        (faults.rate_limited(7), 429, {"retry-after": "7"}, '"retry_after_seconds":7'),
        (faults.rate_limited(until=datetime(2026, 3, 10, 2, 5, tzinfo=UTC)), 429, {"retry-after": "Tue, 10 Mar 2026 02:05:00 GMT"}, '"error"'),
        (faults.failing(), 500, {"content-type": "application/json"}, '"response_status":"ERROR"'),
        (faults.gateway(502), 502, {"content-type": "text/html; charset=UTF-8"}, "<h1>Bad gateway</h1>"),
        (faults.gateway(504), 504, {"content-type": "text/html; charset=UTF-8"}, "<h1>Gateway time-out</h1>"),
        (faults.maintenance(), 503, {}, '"error":"Maintenance Mode"'),
    ],
)  # fmt: skip
def test_a_fault_replaces_one_answer(api, fault, status, headers, said):
    api.faults.add(fault)

    answer = get(api, MARKET + HOURS)
    assert answer.status_code == status
    assert said in answer.text
    assert {name: answer.headers.get(name) for name in headers} == headers
    assert get(api, MARKET + HOURS).status_code == 200


def test_a_fault_is_for_a_route_from_the_nth_request_on_and_for_so_many(api):
    api.faults.add(faults.failing(), route="/market", after=2, times=2)

    def statuses(count):
        return [get(api, MARKET + HOURS).status_code for _ in range(count)]

    assert get(api, "/me").status_code == 200
    assert statuses(6) == [200, 200, 500, 500, 200, 200]
    api.faults.add(faults.quota(), route="/market", times=None)
    assert statuses(3) == [401, 401, 401]
    assert get(api, "/v4" + MARKET + HOURS).status_code == 401
    assert get(api, "/me").status_code == 200
    api.faults.clear()
    assert statuses(1) == [200]


def test_faults_of_one_route_happen_one_after_the_other(api):
    for fault in (faults.gateway(), faults.maintenance(), faults.rate_limited(1)):
        api.faults.add(fault)

    assert [get(api, MARKET).status_code for _ in range(4)] == [502, 503, 429, 200]


@pytest.mark.parametrize("fault", [faults.dropped(), faults.torn(), faults.short()])
def test_a_connection_may_end_before_or_amid_the_answer(api, fault):
    api.faults.add(fault)

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        get(api, MARKET + HOURS)
    assert get(api, MARKET + HOURS).status_code == 200


def test_a_torn_answer_has_begun_well(api):
    whole = get(api, MARKET + HOURS).content
    for fault, said_length in ((faults.torn(), None), (faults.short(), str(len(whole)))):
        api.faults.add(fault)
        with httpx.stream("GET", api.url + MARKET + HOURS, headers=AUTH) as answer:
            assert (answer.status_code, answer.headers.get("content-length")) == (200, said_length)  # fmt: skip
            assert received(answer) == (whole[: len(whole) // 2], False)


def received(answer):
    """The bytes that came, and whether the message was whole."""
    content = bytearray()
    try:
        for part in answer.iter_raw():
            content += part
    except httpx.RemoteProtocolError:
        return bytes(content), False
    return bytes(content), True


def test_a_whole_message_may_hold_half_the_json(api):
    api.faults.add(faults.half_json())

    answer = get(api, MARKET + HOURS)
    assert answer.status_code == 200
    assert answer.text.startswith('{"version"')
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_slow_answer_is_the_true_one_and_nobody_waits_for_it_in_vain():
    with serving() as api:
        true = get(api, MARKET + HOURS).content
        api.faults.add(faults.slow(0.05))
        begun = time.monotonic()
        assert get(api, MARKET + HOURS).content == true
        assert time.monotonic() - begun >= 0.05
        api.faults.add(faults.slow(60))
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(api.url + MARKET + HOURS, timeout=0.1)
        begun = time.monotonic()
    assert time.monotonic() - begun < 20


def test_gzip_comes_to_those_who_accept_it():
    with serving(StandIn(compress=True)) as api:
        packed = get(api, MARKET + HOURS, accept_encoding="gzip")
        plain = get(api, MARKET + HOURS, accept_encoding="identity")

    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < len(plain.content) / 3


# --- the account -------------------------------------------------------------------------------------


def test_the_quota_counts_down_and_then_the_key_fails_until_midnight_utc(api):
    api.credits = 3

    assert get(api, MARKET + HOURS).status_code == 200
    assert get(api, "/me").json()["data"]["credits"] == {"remaining": 2}
    assert get(api, UNITS + "&metrics=bogus").status_code == 422
    assert get(api, "/facilities/").status_code == 200
    for path in (MARKET + HOURS, "/facilities/", "/me"):
        answer = get(api, path)
        assert (answer.status_code, answer.json()["error"]) == (401, "Authentication failed")
    assert ask(api, MARKET + HOURS).status_code == 200, "anyone may ask the market"
    api.now += timedelta(days=1)
    assert get(api, "/me").json()["data"]["credits"] == {"remaining": 500}


def test_me_says_who_asks_and_leaves_out_what_it_does_not_know(api):
    answer = get(api, "/v4/me").json()

    assert answer["data"] == {
        "id": "key_1", "plan": "COMMUNITY", "roles": ["anonymous"],
        "rate_limit": {"limit": 2, "remaining": 1, "reset": "2026-03-10T02:02:01Z"}, "credits": {"remaining": 500},
    }  # fmt: skip
    assert answer["created_at"] == "2026-03-10T13:02:00+11:00", "Sydney has daylight saving"
    assert ask(api, "/me").json()["error"] == "Not authenticated"


@pytest.mark.parametrize(
    ("plan", "left", "days", "oldest"),
    [("COMMUNITY", 500, 8, 400), ("ACADEMIC", 2000, 30, 200), ("PRO", 5000, 30, 200), ("ENTERPRISE", None, 30, 200)],
)  # fmt: skip
def test_a_plan_sets_credits_window_and_history(plan, left, days, oldest):
    start = NOW - timedelta(days=40)
    within, beyond = start + timedelta(days=days, hours=23), start + timedelta(days=days + 1)
    with serving(StandIn(plan=plan)) as api:
        me = get(api, "/me").json()["data"]
        for end, status in ((within, 200), (beyond, 400)):
            path = f"{MARKET}&date_start={start:%Y-%m-%dT%H:%M}&date_end={end:%Y-%m-%dT%H:%M}"
            assert get(api, path).status_code == status
            if days > 8:
                assert ask(api, path).status_code == 400, "without a key: the free plan"  # fmt: skip
        old = get(api, f"{MARKET}&date_start=2020-01-01&date_end=2020-01-02")

    assert me["plan"] == plan
    assert me.get("credits") == (None if left is None else {"remaining": left})
    assert old.status_code == oldest


def test_plans_metrics_and_health_need_no_key(api):
    plans = {plan["code"]: plan for plan in ask(api, "/plans").json()}

    assert list(plans) == ["COMMUNITY", "ACADEMIC", "ENTERPRISE"], "one plan is hidden"
    assert plans["COMMUNITY"]["bucket_limits"]["5m"] == 8
    assert plans["ENTERPRISE"]["daily_credits"] == -1
    assert "price" in ask(api, "/v4/metrics").json()["metrics"]
    assert ask(api, "/health").json() == "OK"


# --- the live edge -----------------------------------------------------------------------------------


def newest(answer):
    return max(label for _, points in series(answer).values() for label in points)


def test_the_newest_label_is_withheld_unless_an_end_is_asked_for():
    with serving(StandIn(live=True)) as api:
        late = "&date_start=2026-03-10T11:00:00"
        explicit = late + "&date_end=2026-03-11"
        found = [newest(get(api, path + tail)) for path in (MARKET, UNITS + "&metrics=power") for tail in (late, explicit)]  # fmt: skip

    assert [f"{label:%H:%M}" for label in found] == ["11:55", "12:00", "11:50", "11:55"]


def test_nothing_new_is_404_and_a_start_ahead_of_the_clock_is_refused():
    with serving(StandIn(live=True)) as api:
        nothing = get(api, MARKET + "&date_start=2026-03-10T12:00:00")
        ahead = get(api, MARKET + "&date_start=2026-03-10T12:05:00")
        units = get(api, UNITS + "&metrics=power&date_start=2026-03-10T11:55:00")
        api.now += timedelta(minutes=5)
        then = get(api, MARKET + "&date_start=2026-03-10T12:00:00")

    assert (nothing.status_code, units.status_code) == (404, 404)
    assert (ahead.status_code, ahead.json()["error"]) == (400, "Date start must be before date end")  # fmt: skip
    assert newest(then) == datetime(2026, 3, 10, 12, 0)


def test_the_newest_unit_rows_are_provisional_when_asked_for():
    with serving(StandIn(live=True, stations=grid.many(60))) as api:
        codes = [s["code"] for s in api.stations if s["network_id"] == "NEM"][:30]
        asked = "&".join(f"facility_code={code}" for code in codes)
        path = f"/data/facilities/NEM?metrics=power&metrics=emissions&metrics=energy&{asked}&date_start=2026-03-10T11:30:00&date_end=2026-03-10T13:00:00"
        first = series(get(api, path))
        api.now += timedelta(minutes=10)
        later = series(get(api, path))

    label = datetime(2026, 3, 10, 11, 55)

    def at_label(found, metric):
        return [points[label] for name, (_, points) in found.items() if name.startswith(metric) and label in points]  # fmt: skip

    assert set(at_label(first, "emissions")) == {0.0}
    assert set(at_label(first, "energy")) == {None}
    powers = [[mw for mw in at_label(found, "power") if mw is not None] for found in (first, later)]  # fmt: skip
    assert len(powers[0]) < len(powers[1])
    assert any(at_label(later, "emissions"))


def test_a_row_that_was_left_out_appears_hours_later():
    def has_late(unit, n):
        alive = grid.power(unit, grid.label_of(n)) is not None
        return alive and edge_at(grid.label_of(n + 3)).missing(unit["code"], n)

    first = grid.step_of(datetime(2026, 3, 10, 8))
    unit = GRID["ER01"][1]
    n = next(n for n in range(first + 3, first + 400) if has_late(unit, n))
    label = grid.label_of(n)
    path = f"{UNITS}&metrics=power&date_start={label - timedelta(minutes=10):%Y-%m-%dT%H:%M}&date_end={label + timedelta(minutes=15):%Y-%m-%dT%H:%M}"
    with serving(StandIn(live=True, now=label + timedelta(minutes=30))) as api:
        early = series(get(api, path))["power_ER01"][1]
        api.now = label + LATE_BY
        late = series(get(api, path))["power_ER01"][1]

    assert early.get(label) is None
    assert late[label] == grid.power(unit, label)


def test_market_values_change_for_an_hour_and_then_are_final():
    label = datetime(2026, 3, 10, 11, 55)
    path = MARKET + "&primary_grouping=network_region&date_start=2026-03-10T11:00:00&date_end=2026-03-11"  # fmt: skip
    seen = []
    with serving(StandIn(live=True, now=datetime(2026, 3, 10, 12, 2))) as api:
        for _ in range(14):
            seen.append(series(get(api, path, cache_control="no-cache"))["price_NSW1"][1][label])  # fmt: skip
            api.now += timedelta(minutes=5)

    assert len(set(seen[:12])) == 12
    assert set(seen[11:]) == {grid.region_price("NSW1", label)}


# --- the cache ---------------------------------------------------------------------------------------


def control(answer):
    return answer.headers.get("x-fastapi-cache"), answer.headers.get("cache-control")


@pytest.mark.parametrize(("path", "life"), [(MARKET + HOURS, 300), ("/facilities/", 900)])
def test_the_same_question_gets_the_same_bytes_for_a_while(path, life):
    with serving() as api:
        first = get(api, path)
        api.now += timedelta(seconds=100)
        again = get(api, "/v4" + path)
        api.now += timedelta(seconds=life - 99)
        anew = get(api, path)

    assert control(first) == ("MISS", f"max-age={life}")
    assert control(again) == ("HIT", f"max-age={life - 100}")
    assert control(anew) == ("MISS", f"max-age={life}")
    assert first.content == again.content != anew.content
    assert first.headers["etag"] == again.headers["etag"] != anew.headers["etag"]
    assert first.headers["etag"].startswith("W/")


def test_a_known_body_is_not_sent_again(api):
    etag = get(api, MARKET + HOURS).headers["etag"]

    same = get(api, MARKET + HOURS, if_none_match=etag)
    other = get(api, MARKET + HOURS, if_none_match="W/1")
    assert (same.status_code, same.content) == (304, b"")
    assert (other.status_code, control(other)[0]) == (200, "HIT")


def test_a_client_may_refresh_the_cache_or_keep_out_of_it(api):
    old = get(api, MARKET + HOURS)
    api.now += timedelta(seconds=60)

    outside = get(api, MARKET + HOURS, cache_control="no-store")
    assert control(outside) == (None, None)
    assert outside.content != old.content
    assert get(api, MARKET + HOURS).content == old.content
    refreshed = get(api, MARKET + HOURS, cache_control="no-cache")
    assert control(refreshed) == ("MISS", "max-age=300")
    assert get(api, MARKET + HOURS).content == refreshed.content == outside.content


def test_users_and_questions_are_kept_apart_and_refusals_are_not_kept(api):
    api.keys.add("another-key-of-it")
    get(api, MARKET + HOURS)

    for path, key in ((MARKET + HOURS, "another-key-of-it"), (MARKET, KEY)):
        assert control(get(api, path, authorization=f"Bearer {key}"))[0] == "MISS"
    nothing = UNITS.replace("VBB", "SILENT") + "&metrics=power&date_start=2026-04-01"
    assert control(get(api, nothing)) == (None, None)
    api.now = datetime(2026, 4, 2)
    assert get(api, nothing).status_code == 200


# --- data --------------------------------------------------------------------------------------------


def test_every_metric_of_a_unit_can_be_recomputed(calm):
    path = UNITS + "&metrics=power&metrics=energy&metrics=emissions&metrics=market_value&metrics=storage_battery" + HOURS  # fmt: skip
    answer = get(calm, path)
    found = series(answer)

    assert [(m["metric"], m["unit"]) for m in answer.json()["data"]] == [
        ("power", "MW"), ("energy", "MWh"), ("emissions", "t"), ("market_value", "$"), ("storage_battery", "MWh"),
    ]  # fmt: skip
    for metric, of_label in (("power", grid.power), ("energy", grid.energy), ("emissions", grid.emissions), ("storage_battery", grid.storage)):  # fmt: skip
        for code in ("VBB1", "ER01", "PUMP1"):
            points = found[f"{metric}_{code}"][1]
            assert points == {label: of_label(GRID[code][1], label) for label in points}
            assert len(points) == 24
    assert set(found["storage_battery_ER01"][1].values()) == {None}
    assert None not in found["storage_battery_VBB1"][1].values()
    assert set(found["emissions_W/HOE#1"][1].values()) == {0.0}


def test_energy_is_a_trapezoid_and_not_power_over_twelve(calm):
    found = series(get(calm, UNITS + "&metrics=power&metrics=energy" + HOURS))
    power, energy = found["power_ER01"][1], found["energy_ER01"][1]
    moments = list(power)

    for before, label in pairwise(moments):
        assert energy[label] == pytest.approx((power[before] + power[label]) / 24, abs=1e-4)
    assert any(abs(energy[label] - power[label] / 12) > 0.01 for label in moments)


def test_value_is_null_without_a_price_and_zero_without_energy(calm):
    label = next(t for t in labels(NOW - timedelta(hours=12), NOW) if grid.region_price("NSW1", t) is None)  # fmt: skip
    window = f"&date_start={label - timedelta(hours=2):%Y-%m-%dT%H:%M}&date_end={label + timedelta(hours=1):%Y-%m-%dT%H:%M}"
    found = series(get(calm, UNITS + "&metrics=market_value&metrics=energy" + window))

    assert found["market_value_ER01"][1][label] is None
    for t, value in found["market_value_ER01"][1].items():
        assert value == grid.market_value(GRID["ER01"][1], "NSW1", t)
    charging = [t for t, mwh in found["energy_VBB1"][1].items() if mwh <= 0 and grid.region_price("VIC1", t) is not None]  # fmt: skip
    assert charging
    assert {found["market_value_VBB1"][1][t] for t in charging} == {0.0}


def test_hours_hold_mean_power_and_sums_labelled_by_their_start(calm):
    path = UNITS + "&metrics=power&metrics=emissions&interval=1h&date_start=2026-03-10T08:30:00&date_end=2026-03-10T11:00:00"  # fmt: skip
    found = series(get(calm, path))
    unit = GRID["ER01"][1]
    first = labels(datetime(2026, 3, 10, 8, 30), datetime(2026, 3, 10, 9))
    second = labels(datetime(2026, 3, 10, 9), datetime(2026, 3, 10, 10))

    power = found["power_ER01"][1]
    assert [f"{label:%H:%M}" for label in power] == ["08:00", "09:00", "10:00"]
    for label, inside in ((first[0].replace(minute=0), first), (second[0], second)):
        values = [grid.power(unit, t) for t in inside]
        assert power[label] == pytest.approx(sum(values) / len(values), abs=1e-6)
        tonnes = sum(grid.emissions(unit, t) for t in inside)
        assert found["emissions_ER01"][1][label] == pytest.approx(tonnes, abs=1e-6)


@pytest.mark.parametrize(
    ("interval", "label", "start"),
    [
        ("5m", "2026-03-10T08:05", "2026-03-10T08:05"),
        ("1h", "2026-03-10T08:55", "2026-03-10T08:00"),
        ("1d", "2026-03-10T08:55", "2026-03-10"),
        ("7d", "2026-03-10T08:55", "2026-03-08"),
        ("7d", "2026-03-08T00:00", "2026-03-08"),
        ("1M", "2026-03-10T08:55", "2026-03-01"),
        ("3M", "2026-03-10T08:55", "2026-01-01"),
        ("season", "2026-03-10T08:55", "2026-03-01"),
        ("season", "2026-02-10T08:55", "2025-12-01"),
        ("1y", "2026-03-10T08:55", "2026-01-01"),
        ("fy", "2026-03-10T08:55", "2025-07-01"),
        ("fy", "2026-07-01T00:00", "2026-07-01"),
    ],
)
def test_a_bucket_starts_where_the_calendar_says(interval, label, start):
    n = grid.step_of(datetime.fromisoformat(label))

    assert grid.label_of(bucket_of(n, interval)) == datetime.fromisoformat(start)


@pytest.mark.parametrize("interval", ["1d", "7d", "1M", "3M", "season", "1y"])
def test_long_intervals_are_served(calm, interval):
    found = series(get(calm, f"{MARKET}&interval={interval}&date_start=2026-01-15&date_end=2026-03-10"))  # fmt: skip

    assert all(grid.label_of(bucket_of(grid.step_of(t), interval)) == t for t in found["price_total"][1])  # fmt: skip
    assert None not in found["demand_total"][1].values()


def test_units_without_a_station_fold_into_one_series(calm):
    answer = get(calm, "/data/facilities/NEM?metrics=power&unit_code=ER01&unit_code=W/HOE%231" + HOURS)  # fmt: skip

    (result,) = answer.json()["data"][0]["results"]
    assert (result["name"], result["columns"]) == ("power_total", {})
    stamps = [stamp for stamp, _ in result["data"]]
    assert set(Counter(stamps).values()) == {2}
    assert stamps == sorted(stamps)
    label = datetime(2026, 3, 10, 8)
    expected = [grid.power(GRID[code][1], label) for code in ("ER01", "W/HOE#1")]
    assert [value for _, value in result["data"][:2]] == expected
    one = series(get(calm, UNITS + "&unit_code=ER01&metrics=power" + HOURS))
    assert list(one) == ["power_ER01"]


def test_who_is_alive_in_the_newest_interval_leads(calm):
    answer = get(calm, "/data/facilities/NEM?metrics=power&facility_code=GAPPYWF&facility_code=VBB&date_start=2026-03-10&date_end=2026-03-10T02:00:00")  # fmt: skip

    last = {s["columns"]["unit_code"]: s["data"][-1][0] for s in answer.json()["data"][0]["results"]}  # fmt: skip
    assert list(last.values()) == sorted(last.values(), reverse=True)
    assert list(last)[:2] == ["GAPPY1", "VBB1"]
    assert last["EARLY1"].startswith("2026-03-10T00:55")
    span = answer.json()["data"][0]
    assert span["date_end"] == max(last.values()) == span["results"][-1]["date_end"]


def test_a_network_is_the_plain_sum_of_its_units_as_grouped(calm):
    path = "/data/network/NEM?metrics=power" + HOURS
    label = datetime(2026, 3, 10, 9)
    sending = [
        (station["network_region"], unit["fueltech_id"], mw) for station, unit in GRID.values()
        if station["network_id"] == "NEM" and grid.has_row(unit, label) and (mw := grid.power(unit, label)) is not None
    ]  # fmt: skip
    total = series(get(calm, path))
    regions = series(ask(calm, path + "&primary_grouping=network_region"))
    fuels = get(calm, path + "&primary_grouping=network_region&secondary_grouping=fueltech")
    solar = series(get(calm, path + "&fueltech_group=solar"))

    assert total["power_total"][1][label] == pytest.approx(sum(mw for _, _, mw in sending), abs=1e-5)  # fmt: skip
    assert {c["region"] for c, _ in regions.values()} == set(grid.REGIONS)
    vic = sum(mw for region, _, mw in sending if region == "VIC1")
    assert regions["power_VIC1"][1][label] == pytest.approx(vic, abs=1e-5)
    assert fuels.json()["data"][0]["groupings"] == ["network_region", "fueltech"]
    columns, points = series(fuels)["power_NSW1|coal_black"]
    assert columns == {"region": "NSW1", "fueltech": "coal_black"}
    coal = sum(mw for region, fuel, mw in sending if (region, fuel) == ("NSW1", "coal_black"))
    assert points[label] == pytest.approx(coal, abs=1e-5)
    assert list(solar) == ["power_solar"]
    backwards = path.replace("T10", "T07")
    assert get(calm, backwards).json()["error"] == "Date start must be before date end"


def test_every_market_metric_is_known_with_its_unit(calm):
    asked = "&".join(f"metrics={metric}" for metric in MARKET_METRICS)
    answer = get(calm, f"/market/network/NEM?{asked}{HOURS}")
    found = series(answer)
    label = datetime(2026, 3, 10, 9)

    assert [m["metric"] for m in answer.json()["data"]] == list(MARKET_METRICS)
    units = {m["metric"]: m["unit"] for m in answer.json()["data"]}
    assert units["price"] == "$/MWh"
    assert {units[m] for m in MARKET_METRICS if m.endswith("_proportion")} == {"%"}
    assert {units[m] for m in MARKET_METRICS if m.endswith("_energy")} == {"MWh"}
    for metric in MARKET_METRICS:
        expected = market.value(metric, grid.REGIONS, grid.step_of(label), Edge(NOW, live=False))  # fmt: skip
        assert found[f"{metric}_total"][1][label] == expected
    assert 0 < found["renewable_proportion_total"][1][label] < 100
    assert found["demand_energy_total"][1][label] == pytest.approx(found["demand_total"][1][label] / 12, abs=1e-3)  # fmt: skip


def test_a_region_and_an_hour_of_the_market(calm):
    one = series(
        get(calm, MARKET + "&metrics=demand_energy&network_region=SA1&interval=1h" + HOURS)
    )
    whole = series(get(calm, MARKET + "&interval=1h" + HOURS))

    assert {name: columns for name, (columns, _) in one.items()} == {
        "price_SA1": {"region": "SA1"}, "demand_SA1": {"region": "SA1"}, "demand_energy_SA1": {"region": "SA1"},
    }  # fmt: skip
    label = datetime(2026, 3, 10, 9)
    inside = labels(label, label + timedelta(hours=1))
    prices = [p for t in inside if (p := grid.region_price("SA1", t)) is not None]
    assert one["price_SA1"][1][label] == pytest.approx(sum(prices) / len(prices), abs=1e-6)
    demands = [grid.region_demand("SA1", t) for t in inside]
    assert one["demand_SA1"][1][label] == pytest.approx(sum(demands) / 12, abs=1e-6)
    assert one["demand_energy_SA1"][1][label] == pytest.approx(sum(demands) / 12, abs=1e-3)
    means = [grid.network_price(t) for t in inside if grid.network_price(t) is not None]
    assert whole["price_total"][1][label] == pytest.approx(sum(means) / len(means), abs=1e-6)
    assert get(calm, MARKET + "&network_region=NOWHERE" + HOURS).status_code == 404


def test_the_west_answers_in_its_own_time(calm):
    stamp = "2026-03-10T09:00:00+08:00"
    units = get(calm, "/data/facilities/WEM?metrics=power&facility_code=MUJA" + HOURS)
    prices = get(calm, "/market/network/WEM?metrics=price&primary_grouping=network_region")

    assert units.json()["data"][0]["network_timezone_offset"] == "+08:00"
    assert stamp in dict(units.json()["data"][0]["results"][0]["data"])
    assert series(prices)["price_WEM"][0] == {"region": "WEM"}
    assert newest(prices) == datetime(2026, 3, 10, 9, 55), "two hours behind, the newest withheld"  # fmt: skip


# --- what is not known yet, and much of what is ------------------------------------------------------


def test_the_future_brings_words_and_keys_that_nobody_knows():
    with serving(StandIn(future=True)) as api:
        catalogue = {f["code"]: f for f in get(api, "/facilities/").json()["data"]}
        fused = get(api, "/data/facilities/NEM?metrics=power&facility_code=FUSION" + HOURS)
        forecast = get(api, "/market/network/NEM?metrics=solar_rooftop_forecast" + HOURS)
        filtered = {f["code"] for f in get(api, "/facilities/?network_id=NEM").json()["data"]}

    units = {unit["code"]: unit for unit in catalogue["FUSION"]["units"]}
    assert units["FUS1"]["fueltech_id"] == "fusion"
    assert units["FUS1"]["status_id"] == "standby"
    assert units["FUS3"] == {"code": "FUS3"}
    assert catalogue["DARWIN"]["network_id"] not in {"NEM", "WEM", "AU"}
    assert "owners" in catalogue["FUSION"]
    assert "DARWIN" not in filtered
    columns, points = series(fused)["power_FUS1"]
    assert columns == {"unit_code": "FUS1", "facility_code": "FUSION"}
    assert len(points) == 24
    assert len(series(forecast)["solar_rooftop_forecast_total"][1]) == 24
    with serving() as api:
        assert get(api, "/market/network/NEM?metrics=solar_rooftop_forecast").status_code == 422


def test_a_big_grid_is_as_big_as_asked_for_and_answers_in_thirties():
    stations = grid.many(420)
    unit_codes = [unit["code"] for each in stations for unit in each["units"]]
    assert len({each["code"] for each in stations}) == 420
    assert len(set(unit_codes)) == len(unit_codes) > 600

    with serving(StandIn(stations=stations)) as api:
        codes = [each["code"] for each in stations if each["network_id"] == "NEM"][-30:]
        asked = "&".join(f"facility_code={code}" for code in codes)
        found = series(get(api, f"/data/facilities/NEM?metrics=power&{asked}{HOURS}"))

    units = {u["code"]: u for each in stations if each["code"] in codes for u in each["units"]}
    label = datetime(2026, 3, 10, 9)
    for columns, points in found.values():
        assert points.get(label) == grid.power(units[columns["unit_code"]], label)
    assert len(found) >= 30


# --- the installed client ----------------------------------------------------------------------------


def test_the_sdk_reads_hours_energy_and_the_account_from_the_stand_in(api, tmp_path):
    """In a process of its own, as the SDK logs and opens event loops as it likes."""
    script = tmp_path / "reference.py"
    script.write_text(
        "import json, sys\n"
        "from datetime import datetime\n"
        "from openelectricity import OEClient\n"
        "from openelectricity.types import DataMetric, MarketMetric\n"
        "client = OEClient(api_key=sys.argv[2], base_url=sys.argv[1])\n"
        "window = {'interval': '1h', 'date_start': datetime(2026, 3, 9), 'date_end': datetime(2026, 3, 10)}\n"
        "metrics = [DataMetric.POWER, DataMetric.ENERGY, DataMetric.MARKET_VALUE, DataMetric.STORAGE_BATTERY]\n"
        "answers = [\n"
        "    client.get_facility_data('NEM', ['VBB', 'ERARING'], metrics, **window),\n"
        "    client.get_network_data('NEM', [DataMetric.POWER], primary_grouping='network_region', secondary_grouping='fueltech', **window),\n"
        "    client.get_market('NEM', list(MarketMetric)[:-1], network_region='SA1', **window),\n"
        "]\n"
        "rows = [[m.metric, m.unit, s.name, [[p.timestamp.isoformat(), p.value] for p in s.data]] for a in answers for m in a.data for s in m.results]\n"
        "me = client.get_current_user().data\n"
        "json.dump({'rows': rows, 'plan': me.plan, 'limit': me.rate_limit.limit}, open(sys.argv[3], 'w'))\n"
    )
    out = tmp_path / "reference.json"
    done = subprocess.run([sys.executable, script, api.url + "/v4", KEY, out], capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr

    theirs = json.loads(out.read_text())
    assert (theirs["plan"], theirs["limit"]) == ("COMMUNITY", 2)
    ours = []
    for path, query, _ in api.requests[:3]:
        answer = httpx.get(api.url + path, params=query, headers=AUTH, verify=False)
        for metric in answer.json()["data"]:
            ours += [[metric["metric"], metric["unit"], s["name"], s["data"]] for s in metric["results"]]  # fmt: skip
    assert theirs["rows"] == ours
    assert len({row[0] for row in ours}) == 4 + len(MARKET_METRICS)
