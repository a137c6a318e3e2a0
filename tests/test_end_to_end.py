"""The whole way as its user goes it: raw answers, `convert`, `publish`, `serve`, and what arrives.

What is expected is computed here from the raw JSON by DESIGN's rules, in a few lines that share no code with
`convert`: a battery counts once, by its bidirectional unit where that has a value; pumps are loads; a missing value is none.
"""

import asyncio
import json
import math
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx
import polars as pl
import pytest
from brokers import Server
from processes import energydash, free_port, interrupt, running, wait_until
from series import generate
from servers import reader_of

from energydash import nem, schema

REAL = Path(__file__).resolve().parents[2] / "shared" / "realdata"
LINK_METRICS = {"flow", "flow_import_limit", "flow_export_limit"}
LIMIT_S = 60
HALVES = ["battery_charging", "battery_discharging"]


def points(path: Path) -> pl.DataFrame:
    """Every point of a raw answer: metric, unit, region, time, value; the last of two for one time counts."""
    rows = [
        (metric["metric"], columns.get("unit_code"), columns.get("region"), moment, value)
        for metric in json.loads(path.read_bytes())["data"]
        for series in metric["results"]
        for columns in [series["columns"]]
        for moment, value in series["data"]
    ]
    names = ["metric", "unit", "region", "time", "value"]
    table = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    times = {text: datetime.fromisoformat(text) for text in table["time"].unique()}
    return table.with_columns(
        pl.col("time").replace_strict(times, return_dtype=pl.Datetime("us", "UTC")),
        pl.col("value").cast(pl.Float64),
    ).unique(["metric", "unit", "region", "time"], keep="last", maintain_order=True)


def stations(data: Path) -> dict[tuple[str, datetime], tuple[float | None, float | None]]:
    """{(facility, time): (MW net, t CO2)} by DESIGN's section 5, from the raw files alone."""
    catalogue = json.loads((data / "facilities_data.json").read_bytes())["data"]
    owner = pl.DataFrame(
        [
            (unit["code"], facility["code"], unit["fueltech_id"])
            for facility in catalogue
            for unit in facility["units"]
        ],
        schema=["unit", "facility", "fuel"],
        orient="row",
    )
    raw = points(data / "facility_units_metrics.json").join(owner, on="unit")
    value, fuel = pl.col("value"), pl.col("fuel")
    is_load = (pl.col("metric") == "power") & fuel.is_in(["pumps", "battery_charging"])
    own = value.filter(~fuel.is_in(["battery", *HALVES]))
    whole, halves = value.filter(fuel == "battery"), value.filter(fuel.is_in(HALVES))
    summed = (
        raw.drop_nulls("value")
        .with_columns(value=pl.when(is_load).then(-value.abs()).otherwise(value))
        .group_by("metric", "facility", "time")
        .agg(own.sum() + pl.when(whole.len() > 0).then(whole.sum()).otherwise(halves.sum()))
    )
    found: dict[tuple[str, datetime], dict[str, float]] = {}
    for metric, facility, time, total in summed.iter_rows():
        found.setdefault((facility, time), {})[metric] = total
    return {key: (each.get("power"), each.get("emissions")) for key, each in found.items()}


def market(data: Path) -> dict[tuple[str, str | None, datetime], float | None]:
    """{(metric, region, time): value}, nulls kept."""
    table = points(data / "market_data.json").select("metric", "region", "time", "value")
    return {(m, region, time): v for m, region, time, v in table.iter_rows()}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def history_rows(code, values):
    """The rows of a columnar answer, as {(facility, time): (MW, t)}."""
    codes = values.get("facility_id", [])
    times = [moment(text) for text in values.get("times", [])]
    power, emissions = values.get("power", []), values.get("emissions", [])
    assert code is None or set(codes) <= {code}
    return {
        (each, times[at]): (mw, t)
        for each, at, mw, t in zip(codes, values.get("at", []), power, emissions, strict=True)
    }


