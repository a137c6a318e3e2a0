"""AEMO's public files over real sockets: history, following, and every way in which a file can be wrong."""

import asyncio
import csv
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta

import nemweb_tree as tree
import pytest
from nemweb_server import Nemweb, Reply
from standin import KEY, StandIn, serving

from energydash import convert, nem, schema
from energydash.config import ConvertSettings, FetchSettings, Secret
from energydash.errors import ConfigError, FileError, SourceError
from energydash.fetch import job
from energydash.fetch.follow import Follower
from energydash.files import manifest
from energydash.files.folder import DataFolder
from energydash.files.shelf import FileShelf
from energydash.progress import silent
from energydash.sources.choose import is_reachable, make_source, settled, settled_live
from energydash.sources.nemweb import library, listing
from energydash.sources.nemweb.facts import facts
from energydash.sources.nemweb.keeping import NoShelf
from energydash.sources.nemweb.transport import Manner, Transport
from energydash.sources.protocol import Window

DAY = tree.at("2026-03-01T00:00")
NOON = tree.at("2026-03-02T12:00")
PER_MW = 5 / 60


@pytest.fixture
def web():
    with serving(Nemweb(tree.tree(NOON, 6))) as server:
        yield server


def settings_for(web, folder, **more):
    asked = {
        "data_dir": folder, "source": "nemweb", "start": NOON, "end": NOON + timedelta(minutes=30), "rate": 1000.0,
        "backoff_s": 0.0, "nemweb_url": web.url,
    } | more  # fmt: skip
    return FetchSettings(**asked)


async def fetch(web, folder, **more):
    settings = settings_for(web, folder, **more)
    return await job.run(settings, make_source(settings, FileShelf(folder)), silent)


