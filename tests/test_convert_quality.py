"""The quality report: every count of it in a small folder whose flaws are known."""

import json

import msgspec
import pytest
from processes import energydash
from series import mini_catalogue, write_folder
from sums import START, answer_of

from energydash import convert as job
from energydash.config import ConvertSettings
from energydash.files import folder
from energydash.files.folder import DataFolder
from energydash.progress import silent

MINI = mini_catalogue()
FIRST = answer_of(
    power={
        # 660 MW: up to 726 are within the tolerance. Null, and later nothing at all.
        "COAL1": {0: 726.0, 1: 727.0, 2: None, 5: 100.0},
        # 285 MW of hydro: down to -28.5.
        "W/HOE#1": {0: -28.0, 1: -29.0},
        # 300 MW of storage, 900 MW of pumps: signed.
        "BATT1": {0: -330.0, 1: -331.0},
        "PUMP1": {0: 990.0, 1: -990.0},
        "STRAY9": {0: 1.0},
    },
    emissions={"COAL1": {0: 1.0, 1: None}, "W/HOE#1": {0: 0.0, 1: 0.0}},
)
# The same and another value for a point that came before: a later request of the same fetch.
SECOND = answer_of(power={"COAL1": {0: 726.0, 5: 101.0}})
# Put there by hand: nobody vouches for it.
THIRD = answer_of(power={"W/HOE#1": {0: -27.0}})


@pytest.fixture
def root(tmp_path):
    data = tmp_path / "data"
    write_folder(data, MINI, START, 6, [json.dumps(each).encode() for each in (FIRST, SECOND)])
    folder.write(DataFolder(data).batch(3), json.dumps(THIRD).encode())
    return tmp_path


def convert(root, output="csv_output"):
    data = root / "data"
    return job.run(ConvertSettings(input_dir=data, output_dir=data / output), silent)


def test_every_flaw_is_counted_where_it_is(root):
    summary = convert(root)

    quality = summary.quality
    # Labels 0 to 5; at 2 and in between nobody has a value.
    assert (quality.expected_intervals, quality.empty_intervals) == (6, 3)
    assert quality.missing_intervals == {"BATT": 4, "PUMPED": 4, "COAL": 3}
    assert (summary.rows, summary.facilities, summary.unit_rows) == (
        2 + 2 + 3,
        3,
        3 + 2 + 2 + 2,
    )
    assert (summary.start, summary.end) == (START, START.replace(minute=25))
    # COAL has power and no emissions at 1 and 5, BATT at 0 and 1; PUMPED has both.
    assert (summary.null_power, quality.null_emissions) == (0, 4)
    # COAL1's power at 2 and its emissions at 1.
    assert quality.null_unit_values == 2
    assert (quality.duplicates, quality.revised, quality.disagreeing) == (3, 2, 1)
    assert quality.outside_capacity == {"BATT1": 1, "COAL1": 1, "W/HOE#1": 1}
    assert quality.altered_files == []
    assert quality.units_not_in_mapping == []
    assert summary.unknown_units == ["STRAY9"]
    assert summary.unknown_fuels == ["wave_energy"]
    units = [unit for each in json.loads(MINI)["data"] for unit in each["units"]]
    assert summary.units_without_data == len(units) - 4
    assert quality.notes == [
        "11 missing intervals of facilities",
        "2 null values of units",
        f"{len(units) - 4} units without data",
        "3 values that came more than once",
        "1 revised values",
    ]
    assert quality.doubts == [
        "1 unknown units",
        "1 unknown fuels",
        "3 values outside capacity",
        "3 intervals without any station",
        "1 values on which files disagree",
    ]


@pytest.mark.parametrize("converted_before", [False, True])
@pytest.mark.parametrize("value", ["103.0", "1030.0"], ids=["same-size", "longer"])
def test_an_altered_file_is_told_and_nobody_vouches_for_its_values(
    root, value, converted_before
):
    if converted_before:
        convert(root)
    batch = DataFolder(root / "data").batch(2)
    text = batch.read_text()
    altered = text.replace("101.0", value)
    assert altered != text
    assert (len(altered) == len(text)) == (value == "103.0")
    batch.write_text(altered)

    for _ in ("first", "again"):
        summary = convert(root)

        assert summary.quality.altered_files == ["batch_data/batch_002_metrics.json"]
        assert "1 altered files" in summary.quality.doubts
        # What it changes is no revision of a fetch's any more.
        assert (summary.quality.revised, summary.quality.disagreeing) == (2, 2)
    batch.write_text(text)
    assert convert(root).quality.altered_files == []


