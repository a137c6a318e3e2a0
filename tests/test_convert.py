"""Whole catalogues: raw answers in, exact tables out, and tables read back with care."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from processes import energydash
from series import generate, mini_catalogue, write_folder
from sums import START, answer_of, assert_table, expected, mixed

from energydash import convert as job
from energydash import schema
from energydash.config import ConvertSettings
from energydash.errors import FileError
from energydash.files import tables
from energydash.progress import silent

REAL = Path(__file__).resolve().parents[2] / "shared" / "realdata"
MINI = mini_catalogue()
TYPES = {
    "power": pl.Float64,
    "emissions": pl.Float64,
    "by_fuel": pl.String,
    "network_region": pl.String,
}
NOON = "2026-01-05T12:00:00+10:00"


def convert(folder, table_format="csv"):
    data = folder / "data"
    return job.run(
        ConvertSettings(input_dir=data, output_dir=data / "csv_output", format=table_format),
        silent,
    )


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
    units = units_of(data)
    assert_table(table, expected(raw_answers(data), units), mixed(units))
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
    done = energydash("convert", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    table = assert_folder(tmp_path / "data")
    assert json.loads(done.stdout)["rows"] == table.height
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
    assert summary.units_without_data == 884 - len(reporting)
    assert summary.facilities == table["facility_code"].n_unique()
    assert summary.unknown_units == []


def test_parquet_holds_what_csv_holds(tmp_path):
    write_folder(tmp_path / "data", MINI, START, 30)
    convert(tmp_path)
    convert(tmp_path, "parquet")

    for name in ("facility_metrics_wide", "facility_units_metrics", "market_metrics_data"):
        folder = tmp_path / "data/csv_output"
        binary = pl.read_parquet(folder / name)
        zone = binary["timestamp"].dtype.time_zone
        assert zone == "Etc/GMT-10"
        text = pl.read_csv(folder / f"{name}.csv", schema_overrides=TYPES)
        moments = text["timestamp"].str.to_datetime("%+", time_unit="us", time_zone=zone)
        text = text.with_columns(moments, moments.dt.date().alias("date"))
        assert_frame_equal(binary, text, check_dtypes=True)


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

    assert summary.unknown_units == ["STRAY1"]
    assert summary.rows == 1


def test_the_facility_level_answer_says_what_the_table_says(tmp_path):
    write_folder(tmp_path / "data", MINI, START, 12)
    convert(tmp_path)

    table = pl.read_csv(tmp_path / "data/csv_output/facility_metrics_wide.csv")
    answer = json.loads((tmp_path / "data/facility_metrics.json").read_bytes())
    told = {
        (metric["metric"], series["columns"]["facility_code"], time): value
        for metric in answer["data"]
        for series in metric["results"]
        for time, value in series["data"]
    }
    assert told == {
        (metric, row["facility_code"], row["timestamp"]): row[metric]
        for row in table.iter_rows(named=True)
        for metric in ("power", "emissions")
    }


@pytest.mark.parametrize("table_format", ["csv", "parquet"])
def test_tables_elsewhere_leave_the_data_folder_as_it_was(tmp_path, table_format):
    data = write_folder(tmp_path / "data", MINI, START, 12).root
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    elsewhere = ConvertSettings(
        input_dir=data, output_dir=tmp_path / "tables", format=table_format
    )
    for _ in range(2):
        job.run(elsewhere, silent)
        after = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
        assert after == before

    answer = tmp_path / "tables/facility_metrics.json"
    assert answer.exists() == (table_format == "csv")


def test_parquet_makes_no_answer_of_the_facility_level(tmp_path):
    write_folder(tmp_path / "data", MINI, START, 12)
    convert(tmp_path, "parquet")
    assert not (tmp_path / "data/facility_metrics.json").exists()


def test_a_revised_market_value_counts_and_null_stays_null(tmp_path):
    write_folder(tmp_path / "data", MINI, START, 2)
    answer = answer_of(price={})
    answer["data"][0]["results"] = [
        {"name": "price", "columns": {"region": region}, "data": [[NOON, value]]}
        for region, value in (("SA1", 90.0), ("SA1", -25.5), ("VIC1", None), (None, 0.0))
    ]
    (tmp_path / "data/market_data.json").write_text(json.dumps(answer))

    summary = convert(tmp_path)

    market = pl.read_csv(tmp_path / "data/csv_output/market_metrics_data.csv")
    assert dict(market.select("network_region", "value").rows()) == {
        "SA1": -25.5, "VIC1": None, None: 0.0,
    }  # fmt: skip
    assert (market.height, summary.null_market_values) == (3, 1)


# --- tables read back ----------------------------------------------------------------------------------

FACILITIES = "timestamp,facility_code,power,emissions,longitude,latitude,by_fuel"
MARKET = "timestamp,network_code,metric,value,network_region"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (f"{NOON},A,many,0,150,-33,", "power is 'many'"),
        (f"{NOON},A,nan,0,150,-33,", "power is 'nan'"),
        (f"{NOON},A,1,inf,150,-33,", "emissions is 'inf'"),
        (f"{NOON},A,1", "3 fields where the header has 7"),
        (f"{NOON},A,1,0,150,-33,,,", "9 fields where the header has 7"),
        (f"{NOON},,1,0,150,-33,", "facility_code is ''"),
        (",A,1,0,150,-33,", "timestamp is ''"),
        ("noon,A,1,0,150,-33,", "timestamp is 'noon'"),
        ("2026-01-05T12:00:00,A,1,0,150,-33,", "has no offset"),
        (f'{NOON},A,1,0,150,-33,"{{""wind"":"', "by_fuel is"),
        (f'{NOON},A,1,0,150,-33,"{{""wind"":""much""}}"', "by_fuel is"),
        (f'{NOON},"A,1,0,150,-33,', "not a row of CSV"),
    ],
)
def test_a_malformed_station_row_is_named_by_file_and_line(tmp_path, row, what):
    path = tmp_path / "wide.csv"
    mixed_row = f'{NOON},B,1,0,150,-33,"{{""wind"":1.0,""battery"":0.0}}"'
    path.write_text("\n".join([FACILITIES, mixed_row, f"{NOON},C,,0.5,,,", row, mixed_row, ""]))

    with pytest.raises(FileError) as caught:
        list(tables.facility_intervals(path))

    text = str(caught.value)
    assert text.startswith(f"{path} line 4: ")
    assert what in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "row",
    [
        f"{NOON},NEM,price",
        f"{NOON},NEM,price,dear,",
        f"{NOON},NEM,,5,",
        f"{NOON},,price,5,NSW1",
    ],
)
def test_a_malformed_market_row_is_named_by_file_and_line(tmp_path, row):
    path = tmp_path / "market.csv"
    path.write_text("\n".join([MARKET, f"{NOON},NEM,price,,", row, ""]))

    with pytest.raises(FileError, match=r"market\.csv line 3: "):
        list(tables.market_intervals(path))


def test_what_convert_writes_is_read_back_whole(tmp_path):
    write_folder(tmp_path / "data", MINI, START, 12)
    convert(tmp_path)

    path = tmp_path / "data/csv_output/facility_metrics_wide.csv"
    read = [each for _, records in tables.facility_intervals(path) for each in records]
    rows = pl.read_csv(path).rows(named=True)
    assert [
        (r.event_time.isoformat(), r.facility_id, r.power, r.emissions, r.longitude, r.latitude)
        for r in read
    ] == [
        (w["timestamp"], w["facility_code"], w["power"], w["emissions"], w["longitude"], w["latitude"])
        for w in rows
    ]  # fmt: skip
    assert [r.by_fuel for r in read] == [json.loads(w["by_fuel"] or "null") for w in rows]
    assert any(r.by_fuel for r in read)