def table(folder, name):
    convert.run(ConvertSettings(input_dir=folder, output_dir=folder / "csv_output"), silent)
    with (folder / "csv_output" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def powers(folder):
    """{(time, unit): MW} as the table of units has it."""
    return {(r["timestamp"], r["unit_code"]): float(r["power"]) for r in table(folder, "facility_units_metrics")}  # fmt: skip


def expected_power(unit, label):
    value = tree.power(unit, label)
    return -abs(value) if facts()[unit].dispatch_type == "LOAD" else value


def texts(start, count):
    return [label.isoformat() for label in tree.labels(start, count)]


# --- history -----------------------------------------------------------------------------------------


async def test_a_day_of_history_comes_from_two_archives_and_every_value_is_aemos(tmp_path):
    files = tree.tree(NOON, 1) | dict(tree.archived(f, DAY) for f in (tree.SCADA, tree.DISPATCH))  # fmt: skip
    with serving(Nemweb(files)) as web:
        await fetch(
            web, tmp_path, start=DAY + tree.STEP, end=DAY + timedelta(days=1, minutes=5)
        )

        zips = [path for path in web.asked if path.endswith(".zip")]
    assert sum("Archive" in path for path in zips) == 2
    assert len(zips) == 3, "and the newest file, which tells who reports now"
    labels = tree.labels(DAY + tree.STEP, 288)
    assert powers(tmp_path) == {(t.isoformat(), unit): expected_power(unit, t) for t in labels for unit in tree.UNITS}  # fmt: skip
    market = {(r["timestamp"], r["metric"], r["network_region"]): float(r["value"]) for r in table(tmp_path, "market_metrics_data")}  # fmt: skip
    assert market == expected_market(labels)


def expected_market(labels):
    found = {}
    for t in labels:
        text = t.isoformat()
        prices = {r: tree.price(r, t) for r in nem.NEM_REGIONS}
        demands = {r: tree.demand(r, t) for r in nem.NEM_REGIONS}
        found |= {(text, "price", r): v for r, v in prices.items()}
        found |= {(text, "demand", r): v for r, v in demands.items()}
        found[text, "price", ""] = pytest.approx(sum(prices.values()) / 5)
        found[text, "demand", ""] = pytest.approx(sum(demands.values()))
        for link in tree.LINKS:
            names = ("flow", "flow_import_limit", "flow_export_limit")
            found |= {(text, name, link): value for name, value in zip(names, tree.flow(link, t), strict=True)}  # fmt: skip
    return found


async def test_stations_are_summed_as_those_of_the_other_source(web, tmp_path):
    await fetch(web, tmp_path)

    rows = {(r["timestamp"], r["facility_code"]): r for r in table(tmp_path, "facility_metrics_wide")}  # fmt: skip
    t = NOON + tree.STEP
    at = {code: rows[t.isoformat(), code] for code in ("BAYSW", "BLYTHB", "KEPB", "WIVENHOE", "HDWF1")}  # fmt: skip
    coal = tree.power("BW01", t) + tree.power("BW02", t)
    assert float(at["BAYSW"]["power"]) == pytest.approx(coal)
    assert float(at["BAYSW"]["emissions"]) == pytest.approx(coal * 0.9 * PER_MW)
    assert float(at["BLYTHB"]["power"]) == pytest.approx(tree.power("BLYTHB1", t)), "signed"
    pair = tree.power("KEPBG1", t) - tree.power("KEPBL1", t)
    assert float(at["KEPB"]["power"]) == pytest.approx(pair), "an older pair"
    pumped = json.loads(at["WIVENHOE"]["by_fuel"])["pumps"]
    assert pumped == pytest.approx(-tree.power("PUMP1", t)), "a scheduled load"
    assert float(at["HDWF1"]["emissions"]) == 0
    assert (at["HDWF1"]["longitude"], at["HDWF1"]["latitude"]) == ("138.54", "-33.06")


async def test_rooftop_solar_has_a_value_each_half_hour(web, tmp_path):
    await fetch(web, tmp_path)

    rows = [r for r in table(tmp_path, "market_metrics_data") if r["metric"] == "rooftop_solar"]
    assert {r["timestamp"] for r in rows} == {NOON.isoformat()}
    assert {r["network_region"] for r in rows} == {*nem.NEM_REGIONS}


async def test_the_archives_of_rooftop_solar_are_of_a_week(web, tmp_path):
    days = [DAY + timedelta(days=n) for n in (-10, -3, 4, 11)]
    halves = [day + timedelta(minutes=30 * n) for day in days[1:2] for n in range(1, 337)]
    members = dict(tree.published(tree.ROOFTOP, label) for label in halves)
    week = tree.zipped({path.rpartition("/")[2]: packed for path, packed in members.items()})
    start = f"Reports/Archive/{tree.ROOFTOP}/{tree.PREFIXES[tree.ROOFTOP]}"
    for day in days:
        web.publish((f"{start}_{day:%Y%m%d}.zip", week if day == days[1] else tree.zipped({})))
    for folder in (tree.SCADA, tree.DISPATCH):
        web.publish(tree.archived(folder, DAY))

    await fetch(web, tmp_path, start=DAY + tree.STEP, end=DAY + timedelta(hours=12))

    rows = [r for r in table(tmp_path, "market_metrics_data") if r["metric"] == "rooftop_solar"]
    assert len(rows) == 23 * 5
    assert web.count(start) == 2, "none further away than a week"


async def test_what_is_not_out_yet_is_looked_for_in_no_archive(web, tmp_path):
    await fetch(web, tmp_path, end=NOON + timedelta(hours=3))

    assert web.count("Archive") == 0


async def test_a_server_without_rooftop_solar_is_no_reason_to_fail(tmp_path):
    with serving(Nemweb({tree.LIST: tree.generators(), **tree.current(NOON, 6)})) as web:
        summary = await fetch(web, tmp_path)

    assert summary.points == 6 * len(tree.UNITS) * 2


@pytest.mark.parametrize("day", ["2025-10-05", "2026-04-05"])
async def test_days_on_which_clocks_change_elsewhere_have_288_intervals(tmp_path, day):
    start = tree.at(f"{day}T00:00")
    files = tree.tree(start, 1) | tree.current(start + timedelta(days=2), 1)
    files |= dict(tree.archived(folder, start) for folder in (tree.SCADA, tree.DISPATCH))
    with serving(Nemweb(files)) as web:
        await fetch(web, tmp_path, start=start, end=start + timedelta(days=1))

    found = {time for time, unit in powers(tmp_path) if unit == "BW01"}
    assert sorted(found) == texts(start, 288)


async def test_all_files_are_kept_as_they_came_and_not_asked_for_again(web, tmp_path):
    await fetch(web, tmp_path)
    kept = manifest.load(tmp_path / "nemweb" / "manifest.jsonl")
    first = len(web.requests)
    await fetch(web, tmp_path, restart=True)

    again = web.requests[first:]
    assert not [path for path, _ in again if path.endswith(".zip")]
    conditional = [headers for path, headers in again if path == tree.LIST]
    assert [h["if-none-match"][0] for h in conditional] == ['"']
    assert len(kept) == 6 + 6 + 1 + 1
    for name, entry in kept.items():
        content = (tmp_path / "nemweb" / name).read_bytes()
        assert entry.url == f"{web.url}/Reports/Current/{name}"
        assert content == web.reply(f"Reports/Current/{name}", {}).body
        assert (entry.sha256, entry.size) == (manifest.digest(content), len(content))


async def test_a_kept_file_that_was_altered_is_asked_for_again(web, tmp_path):
    await fetch(web, tmp_path)
    path, _ = tree.published(tree.SCADA, NOON)
    kept = tmp_path / "nemweb" / path.removeprefix("Reports/Current/")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + b"x")

    await fetch(web, tmp_path, restart=True)

    assert web.count(path) == 2
    assert kept.read_bytes() == whole


