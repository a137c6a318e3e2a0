"""Units to facilities: every value once, none invented, whatever the form in which the answers come.

What is expected is worked out here from the raw points, one at a time, in code that shares nothing with `convert`.
"""

import json
import math
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import energydash
from series import generate, mini_catalogue, write_folder

from energydash import nem, schema
from energydash.files import arithmetic, stations

REAL = Path(__file__).resolve().parents[2] / "shared" / "realdata"
START = datetime(2025, 10, 7, 18, tzinfo=nem.NEM_ZONE)
MINI = mini_catalogue()
MINI_UNITS = {
    unit["code"]: (facility["code"], unit["fueltech_id"])
    for facility in json.loads(MINI)["data"]
    for unit in facility["units"]
}


def label(n):
    return (START + n * timedelta(minutes=5)).isoformat()


# --- what is expected ----------------------------------------------------------------------------------


def signed(metric, fuel, value):
    is_load = metric == "power" and fuel in {"pumps", "battery_charging"}
    return -abs(value) if is_load else value


def by_fuel(units):
    """{fuel: sum}; a battery is its signed unit where that has a value, else its halves."""
    fuels = defaultdict(list)
    for fuel, value in units:
        fuels[fuel].append(value)
    halves = fuels.pop("battery_charging", []) + fuels.pop("battery_discharging", [])
    if halves and "battery" not in fuels:
        fuels["battery"] = halves
    return {fuel: math.fsum(values) for fuel, values in fuels.items()}


def expected(answers, units):
    """{(time, facility): (MW, t, MW by fuel)} from decoded JSON answers."""
    points = {}
    for answer in answers:
        for metric in answer["data"]:
            for series in metric["results"]:
                for time, value in series["data"]:
                    points[metric["metric"], series["columns"]["unit_code"], time] = value
    rows = defaultdict(lambda: {"power": [], "emissions": []})
    for (metric, unit, time), value in points.items():
        if value is not None:
            facility, fuel = units[unit]
            rows[time, facility][metric].append((fuel, signed(metric, fuel, value)))
    return {
        key: (by_fuel(row["power"]), by_fuel(row["emissions"])) for key, row in rows.items()
    }


def assert_table(table, wanted):
    """The table holds exactly these rows, and these numbers but for the noise of a sum."""
    got = {(row["timestamp"], row["facility_code"]): row for row in table.iter_rows(named=True)}
    assert got.keys() == wanted.keys()
    assert table.height == len(got)
    for key, (power, emissions) in wanted.items():
        row = got[key]
        assert_value(row["power"], power, key)
        assert_value(row["emissions"], emissions, key)
        if row["by_fuel"]:
            mix = json.loads(row["by_fuel"])
            assert mix == pytest.approx(power, abs=2e-6), key


def assert_value(value, fuels, key):
    if not fuels:
        assert value is None, key
    else:
        assert value == pytest.approx(math.fsum(fuels.values()), abs=2e-5), key


# --- any answers ---------------------------------------------------------------------------------------

value = st.one_of(st.none(), st.floats(-500, 900, allow_nan=False).map(lambda v: round(v, 4)))
points = st.dictionaries(st.integers(0, 6), value, max_size=7)
metrics = st.dictionaries(st.sampled_from(sorted(MINI_UNITS)), points, max_size=len(MINI_UNITS))


def answer_of(**by_metric):
    """An answer in the API's form, of {unit: {interval: value}} for each metric."""
    return {
        "success": True,
        "data": [
            {
                "network_code": "NEM", "metric": metric, "unit": "x", "interval": "5m",
                "results": [
                    {
                        "name": f"{metric}_{unit}",
                        "columns": {"unit_code": unit},
                        "data": [[label(n), rows[n]] for n in sorted(rows)],
                    }
                    for unit, rows in units.items()
                ],
            }
            for metric, units in by_metric.items()
        ],
    }  # fmt: skip


def table_of(answers):
    catalogue = schema.decode_facilities(MINI)
    found = arithmetic.collect(
        (schema.decode_data(json.dumps(each).encode()) for each in answers), MINI_UNITS
    )
    table = arithmetic.wide_frame(found, {f.code: stations.place(f) for f in catalogue.data})
    if table.is_empty():
        return pl.DataFrame(schema=["timestamp", "facility_code"])
    return table


