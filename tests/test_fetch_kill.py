"""Killed at any moment, a fetch loses no answer; and what it fetches is what the SDK's own client reads."""

import asyncio
import json
import random
import subprocess
import sys
import time

import pytest
from processes import clean_environment, wait_until
from standin import KEY, StandIn, serving
from test_fetch import END, asked, fetch, settings_for
from test_fetch_faults import contents

from energydash.files import raw
from energydash.files.folder import DataFolder
from energydash.files.stage import find

KILLS = 8
BATCH = 4
START = "2026-03-10T10:00"


@pytest.fixture(scope="module")
def api():
    with serving(StandIn(cache=False)) as standin:
        yield standin


def run(api, folder, **more):
    return fetch(settings_for(api, folder, batch_size=BATCH, **more))


def start(api, folder):
    arguments = ("--data-dir", folder, "--start", START, "--end", "2026-03-10T12:00", "--quiet",
                 "--batch-size", str(BATCH), "--batch-delay", "0", "--rate", "100")  # fmt: skip
    environment = clean_environment(OPENELECTRICITY_API_KEY=KEY, OE_BASE_URL=f"{api.url}/v4")
    return subprocess.Popen(
        [sys.executable, "-m", "energydash", "fetch", *arguments], cwd=folder.parent, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def kill_at(process, api, reached, later_s):
    """Kill the process a moment after its so-many-th request; tell whether it was still at work."""
    with process:
        wait_until(
            lambda: len(asked(api)) >= reached or process.poll() is not None, 30, f"{reached} requests"
        )  # fmt: skip
        time.sleep(later_s)
        process.kill()
    return process.returncode < 0


def test_a_kill_at_any_moment_loses_no_answer_and_the_next_run_is_whole(api, tmp_path):
    asyncio.run(run(api, tmp_path / "undisturbed"))
    wanted = contents(tmp_path / "undisturbed")
    total = len(asked(api))
    chance = random.Random()
    kept_in_all = killed = 0
    for n in range(KILLS):
        folder = tmp_path / str(n)
        api.requests.clear()
        api.credits = 500
        killed += kill_at(
            start(api, folder), api, 1 + n * total // KILLS, chance.uniform(0, 0.03)
        )
        left = find(DataFolder(folder))
        kept = len(left.kept) if left else 0
        kept_in_all += kept

        summary = asyncio.run(run(api, folder))

        assert (summary.kept, summary.sent) == (kept, total - kept)
        assert contents(folder) == wanted
    assert killed > KILLS / 2
    assert kept_in_all > total


def test_the_sdks_client_and_a_fetch_agree_on_every_value_of_three_days(api, tmp_path):
    api.credits = 500
    script = tmp_path / "reference.py"
    script.write_text(
        "import json, sys\n"
        "from datetime import datetime\n"
        "from openelectricity import OEClient\n"
        "from openelectricity.types import DataMetric, MarketMetric\n"
        "client = OEClient(api_key=sys.argv[2], base_url=sys.argv[1])\n"
        "window = {'interval': '5m', 'date_start': datetime(2026, 3, 7, 12), 'date_end': datetime(2026, 3, 10, 12)}\n"
        "codes = json.loads(sys.argv[4])\n"
        "answers = [client.get_facility_data('NEM', codes[i:i + 30], [DataMetric.POWER, DataMetric.EMISSIONS], **window) for i in range(0, len(codes), 30)]\n"
        "metrics = [MarketMetric.PRICE, MarketMetric.DEMAND]\n"
        "answers += [client.get_market('NEM', metrics, **window), client.get_market('NEM', metrics, primary_grouping='network_region', **window)]\n"
        "json.dump([[s.name, p.timestamp.isoformat(), p.value] for a in answers for m in a.data for s in m.results for p in s.data], open(sys.argv[3], 'w'))\n"
    )
    days = settings_for(api, tmp_path / "data", start=END.replace(day=7), status="all")
    summary = asyncio.run(fetch(days))
    folder = DataFolder(tmp_path / "data")
    codes = [each.code for each in raw.load_facilities(folder).data]
    out = tmp_path / "reference.json"
    subprocess.run(
        [sys.executable, script, api.url, KEY, out, json.dumps(codes)], check=True, capture_output=True, timeout=90
    )  # fmt: skip

    theirs = {(name, moment): value for name, moment, value in json.loads(out.read_text())}
    ours = {
        (s.name, moment.isoformat()): value
        for answer in (*raw.load_units(folder), raw.load_market(folder))
        for m in answer.data for s in m.results for moment, value in s.data
    }  # fmt: skip
    assert len(ours) == summary.points + summary.market_points > 64_000
    assert ours == theirs
