"""How fast and how big `convert` is beside its floor and beside plain pandas: `python tests/benchmarks/bench_convert.py`.

It makes a week and a month as large as the NEM's (420 facilities, 693 units, two metrics, five minutes). The floor is what
nobody can do without: decoding those bytes with msgspec and writing that CSV with Polars. Each measurement is a
process of its own; imports are not counted, the disk's cache is warm.
"""

# ruff: noqa: PLC0415 (each process imports only what it measures)

import argparse
import csv
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import psutil

from energydash import nem, schema
from energydash.files import folder, manifest
from energydash.files.folder import DataFolder

START = datetime(2026, 1, 5, tzinfo=nem.NEM_ZONE)
STEP = timedelta(minutes=5)
PAGE = 30
WINDOW_DAYS = 8
FACILITIES = 420
RUNS = 5

# --- a grid as large as the NEM's ----------------------------------------------------------------------


def units_of(number: int) -> list[tuple[str, str]]:
    """(suffix, fuel) of a facility's units: batteries of three, pumped hydro, stations of several units and fuels."""
    kinds = [
        [("B1", "battery"), ("G1", "battery_discharging"), ("L1", "battery_charging")],
        [("1", "hydro"), ("2", "hydro"), ("P1", "pumps")],
        [("1", "coal_black"), ("2", "coal_black"), ("3", "coal_black"), ("4", "coal_black")],
        [("1", "gas_ocgt"), ("2", "distillate")],
    ]
    plain = ["wind", "solar_utility", "hydro", "bioenergy_biogas"]
    if number % 10 < 3:
        return kinds[(number // 10 + number) % len(kinds)]
    return [(str(n + 1), plain[number % len(plain)]) for n in range(1 + (number % 16 == 9))]


def catalogue() -> list[dict]:
    """420 facilities of 693 units."""
    return [
        {
            "code": f"FAC{n:03d}", "name": f"Station {n}", "network_id": "NEM", "network_region": "NSW1",
            "location": {"lat": round(-20 - n / 30, 4), "lng": round(140 + n / 40, 4)},
            "units": [
                {"code": f"FAC{n:03d}{suffix}", "fueltech_id": fuel, "status_id": "operating", "capacity_registered": 300.0}
                for suffix, fuel in units_of(n)
            ],
        }
        for n in range(FACILITIES)
    ]  # fmt: skip


def values_of(code: str, fuel: str, metric: str, count: int) -> list[float | None]:
    random = np.random.default_rng([*code.encode(), len(metric)])
    mw = 150 + 140 * np.sin(np.arange(count) / 40 + random.random() * 9) * random.random(count)
    if metric == "emissions":
        return np.round(mw / 12 * (0.9 if fuel.startswith(("coal", "gas")) else 0), 4).tolist()
    if fuel == "battery":
        mw -= 150
    values = np.round(mw, 4).tolist()
    hole = int(random.integers(0, 97))
    values[hole::97] = [None] * len(values[hole::97])
    return values


def page_answer(page: list[dict], labels: list[str]) -> bytes:
    def series(metric: str, unit: dict) -> dict:
        values = values_of(unit["code"], unit["fueltech_id"], metric, len(labels))
        return {
            "name": f"{metric}_{unit['code']}", "date_start": labels[0], "date_end": labels[-1],
            "columns": {"unit_code": unit["code"]}, "data": list(zip(labels, values, strict=True)),
        }  # fmt: skip

    return msgspec.json.encode({
        "version": "4.5.11", "success": True,
        "data": [
            {
                "network_code": "NEM", "metric": metric, "unit": unit, "interval": "5m", "groupings": [],
                "results": [series(metric, each) for station in page for each in station["units"]],
            }
            for metric, unit in (("power", "MW"), ("emissions", "t"))
        ],
    })  # fmt: skip


def market_answer(labels: list[str]) -> bytes:
    places = [{}, *({"region": region} for region in nem.NEM_REGIONS)]
    return msgspec.json.encode({
        "success": True,
        "data": [
            {
                "network_code": "NEM", "metric": metric, "unit": unit, "interval": "5m",
                "results": [
                    {"name": metric, "columns": place, "data": [[label, 60.0 + n % 90] for n, label in enumerate(labels)]}
                    for place in places
                ],
            }
            for metric, unit in (("price", "$/MWh"), ("demand", "MW"))
        ],
    })  # fmt: skip


def make(root: Path, days: int) -> int:
    """Write a fetched folder; give the bytes of its unit-level answers."""
    data = DataFolder(root)
    stations = catalogue()
    folder.write(data.facilities, json.dumps({"success": True, "data": stations}).encode())
    mapping = {s["code"]: [unit["code"] for unit in s["units"]] for s in stations}
    folder.write(data.mapping, msgspec.json.encode(mapping))
    labels = [(START + n * STEP).isoformat() for n in range(days * 288)]
    folder.write(data.market, market_answer(labels))
    number = size = 0
    for at in range(0, len(labels), WINDOW_DAYS * 288):
        window = labels[at : at + WINDOW_DAYS * 288]
        for first in range(0, len(stations), PAGE):
            number += 1
            content = page_answer(stations[first : first + PAGE], window)
            keep(data, number, content, window)
            size += len(content)
    return size


def keep(data: DataFolder, number: int, content: bytes, window: list[str]) -> None:
    folder.write(data.batch(number), content)
    entry = schema.Kept(
        file=f"batch_data/{folder.batch_name(number)}", kind="units", source="benchmark", url="",
        fetched_at=datetime.now(UTC), sha256=manifest.digest(content), size=len(content), interval="5m",
        first=datetime.fromisoformat(window[0]), last=datetime.fromisoformat(window[-1]),
    )  # fmt: skip
    manifest.append(data.manifest, entry)


# --- what is measured ----------------------------------------------------------------------------------


def ours(root: Path) -> Callable[[], object]:
    from energydash import convert
    from energydash.config import ConvertSettings
    from energydash.progress import silent

    out = Path(tempfile.mkdtemp(dir=root))
    settings = ConvertSettings(input_dir=root, output_dir=out)
    return lambda: convert.run(settings, silent)


class Point(msgspec.Struct, array_like=True, gc=False):
    time: str
    value: float | None


class Columns(msgspec.Struct, gc=False):
    unit_code: str


class Series(msgspec.Struct, gc=False):
    columns: Columns
    data: list[Point]


class Metric(msgspec.Struct, gc=False):
    metric: str
    results: list[Series]


class Answer(msgspec.Struct, gc=False):
    data: list[Metric]


def _floor(root: Path, names: tuple[str, ...]) -> Callable[[], object]:
    import polars as pl

    # What is to be written must not be counted as read.
    tables = {
        root / "floor" / f"{name}.csv": pl.read_csv(root / "csv_output" / f"{name}.csv")
        for name in names
    }
    (root / "floor").mkdir(exist_ok=True)
    decode = msgspec.json.Decoder(Answer).decode

    def run() -> None:
        for path in sorted((root / "batch_data").iterdir()):
            decode(path.read_bytes())
        for path, table in tables.items():
            table.write_csv(path)

    return run


def floor(root: Path) -> Callable[[], object]:
    return _floor(root, ("facility_metrics_wide",))


def floor_of_all(root: Path) -> Callable[[], object]:
    return _floor(root, ("facility_metrics_wide", "facility_units_metrics"))


def plain_pandas(root: Path) -> Callable[[], object]:
    import pandas as pd

    def net(power):
        """Batteries once, pumps negative: (facility, time) sums of MW."""
        loads = power["fuel"].isin(["pumps", "battery_charging"])
        power["value"] = power["value"].where(~loads, -power["value"].abs())
        keys = ["timestamp", "facility_code"]
        battery = power[power["fuel"] == "battery"].groupby(keys)["value"].sum(min_count=1)
        halves = power[power["fuel"].isin(["battery_charging", "battery_discharging"])]
        pair = halves.groupby(keys)["value"].sum(min_count=1)
        others = power[~power["fuel"].str.startswith("battery")]
        rest = others.groupby(keys)["value"].sum(min_count=1)
        return battery.combine_first(pair).add(rest, fill_value=0)

    def run() -> None:
        stations = json.loads((root / "facilities_data.json").read_bytes())["data"]
        units = pd.DataFrame(
            [(u["code"], s["code"], u["fueltech_id"], s["location"]["lng"], s["location"]["lat"]) for s in stations for u in s["units"]],
            columns=["unit_code", "facility_code", "fuel", "longitude", "latitude"],
        )  # fmt: skip
        frames = []
        for path in sorted((root / "batch_data").iterdir()):
            for metric in json.loads(path.read_bytes())["data"]:
                for series in metric["results"]:
                    frame = pd.DataFrame(series["data"], columns=["timestamp", "value"])
                    frame["unit_code"] = series["columns"]["unit_code"]
                    frame["metric"] = metric["metric"]
                    frames.append(frame)
        table = pd.concat(frames).drop_duplicates(
            ["unit_code", "metric", "timestamp"], keep="last"
        )
        table = table.merge(units, on="unit_code")
        power = net(table[table["metric"] == "power"].copy())
        emitted = table[table["metric"] == "emissions"]
        emissions = emitted.groupby(["timestamp", "facility_code"])["value"].sum(min_count=1)
        wide = pd.DataFrame({"power": power.round(6), "emissions": emissions.round(6)}).dropna(
            how="all"
        )
        places = units.drop_duplicates("facility_code")[
            ["facility_code", "longitude", "latitude"]
        ]
        wide = wide.reset_index().merge(places, on="facility_code")
        wide.sort_values(["timestamp", "facility_code"]).to_csv(
            root / "pandas.csv", index=False
        )

    return run


def again(root: Path) -> Callable[[], object]:
    """Ours, when one day of many has changed since: a following round came."""
    run = ours(root)
    run()
    data = DataFolder(root)
    newest = json.loads(data.batch(1).read_bytes())
    for metric in newest["data"]:
        for series in metric["results"]:
            series["data"] = [[START.replace(hour=3).isoformat(), 1.5]]
    number = len(list((root / "batch_data").iterdir())) + 1
    folder.write(data.batch(number), json.dumps(newest).encode())
    return run


WORK = {
    "ours": ours, "floor": floor, "floor_of_all": floor_of_all, "pandas": plain_pandas, "again": again,
}  # fmt: skip


def one(kind: str, root: Path) -> None:
    run = WORK[kind](root)
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    print(json.dumps({"s": seconds, "mb": peak_mb(), "before_mb": before / 1e6}))


def peak_mb() -> float:
    """This process's own peak: what getrusage tells begins with the parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return math.nan


def measured(
    kinds: Sequence[str], root: Path, runs: int = RUNS
) -> dict[str, tuple[float, float]]:
    """(median seconds, peak MB) of each kind of work, run in turn: a machine's mood then meets all of them."""
    found = {kind: [] for kind in kinds}
    for _ in range(runs):
        for kind, each in found.items():
            done = subprocess.run(
                [sys.executable, __file__, "--one", kind, "--folder", str(root)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            each.append(json.loads(done.stdout))
    return {
        kind: (statistics.median(e["s"] for e in each), max(e["mb"] for e in each))
        for kind, each in found.items()
    }


def same_numbers(root: Path) -> float:
    """The largest difference between our table and pandas': both must do the same job."""

    def rows(path: Path) -> dict:
        with path.open() as file:
            return {
                (r["timestamp"], r["facility_code"]): r["power"] for r in csv.DictReader(file)
            }

    mine, theirs = (
        rows(root / "csv_output/facility_metrics_wide.csv"),
        rows(root / "pandas.csv"),
    )
    assert mine.keys() == theirs.keys()
    return max(abs(float(mine[key] or 0) - float(theirs[key] or 0)) for key in mine)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        week, month = Path(place) / "week", Path(place) / "month"
        size = make(week, 7)
        print(f"a week: {size / 1e6:.0f} MB of JSON, 693 units, {693 * 2 * 2016:,} points")
        subprocess.run(
            [sys.executable, "-m", "energydash", "convert", "--quiet", "--data-dir", str(week)],
            check=True, stdout=subprocess.DEVNULL, cwd=place,
        )  # fmt: skip
        found = measured(("ours", "floor", "floor_of_all"), week)
        found |= measured(("pandas",), week, 1)
        difference = same_numbers(week)
        make(month, 30)
        found["month"] = measured(("ours",), month)["ours"]
        found |= measured(("again",), month, 1)
    base = found["floor"][0]
    for kind, text in (
        ("floor", "floor: decode, write facility_metrics_wide.csv"),
        ("floor_of_all", "the same, and facility_units_metrics.csv"),
        ("ours", "ours: both, facility_metrics.json, market, report"),
        ("pandas", "plain pandas: facility_metrics_wide.csv"),
        ("month", "ours, 30 days"),
        ("again", "ours, 30 days again after one of them changed"),
    ):
        seconds, megabytes = found[kind]
        print(f"{text:<52} {seconds:7.2f} s {seconds / base:6.2f} x floor {megabytes:6.0f} MB")
    print(
        f"month / week {found['month'][0] / found['ours'][0]:.2f}; pandas differs by {difference:.1g} MW"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", choices=sorted(WORK))
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    if chosen.one:
        one(chosen.one, chosen.folder)
    else:
        main()