answers = st.builds(lambda p, e: answer_of(power=p, emissions=e), metrics, metrics)


@settings(deadline=None)
@given(answers)
def test_every_value_counts_once_and_none_is_invented(answer):
    assert_table(table_of([answer]), expected([answer], MINI_UNITS))


@settings(deadline=None, max_examples=40)
@given(st.lists(answers, min_size=1, max_size=4), st.randoms())
def test_how_the_answers_are_cut_and_ordered_makes_no_difference(parts, random):
    # Later answers win, so only parts that do not contradict each other may change places.
    whole = {}
    for part in parts:
        for metric in part["data"]:
            for series in metric["results"]:
                cell = whole.setdefault((metric["metric"], series["columns"]["unit_code"]), {})
                cell.update(dict(series["data"]))
    single = []
    for (metric, unit), rows in whole.items():
        for time, mw in rows.items():
            piece = answer_of(**{metric: {unit: {}}})
            piece["data"][0]["results"][0]["data"] = [[time, mw]]
            single.append(piece)
    shuffled = single + single[: len(single) // 2]
    random.shuffle(shuffled)

    assert table_of(shuffled).equals(table_of(parts))


@given(st.floats(0.5, 300), st.booleans())
def test_a_battery_of_three_units_counts_once(mw, charging):
    power = {"BATT1": {0: -mw if charging else mw}}
    power["BATTL1" if charging else "BATTG1"] = {0: mw}
    row = table_of([answer_of(power=power)]).row(0, named=True)

    assert row["power"] == pytest.approx(-mw if charging else mw, abs=1e-6)


@given(st.floats(0.5, 300), st.floats(0.5, 300))
def test_a_battery_before_its_bidirectional_unit_is_the_difference_of_its_halves(gives, takes):
    power = {"BATT1": {0: None, 1: 7.0}, "BATTG1": {0: gives, 1: 9.0}, "BATTL1": {0: takes}}
    table = table_of([answer_of(power=power)])

    assert table["power"].to_list() == pytest.approx([gives - takes, 7.0], abs=1e-5)


@given(st.floats(-900, 900))
def test_pumps_are_a_load_whatever_their_sign(mw):
    row = table_of([answer_of(power={"PUMP1": {0: mw}})]).row(0, named=True)

    assert row["power"] == pytest.approx(-abs(mw), abs=1e-6)
    assert str(row["power"]) != "-0.0"


def test_a_station_without_any_value_in_an_interval_has_no_row():
    table = table_of([answer_of(power={"COAL1": {0: 5.0, 1: None}, "COAL2": {1: None}})])

    assert table["timestamp"].to_list() == [label(0)]


def test_zero_is_a_value_and_null_is_not():
    table = table_of(
        [answer_of(power={"COAL1": {0: 0.0, 1: None}}, emissions={"COAL1": {0: None, 1: 2.0}})]
    )

    assert table.select("power", "emissions").rows() == [(0.0, None), (None, 2.0)]


def test_the_last_of_two_values_for_one_time_counts():
    first, second = ({"COAL1": {0: 1.0}}, {"COAL1": {0: 2.0}})
    table = table_of([answer_of(power=first), answer_of(power=second)])

    assert table["power"].to_list() == [2.0]


# --- whole catalogues, through the command -------------------------------------------------------------


def convert(folder, *arguments):
    done = energydash("convert", "--json", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def raw_answers(data):
    return [
        json.loads(path.read_bytes())
        for path in sorted((data / "batch_data").glob("batch_*_metrics.json"))
    ]


def units_of(data):
    catalogue = json.loads((data / "facilities_data.json").read_bytes())["data"]
    return {u["code"]: (f["code"], u["fueltech_id"]) for f in catalogue for u in f["units"]}


def market_rows(data):
    return {
        (datetime.fromisoformat(time), metric["metric"], series["columns"].get("region")): value
        for metric in json.loads((data / "market_data.json").read_bytes())["data"]
        for series in metric["results"]
        for time, value in series["data"]
    }


def assert_folder(data):
    table = pl.read_csv(data / "csv_output/facility_metrics_wide.csv")
    assert_table(table, expected(raw_answers(data), units_of(data)))
    market = pl.read_csv(data / "csv_output/market_metrics_data.csv")
    got = {
        (datetime.fromisoformat(row["timestamp"]), row["metric"], row["network_region"]): row[
            "value"
        ]
        for row in market.iter_rows(named=True)
    }
    assert got == market_rows(data)
    assert market.height == len(got)
    return table


def test_the_whole_simulated_grid_is_converted_exactly(tmp_path):
    window = ("--start", "2026-01-05T17:00", "--end", "2026-01-05T18:30")
    assert energydash("fetch", "--source", "demo", *window, cwd=tmp_path).returncode == 0
    convert(tmp_path)

    table = assert_folder(tmp_path / "data")
    assert table["facility_code"].n_unique() >= 150
    assert table["by_fuel"].drop_nulls().len() > 0


@pytest.mark.skipif(not REAL.exists(), reason="the real catalogue and market are not here")
def test_the_real_catalogue_and_market_are_converted_exactly(tmp_path):
    raw = (REAL / "facilities_data.json").read_bytes()
    write_folder(tmp_path / "data", raw, START, 18)
    (tmp_path / "data/market_data.json").write_bytes((REAL / "market_data.json").read_bytes())
    catalogue = json.loads(raw)["data"]
    assert (len(catalogue), sum(len(f["units"]) for f in catalogue)) == (515, 884)

    summary = convert(tmp_path)

    table = assert_folder(tmp_path / "data")
    reporting = {unit for answer in raw_answers(tmp_path / "data") for m in answer["data"] for s in m["results"] for unit in [s["columns"]["unit_code"]]}  # fmt: skip
    assert summary["units_without_data"] == 884 - len(reporting)
    assert summary["facilities"] == table["facility_code"].n_unique()
    assert summary["unknown_units"] == []


def test_parquet_holds_what_csv_holds(tmp_path):
    write_folder(tmp_path / "data", MINI, START, 30)
    convert(tmp_path)
    convert(tmp_path, "--format", "parquet")

    for name in ("facility_metrics_wide", "market_metrics_data"):
        folder = tmp_path / "data/csv_output"
        binary = pl.read_parquet(folder / f"{name}.parquet")
        text = pl.read_csv(folder / f"{name}.csv", schema=binary.schema)
        assert binary.equals(text)


def test_the_same_answers_give_the_same_bytes_in_any_number_of_files(tmp_path):
    catalogue = schema.decode_facilities(MINI)
    (whole,) = generate(catalogue, START, 20)
    decoded = json.loads(whole)
    halves = [json.dumps({**decoded, "data": [metric]}).encode() for metric in decoded["data"]]
    tables = []
    for name, parts in (("one", [whole]), ("two", halves[::-1])):
        write_folder(tmp_path / name / "data", MINI, START, 20, parts)
        convert(tmp_path / name)
        path = tmp_path / name / "data/csv_output/facility_metrics_wide.csv"
        tables.append(path.read_bytes())

    assert tables[0] == tables[1]


def test_a_unit_that_no_catalogue_knows_is_told_and_left_out(tmp_path):
    stray = answer_of(power={"STRAY1": {0: 5.0}, "COAL1": {0: 1.0}})
    write_folder(tmp_path / "data", MINI, START, 1, [json.dumps(stray).encode()])

    summary = convert(tmp_path)

    assert summary["unknown_units"] == ["STRAY1"]
    assert summary["rows"] == 1


def test_the_main_fuel_is_that_of_the_largest_operating_capacity():
    facilities = {f.code: f for f in schema.decode_facilities(MINI).data}

    assert stations.main_fuel(facilities["GASGT"]) == "distillate"
    assert stations.main_fuel(facilities["HYBRID"]) == "wind"
    assert stations.main_fuel(facilities["PUMPED"]) == "hydro"
    assert stations.capacity(facilities["BATT"]) == 300.0