async def test_what_the_server_has_taken_away_is_still_kept(web, tmp_path):
    await fetch(web, tmp_path)
    for label in tree.labels(NOON, 5):
        for folder in (tree.SCADA, tree.DISPATCH):
            web.remove(tree.published(folder, label)[0])

    await fetch(web, tmp_path, restart=True)

    assert len(powers(tmp_path)) == 6 * len(tree.UNITS)


async def test_a_fetch_that_failed_goes_on_with_the_files_that_are_missing(web, tmp_path):
    path, _ = tree.published(tree.SCADA, NOON + 4 * tree.STEP)
    web.faults[path].extend([Reply(500)] * 3)
    with pytest.raises(SourceError, match=r"answered 500 for .*: try again"):
        await fetch(web, tmp_path, retries=2, concurrency=1)
    before = {p for p in web.asked if p.endswith(".zip") and p != path}
    first = len(web.requests)

    await fetch(web, tmp_path)

    again = [p for p, _ in web.requests[first:] if p.endswith(".zip")]
    assert path in again
    assert not before & {*again}
    assert len(powers(tmp_path)) == 6 * len(tree.UNITS)


class SlowShelf(FileShelf):
    """A disk that is slower than the network."""

    def keep(self, *kept):
        time.sleep(0.02)
        super().keep(*kept)


async def test_what_has_come_is_kept_though_another_file_fails(web, tmp_path):
    # One thread: what has come waits for what came before it.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    path, _ = tree.published(tree.SCADA, NOON + 4 * tree.STEP)
    web.faults[path].append(Reply(500))
    settings = settings_for(web, tmp_path, retries=0, concurrency=1)
    with pytest.raises(SourceError, match="answered 500"):
        await job.run(settings, make_source(settings, SlowShelf(tmp_path)), silent)

    came = {p.rpartition("/")[2] for p in web.asked if p.endswith(".zip") and p != path}
    assert len(came) > 3
    assert came <= {each.name for each in tmp_path.rglob("*.zip")}


async def test_the_catalogue_lists_who_is_on_no_list_and_who_has_no_place(tmp_path):
    units = (*tree.UNITS, "STRANGER", "DRXNAE01")
    path, content = tree.published(tree.SCADA, NOON, tree.scada_report(NOON, units))
    with serving(Nemweb(tree.tree(NOON, 3) | {path: content})) as web:
        await fetch(web, tmp_path)

    rows = {r["facility_code"]: r for r in table(tmp_path, "facilities")}
    assert (rows["STRANGER"]["name"], rows["STRANGER"]["fueltech"]) == ("STRANGER", "other")
    assert rows["DRXNAE01"]["longitude"] == rows["STRANGER"]["longitude"] == ""
    values = {(r["timestamp"], r["facility_code"]) for r in table(tmp_path, "facility_metrics_wide")}  # fmt: skip
    assert (NOON.isoformat(), "STRANGER") in values


async def test_aemos_list_is_found_under_a_name_with_a_date_too(web, tmp_path):
    web.remove(tree.LIST)
    for stamp, units in (("2025_50_20251219110419", ("BW01",)), ("2026_08_20260227110419", tree.UNITS)):  # fmt: skip
        web.publish((tree.LIST.replace(".CSV", f"_{stamp}.CSV"), tree.generators(units)))
    web.publish((tree.LIST.replace("AVAILABLE_GENERATORS", "SUMMARY_RESULTS"), b""))

    await fetch(web, tmp_path)

    factors = {r["unit_code"]: r["emissions_factor_co2"] for r in table(tmp_path, "facility_units")}  # fmt: skip
    assert factors["LYA1"] == "1.2"


async def test_without_aemos_list_nothing_is_made_up(web, tmp_path):
    web.remove(tree.LIST)

    with pytest.raises(SourceError, match="there is no Reports/Current/CDEII/"):
        await fetch(web, tmp_path)


# --- files that are wrong ----------------------------------------------------------------------------


async def test_a_missing_file_is_an_interval_without_rows(web, tmp_path):
    gap = NOON + 2 * tree.STEP
    web.remove(tree.published(tree.SCADA, gap)[0])

    await fetch(web, tmp_path)

    assert sorted({time for time, _ in powers(tmp_path)}) == [t for t in texts(NOON, 6) if t != gap.isoformat()]  # fmt: skip


