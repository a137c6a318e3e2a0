"""Units to facilities: every value once, none invented, whatever the form in which the answers come."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from series import mini_catalogue
from sums import START, answer_of, assert_table, expected, label, mixed

from energydash import schema
from energydash.files import arithmetic, stations, tables
from energydash.files.blocks import read_blocks
from energydash.files.clock import Clock, day_bounds, day_number, stamp_of
from energydash.files.daily import scene_of, station_csv, station_frame
from energydash.files.roster import roster

MINI = mini_catalogue()
OFFSET_S = 36_000
MINI_UNITS = {
    unit["code"]: (facility["code"], unit["fueltech_id"])
    for facility in json.loads(MINI)["data"]
    for unit in facility["units"]
}

value = st.one_of(st.none(), st.floats(-500, 900, allow_nan=False).map(lambda v: round(v, 4)))
points = st.dictionaries(st.integers(0, 6), value, max_size=7)
metrics = st.dictionaries(st.sampled_from(sorted(MINI_UNITS)), points, max_size=len(MINI_UNITS))


HEAD = (",".join(tables.COLUMNS[tables.FACILITY_METRICS]) + "\n").encode()
TEXTS = {"timestamp", "facility_code", "by_fuel"}
FORMS = {
    name: pl.String if name in TEXTS else pl.Float64
    for name in tables.COLUMNS[tables.FACILITY_METRICS]
}
ROSTER = roster(schema.decode_facilities(MINI))


def table_of(answers, roster_=ROSTER):
    """The station table of one day's answers, through decoding, sums and rows, from its CSV."""
    clock = Clock()
    blocks = [
        block
        for each in answers
        for block in read_blocks(
            Path("answer"), json.dumps(each).encode(), roster_.row_of, clock
        ).blocks
    ]
    bounds = day_bounds(day_number(stamp_of(START), OFFSET_S), OFFSET_S)
    day = arithmetic.Day(len(roster_.units), blocks, *bounds)
    for block in blocks:
        day.take(block)
    scene = scene_of(day, roster_, OFFSET_S)
    table = pl.read_csv(HEAD + station_csv(scene), schema=FORMS)
    frame = station_frame(scene)
    assert table.drop("timestamp").equals(frame.drop("timestamp"))
    assert table["timestamp"].str.to_datetime("%+").equals(frame["timestamp"].dt.convert_time_zone("UTC").dt.cast_time_unit("us"))  # fmt: skip
    return table


answers = st.builds(lambda p, e: answer_of(power=p, emissions=e), metrics, metrics)


@settings(deadline=None)
@given(answers)
def test_every_value_counts_once_and_none_is_invented(answer):
    assert_table(table_of([answer]), expected([answer], MINI_UNITS), mixed(MINI_UNITS))


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


def test_the_main_fuel_is_that_of_the_largest_operating_capacity():
    facilities = {f.code: f for f in schema.decode_facilities(MINI).data}

    assert stations.main_fuel(facilities["GASGT"]) == "distillate"
    assert stations.main_fuel(facilities["HYBRID"]) == "wind"
    assert stations.main_fuel(facilities["PUMPED"]) == "hydro"
    assert stations.capacity(facilities["BATT"]) == 300.0


def test_csv_quotes_what_must_be_and_keeps_it_whole():
    odd = json.loads(MINI)
    station = next(each for each in odd["data"] if each["code"] == "HYBRID")
    station["code"] = 'HY,"B"'
    station["units"][0]["fueltech_id"] = 'wi"nd,'
    station["units"][0]["code"] = "HY\nW1"

    table = table_of(
        [answer_of(power={"HY\nW1": {0: 5.0}, "HYB1": {0: -2.5}})],
        roster(schema.decode_facilities(json.dumps(odd).encode())),
    )

    (row,) = table.iter_rows(named=True)
    assert row["facility_code"] == 'HY,"B"'
    assert json.loads(row["by_fuel"]) == {'wi"nd,': 5.0, "battery": -2.5}