def assert_same(got, expected, what):
    """The same keys, and the same numbers but for the noise of a sum of floats; None only where None is."""
    assert got.keys() == expected.keys(), what
    wrong = {
        key: (row, got[key])
        for key, row in expected.items()
        if not all(map(same, row, got[key]))
    }
    assert wrong == {}, what


def same(mine: float | None, theirs: float | None) -> bool:
    if mine is None or theirs is None:
        return mine is theirs
    return math.isclose(mine, theirs, rel_tol=0, abs_tol=1e-5)


@contextmanager
def served(folder: Path):
    """A broker and `serve`, as a user starts them; gives the broker's URL and the server's."""
    port = free_port()
    with Server("embedded", folder) as broker:
        url = broker.address.url
        arguments = ("serve", "--port", str(port), "--broker", url, "--history-hours", "168")
        with running(*arguments, cwd=folder) as process:
            wait_until(lambda: health(port) is not None, LIMIT_S, "the server answers")
            yield url, port
            assert interrupt(process, 30) == 130


def health(port: int) -> dict | None:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=10).json()
    except httpx.TransportError:
        return None


async def follow(port: int, last: datetime, publish) -> list[dict]:
    """Connect first, publish, and read on until `last` is there and nothing more changes."""
    frames = []
    async with reader_of(f"ws://127.0.0.1:{port}/ws/realtime") as reader:
        frames += (await reader.greeting()).values()
        while frames[-1]["type"] != "status" or frames[-1]["broker"] != "connected":
            frames.append(await reader.frame())
        async with asyncio.timeout(2 * LIMIT_S), asyncio.TaskGroup() as group:
            publishing = group.create_task(asyncio.to_thread(publish))
            still = 0
            # Some seconds: what of it is still under way is not seen from here.
            while still < 4:
                frame = await reader.frame()
                frames.append(frame)
                there = "event_time" in frame and moment(frame["event_time"]) == last
                still = still + 1 if there and publishing.done() else 0
    return frames


class Page:
    """What a page would hold: newest values by station and by market key, charts by (scope, time)."""

    def __init__(self, frames) -> None:
        self.values, self.prices, self.charts, self.links = {}, {}, {}, {}
        for frame in frames:
            match frame["type"].removeprefix("initial_"):
                case "data" | "facility_update":
                    self._take_values(frame["values"])
                case "market_data" | "market_update":
                    self._take_prices(frame["values"])
                case "charts" | "charts_update":
                    self._take_charts(frame)

    def _take_values(self, values) -> None:
        for (code, time), row in history_rows(None, values).items():
            self.values[code] = time, row

    def _take_prices(self, values) -> None:
        for each in values:
            key = each["metric"], each.get("network_region")
            self.prices[key] = (moment(each["event_time"]), each["value"])

    def _take_charts(self, frame) -> None:
        for scope in frame["scopes"]:
            for index, text in enumerate(frame["times"]):
                row = {name: scope[name][index] for name in ("demand", "price", "emissions")}
                row["fuel"] = {g: column[index] for g, column in scope.get("fuel", {}).items()}
                self.charts[scope["scope"], moment(text)] = row
        for link in frame.get("links", []):
            for index, text in enumerate(frame["times"]):
                for metric in ("flow", "import_limit", "export_limit"):
                    column = link.get(metric, [])
                    key = f"flow_{metric}".replace("flow_flow", "flow")
                    self.links[key, link["link"], moment(text)] = (
                        column[index] if column else None
                    )


async def travel(folder: Path) -> None:
    """Take the data folder all the way, and compare what arrives with what was there."""
    data = folder / "data"
    converted = energydash("convert", "--json", cwd=folder)
    assert converted.returncode == 0, converted.stderr
    expected, prices = stations(data), market(data)
    assert json.loads(converted.stdout)["rows"] == len(expected)
    last = max(time for _, time in [*expected, *((0, key[2]) for key in prices)])

    with served(folder) as (broker, port):
        assert health(port)["ready"] is False

        def publish():
            done = energydash("publish", "--json", "--speed", "max", "--broker", broker, cwd=folder)  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["records"] == len(expected) + len(prices)

        frames = await follow(port, last, publish)
        await compare(port, frames, expected, prices)