async def test_a_file_that_is_listed_and_gone_is_an_interval_without_rows(
    web, tmp_path, caplog
):
    path, _ = tree.published(tree.SCADA, NOON)
    web.faults[path].extend([Reply(404)] * 9)

    await fetch(web, tmp_path)

    assert len({time for time, _ in powers(tmp_path)}) == 5
    assert "is left out: listed, but not there" in caplog.text


async def test_of_two_files_of_an_interval_the_later_one_counts(web, tmp_path):
    def doubled(unit, label):
        return 2 * tree.power(unit, label)

    web.publish(tree.published(tree.SCADA, NOON, tree.scada_report(NOON, value=doubled), serial=9_999_999_999))  # fmt: skip
    web.publish(tree.published(tree.SCADA, NOON, tree.scada_report(NOON, ("BW01",), lambda *_: 1), serial=1))  # fmt: skip

    await fetch(web, tmp_path)

    assert powers(tmp_path)[NOON.isoformat(), "BW01"] == 2 * tree.power("BW01", NOON)


async def test_a_file_of_another_name_is_no_concern(web, tmp_path):
    _, content = tree.published(tree.SCADA, NOON, tree.scada_report(NOON, value=lambda *_: 1))
    for name in ("PUBLIC_DISPATCHSCADA_LEGACY_202603021200_1.zip", "PUBLIC_DISPATCHSCADA_202603021200_9.zip.tmp", "README.TXT"):  # fmt: skip
        web.publish((f"Reports/Current/{tree.SCADA}/{name}", content))

    await fetch(web, tmp_path)

    assert powers(tmp_path)[NOON.isoformat(), "BW01"] == tree.power("BW01", NOON)


