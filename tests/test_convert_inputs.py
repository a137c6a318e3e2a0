"""Inputs of other shapes and broken ones: the same tables, a clear line, or a counted decision; the last output stays whole."""

import json

import polars as pl
import pytest
from processes import energydash
from series import generate, mini_catalogue, write_folder
from sums import START, answer_of

from energydash import convert as job
from energydash import schema
from energydash.config import ConvertSettings
from energydash.errors import FileError
from energydash.files.folder import DataFolder
from energydash.progress import silent

MINI = mini_catalogue()
LABELS = 40


def convert(data):
    return job.run(ConvertSettings(input_dir=data, output_dir=data / "csv_output"), silent)


def tables(data):
    return {
        path.name: path.read_bytes()
        for path in (data / "csv_output").iterdir()
        if path.suffix == ".csv"
    } | {"facility_metrics.json": DataFolder(data).facility_metrics.read_bytes()}


@pytest.fixture
def data(tmp_path):
    write_folder(tmp_path / "data", MINI, START, LABELS)
    return tmp_path / "data"


def dumped(answer):
    """An answer as the SDK's models dump it: null keys, and times as Python prints them."""
    for metric in answer["data"]:
        metric |= {"date_start": None, "date_end": None, "network_timezone_offset": None}
        for series in metric["results"]:
            series["columns"] = {"region": None, "network_region": None, "fueltech": None, "status": None} | series["columns"]  # fmt: skip
            series["data"] = [[time.replace("T", " "), value] for time, value in series["data"]]
    return answer | {"version": None, "created_at": None, "error": None, "total_records": None}


def test_what_the_old_prototype_kept_gives_the_same_tables(data):
    convert(data)
    wanted = tables(data)
    folder = DataFolder(data)
    for number, path in enumerate(sorted(folder.batches.iterdir()), start=1):
        answer = dumped(json.loads(path.read_bytes()))
        path.write_text(
            json.dumps({"batch_index": number, "facility_codes": ["COAL"], "data": answer}, indent=1)
        )  # fmt: skip
    folder.market.write_text(json.dumps(dumped(json.loads(folder.market.read_bytes()))))
    catalogue = json.loads(MINI)
    for station in catalogue["data"]:
        station |= {"description": None, "npi_id": None, "location": station.get("location")}
        for unit in station["units"]:
            unit |= {"capacity_maximum": None, "data_first_seen": None, "dispatch_type": None}
    folder.facilities.write_text(json.dumps(catalogue))
    folder.manifest.unlink()
    (data / "csv_output/.convert-csv.json").unlink()

    convert(data)

    assert tables(data) == wanted


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b'{"data":[{"metric":"power","results":[{"name":"x","columns":{"unit_code":"COAL1"},"data":[["2025-10', b"[1,2,3]",
        b'{"rows": 5}', b'"text"', b"\xff\xfe\x00", b"<html>502 Bad Gateway</html>",
        json.dumps(answer_of(power={"COAL1": {0: 1.0}})).replace("+10:00", "").encode(),
        json.dumps(answer_of(power={"COAL1": {0: 1.0}})).replace("2025-10", "2025-13").encode(),
        json.dumps(answer_of(power={"COAL1": {0: "much"}})).encode(),
        json.dumps(answer_of(power={"COAL1": {0: 1e308}})).encode(),
        json.dumps(answer_of(power={"COAL1": {0: 1.0, 1: -1e308}})).encode(),
        json.dumps(answer_of(power={"COAL1": {0: 1.0}})).replace("2025-", "0001-").encode(),
        json.dumps(answer_of(power={"COAL1": {0: 1.0}})).replace("2025-", "9999-").encode(),
    ],
    ids=["empty", "cut", "cut-later", "list", "foreign", "text", "no-utf8", "html", "no-offset", "no-time", "no-number", "huge", "huge-debt", "long-ago", "far-off"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["batch_data/batch_001_metrics.json", "market_data.json"])
def test_a_broken_answer_is_one_line_that_names_it_and_the_tables_stay(data, name, content):
    convert(data)
    before = tables(data)
    (data / name).write_bytes(content)

    with pytest.raises(FileError, match=name) as caught:
        convert(data)

    assert "\n" not in str(caught.value)
    assert tables(data) == before


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"data": 5}', b'{"data": []}', b"\xff"]
)
def test_a_broken_catalogue_is_one_line_that_names_it_and_the_tables_stay(data, content):
    convert(data)
    before = tables(data)
    DataFolder(data).facilities.write_bytes(content)

    with pytest.raises(FileError, match=r"facilities_data\.json"):
        convert(data)

    assert tables(data) == before


def test_a_catalogue_with_strange_values_loses_no_station(data):
    convert(data)
    wanted = pl.read_csv(data / "csv_output/facility_metrics_wide.csv")
    catalogue = json.loads(MINI)
    coal = next(each for each in catalogue["data"] if each["code"] == "COAL")
    coal |= {"name": None, "network_id": "DKIS", "owners": [1], "location": {"lat": None, "lng": 150.25}}  # fmt: skip
    coal["units"][0] |= {"capacity_registered": "large", "status_id": "standby"}
    DataFolder(data).facilities.write_text(json.dumps(catalogue))

    convert(data)

    got = pl.read_csv(data / "csv_output/facility_metrics_wide.csv")
    places = ["longitude", "latitude"]
    assert got.drop(places).equals(wanted.drop(places))
    stations = pl.read_csv(data / "csv_output/facilities.csv")
    row = stations.row(by_predicate=pl.col("facility_code") == "COAL", named=True)
    assert (row["name"], row["network_id"], row["latitude"]) == ("COAL", "DKIS", None)


def test_answers_of_several_intervals_are_refused_by_name(data):
    convert(data)
    before = tables(data)
    hourly = answer_of(power={"COAL1": {0: 1.0}})
    hourly["data"][0]["interval"] = "1h"
    DataFolder(data).batch(2).write_text(json.dumps(hourly))

    with pytest.raises(FileError, match=r"batch_002_metrics\.json holds intervals of 1h, others of 5m"):  # fmt: skip
        convert(data)

    assert tables(data) == before


def test_of_two_answers_that_disagree_the_later_counts_and_is_counted(data):
    (answer,) = generate(schema.decode_facilities(MINI), START, LABELS)
    parsed = json.loads(answer)
    first = parsed["data"][0]["results"][0]
    first["data"][0][1] += 7.0
    unit, (time, value) = first["columns"]["unit_code"], first["data"][0]
    DataFolder(data).batch(2).write_text(json.dumps(parsed))

    summary = convert(data)

    units = pl.read_csv(data / "csv_output/facility_units_metrics.csv")
    row = units.row(by_predicate=(pl.col("timestamp") == time) & (pl.col("unit_code") == unit), named=True)  # fmt: skip
    assert row["power"] == value
    assert summary.quality.disagreeing == 1
    assert "1 values on which files disagree" in summary.quality.doubts


def test_the_command_says_it_in_one_line(data):
    DataFolder(data).batch(1).write_text("{")

    done = energydash("convert", "--quiet", cwd=data.parent)

    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "batch_001_metrics.json is not what `energydash fetch` writes" in line
    assert "fetch it again" in line