async def compare(port, frames, expected, prices) -> None:
    page = Page(frames)
    newest = dict(sorted(expected))
    assert_same(
        {(code, time): row for code, (time, row) in page.values.items()},
        {key: expected[key] for key in newest.items()},
        "WebSocket",
    )
    newest_prices = {}
    for (metric, region, time), value in sorted(prices.items(), key=lambda item: item[0][2]):
        newest_prices[metric, region] = (time, value)
    assert page.prices == newest_prices
    for (metric, region, time), value in prices.items():
        shown = page.links[metric, region, time] if metric in LINK_METRICS else page.charts[region or "NEM", time][metric]  # fmt: skip
        assert shown == value
    compare_sums(page.charts, expected)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT_S) as http:
        ready = (await http.get("/health")).raise_for_status().json()
        assert ready["ready"] is True
        listed = (await http.get("/api/facilities")).raise_for_status().json()["facilities"]
        assert {e["code"] for e in listed} >= set(newest)
        for code in newest:
            answer = await http.get(f"/api/facilities/{code}/history")
            mine = {key: row for key, row in expected.items() if key[0] == code}
            assert_same(history_rows(code, answer.raise_for_status().json()), mine, "REST")
        for metric in ("price", "demand"):
            answer = (await http.get(f"/api/market/NEM/{metric}")).raise_for_status().json()
            got = {(metric, v.get("network_region"), moment(v["event_time"])): v["value"] for v in answer["values"]}  # fmt: skip
            assert got == {key: v for key, v in prices.items() if key[0] == metric}


def compare_sums(charts, expected) -> None:
    """The fuels of the network add up to its stations, its emissions too."""
    power, emitted = {}, {}
    for (_, time), (mw, t) in expected.items():
        power[time] = power.get(time, 0.0) + (mw or 0.0)
        emitted[time] = emitted.get(time, 0.0) + (t or 0.0)
    for time, total in power.items():
        mix = charts["NEM", time]["fuel"].values()
        assert sum(mw for mw in mix if mw is not None) == pytest.approx(total, abs=0.05)
        assert charts["NEM", time]["emissions"] == pytest.approx(emitted[time], abs=0.05)


async def test_the_whole_simulated_grid_arrives_as_it_was_fetched(tmp_path):
    fetched = energydash(
        "fetch", "--source", "demo", "--start", "2026-01-05T12:00", "--end", "2026-01-05T15:00", "--json", cwd=tmp_path
    )  # fmt: skip
    assert fetched.returncode == 0, fetched.stderr
    catalogue = json.loads((tmp_path / "data/facilities_data.json").read_bytes())["data"]
    assert len(catalogue) == json.loads(fetched.stdout)["facilities"]

    await travel(tmp_path)


@pytest.mark.skipif(not REAL.exists(), reason="the real catalogue and market are not here")
async def test_the_real_catalogue_and_market_arrive_as_they_were_fetched(tmp_path):
    """The real units report generated series, with every kind of gap, at the end of the real week of the market."""
    data = tmp_path / "data"
    (data / "batch_data").mkdir(parents=True)
    raw = (REAL / "facilities_data.json").read_bytes()
    (data / "facilities_data.json").write_bytes(raw)
    start = datetime(2025, 10, 7, 23, tzinfo=nem.NEM_ZONE)
    answers = generate(schema.decode_facilities(raw), start, 12)
    for number, answer in enumerate(answers, 1):
        (data / f"batch_data/batch_{number:03}_metrics.json").write_bytes(answer)
    joined = [metric for answer in answers for metric in json.loads(answer)["data"]]
    (data / "facility_units_metrics.json").write_text(json.dumps({"data": joined}))
    (data / "market_data.json").write_bytes((REAL / "market_data.json").read_bytes())

    await travel(tmp_path)
