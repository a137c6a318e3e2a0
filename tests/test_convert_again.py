"""Converting again: only what changed is made, with the bytes that a conversion from nothing gives, whatever kills it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import clean_environment
from series import generate, mini_catalogue, write_folder
from sums import START, answer_of

from energydash import convert as job
from energydash import schema
from energydash.config import ConvertSettings
from energydash.files import folder, manifest
from energydash.files.folder import DataFolder
from energydash.progress import silent

MINI = mini_catalogue()
UNITS = [unit["code"] for station in json.loads(MINI)["data"] for unit in station["units"]]
FORMATS = ("csv", "parquet")


def convert(root, table_format="csv", output="csv_output"):
    return job.run(
        ConvertSettings(input_dir=root, output_dir=root / output, format=table_format), silent
    )


def written(root, output="csv_output"):
    """The bytes of every file that people see."""
    files = {
        str(path.relative_to(root / output)): path.read_bytes()
        for path in (root / output).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    answer = root / "facility_metrics.json"
    return files | ({answer.name: answer.read_bytes()} if answer.exists() else {})


def assert_as_from_nothing(root, table_format):
    got = written(root)
    shutil.rmtree(root / "nothing", ignore_errors=True)
    convert(root, table_format, "nothing")
    wanted = written(root, "nothing")
    assert got.keys() == wanted.keys()
    assert [name for name in got if got[name] != wanted[name]] == []


def append(root, answer, *, listed=True):
    """What a following round leaves: one more file, and its line in the manifest."""
    data = DataFolder(root)
    number = len(list(data.batches.iterdir())) + 1
    content = json.dumps(answer).encode()
    folder.write(data.batch(number), content)
    labels = [
        datetime.fromisoformat(time)
        for metric in answer["data"]
        for series in metric["results"]
        for time, _ in series["data"]
    ]
    if listed and labels:
        manifest.append(
            data.manifest,
            schema.Kept(
                file=f"batch_data/{folder.batch_name(number)}", kind="units", source="test", url="",
                fetched_at=START, sha256=manifest.digest(content), size=len(content),
                first=min(labels), last=max(labels), interval="5m",
            ),
        )  # fmt: skip
    return data.batch(number)


def touched(root):
    """Which files a conversion replaced: inode and time of each."""
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in (*(root / "csv_output").rglob("*"), root / "facility_metrics.json")
        if path.is_file()
    }


value = st.one_of(st.none(), st.floats(-500, 900, allow_nan=False).map(lambda v: round(v, 4)))
points = st.dictionaries(st.integers(-20, 700), value, min_size=1, max_size=4)
rounds = st.lists(
    st.tuples(
        st.builds(
            lambda power, emissions: answer_of(power=power, emissions=emissions),
            st.dictionaries(
                st.sampled_from([*UNITS, "STRAY1"]), points, min_size=1, max_size=4
            ),
            st.dictionaries(st.sampled_from(UNITS), points, max_size=2),
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("table_format", FORMATS)
@settings(deadline=None, max_examples=15)
@given(rounds)
def test_any_rounds_give_the_bytes_of_a_conversion_from_nothing(
    tmp_path_factory, table_format, following
):
    root = tmp_path_factory.mktemp("rounds")
    write_folder(root, MINI, START, 3)
    convert(root, table_format)
    for answer, listed in following:
        append(root, answer, listed=listed)
        convert(root, table_format)
        assert_as_from_nothing(root, table_format)


@pytest.mark.parametrize("table_format", FORMATS)
def test_a_round_of_one_day_makes_that_day_alone(tmp_path, table_format):
    write_folder(tmp_path, MINI, START, 3 * 288)
    assert convert(tmp_path, table_format).days_converted == 4
    before = touched(tmp_path)

    append(tmp_path, answer_of(power={"COAL1": {3 * 288 + 1: 5.0}}))
    summary = convert(tmp_path, table_format)

    assert (summary.days, summary.days_converted) == (4, 1)
    assert_as_from_nothing(tmp_path, table_format)
    if table_format == "parquet":
        same = {
            path.parent.name
            for path, stat in touched(tmp_path).items()
            if before.get(path) == stat
        }
        assert {"date=2025-10-07", "date=2025-10-08", "date=2025-10-09"} <= same


@pytest.mark.parametrize("table_format", FORMATS)
def test_nothing_new_touches_nothing(tmp_path, table_format):
    write_folder(tmp_path, MINI, START, 300)
    first = convert(tmp_path, table_format)
    before = touched(tmp_path)

    again = convert(tmp_path, table_format)

    assert touched(tmp_path) == before
    assert again.days_converted == 0
    assert (again.rows, again.quality, again.start) == (first.rows, first.quality, first.start)


def test_from_where_it_is_called_makes_no_difference(tmp_path, monkeypatch):
    write_folder(tmp_path / "data", MINI, START, 20)
    for place, root in (
        (tmp_path, "data"),
        (tmp_path / "data", "."),
        (tmp_path / "data", "../data"),
    ):
        monkeypatch.chdir(place)
        made = convert(Path(root)).days_converted
        assert made == (1 if root == "data" else 0)


@pytest.mark.parametrize("table_format", FORMATS)
def test_a_table_that_somebody_changed_is_made_anew(tmp_path, table_format):
    write_folder(tmp_path, MINI, START, 300)
    convert(tmp_path, table_format)
    spoilt = next((tmp_path / "csv_output").rglob("*units_metrics*/*/*" if table_format == "parquet" else "*units_metrics*"))  # fmt: skip
    spoilt.write_bytes(b"spoilt")

    convert(tmp_path, table_format)

    assert_as_from_nothing(tmp_path, table_format)


def test_another_catalogue_makes_every_day_anew(tmp_path):
    write_folder(tmp_path, MINI, START, 300)
    convert(tmp_path)
    catalogue = json.loads(MINI)
    catalogue["data"][0]["location"]["lat"] = -40.0
    (tmp_path / "facilities_data.json").write_text(json.dumps(catalogue))

    assert convert(tmp_path).days_converted == 2
    assert_as_from_nothing(tmp_path, "csv")


def test_days_that_a_new_fetch_no_longer_holds_are_gone(tmp_path):
    for count in (3 * 288, 20):
        write_folder(tmp_path, MINI, START, count)
        for table_format in FORMATS:
            convert(tmp_path, table_format)

    days = [path.name for path in (tmp_path / "csv_output/facility_metrics_wide").iterdir()]
    assert days == ["date=2025-10-07"]
    assert [p.name for p in (tmp_path / "csv_output/market_metrics_data").iterdir()] == days


# Each conversion in a process of its own, forked from one that has imported all it takes: else most kills would meet imports.
KILLER = """
import os, signal, sys, time
from pathlib import Path
from energydash import convert
from energydash.config import ConvertSettings
from energydash.progress import silent