@pytest.mark.parametrize(
    ("unit", "sound", "wrong"),
    [
        ("COAL1", (726.0, -66.0), (726.1, -66.1)),
        ("HYW1", (220.0, -20.0), (220.1, -20.1)),
        ("BATT1", (330.0, -330.0), (330.1, -330.1)),
        ("BATTL1", (330.0, -330.0), (330.1, -330.1)),
        ("PUMP1", (990.0, -990.0), (990.1, -990.1)),
        # Nobody says how large it is.
        ("0PLAN1", (9999.0, -9999.0), ()),
    ],
)
def test_a_unit_may_go_a_tenth_beyond_its_capacity_and_no_further(tmp_path, unit, sound, wrong):
    values = answer_of(power={unit: dict(enumerate(sound + wrong))})
    write_folder(tmp_path / "data", MINI, START, 9, [json.dumps(values).encode()])

    outside = convert(tmp_path).quality.outside_capacity

    assert outside == ({unit: len(wrong)} if wrong else {})


def test_a_mapping_that_lacks_units_hurts_nobody_and_is_told(root):
    mapping = DataFolder(root / "data").mapping
    mapping.write_text('{"COAL": ["COAL1"]}')

    summary = convert(root)

    assert summary.quality.units_not_in_mapping == ["BATT1", "PUMP1", "W/HOE#1"]
    assert "3 units that facility_unit_mapping.json lacks" in summary.quality.notes
    assert summary.rows == 7
    for nonsense in (b"{", b"[1]", b'{"COAL": 5}', b"\xff"):
        mapping.write_bytes(nonsense)
        assert convert(root).quality.units_not_in_mapping == []


def test_an_incremental_run_reports_what_one_from_nothing_does(root):
    convert(root)
    late = answer_of(power={"COAL1": {7: 300.0, 600: 5.0}})
    folder.write(DataFolder(root / "data").batch(4), json.dumps(late).encode())

    again, nothing = convert(root), convert(root, "nothing")

    assert 0 < again.days_converted <= again.days
    assert again.quality == nothing.quality
    assert (again.rows, again.start, again.end) == (nothing.rows, nothing.start, nothing.end)


def test_strict_fails_with_one_line_after_all_is_written(root):
    done = energydash("convert", "--strict", "--quiet", cwd=root)

    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line == (
        "energydash: the tables are written, but: 1 unknown units, 1 unknown fuels, 3 values outside capacity, "
        "3 intervals without any station, 1 values on which files disagree"
    )
    assert (root / "data/csv_output/facility_metrics_wide.csv").read_text().count("\n") == 1 + 7


def test_strict_is_content_with_clean_data(tmp_path):
    catalogue = json.dumps(
        {"data": [f for f in json.loads(MINI)["data"] if f["code"] == "COAL"]}
    )
    clean = answer_of(power={"COAL1": dict.fromkeys(range(9), 50.0)})
    write_folder(tmp_path / "data", catalogue.encode(), START, 9, [json.dumps(clean).encode()])

    done = energydash("convert", "--strict", "--quiet", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


def test_people_read_a_table_that_fits_their_terminal_and_programs_one_object(root):
    people = energydash("convert", "--quiet", cwd=root, COLUMNS="80")
    programs = energydash("convert", "--quiet", "--json", cwd=root)

    # Doubts are no failure without --strict.
    assert (people.returncode, programs.returncode) == (0, 0)
    assert max(map(len, people.stdout.splitlines())) <= 80
    for text in ("7 rows of 3 facilities", "11 missing intervals", "3 values outside capacity", "W/HOE#1"):  # fmt: skip
        assert text in people.stdout
    wanted = msgspec.to_builtins(convert(root), str_keys=True)
    same = wanted.keys() - {"output_dir", "days_converted"}
    told = json.loads(programs.stdout)
    assert told.keys() == wanted.keys()
    assert {name: told[name] for name in same} == {name: wanted[name] for name in same}
