"""Whatever goes wrong on the way to the API: what is asked again, what ends a fetch, what is kept and said."""

import asyncio
import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import standin_faults as faults
from standin import KEY, StandIn, serving
from test_fetch import END, asked, fetch, now, settings_for

from energydash.config import Secret
from energydash.errors import AuthError, QuotaError, SourceError, TransientError
from energydash.fetch import job
from energydash.fetch.asking import Asker, Manner
from energydash.fetch.plan import describe
from energydash.files.folder import DataFolder
from energydash.files.stage import find
from energydash.progress import silent
from energydash.sources.choose import make_source

UNITS, MARKET = "/data/facilities/", "/market/"


@pytest.fixture(scope="module")
def standin():
    with serving(StandIn(cache=False)) as standin:
        yield standin


@pytest.fixture
def api(standin):
    standin.faults.clear()
    standin.requests.clear()
    standin.credits = 500
    return standin


def contents(root):
    """{name: bytes} of what a fetch wrote, but for the moments at which it did."""
    found = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.startswith("."):
            found[name] = path.read_bytes()
    for name in ("manifest.jsonl", "source.json"):
        lines = [json.loads(line) for line in found[name].splitlines()]
        found[name] = [{k: v for k, v in line.items() if k != "fetched_at"} for line in lines]
    return found


def small(api, folder, **more):
    """Six requests: the catalogue, the market twice, three batches."""
    return settings_for(api, folder, **({"batch_size": 15} | more))


@pytest.fixture(scope="module")
def undisturbed(standin, tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed")
    asyncio.run(fetch(small(standin, root)))
    return contents(root)


@pytest.mark.parametrize(
    "fault",
    [
        faults.rate_limited(), faults.rate_limited(0), faults.failing(), faults.gateway(502), faults.gateway(504),
        faults.maintenance(), faults.dropped(), faults.torn(), faults.short(), faults.half_json(),
    ],
    ids=["429", "429-retry-after", "500", "502", "504", "503", "dropped", "torn", "short", "half-json"],
)  # fmt: skip
@pytest.mark.parametrize("route", ["/me", "/facilities/", UNITS, MARKET])
async def test_a_passing_fault_costs_a_retry_and_changes_nothing(
    api, tmp_path, undisturbed, fault, route
):
    api.faults.add(fault, route=route, times=2)

    summary = await fetch(small(api, tmp_path))

    assert contents(tmp_path) == undisturbed
    # An account that makes no sense is no reason to ask again: the free plan's limits hold.
    assert summary.retries == (0 if (route, fault) == ("/me", faults.half_json()) else 2)


async def test_retry_after_holds_back_everybody(api, tmp_path):
    moments = []
    true = api.reply

    def timed(*request):
        moments.append(time.monotonic())
        return true(*request)

    api.faults.add(faults.rate_limited(2), route=UNITS)
    api.reply = timed
    try:
        await fetch(small(api, tmp_path))
    finally:
        del api.reply

    pauses = [b - a for a, b in pairwise(moments)]
    # Had only the one waited, the others had gone on meanwhile.
    assert max(pauses) > 0.9


async def test_a_retry_after_that_is_a_date_is_understood(api, tmp_path):
    began = time.monotonic()
    api.faults.add(
        faults.rate_limited(until=datetime.now(UTC) + timedelta(seconds=2)), route=UNITS
    )

    summary = await fetch(small(api, tmp_path))

    assert summary.retries == 1
    assert time.monotonic() - began > 0.9


async def test_a_long_retry_after_ends_the_fetch_and_says_when_to_go_on(api, tmp_path):
    api.faults.add(faults.rate_limited(3600), route=UNITS, after=1)

    with pytest.raises(QuotaError, match=r"left alone for 1 h 00 min .*answers are kept, the same command in 1 h 00 min goes on"):  # fmt: skip
        await fetch(small(api, tmp_path, concurrency=1))


async def test_a_fault_that_stays_ends_the_fetch_in_the_servers_words(api, tmp_path):
    api.faults.add(faults.maintenance(), route=UNITS, times=None)

    with pytest.raises(SourceError, match="503: Maintenance Mode: 3 of 6 answers are kept, the same command goes on"):  # fmt: skip
        await fetch(small(api, tmp_path, retries=2, concurrency=1))

    assert asked(api).count("/data/facilities/NEM") == 3


async def test_a_refusal_that_no_retry_mends_is_not_retried(api, tmp_path):
    api.faults.add(
        faults.Fault(faults.Reply(400, b'{"error":"Unsupported metrics: x","success":false}')), route=UNITS, times=None
    )  # fmt: skip

    with pytest.raises(SourceError, match="400: Unsupported metrics: x"):
        await fetch(small(api, tmp_path, concurrency=1))

    assert asked(api).count("/data/facilities/NEM") == 1


async def test_the_quota_ends_a_fetch_and_the_next_day_goes_on(api, tmp_path, undisturbed):
    api.credits = 4
    told = []

    with pytest.raises(QuotaError) as caught:
        await fetch(small(api, tmp_path, concurrency=1), tell=told.append)

    said = str(caught.value)
    assert "refuses the key that it accepted before (Authentication failed)" in said
    assert "4 of 6 answers are kept, the same command after 00:00 UTC (in 21 h 58 min)" in said
    assert told[-1].startswith("6 requests for 42 stations")
    # The catalogue had to be asked for before anybody knew how many batches there are.
    assert "has 3 requests left today: too few" in told[-1]
    with pytest.raises(
        QuotaError, match="4 answers are kept, the same command after 00:00 UTC"
    ):
        await fetch(small(api, tmp_path))

    before = len(asked(api))
    api.credits = 500
    summary = await fetch(small(api, tmp_path))

    assert len(asked(api)) - before == summary.sent == 2
    assert (summary.kept, summary.requests, summary.credits_left) == (4, 6, 498)
    assert contents(tmp_path) == undisturbed


async def test_a_wrong_key_is_told_apart_from_a_spent_one(api, tmp_path):
    with pytest.raises(
        AuthError, match=r"does not accept the key .*check OPENELECTRICITY_API_KEY"
    ):
        await fetch(small(api, tmp_path, api_key=Secret("a-key-that-nobody-has")))


async def test_a_dry_run_says_the_plan_and_asks_for_no_data(api, tmp_path):
    planned = await fetch(small(api, tmp_path, dry_run=True))

    assert asked(api) == ["/facilities/"]
    assert (planned.requests, planned.to_ask, planned.plan, planned.credits_left, planned.enough) == (
        6, 6, "COMMUNITY", 499, True,
    )  # fmt: skip
    assert describe(planned, now()) == (
        "6 requests for 42 stations from 2026-03-10T10:00:00+10:00 to 2026-03-10T12:00:00+10:00; at least 0 s\n"
        "the key (COMMUNITY) has 499 requests left today"
    )
    assert not DataFolder(tmp_path).source.exists()
    await fetch(small(api, tmp_path))
    assert asked(api).count("/facilities/") == 1


@pytest.mark.parametrize("other", [{"start": END - timedelta(hours=1)}, {"restart": True}])
async def test_a_dry_run_leaves_an_unfinished_fetch_as_it_was(api, tmp_path, other):
    api.faults.add(faults.Fault(faults.Reply(400, b'{"detail":"no"}')), route=UNITS, times=None)
    with pytest.raises(SourceError):
        await fetch(small(api, tmp_path, concurrency=1))
    left = find(DataFolder(tmp_path))
    assert len(left.kept) > 1

    planned = await fetch(small(api, tmp_path, dry_run=True, **other))

    assert (planned.requests, planned.to_ask) == (6, 6)
    after = find(DataFolder(tmp_path))
    assert (after.kept, after.terms) == (left.kept, left.terms)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".fetch", ".fetch.lock", "version.json"]  # fmt: skip


