"""The tables in other hands: what the README says reads them does, and the broker gets the same from each format."""

import asyncio
import json
import re
from datetime import datetime
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest
from brokers import Server, until
from processes import energydash
from series import mini_catalogue, write_folder
from sums import START
from test_publisher import stream_of

from energydash import convert as job
from energydash.config import ConvertSettings
from energydash.errors import FileError
from energydash.files import tables
from energydash.progress import silent
from energydash.stream.tail import Tail

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
LINES = re.search(r"One line reads them:\n\n```python\n(.*?)```", README, re.DOTALL).group(1)
TABLES = ("facility_metrics_wide", "facility_units_metrics", "market_metrics_data")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with both formats of the same three days."""
    return converted(tmp_path_factory.mktemp("formats"), 500)


def converted(root, count):
    data = write_folder(root / "data", mini_catalogue(), START, count).root
    for table_format in ("csv", "parquet"):
        settings = ConvertSettings(
            input_dir=data, output_dir=data / "csv_output", format=table_format
        )
        job.run(settings, silent)
    return root


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "line", LINES.strip().splitlines(), ids=lambda line: line.split(".")[0]
)
def test_the_readmes_line_reads_what_the_csv_holds(root, monkeypatch, line, table):
    monkeypatch.chdir(root)

    found = eval(line.replace("facility_metrics_wide", table), {"polars": pl, "pandas": pd, "duckdb": duckdb})  # fmt: skip

    if isinstance(found, duckdb.DuckDBPyRelation):
        found = found.pl()
    rows = found.to_pandas() if isinstance(found, pl.DataFrame) else found
    text = pd.read_csv(f"data/csv_output/{table}.csv")
    keys = [
        name for name in text.columns if text[name].dtype.kind not in "fi" and name != "by_fuel"
    ]
    moments = pd.to_datetime(rows["timestamp"], utc=True)
    rows = rows.assign(timestamp=moments).sort_values(keys).reset_index(drop=True)
    text["timestamp"] = pd.to_datetime(text["timestamp"], utc=True)
    text = text.sort_values(keys).reset_index(drop=True)
    assert len(rows) == len(text) > 1000
    for name in text.columns:
        same = (rows[name] == text[name]) | (rows[name].isna() & text[name].isna())
        assert same.all(), name
    assert sorted(rows["date"].astype(str).unique()) == [
        "2025-10-07",
        "2025-10-08",
        "2025-10-09",
    ]


def test_a_day_is_a_file_of_zstd(root):
    import pyarrow.parquet as pq  # noqa: PLC0415 (no other test needs it)

    for table in TABLES:
        files = sorted((root / "data/csv_output" / table).rglob("*.parquet"))
        assert [path.parent.name for path in files] == ["date=2025-10-07", "date=2025-10-08", "date=2025-10-09"]  # fmt: skip
        columns = pq.ParquetFile(files[0]).metadata.row_group(0)
        assert {columns.column(n).compression for n in range(columns.num_columns)} == {"ZSTD"}


async def test_a_broker_gets_the_same_from_parquet_as_from_csv(tmp_path):
    folder = converted(tmp_path, 40) / "data/csv_output"
    # What a file manager leaves behind is no part of a table.
    for table in TABLES:
        (folder / table / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    sent = []
    with Server("embedded", tmp_path) as broker:
        for suffix in (".csv", ""):
            command = (
                "publish", "--broker", f"mqtt://127.0.0.1:{broker.port}", "--speed", "max", "--qos", "1", "--json", "--quiet",
                "--facility-csv", folder / f"facility_metrics_wide{suffix}", "--market-csv", folder / f"market_metrics_data{suffix}",
            )  # fmt: skip
            async with stream_of(broker.address, 1) as got:
                done = await asyncio.to_thread(energydash, *map(str, command), cwd=tmp_path)
                assert done.returncode == 0, done.stderr
                count = json.loads(done.stdout)["records"]
                await until(lambda got=got, count=count: len(got) == count, "all")
                sent.append(sorted(got))

    assert sent[0] == sent[1]
    assert len(sent[0]) > 500


async def test_who_follows_parquet_hears_of_a_market_that_alone_has_changed(tmp_path):
    data, output = tmp_path, tmp_path / "csv_output"
    settings = ConvertSettings(input_dir=data, output_dir=output, format="parquet")
    write_folder(data, mini_catalogue(), START, 3)
    job.run(settings, silent)
    tail = Tail(output / "facility_metrics_wide", output / "market_metrics_data")
    market = json.loads((data / "market_data.json").read_bytes())
    market["data"][0]["results"][0]["data"][0][1] = 12.34
    (data / "market_data.json").write_text(json.dumps(market))

    assert job.run(settings, silent).days_converted == 0

    async with asyncio.timeout(30):
        await tail.renewed()


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ({"power": float("inf")}, "power is 'inf'"),
        ({"facility_code": None}, "facility_code is ''"),
        ({"timestamp": datetime(2025, 10, 7)}, "cannot be read as a table"),
    ],
)
def test_a_parquet_table_of_others_that_makes_no_sense_is_named(tmp_path, column, what):
    row = {
        "timestamp": START, "facility_code": "A", "power": 1.0, "emissions": 0.0, "longitude": None, "latitude": None,
    }  # fmt: skip
    (tmp_path / "date=2025-10-07").mkdir()
    pl.DataFrame([row | column]).write_parquet(tmp_path / "date=2025-10-07/part.parquet")

    with pytest.raises(FileError, match=re.escape(what)) as caught:
        list(tables.facility_intervals(tmp_path))

    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
