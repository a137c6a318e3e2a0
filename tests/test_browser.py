"""The user's browser is shown the page, and nothing waits for it."""

import json
import shlex
import sys
from contextlib import contextmanager

import httpx
import psutil
import pytest
from processes import free_port, interrupt, running, wait_until

from energydash import browser

LIMIT_S = 60
# Says who it is and what it was given, and stays open.
READER = "import os, pathlib, sys, time; pathlib.Path('shown').write_text(f'{os.getpid()} {sys.argv[1]}'); time.sleep(600)"


@contextmanager
def shown(folder):
    """Wait until a browser runs; give its process and address, and end it afterwards."""
    told = folder / "shown"
    wait_until(lambda: told.exists() and told.read_text(), LIMIT_S, "the browser runs")
    pid, address = told.read_text().split()
    process = psutil.Process(int(pid))
    try:
        yield process, address
    finally:
        process.kill()


def stage(url):
    try:
        return httpx.get(f"{url}/readiness", timeout=LIMIT_S).json()["stage"]
    except httpx.TransportError:
        return None


def test_the_page_is_live_and_ends_while_a_browser_that_it_opened_still_runs(tmp_path):
    port, server, broker = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(READER)} %s"
    backend = ("--backend", f"ws://127.0.0.1:{server}/ws/realtime")
    aside = tmp_path / "serve"
    aside.mkdir()
    with (
        running("serve", "--port", str(server), "--broker-port", str(broker), cwd=aside),
        running("ui", "--port", str(port), *backend, cwd=tmp_path, BROWSER=command) as ui,
        shown(tmp_path) as (reader, address),
    ):
        assert address.rstrip("/") == url
        # As far as it goes with no broker: the server has been heard.
        wait_until(lambda: stage(url) == "broker", LIMIT_S, "the page hears of the server")

        assert interrupt(ui, 30) == 130
        assert reader.is_running()


def test_all_that_it_says_is_its_address_and_ctrl_c_ends_it_without_a_word(tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # Warnings of the server that is not there are no part of it.
    quiet = ("--no-open", "--json", "--log-level", "ERROR")
    with running("ui", "--port", str(port), *quiet, cwd=tmp_path) as ui:
        wait_until(lambda: stage(url), LIMIT_S, "the page answers")

        assert interrupt(ui, 30) == 130
    assert json.loads((tmp_path / "stderr.txt").read_text()) == {"url": url}


@pytest.mark.parametrize("command", ['x "%s', "/there/is/none %s"])
def test_a_browser_that_cannot_be_had_is_told_to_the_log_alone(command, monkeypatch, caplog):
    monkeypatch.setattr(browser.webbrowser, "_tryorder", None)
    monkeypatch.setenv("BROWSER", command)
    caplog.set_level("INFO")
    browser.open_browser("http://127.0.0.1:1/")

    wait_until(lambda: "no browser could be opened" in caplog.text, LIMIT_S, "it is told")