async def test_an_api_that_tells_no_plan_is_taken_for_the_free_one(api, tmp_path):
    api.faults.add(faults.Fault(faults.Reply(404, b'{"detail":"Not Found"}')), route="/me", times=None)  # fmt: skip

    planned = await fetch(small(api, tmp_path, dry_run=True))

    assert (planned.plan, planned.credits_left, planned.enough) == ("COMMUNITY", None, True)


@pytest.mark.parametrize(
    ("plan", "requests"), [("COMMUNITY", 1 + 5 * 3), ("ACADEMIC", 1 + 2 * 3)]
)
async def test_a_larger_plan_takes_fewer_requests(tmp_path, plan, requests):
    with serving(StandIn(plan=plan, cache=False)) as api:
        settings = settings_for(
            api, tmp_path, start=END - timedelta(days=39), dry_run=True, status="retired"
        )
        planned = await fetch(settings)

    assert (planned.plan, planned.requests) == (plan, requests)


async def test_requests_keep_their_distance():
    asker = Asker(Manner(spacing_s=0.1, retries=0, backoff_s=0.0))
    started = []

    async def question():
        started.append(time.monotonic())

    await asyncio.gather(*(asker.ask(question) for _ in range(6)))

    # Each keeps to its place; how long it takes to note that is the machine's.
    assert all(when - started[0] > 0.1 * place - 0.05 for place, when in enumerate(started))


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_requests_under_way_are_as_many_as_allowed_and_no_more(
    api, tmp_path, concurrency
):
    under_way = Counter()
    full = asyncio.Event()
    source = make_source(small(api, tmp_path))
    true = source.facility_data

    async def counted(*question):
        under_way["now"] += 1
        under_way["most"] = max(under_way["most"], under_way["now"])
        if under_way["now"] >= concurrency:
            full.set()
        await full.wait()
        answer = await true(*question)
        under_way["now"] -= 1
        return answer

    source.facility_data = counted
    await job.run(
        small(api, tmp_path, batch_size=5, concurrency=concurrency), source, silent, clock=now
    )

    assert under_way["most"] == concurrency


