"""Every command and snippet of the README is run: here, or by the test that this file names."""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import polars as pl
import pytest
from brokers import Server
from browsing import CHROMIUM, FLAGS, LIMIT_S, chromium, needs_chromium
from clusters import NATS
from processes import energydash, free_port, running, wait_until
from readme import BLOCKS, README, block, commands
from servers import serving
from test_server import feed
from typer.testing import CliRunner
from websockets.sync.client import connect

from energydash.cli import app

HERE = Path(__file__)
ROOT = HERE.parents[1]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
SUBSCRIBE = shutil.which("mosquitto_sub")

# Each block by its language and the words at its beginning: the test that runs it.
RUN_BY = {
    ("sh", "python -m pip install -e .\npython -m energydash up"): ".ci/run",
    ("sh", "energydash fetch --days 7"): "test_readme.py::week",
    ("python", "import polars"): "test_readme.py::test_an_analysts_snippet_gives_what_the_csv_holds",
    ("python", "import duckdb"): "test_readme.py::test_an_analysts_snippet_gives_what_the_csv_holds",
    ("python", "import pandas"): "test_readme.py::test_an_analysts_snippet_gives_what_the_csv_holds",
    ("sh", "export ENERGYDASH_HOME_ASSISTANT"): "test_readme.py::home",
    ("sh", "mosquitto_sub -h"): "test_readme.py::test_a_home_hears_its_region_and_the_whole_market",
    ("python", "import json\n\nfrom websockets"): "test_wire_docs.py::test_readmes_python_client_works",
    ("js", "const power = new Map"): "test_wire_docs.py::test_readmes_javascript_client_works",
    ("python", "import json\nfrom urllib"): "test_readme.py::test_the_rest_client_in_python_works",
    ("js", "const answer = await fetch"): "test_readme.py::test_the_rest_client_in_javascript_works",
    ("sh", "energydash up --detach"): "test_readme.py::test_a_walls_browser_shows_the_page_in_the_dark",
    ("ini", "[Unit]"): "test_unit_file.py::test_systemd_has_no_complaint_about_the_unit",
    ("dockerfile", "FROM"): "test_unit_file.py::test_the_commands_in_it_take_the_options_that_it_gives_them",
    # README says that it was not tried: there is no container tool where this is tested.
    ("sh", "podman build"): None,
    ("", "server_name: node1"): "test_readme.py::test_nats_accepts_the_configuration",
    ("sh", "nats stream add"): "test_cluster.py::test_a_killed_node_costs_no_replica_any_record",
    ("nginx", "location /grid/"): "test_readme.py::test_nginx_hands_the_page_and_its_socket_on",
    ("sh", "energydash publish --broker mqtts://ann"): "test_broker_access.py::test_a_client_certificate_opens_the_door_and_without_one_it_is_said",
    ("python", "polars.read_parquet"): "test_convert_formats.py::test_the_readmes_line_reads_what_the_csv_holds",
    ("sh", "curl"): "test_rest.py::test_the_readmes_requests_are_answered",
    ("sh", "python -m pip install -e '.[dev]'"): ".ci/run",
}  # fmt: skip


def test_every_block_is_run_by_a_test():
    owners = [[key for key in RUN_BY if key[0] == name and text.startswith(key[1])] for name, text in BLOCKS]  # fmt: skip

    assert [len(found) for found in owners] == [1] * len(BLOCKS)
    assert {found[0] for found in owners} == RUN_BY.keys()
    for place in filter(None, RUN_BY.values()):
        file, _, name = place.partition("::")
        path = ROOT / file if "/" in file else HERE.parent / file
        assert path.is_file()
        assert not name or re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE), place  # fmt: skip