async def test_a_truncated_file_is_asked_for_again_and_left_out_if_it_stays_so(web, tmp_path, caplog):  # fmt: skip
    once, whole = tree.published(tree.SCADA, NOON)
    always, content = tree.published(tree.SCADA, NOON + tree.STEP)
    web.faults[once].append(Reply(body=whole[: len(whole) // 2]))
    web.publish((always, content[: len(content) // 2]))

    await fetch(web, tmp_path)

    assert sorted({time for time, _ in powers(tmp_path)}) == [t for t in texts(NOON, 6) if t != (NOON + tree.STEP).isoformat()]  # fmt: skip
    assert f"{always.rpartition('/')[2]} is left out: a zip is broken" in caplog.text
    assert web.count(always) == 2
    assert not (tmp_path / "nemweb" / always.removeprefix("Reports/Current/")).exists()


async def test_a_broken_file_that_the_server_has_taken_away_is_thought_of_no_more(web, tmp_path, monkeypatch):  # fmt: skip
    monkeypatch.setattr(library, "_BROKEN_RESTS_S", 0.0)
    broken, content = tree.published(tree.SCADA, NOON)
    web.publish((broken, content[: len(content) // 2]))
    transport = Transport(web.url, Manner(rate=1000.0))
    shelves = library.Library(transport, FileShelf(tmp_path))
    try:
        await shelves.values(library.SCADA, NOON, NOON + tree.STEP)
        known = shelves._rooms[library.SCADA.folder].broken
        await shelves.current(library.SCADA, anew=True)
        assert list(known) == [broken]
        web.remove(broken)
        await shelves.current(library.SCADA, anew=True)
        assert not known
    finally:
        await transport.aclose()


async def test_of_a_year_of_kept_files_only_those_of_the_window_are_thought_about(
    web, monkeypatch
):
    class Shelf(NoShelf):
        def names(self, folder):  # noqa: ARG002
            return frozenset(
                f"PUBLIC_DISPATCHSCADA_{NOON - n * tree.STEP:%Y%m%d%H%M}_{n:016d}.zip"
                for n in range(1, 20_000)
            )

    read = []
    real = listing.published
    monkeypatch.setattr(listing, "published", lambda *of: read.append(of) or real(*of))
    transport = Transport(web.url, Manner(rate=1000.0))
    try:
        found = await library.Library(transport, Shelf()).values(library.SCADA, NOON, None)
    finally:
        await transport.aclose()

    assert min(found) == NOON
    assert 0 < len(read) < 2_000


async def test_a_report_without_its_end_is_left_out_though_its_zip_is_whole(web, tmp_path):
    cut = tree.scada_report(NOON)[:-40]
    web.publish(tree.published(tree.SCADA, NOON, cut))

    await fetch(web, tmp_path)

    assert len({time for time, _ in powers(tmp_path)}) == 5


async def test_new_columns_and_a_new_version_of_a_table_change_nothing(web, tmp_path):
    rows = [(1, unit, tree.stamp(NOON), tree.power(unit, NOON), "x") for unit in tree.UNITS]
    new = tree.report(
        ("DISPATCH", "UNIT_SCADA", 2, ("QUALITY", "DUID", "SETTLEMENTDATE", "SCADAVALUE", "NEW"), rows),
        ("DISPATCH", "SOMETHING_NEW", 1, ("A", "B"), [(1, 2)]),
    )  # fmt: skip
    web.publish(tree.published(tree.SCADA, NOON, new))

    await fetch(web, tmp_path)

    assert powers(tmp_path)[NOON.isoformat(), "BW01"] == tree.power("BW01", NOON)


@pytest.mark.parametrize(
    "fault",
    [Reply(503), Reply(403), Reply(429, headers=(("retry-after", "0"),)), Reply(body=b"half of it", breaks_off=True)],
    ids=["503", "403", "429", "broken off"],
)  # fmt: skip
async def test_what_may_pass_is_asked_for_again(web, tmp_path, fault):
    for path in (tree.LIST, f"Reports/Current/{tree.SCADA}/", tree.published(tree.SCADA, NOON)[0]):  # fmt: skip
        web.faults[path].append(fault)

    await fetch(web, tmp_path)

    assert len(powers(tmp_path)) == 6 * len(tree.UNITS)


async def test_an_unreachable_server_is_one_line_that_says_what_to_do(tmp_path):
    web = Nemweb({})
    web.url = "http://127.0.0.1:9"

    with pytest.raises(SourceError, match=r"cannot be reached .*check the network and --nemweb-url") as caught:  # fmt: skip
        await fetch(web, tmp_path)

    assert len(str(caught.value).splitlines()) == 1


async def test_requests_keep_the_pace(web, tmp_path):
    started = time.monotonic()
    await fetch(web, tmp_path, rate=50.0)

    assert time.monotonic() - started >= (len(web.requests) - 1) / 50


async def test_what_aemo_does_not_have_is_refused(web, tmp_path):
    for more, text in (
        ({"network": "WEM"}, "of the NEM"),
        ({"interval": "1h", "end": NOON + timedelta(hours=1)}, "have 5m"),
    ):
        with pytest.raises(ConfigError, match=text):
            await fetch(web, tmp_path, **more)


# --- following ---------------------------------------------------------------------------------------


class Operator:
    """A clock, and AEMO's side of it: who sleeps moves it, and files appear when it is their time."""

    def __init__(self, web, start, lag_s=20.0):
        self.web, self.moment, self.lag = web, start, timedelta(seconds=lag_s)
        self.due = []

    def now(self):
        return self.moment

    def schedule(self, label, late_s=0.0, *files):
        when = label - tree.STEP + self.lag + timedelta(seconds=late_s)
        self.due.append((when, files or (tree.published(tree.SCADA, label), tree.published(tree.DISPATCH, label))))  # fmt: skip

    async def sleep(self, seconds):
        self.moment += timedelta(seconds=seconds)
        for when, files in [each for each in self.due if each[0] <= self.moment]:
            self.web.publish(*files)
            self.due.remove((when, files))
        await asyncio.sleep(0)


@asynccontextmanager
async def following(web, folder, operator):
    settings = settings_for(web, folder, start=NOON, fixed=False)
    source = make_source(settings, FileShelf(folder))
    source._clock = operator.now
    follower = Follower(settings, source, silent, job.logged, operator.now, operator.sleep)
    try:
        await follower.begin()
        with follower.working():
            yield follower
    finally:
        await source.aclose()


async def steps_until(follower, operator, until):
    """Step until a moment; give the moments at which a round was made."""
    rounds = []
    while operator.moment < until:
        pause = await follower.step()
        if not pause:
            rounds.append(operator.moment)
        await operator.sleep(pause.total_seconds())
    return rounds


async def test_each_file_is_found_within_seconds_and_few_listings(web, tmp_path):
    last = NOON + 5 * tree.STEP
    operator = Operator(web, last - tree.STEP + timedelta(seconds=30))
    for n in range(1, 7):
        operator.schedule(last + n * tree.STEP, late_s=(-4, 6, 0, 12, -8, 3)[n - 1])
    due = [when for when, _ in operator.due]
    async with following(web, tmp_path, operator) as follower:
        before = web.count("Reports/Current/Dispatch_SCADA/") - web.count(
            "PUBLIC_DISPATCHSCADA"
        )
        rounds = await steps_until(follower, operator, last + 6 * tree.STEP)
        looks = web.count("Reports/Current/Dispatch_SCADA/") - web.count("PUBLIC_DISPATCHSCADA") - before  # fmt: skip

    seen = [min(r for r in rounds if r >= when) - when for when in due]
    assert max(seen) <= timedelta(seconds=4)
    assert looks <= 6 * 14, "a look every two seconds, and only when a file is due"
    assert {time for time, _ in powers(tmp_path)} == {*texts(NOON, 12)}


async def test_a_late_file_fills_its_interval_when_it_comes(web, tmp_path):
    last = NOON + 5 * tree.STEP
    operator = Operator(web, last)
    operator.schedule(last + tree.STEP, 0, tree.published(tree.DISPATCH, last + tree.STEP))
    operator.schedule(last + 2 * tree.STEP)
    operator.schedule(last + tree.STEP, 700, tree.published(tree.SCADA, last + tree.STEP))
    operator.schedule(last + 3 * tree.STEP)
    async with following(web, tmp_path, operator) as follower:
        await steps_until(follower, operator, last + tree.STEP + timedelta(minutes=4))
        early = {time for time, _ in powers(tmp_path)}
        await steps_until(follower, operator, last + 4 * tree.STEP)

    assert (last + tree.STEP).isoformat() not in early
    assert {time for time, _ in powers(tmp_path)} == {*texts(NOON, 9)}


async def test_a_corrected_file_replaces_its_values(web, tmp_path):
    last = NOON + 5 * tree.STEP
    operator = Operator(web, last)
    corrected = tree.published(tree.SCADA, NOON, tree.scada_report(NOON, value=lambda *_: 7), serial=9_999_999_999)  # fmt: skip
    operator.schedule(last + tree.STEP)
    operator.schedule(last + tree.STEP, 60, corrected)
    operator.schedule(last + 2 * tree.STEP)
    async with following(web, tmp_path, operator) as follower:
        await steps_until(follower, operator, last + 3 * tree.STEP)

    assert powers(tmp_path)[NOON.isoformat(), "BW01"] == 7


async def test_a_server_that_is_away_for_a_while_is_not_the_end(web, tmp_path):
    last = NOON + 5 * tree.STEP
    operator = Operator(web, last)
    operator.schedule(last + tree.STEP)
    path, _ = tree.published(tree.SCADA, last + tree.STEP)
    web.faults[path].extend([Reply(503)] * 8)
    async with following(web, tmp_path, operator) as follower:
        rounds = await steps_until(follower, operator, last + tree.STEP + timedelta(minutes=2))

    assert len({time for time, _ in powers(tmp_path)}) == 7
    assert rounds[-1] < last + timedelta(minutes=2), "it is tried again soon, not with the next file"  # fmt: skip


async def test_a_restarted_follow_reads_from_the_shelf(web, tmp_path):
    operator = Operator(web, NOON + 5 * tree.STEP)
    async with following(web, tmp_path, operator) as follower:
        await follower.step()
    first = len(web.requests)
    async with following(web, tmp_path, operator) as follower:
        await follower.step()

    assert not [p for p, _ in web.requests[first:] if p.endswith(".zip")]
    assert len(powers(tmp_path)) == 6 * len(tree.UNITS)


# --- the choice --------------------------------------------------------------------------------------


@pytest.fixture
def patient(monkeypatch):
    """Who answers here does so in this process, which may have no time for it."""
    monkeypatch.setattr(is_reachable, "__defaults__", (60.0,))
    monkeypatch.setitem(settled_live.__kwdefaults__, "within_s", 60.0)


@pytest.mark.usefixtures("patient")
def test_auto_is_the_api_with_a_key_the_files_without_and_the_demo_where_nobody_answers(web):
    key = Secret("a-key")
    assert settled("auto", key, web.url) == "openelectricity"
    assert web.requests == []
    assert settled("auto", None, web.url) == "nemweb"
    assert settled("auto", None, "http://127.0.0.1:9") == "demo"
    assert settled("nemweb", None, "http://127.0.0.1:9") == "nemweb"
    assert settled("demo", key, web.url) == "demo"


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("api_at", "files", "chosen"),
    [
        (timedelta(minutes=12), True, "nemweb"),
        (timedelta(hours=2), True, "openelectricity"),
        (timedelta(hours=2), False, "openelectricity"),
        (None, True, "nemweb"),
        (None, False, "demo"),
    ],
)
def test_with_a_key_the_grid_is_followed_where_it_is_fresher(web, api_at, files, chosen):
    nowhere = "http://127.0.0.1:9"
    clock = NOON + (api_at or timedelta())
    with serving(StandIn(now=clock.replace(tzinfo=None), live=True)) as api:
        api_url = nowhere if api_at is None else api.url
        files_url = web.url if files else nowhere

        assert (
            settled_live("auto", Secret(KEY), files_url, api_url, now=lambda: clock) == chosen
        )


@pytest.mark.usefixtures("patient")
def test_a_key_that_is_refused_leaves_the_files_and_no_key_is_asked_about_none(web):
    with serving(StandIn(now=NOON.replace(tzinfo=None), live=True)) as api:
        assert settled_live("auto", Secret("a-wrong-key"), web.url, api.url) == "nemweb"
        asked = len(api.requests)
        assert settled_live("auto", None, web.url, api.url) == "nemweb"
        assert settled_live("demo", Secret(KEY), web.url, api.url) == "demo"
        assert len(api.requests) == asked


def test_sources_that_say_nothing_are_not_waited_for():
    with socket.socket() as silent_one:
        silent_one.bind(("127.0.0.1", 0))
        silent_one.listen()
        url = f"http://127.0.0.1:{silent_one.getsockname()[1]}"
        started = time.monotonic()

        assert settled_live("auto", Secret(KEY), url, url, within_s=0.3) == "demo"
        assert time.monotonic() - started < 60


def of_source(folder, source, *, simulated=False):
    """A folder whose data are a source's."""
    known = schema.Provenance(source=source, simulated=simulated, start=NOON, end=NOON, fetched_at=NOON)  # fmt: skip
    (folder / "source.json").write_bytes(schema.encode(known))
    return folder


@pytest.mark.parametrize("key", [Secret(KEY), None])
def test_real_data_never_give_way_to_simulated_ones_because_the_network_is_away(tmp_path, key):
    nowhere = "http://127.0.0.1:9"
    folder = of_source(tmp_path, "nemweb")
    settings = FetchSettings(data_dir=folder, source="auto", start=NOON, end=NOON, nemweb_url=nowhere)  # fmt: skip

    assert settled_live("auto", key, nowhere, nowhere, folder) == "nemweb"
    assert settled_live("demo", key, nowhere, nowhere, folder) == "demo"
    assert make_source(settings).name == "nemweb"


@pytest.mark.usefixtures("patient")
def test_a_folder_stays_with_its_real_source_whichever_is_fresher_now(web, tmp_path):
    with serving(StandIn(now=NOON.replace(tzinfo=None) + timedelta(hours=2), live=True)) as api:
        fresher_api = ("auto", Secret(KEY), web.url, api.url)
        now = {"now": lambda: NOON + timedelta(hours=2)}
        assert settled_live(*fresher_api, of_source(tmp_path, "nemweb"), **now) == "nemweb"
        of_source(tmp_path, "demo", simulated=True)
        assert settled_live(*fresher_api, tmp_path, **now) == "openelectricity"
        of_source(tmp_path, "openelectricity")
        assert settled_live("auto", Secret(KEY), web.url, "http://127.0.0.1:9", tmp_path) == "openelectricity"  # fmt: skip


def test_the_apis_data_without_a_key_are_left_alone_and_so_are_those_of_nobody_knows_whom(
    web, tmp_path
):
    with pytest.raises(ConfigError, match="OPENELECTRICITY_API_KEY is not set"):
        settled_live("auto", None, web.url, web.url, of_source(tmp_path, "openelectricity"))
    (tmp_path / "source.json").write_text("{")
    with pytest.raises(FileError, match="does not say whose data these are"):
        settled_live("auto", None, web.url, web.url, tmp_path)


async def test_a_folder_of_another_source_is_fetched_anew_and_said_so(web, tmp_path):
    await job.run(
        settings_for(web, tmp_path, source="demo"), make_source(settings_for(web, tmp_path, source="demo")), silent
    )  # fmt: skip
    told = []
    settings = settings_for(web, tmp_path)
    source = make_source(settings, FileShelf(tmp_path))
    follower = Follower(settings, source, silent, told.append, lambda: NOON + timedelta(minutes=30))  # fmt: skip
    try:
        await follower.begin()
    finally:
        await source.aclose()

    assert told[0] == "the folder is of demo: it is fetched anew from nemweb"
    assert len(powers(tmp_path)) == 6 * len(tree.UNITS)


def test_who_takes_connections_and_says_nothing_is_not_waited_for():
    with socket.socket() as silent_one:
        silent_one.bind(("127.0.0.1", 0))
        silent_one.listen()
        started = time.monotonic()

        assert not is_reachable(f"http://127.0.0.1:{silent_one.getsockname()[1]}", within_s=0.3)
        assert time.monotonic() - started < 60


def test_a_name_that_takes_for_ever_to_look_up_is_not_waited_for(monkeypatch):
    asked = threading.Event()
    released = threading.Event()

    def never(*_args, **_more):
        asked.set()
        released.wait(180)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", never)
    started = time.monotonic()
    assert not is_reachable("http://nobody.invalid", within_s=0.3)
    assert time.monotonic() - started < 60
    assert asked.wait(30)
    released.set()


def test_a_page_that_answers_for_everybody_is_not_aemo():
    with serving(Nemweb({"index.csv": b""})) as captive:
        assert not is_reachable(captive.url)


# --- real values -------------------------------------------------------------------------------------


@pytest.mark.skipif(not tree.REAL.exists(), reason="the real sample files are not here")
async def test_real_values_arrive_as_aemo_published_them(tmp_path):
    """A real day, published as five-minute files in archives, against the rows of the month's own file."""
    day = tree.at("2026-03-01T00:00")
    later = day + timedelta(days=2)

    def scada(label):
        return tree.real_report(label, "202603", "DISPATCH_UNIT_SCADA")

    def dispatch(label):
        return tree.real_report(label, "202603", "DISPATCHPRICE", "DISPATCHREGIONSUM", "DISPATCHINTERCONNECTORRES")  # fmt: skip

    files = {tree.LIST: tree.generators(("AGLHAL", "HDWF2"))}
    for folder, content in ((tree.SCADA, scada), (tree.DISPATCH, dispatch)):
        files |= dict([tree.archived(folder, day, content), tree.published(folder, later, content(later))])  # fmt: skip
    with serving(Nemweb(files)) as web:
        await fetch(web, tmp_path, start=day, end=day + timedelta(days=1, minutes=5))

    def rows(name):
        header, found = tree.real_tables_of(name, "202603")
        columns = header.split(",")
        return [dict(zip(columns, line.split(","), strict=False)) for t in tree.labels(day + tree.STEP, 288) for line in found[tree.stamp(t)]]  # fmt: skip

    def when(row):
        text = row["SETTLEMENTDATE"].strip('"').replace("/", "-").replace(" ", "T")
        return f"{text}+10:00"

    assert powers(tmp_path) == {(when(r), r["DUID"]): float(r["SCADAVALUE"]) for r in rows("DISPATCH_UNIT_SCADA")}  # fmt: skip
    got = {(r["timestamp"], r["metric"], r["network_region"]): float(r["value"]) for r in table(tmp_path, "market_metrics_data") if r["network_region"]}  # fmt: skip
    wanted = {(when(r), "price", r["REGIONID"]): float(r["RRP"]) for r in rows("DISPATCHPRICE")}
    wanted |= {(when(r), "demand", r["REGIONID"]): float(r["TOTALDEMAND"]) for r in rows("DISPATCHREGIONSUM")}  # fmt: skip
    for name, column in (("flow", "MWFLOW"), ("flow_import_limit", "IMPORTLIMIT"), ("flow_export_limit", "EXPORTLIMIT")):  # fmt: skip
        wanted |= {(when(r), name, r["INTERCONNECTORID"]): float(r[column]) for r in rows("DISPATCHINTERCONNECTORRES")}  # fmt: skip
    assert got == wanted


@pytest.mark.skipif(not tree.REAL.exists(), reason="the real sample files are not here")
def test_the_other_sources_network_price_is_the_mean_of_five_prices_in_cents():
    """No week is in both samples. What the other one shows is the rule, and the difference: AEMO's prices have five decimals.

    So the two agree to half a cent, wherever both have a value.
    """
    answer = json.loads((tree.REAL / "market_data.json").read_bytes())
    prices = [
        value
        for metric in answer["data"] if metric["metric"] == "price"
        for series in metric["results"]
        for _, value in series["data"] if value is not None
    ]  # fmt: skip

    assert len(prices) > 1900
    assert max(abs(p * 500 - round(p * 500)) for p in prices) < 1e-6


async def test_a_question_without_an_end_reaches_to_the_newest_file(web, tmp_path):
    settings = settings_for(web, tmp_path)
    source = make_source(settings, FileShelf(tmp_path))
    try:
        raw = await source.market_data(
            "NEM", Window(NOON + tree.STEP, None), "5m", by_region=False
        )
    finally:
        await source.aclose()

    series = json.loads(raw)["data"][0]["results"][0]["data"]
    assert [time for time, _ in series] == texts(NOON + tree.STEP, 5)
    assert DataFolder(tmp_path).root == tmp_path