async def test_back_off_grows_with_full_jitter():
    """The n-th pause is anywhere between 0 and the first one's longest times 2^(n-1)."""
    pauses = []

    async def noted(seconds):
        pauses.append(seconds)

    async def failing():
        raise TransientError("no")

    for _ in range(200):
        with pytest.raises(TransientError):
            await Asker(Manner(spacing_s=0.0, retries=5, backoff_s=0.5), noted).ask(failing)

    assert len(pauses) == 200 * 5
    for n in range(5):
        longest, nth = 0.5 * 2**n, pauses[n::5]
        assert 0 <= min(nth) < 0.2 * longest
        assert 0.8 * longest < max(nth) <= longest


async def test_another_fetch_drops_what_was_left_and_says_so(api, tmp_path):
    await break_off(api, tmp_path)
    told = []

    await fetch(small(api, tmp_path, start=END - timedelta(hours=1)), tell=told.append)

    assert "asked for something else and is dropped" in told[0]
    assert find(DataFolder(tmp_path)) is None


async def test_the_last_days_mean_those_of_the_fetch_that_is_taken_up(
    api, tmp_path, undisturbed
):
    later = timedelta(minutes=10)
    await break_off(api, tmp_path, fixed=False)
    told = []

    summary = await fetch(
        small(api, tmp_path, start=END - timedelta(hours=2) + later, end=END + later, fixed=False), tell=told.append
    )  # fmt: skip

    assert "going on with the fetch that was begun at 2026-03-10 12:02+10:00" in told[0]
    assert summary.kept > 0
    assert contents(tmp_path) == undisturbed


async def test_a_catalogue_that_changed_meanwhile_makes_other_batches(
    api, tmp_path, undisturbed
):
    """What was kept under the old catalogue's cut counts no more, even under a number that the new one has not."""
    await break_off(api, tmp_path, batch_size=15)
    place = tmp_path / ".fetch"
    for number in (4, 5):
        with (place / "manifest.jsonl").open("a") as file:
            line = (place / "manifest.jsonl").read_text().splitlines()[-1]
            file.write(line.replace("batch_001", f"batch_00{number}") + "\n")
        (place / f"batch_data/batch_00{number}_metrics.json").write_bytes(
            (place / "batch_data/batch_001_metrics.json").read_bytes()
        )
    (place / "facilities_data.json").unlink()

    await fetch(small(api, tmp_path))

    assert contents(tmp_path) == undisturbed


async def test_restart_begins_afresh(api, tmp_path, undisturbed):
    await break_off(api, tmp_path)

    summary = await fetch(small(api, tmp_path, restart=True))

    assert (summary.kept, summary.sent) == (0, 6)
    assert contents(tmp_path) == undisturbed


async def test_who_stops_a_fetch_reads_what_is_kept(api, tmp_path, undisturbed):
    told = []
    api.faults.add(faults.slow(30), route=UNITS, after=1)
    task = asyncio.create_task(fetch(small(api, tmp_path, concurrency=1), tell=told.append))
    while asked(api).count("/data/facilities/NEM") < 2:
        assert not task.done()
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (
        told[-1] == "stopped: 4 of 6 answers are kept, the same command goes on with the rest"
    )
    assert (await fetch(small(api, tmp_path))).kept == 4
    assert contents(tmp_path) == undisturbed


async def break_off(api, folder, **more):
    api.faults.add(faults.failing(), route=UNITS, after=1, times=None)
    with pytest.raises(SourceError):
        await fetch(small(api, folder, retries=0, concurrency=1, **more))
    api.faults.clear()


async def test_what_this_version_does_not_know_is_counted_and_loses_no_station(tmp_path):
    with serving(StandIn(future=True, cache=False)) as api:
        summary = await fetch(settings_for(api, tmp_path, status="all"))

    assert summary.unknown_fueltechs == {"fusion": 1}
    assert summary.unknown_statuses == {"standby": 1}
    assert summary.unknown_networks == {}
    assert summary.unknown_fields == {"owners": 1, "units.hydrogen": 1}
    mapping = json.loads(DataFolder(tmp_path).mapping.read_bytes())
    assert mapping["FUSION"] == ["FUS1", "FUS2", "FUS3"]


async def test_the_key_is_nowhere(api, tmp_path, caplog):
    caplog.set_level("DEBUG")
    told = []
    api.faults.add(faults.Fault(faults.Reply(500, json.dumps({"error": f"bad {KEY}"}).encode())), route=UNITS)  # fmt: skip
    summary = await fetch(small(api, tmp_path), tell=told.append)
    await break_off(api, tmp_path, start=END - timedelta(hours=1))

    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for text in (written.decode(), caplog.text, repr(summary), *told):
        assert KEY not in text