def told_commands():
    """Every `energydash …` of the README, in blocks and in the text."""
    found = [line for name, text in BLOCKS if name == "sh" for line in text.splitlines()]
    found += re.findall(r"`((?:uv run )?energydash [^`]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))  # fmt: skip
    words = [shlex.split(line, comments=True) for line in found]
    return sorted({" ".join(each[each.index("energydash") + 1 :]) for each in words if "energydash" in each[:4] and each[0] != "podman"})  # fmt: skip


@pytest.mark.parametrize("line", told_commands())
def test_a_command_that_it_tells_takes_these_options(line):
    """With --help last, an option that there is not still ends the command with 2."""
    done = CliRunner().invoke(app, [*shlex.split(line), "--help"])

    assert done.exit_code == 0, done.output


# --- tables -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    """What the two commands make of some hours of the simulated grid, as Parquet and as CSV."""
    folder = tmp_path_factory.mktemp("week")
    for _, *words in commands("energydash fetch --days 7"):
        shorter = ["0.25" if word == "7" else word for word in words]
        done = energydash(*shorter, "--quiet", cwd=folder, ENERGYDASH_SOURCE="demo")
        assert done.returncode == 0, done.stderr
    assert energydash("convert", "--quiet", "--output-dir", "text", cwd=folder).returncode == 0
    return folder


def run_python(code, cwd):
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("library", ["polars", "duckdb", "pandas"])
def test_an_analysts_snippet_gives_what_the_csv_holds(week, library):
    said = run_python(block("python", f"import {library}\n"), week)

    stations = pl.read_csv(week / "text/facility_metrics_wide.csv")
    market = pl.read_csv(week / "text/market_metrics_data.csv")
    prices = market.filter(pl.col("metric") == "price", pl.col("network_region") != "")
    regions = prices["network_region"].unique().to_list()
    energy = stations.group_by("facility_code").agg(pl.col("power").sum() / 12).sort("power", descending=True)  # fmt: skip
    cheapest = prices.group_by("network_region").agg(pl.col("value").mean()).sort("value")
    wanted = {"polars": energy["facility_code"].to_list()[:5], "duckdb": cheapest["network_region"].to_list(), "pandas": sorted(regions)}  # fmt: skip
    places = [said.find(word) for word in wanted[library]]
    assert len(places) == 5
    assert places == sorted(places)
    assert -1 not in places


# --- a home, a program, a wall ------------------------------------------------------------------------


def settings_of(words):
    """What the block's `export` lines put into the environment."""
    lines = [line for line in commands(words) if line[0] == "export"]
    return dict(pair.split("=", 1) for line in lines for pair in line[1:])


@pytest.fixture(scope="module")
def home(week, tmp_path_factory):
    """The `up` of a home with a broker of its own and a wall, on some hours of the simulated grid; (broker's port, first port)."""
    folder = tmp_path_factory.mktemp("home")
    base = free_port(row=3)
    _, *words = commands("energydash up --detach")[0]
    with Server("embedded", folder) as broker:
        chosen = settings_of("ENERGYDASH_HOME_ASSISTANT")
        chosen |= {"ENERGYDASH_BROKER": f"mqtt://127.0.0.1:{broker.port}", "ENERGYDASH_REPLAY": str(week / "data")}  # fmt: skip
        try:
            # Longer than it waits itself: cut off, it would leave behind what it has started.
            done = energydash(
                *words, "--port-base", str(base), cwd=folder, limit_s=240, **chosen
            )
            assert done.returncode == 0, done.stderr
            yield broker.port, base
        finally:
            energydash("down", "--quiet", cwd=folder)


def heard(port, *words):
    """What `mosquitto_sub` prints first."""
    at_broker = [word if word != "homeassistant.local" else "127.0.0.1" for word in words]
    done = subprocess.run([SUBSCRIBE, *at_broker, "-p", str(port), "-C", "1", "-W", "60"], capture_output=True, check=True)  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.broker
@pytest.mark.skipif(SUBSCRIBE is None, reason="mosquitto_sub is not installed")
def test_a_home_hears_its_region_and_the_whole_market(home):
    port, _ = home
    region, market = [heard(port, *words) for _, *words in commands("mosquitto_sub -h")]
    station = heard(port, "-t", "homeassistant/device/energydash_baysw/config")

    assert region["price"] is not None
    assert region["demand"] > 0
    assert {each["network_region"] for each in market["values"] if "network_region" in each} >= {"NSW1", "VIC1"}  # fmt: skip
    assert station["state_topic"] == "a02/home/v1/station/BAYSW"


def test_the_rest_client_in_python_works(home):
    _, base = home
    code = block("python", "import json\nfrom urllib")
    assert len(code.splitlines()) <= 15

    lines = run_python(code.replace(":8000/", f":{base + 1}/"), ROOT).splitlines()

    powers = [float(line.split()[1]) for line in lines]
    assert len(lines) == 10
    assert powers == sorted(powers, reverse=True)
    assert powers[0] > 100


@needs_chromium[0]
@needs_chromium[1]
async def test_the_rest_client_in_javascript_works():
    code = block("js", "const answer = await fetch")
    assert len(code.splitlines()) <= 15

    def browse(live):
        with chromium() as browser:
            page = browser.new_page()
            page.set_default_timeout(LIMIT_S * 1000)
            lines = []
            page.goto(live.http)
            page.on("console", lambda message: lines.append(message.text))
            page.evaluate(f"async () => {{ {code.replace(':8000/', f':{live.port}/')} }}")
            return lines

    async with serving() as live:
        feed(live)
        lines = await asyncio.to_thread(browse, live)

    (line,) = [each for each in lines if each.startswith("NSW1")]
    assert re.fullmatch(r"NSW1 price 52 at \S+\+10:00", line)


@needs_chromium[0]
@needs_chromium[1]
@needs_chromium[2]
def test_a_walls_browser_shows_the_page_in_the_dark(home, tmp_path):
    _, base = home
    _, *words = commands("energydash up --detach")[1]
    words = [word.replace(":8050", f":{base}") for word in words]

    own = ("--headless", f"--user-data-dir={tmp_path}", "--dump-dom")
    done = subprocess.run([CHROMIUM, *FLAGS, *own, *words], capture_output=True, text=True, timeout=150, check=True)  # fmt: skip

    assert "Numbers of the network and its regions" in done.stdout
    assert words[-1].endswith("?theme=dark")


# --- what stands beside it ------------------------------------------------------------------------------


@pytest.mark.skipif(NATS is None, reason="nats-server is not installed")
def test_nats_accepts_the_configuration(tmp_path):
    path = tmp_path / "nats.conf"
    path.write_text(block("", "server_name: node1").replace("/var/lib/nats", str(tmp_path)))

    done = subprocess.run([NATS, "-t", "-c", str(path)], capture_output=True, text=True, check=False)  # fmt: skip

    assert done.returncode == 0, done.stderr


@contextmanager
def nginx(folder, port, location):
    here = " ".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))  # fmt: skip
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\n"
        f"http {{ access_log off; {here}\nserver {{ listen 127.0.0.1:{port};\n{location}}} }}\n"
    )
    with subprocess.Popen([NGINX, "-e", f"{folder}/error.log", "-c", str(path)]) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_nginx_hands_the_page_and_its_socket_on(tmp_path):
    port, page_port = free_port(), free_port()
    origin = f"http://127.0.0.1:{port}"
    (line,) = [line for line in told_commands() if "--prefix" in line]
    words = [origin if word.startswith("https://") else word for word in shlex.split(line)]
    aside = ("--no-open", "--port", str(page_port), "--backend", f"ws://127.0.0.1:{free_port()}/ws/realtime")  # fmt: skip
    location = block("nginx", "location").replace(":8050", f":{page_port}")
    with nginx(tmp_path, port, location), running(*words, *aside, cwd=tmp_path):
        wait_until(lambda: status(f"{origin}/grid/liveness") == 200, 90, "the page lives")
        token = re.search(
            r'"token":"([^"]+)"', httpx.get(f"{origin}/grid/", timeout=60).text
        ).group(1)
        there = f"{origin.replace('http', 'ws')}/grid/ws"
        with connect(
            there, subprotocols=["bokeh", token], origin=origin, open_timeout=60
        ) as socket:
            assert "ACK" in socket.recv(timeout=30)


def status(url):
    try:
        return httpx.get(url).status_code
    except httpx.HTTPError:
        return 0