root = Path(sys.argv[1])
settings = ConvertSettings(input_dir=root, output_dir=root / "csv_output", format="csv")
for delay_s in map(float, sys.stdin):
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        convert.run(settings, silent)
        os._exit(0)
    if delay_s:
        time.sleep(delay_s)
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(code, time.monotonic() - began, flush=True)
"""


@pytest.fixture
def run_and_kill(tmp_path):
    """Runs a conversion and kills it after so many seconds, or never; gives its exit code and its seconds."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", KILLER, str(tmp_path)], env=clean_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def run(delay_s=0.0):
        process.stdin.write(f"{delay_s}\n")
        process.stdin.flush()
        code, seconds = process.stdout.readline().split()
        return int(code), float(seconds)

    yield run
    with process:
        process.stdin.close()
    assert process.returncode == 0


def test_a_kill_at_any_moment_loses_nothing_and_the_next_run_is_whole(tmp_path, run_and_kill):
    """Killed at twelve moments of its run, from its first byte to its last, while rounds go on changing the input."""

    def change(mw):
        append(tmp_path, answer_of(power={"COAL1": dict.fromkeys(range(0, 1000, 90), mw)}))

    write_folder(tmp_path, MINI, START, 4 * 288)
    convert(tmp_path)
    whole_s = []
    for number in range(3):
        change(-1.0 - number)
        code, seconds = run_and_kill()
        assert code == 0
        whole_s.append(seconds)
    killed = 0
    for moment in range(12):
        before = written(tmp_path)
        change(float(moment))
        # More of them towards the end, where files are replaced.
        share = 1 - (1 - (moment + 0.5) / 12) ** 2
        code, _ = run_and_kill(min(whole_s) * share)
        killed += code == -signal.SIGKILL
        if code == 0:
            # The machine was busier as it was measured.
            whole_s.append(min(whole_s) * 0.7)
        after = written(tmp_path)
        assert after.keys() == before.keys()
        convert(tmp_path)
        wanted = written(tmp_path)
        # Each file is the old one or the new one, never a part of either.
        torn = [n for n in after if after[n] not in {before[n], wanted[n]}]
        assert torn == []
        if moment % 4 == 3:
            assert_as_from_nothing(tmp_path, "csv")
    assert killed > 3


def test_what_a_kill_left_over_is_cleared_away_later(tmp_path):
    write_folder(tmp_path, MINI, START, 3)
    left = tmp_path / "csv_output/.facility_metrics_wide.csv.0123456789ab.tmp"
    stage = tmp_path / "csv_output/.stage.0123456789ab"
    stage.mkdir(parents=True)
    left.write_bytes(b"half")
    two_hours_ago = time.time() - timedelta(hours=2).total_seconds()
    for path in (left, stage):
        os.utime(path, (two_hours_ago, two_hours_ago))

    convert(tmp_path)

    assert not left.exists()
    assert not stage.exists()


def test_the_cut_into_files_does_not_matter_to_the_bytes(tmp_path):
    (whole,) = generate(schema.decode_facilities(MINI), START, 300)
    beginning = json.loads(whole)
    for metric in beginning["data"]:
        for series in metric["results"]:
            series["data"] = series["data"][:150]
    write_folder(tmp_path / "one", MINI, START, 300, [whole])
    write_folder(tmp_path / "two", MINI, START, 300, [json.dumps(beginning).encode()])
    for name in ("one", "two"):
        convert(tmp_path / name)
    append(tmp_path / "two", json.loads(whole))
    summary = convert(tmp_path / "two")

    assert summary.quality.duplicates > 0
    assert written(tmp_path / "one") == written(tmp_path / "two")
