"""What strangers name their stations is text everywhere: in spreadsheets, on a terminal, in the log; and it names no file."""

import json
import os
import stat

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from processes import energydash

from energydash.files import tables
from energydash.files.formulas import guarded, unguarded

FORMULA = '=HYPERLINK("http://evil.example","click")'
ESCAPES = "Sun\x1b]0;owned\x07\x9b2J Farm\nforged line"
CLIMBER = "../../../../tmp/climber"


@given(st.text())
@example(FORMULA)
@example("'=1")
@example("\t=1")
@example("+61 2 Solar")
def test_no_name_is_a_formula_and_every_name_comes_back(name):
    frame = pl.DataFrame({"name": [name]})
    written = frame.select(guarded("name"))

    assert written["name"][0][:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}
    assert written.select(unguarded("name"))["name"][0] == name


@pytest.fixture
def renamed(tmp_path):
    """A fetched folder whose catalogue has hostile names, and a hostile code."""
    assert energydash("fetch", "--quiet", "--source", "demo", "--days", "0.02", cwd=tmp_path).returncode == 0  # fmt: skip
    path = tmp_path / "data/facilities_data.json"
    catalogue = json.loads(path.read_bytes())
    for facility, name in zip(catalogue["data"], (FORMULA, ESCAPES, "<img src=x onerror=alert(1)>"), strict=False):  # fmt: skip
        facility["name"] = name
    catalogue["data"][3]["code"] = CLIMBER
    catalogue["data"][4]["units"][0]["fueltech_id"] = ESCAPES
    path.write_text(json.dumps(catalogue))
    return tmp_path


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_hostile_names_stay_names_and_a_hostile_code_names_no_file(renamed, form):
    done = energydash("convert", "--format", form, cwd=renamed)

    assert done.returncode == 0, done.stderr
    assert not any(c in done.stdout + done.stderr for c in "\x1b\x07\x9b")
    names = {each.code: each.name for each in tables.catalogue(renamed / "data/csv_output")}
    assert {FORMULA, ESCAPES} <= {*names.values()}
    assert CLIMBER in names
    if form == "csv":
        assert "\n=HYP" not in (renamed / "data/csv_output/facilities.csv").read_text()
    assert not list(renamed.rglob("*climber*"))
    for log in (renamed / "logs").iterdir():
        assert not any(c in log.read_text() for c in "\x1b\x07\x9b")


def test_json_that_is_printed_moves_no_cursor_and_means_the_same(renamed):
    done = energydash("convert", "--json", cwd=renamed)

    assert not any(c in done.stdout for c in "\x1b\x07\x9b")
    assert ESCAPES in json.loads(done.stdout)["unknown_fuels"]


def test_an_error_with_a_hostile_name_is_one_line(tmp_path):
    done = energydash("convert", "--quiet", "--data-dir", "no\x1b[2Jsuch\nfolder", cwd=tmp_path)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "\x1b" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has modes")
def test_what_may_hold_secrets_is_for_its_owner_alone(renamed):
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (renamed / "logs").iterdir()}

    assert {*modes.values()} == {0o600}
