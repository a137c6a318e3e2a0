"""`up` as its user runs it: the real command, real ports, a real Ctrl-C."""

import json
import socket
import time
import urllib.error
import urllib.request
from datetime import datetime

import psutil
import pytest
from processes import Up, descendants, energydash, free_port, interrupt, running, wait_until
from standin import KEY, StandIn, serving

from energydash.files import manifest
from energydash.files.folder import DataFolder
from energydash.nem import NEM_ZONE


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def up_arguments(base):
    return ("up", "--source", "demo", "--no-open", "--port-base", str(base))


def test_up_shows_a_moving_grid_replaces_a_dead_part_and_leaves_nothing_behind(tmp_path):
    base = free_port(row=3)
    api = f"http://127.0.0.1:{base + 1}"
    # What is set for a command of the user's own must not keep a part from its work.
    own = dict.fromkeys(("ENERGYDASH_FOLLOW", "ENERGYDASH_DRY_RUN", "ENERGYDASH_LOOP"), "true")
    with running(*up_arguments(base), cwd=tmp_path, **own) as process:
        wait_until(lambda: get(f"{api}/health")[0] == 200, 90, "the server is ready")
        wait_until(lambda: get(f"http://127.0.0.1:{base}/")[0] == 200, 90, "the page answers")

        def newest():
            status, body = get(f"{api}/api/market/latest")
            values = json.loads(body)["values"] if status == 200 else ()
            return max((value["event_time"] for value in values), default="")

        first = wait_until(newest, 60, "the market is there")
        wait_until(lambda: newest() > first, 60, "the grid moves on")
        server = Up(process, api).part("serve")
        server.kill()
        server.wait(30)
        wait_until(lambda: get(f"{api}/health")[0] == 200, 60, "the server is back")
        family = descendants(process.pid)

        assert interrupt(process, 30) == 130
        assert len(family) >= 4
        assert not [child for child in family if child.is_running()]
    leftovers = [path for path in (tmp_path / "data").rglob("*") if ".tmp" in path.name]
    assert leftovers == []


def test_up_follows_the_real_grid_within_the_quota(tmp_path):
    now = datetime.now(NEM_ZONE).replace(tzinfo=None)
    arguments = (
        "up",
        "--source",
        "openelectricity",
        "--no-open",
        "--no-ui",
        "--port-base",
        str(free_port(row=3)),
    )
    with serving(StandIn(now=now, live=True)) as api:
        key = {"OPENELECTRICITY_API_KEY": KEY, "OE_BASE_URL": f"{api.url}/v4"}
        with running(*arguments, cwd=tmp_path, **key) as process:
            wait_until(lambda: followed(api), 90, "a round asks for the newest there is")
            spent = len([path for path, _, _ in api.requests if not path.endswith("/me")])
            assert interrupt(process, 30) == 130
    rounds = [line for line in (tmp_path / "logs/fetch.log").read_text().splitlines() if "a round every" in line]  # fmt: skip
    assert rounds
    assert spent < 20


def test_up_keeps_the_days_that_it_held_when_it_was_stopped(tmp_path):
    now = datetime.now(NEM_ZONE).replace(tzinfo=None)
    folder = DataFolder(tmp_path / "data/live")
    with serving(StandIn(now=now, live=True)) as api:
        key = {"OPENELECTRICITY_API_KEY": KEY, "OE_BASE_URL": f"{api.url}/v4"}
        place = ("--source", "openelectricity", "--data-dir")
        took = energydash("fetch", *place, str(folder.root), "--days", "3", cwd=tmp_path, **key)
        assert took.returncode == 0, took.stderr
        before = oldest(folder)
        api.requests.clear()
        ports = ("--no-open", "--no-ui", "--port-base", str(free_port(row=3)))
        with running("up", *place, str(tmp_path / "data"), *ports, cwd=tmp_path, **key) as up:
            wait_until(lambda: followed(api), 90, "a round asks for the newest there is")
            names = json.loads((folder.root / "up.json").read_bytes())["parts"]
            assert interrupt(up, 30) == 130

    assert oldest(folder) == before
    assert "fetch" not in [each["name"] for each in names]


def oldest(folder):
    """The first label of any unit."""
    return min(each.first for each in manifest.load(folder.manifest).values() if each.kind == "units")  # fmt: skip


def followed(api):
    """Whether a whole round has asked without an end."""
    open_ended = [path for path, query, _ in api.requests if dict(query).get("date_start") and "date_end" not in dict(query)]  # fmt: skip
    return any("/data/" in path for path in open_ended)


# Until anything of ours is loaded, a Ctrl-C is Python's own, which ends in several ways: this says when it has begun.
OURS = """
import sys

from energydash.__main__ import main

class Loading:
    def find_spec(self, name, path, target=None):
        if name == "energydash.cli":
            print("ours", flush=True)

sys.meta_path.insert(0, Loading())
main()
"""


@pytest.mark.parametrize("moment_s", [0.0, 0.2, 1.0, 2.5])
def test_ctrl_c_at_any_moment_ends_everything(tmp_path, moment_s):
    with running(*up_arguments(free_port(row=3)), cwd=tmp_path, how=("-c", OURS)) as process:
        said = tmp_path / "stderr.txt"
        wait_until(lambda: "ours" in said.read_text(), 60, "our own code runs")
        # The moment is the point here: each falls into another stage of the start.
        time.sleep(moment_s)
        family = descendants(process.pid)

        assert interrupt(process, 60) == 130
        assert "Traceback" not in said.read_text()
        psutil.wait_procs(family, timeout=60)
        assert not [child for child in family if child.is_running()]
    for path in (tmp_path / "data").rglob("*.json"):
        json.loads(path.read_bytes())


def test_parts_end_when_their_supervisor_is_killed(tmp_path):
    with running(*up_arguments(free_port(row=3)), cwd=tmp_path) as process:
        family = wait_until(
            lambda: (found := descendants(process.pid)) and len(found) >= 3 and found,
            60,
            "parts run",
        )
        process.kill()
        process.wait()

        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []


@pytest.mark.parametrize("flag", ["--port", "--server-port"])
def test_a_port_in_use_is_one_clear_line(tmp_path, flag):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = "--server-port" if flag == "--port" else "--port"

        done = energydash(
            "up",
            "--no-open",
            "--source",
            "demo",
            flag,
            str(port),
            other,
            str(free_port()),
            cwd=tmp_path,
        )

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        (
            f"energydash: port {port} is in use on 127.0.0.1: "
            f"stop what listens there, or give another with {flag}"
        )
    ]


def test_up_with_an_api_source_and_no_key_says_so(tmp_path):
    done = energydash("up", "--source", "openelectricity", "--no-open", cwd=tmp_path)

    assert done.returncode == 2
    assert "OPENELECTRICITY_API_KEY is not set" in done.stderr
    assert len(done.stderr.splitlines()) == 1
