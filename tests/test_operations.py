"""Running `up` for long, as its user does: in the background, on a terminal, on a full disk, from a recording."""

import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import termios
import time
import urllib.request
from contextlib import suppress
from datetime import datetime, timedelta
from shutil import copytree
from threading import Thread

import msgspec
import psutil
import pytest
from brokers import MOSQUITTO, Server
from certificates import issue, tls_lines
from processes import (
    Up,
    clean_environment,
    descendants,
    energydash,
    free_port,
    interrupt,
    running,
    wait_until,
)

from energydash.errors import EnergydashError
from energydash.supervise import remote

needs_linux = pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="only Linux sets another process's limits")  # fmt: skip


def health(base):
    with urllib.request.urlopen(f"http://127.0.0.1:{base + 1}/health", timeout=30) as answer:
        return json.loads(answer.read())


def has_come(base):
    """Up to when the server has values; empty where it has none yet."""
    try:
        return health(base)["event_time"]
    except OSError:
        return ""


def come_of_more(folder, base):
    """Up to when the server has values; empty unless the tables hold an hour more than that."""
    table = folder / "data/live/csv_output/market_metrics_data.csv"
    come = has_come(base)
    end = max(row.partition(",")[0] for row in table.read_text().splitlines()[1:])
    more = come and datetime.fromisoformat(end) - datetime.fromisoformat(come)
    return come if more and more > timedelta(hours=1) else ""


def contents(folder):
    """Every file, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def status(folder):
    """What `energydash status` says, without a process for each look; None where nothing runs, or nothing answers in time."""
    try:
        return msgspec.to_builtins(remote.status(folder / "data/live"))
    except EnergydashError:
        return None


def seen(folder):
    return wait_until(lambda: status(folder), 60, "it says how it is")


@pytest.fixture(scope="module")
def detached(tmp_path_factory):
    """An `up` in the background whose simulated grid runs forty minutes a second; the last test to use it ends it."""
    tmp_path = tmp_path_factory.mktemp("detached")
    base = free_port(row=3)
    arguments = ("up", "--detach", "--source", "demo", "--speed", "2400", "--port-base", str(base), "--no-open")  # fmt: skip
    try:
        # Longer than it waits itself: cut off, it would leave behind what it has started.
        done = energydash(*arguments, cwd=tmp_path, limit_s=240)
        assert done.returncode == 0, done.stderr
        yield tmp_path, base, done
    finally:
        energydash("down", "--quiet", cwd=tmp_path)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Four hours of the simulated grid."""
    folder = tmp_path_factory.mktemp("recording")
    taken = ("--start", "2026-03-01T08:00", "--end", "2026-03-01T12:00", "--source", "demo")
    done = energydash("fetch", "--quiet", "--data-dir", str(folder), *taken, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@needs_linux
@pytest.mark.timeout(600)
def test_on_a_full_disk_it_streams_on_says_so_and_recovers_by_itself(detached):
    """A limit on the size of files stands for a disk that is full: what comes next fails where it writes, be it a fetch or a convert."""
    folder, base, _ = detached
    supervisor = psutil.Process(seen(folder)["pid"])
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    # At this speed that lasts for some seconds.
    before = wait_until(lambda: come_of_more(folder, base), 90, "there is something to stream")
    supervisor.rlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        failing = wait_until(
            lambda: [p for p in seen(folder)["parts"] if p["state"] == "failed"], 90, "the feed fails"
        )  # fmt: skip
        assert not seen(folder)["ready"]
        wait_until(lambda: has_come(base) > before, 60, "it streams on")
    finally:
        supervisor.rlimit(resource.RLIMIT_FSIZE, unlimited)
    restarts = {part["name"]: part["restarts"] for part in seen(folder)["parts"]}

    wait_until(lambda: seen(folder)["ready"], 120, "the feed works again")
    assert "cannot be written" in failing[0]["last_error"]
    assert "check the folder and the space left" in failing[0]["last_error"]
    # Who streams has not even noticed.
    assert {name: restarts[name] for name in ("broker", "publish", "serve", "ui")} == dict.fromkeys(("broker", "publish", "serve", "ui"), 0)  # fmt: skip
    # But for the file that says who runs, which may be written just now.
    left = lambda: [path for path in (folder / "data").rglob("*") if ".tmp" in path.name]  # noqa: E731
    wait_until(lambda: all(path.name.startswith(".up.json") for path in left()), 60, "no rest is left")  # fmt: skip


def set_the_clock(claim):
    """Have a claim look as after a step of the system's clock: a process's creation is told by the new one."""
    running = json.loads(claim.read_bytes())
    running["up"]["created"] += 3600
    claim.write_text(json.dumps(running))


def test_in_the_background_it_is_seen_holds_its_folder_and_is_ended_with_all_its_parts(
    detached,
):
    folder, base, started = detached
    assert f"http://127.0.0.1:{base}" in started.stdout

    wait_until(lambda: (found := status(folder)) and found["ready"], 60, "all of it is ready")
    now = json.loads(energydash("status", "--json", cwd=folder).stdout)
    shown = energydash("status", cwd=folder)
    second = energydash("up", "--detach", "--port-base", str(free_port(row=3)), cwd=folder)
    family = [psutil.Process(now["pid"]), *descendants(now["pid"])]
    set_the_clock(folder / "data/live/up.json")
    began = time.monotonic()
    ended = energydash("down", cwd=folder)
    took_s = time.monotonic() - began

    assert {part["name"]: part["state"] for part in now["parts"]}.items() >= {
        "broker": "ready", "publish": "ready", "serve": "ready", "ui": "ready",
    }.items()  # fmt: skip
    assert all(word in shown.stdout for word in ("fetch", "serve", str(base + 2)))
    assert second.returncode == 1
    assert "another `energydash up` runs" in second.stderr
    assert len(second.stderr.splitlines()) == 2
    assert (ended.returncode, ended.stderr) == (0, "ended\n")
    assert took_s < 30
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]  # fmt: skip
    assert not (folder / "data/live/up.json").exists()
    gone = energydash("status", cwd=folder)
    assert gone.returncode == 1
    assert "up --detach" in gone.stderr
    assert energydash("down", cwd=folder).returncode == 0


def test_after_a_kill_down_finds_nobody_and_touches_nobody(tmp_path):
    ports = ("--port-base", str(free_port(row=3)), "--source", "demo", "--no-open", "--no-ui")
    # For another broker than our own, this must not keep the parts from ours.
    other = {"ENERGYDASH_CA_FILE": str(tmp_path / "elsewhere.pem")}
    with running("up", *ports, cwd=tmp_path, **other) as process:
        file = tmp_path / "data/live/up.json"
        wait_until(
            lambda: file.exists() and json.loads(file.read_bytes()).get("parts"), 60, "it is noted"
        )  # fmt: skip
        family = descendants(process.pid)
        process.kill()
        process.wait()

        assert energydash("status", cwd=tmp_path).returncode == 1
        assert energydash("down", cwd=tmp_path).returncode == 0

    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert not file.exists()


# Whoever is asked politely to end is waited for as good as for ever.
POLITE = "from energydash.supervise import part; part._STOP_WITHIN_S = 600.0; from energydash.__main__ import main; main()"


def up_on_a_terminal(folder, recording, *python, **env):
    """Start `up` with a copy of a recording on a pseudo-terminal; give it and the terminal's two ends, the reader's first."""
    copy = copytree(recording, folder / "recording")
    main, side = os.openpty()
    process = subprocess.Popen(
        [sys.executable, *(python or ("-m", "energydash")), "up", "--replay", str(copy), "--no-open", "--port-base", str(free_port(row=3))],
        cwd=folder, env=clean_environment(TERM="xterm-256color", COLUMNS="130", LINES="40", **env),
        stdin=side, stdout=side, stderr=side,
    )  # fmt: skip
    return process, main, side


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_on_a_terminal_the_parts_are_a_live_table_and_two_ctrl_c_end_it_at_once(
    recording, tmp_path
):
    process, main, side = up_on_a_terminal(tmp_path, recording, "-c", POLITE)
    os.close(side)
    shown = bytearray()

    def read():
        # All the while, as a terminal does: what nobody takes would hold up who writes it.
        with suppress(OSError):
            while some := os.read(main, 65536):
                shown.extend(some)

    def reads(*words):
        return all(word in shown for word in words)

    terminal = Thread(target=read, daemon=True)
    terminal.start()
    try:
        wait_until(lambda: reads(b"uptime", b"restarts", b"serve", b"recording is at"), 90, "the table is there")  # fmt: skip
        deaf = Up(process, "").part("serve")
        family = descendants(process.pid)
        # Stopped, it does not end when it is asked to.
        deaf.suspend()
        process.send_signal(signal.SIGINT)
        wait_until(lambda: reads(b"Ctrl-C again kills"), 30, "it says that it stops")
        process.send_signal(signal.SIGINT)
        killed = psutil.wait_procs([deaf], timeout=60)[0]
        code = process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()
        terminal.join(10)
        os.close(main)

    assert code in {130, -2}
    assert killed
    assert psutil.wait_procs(family, timeout=60)[1] == []
    hidden, back = b"\x1b[?25l", b"\x1b[?25h"
    assert 0 <= shown.rfind(hidden) < shown.rfind(back)


SECOND_CTRL_C = """
import asyncio, signal
from energydash.process import exit_at_once, run

killed = asyncio.Event()

async def work():
    asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
    try:
        await asyncio.sleep(60)
    finally:
        signal.raise_signal(signal.SIGINT)
        await {waits}
        print("farewell", flush=True)

run(work(), {kill})
"""


@pytest.mark.parametrize(
    ("waits", "kill", "said", "codes"),
    [
        # The farewell waits for what is killed, and is not torn in the middle.
        ("killed.wait()", "killed.set", "farewell\n", {-signal.SIGINT, 1}),
        # There is nothing to kill but itself.
        ("asyncio.sleep(50)", "exit_at_once", "", {130}),
    ],
)
def test_a_second_ctrl_c_loses_nothing_and_waits_for_nothing(waits, kill, said, codes):
    code = SECOND_CTRL_C.format(waits=waits, kill=kill)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=45, check=False)  # fmt: skip
    assert done.stdout == said
    assert done.returncode in codes


THREAD_THAT_STAYS = """
import asyncio, signal, time
from energydash.process import run

async def work():
    loop = asyncio.get_running_loop()
    loop.call_later(0.1, signal.raise_signal, signal.SIGINT)
    await asyncio.to_thread(time.sleep, 60)

signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
signal.setitimer(signal.ITIMER_REAL, 1.5)
run(work())
"""


def test_a_second_ctrl_c_waits_for_no_thread():
    done = subprocess.run([sys.executable, "-c", THREAD_THAT_STAYS], timeout=45, check=False)
    assert done.returncode == 130


def test_a_ctrl_c_that_is_ignored_from_the_start_stays_ignored():
    code = """
import asyncio, signal
from energydash.process import run

async def work():
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(0.1)
    print("still here")

run(work())
"""
    command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-c", code]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=45, check=True)
    assert done.stdout == "still here\n"


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_that_nobody_reads_stops_nothing(recording, tmp_path):
    process, main, side = up_on_a_terminal(tmp_path, recording, ENERGYDASH_UI="false")
    up = Up(process, "")
    try:
        wait_until(lambda: select.select([main], [], [], 0)[0], 60, "it writes")
        # What Ctrl-S does.
        termios.tcflow(side, termios.TCOOFF)
        first = up.part("serve")
        first.kill()
        wait_until(lambda: any(each.pid != first.pid for each in up.parts("serve")), 60, "another runs")  # fmt: skip
        assert energydash("status", "--json", cwd=tmp_path).stdout
        assert interrupt(process, 30) == 130
    finally:
        process.kill()
        process.wait()
        os.close(main)
        os.close(side)


def test_a_recording_is_replayed_without_a_page_and_stays_as_it_was(recording, tmp_path):
    before = contents(recording)
    base = free_port(row=3)
    arguments = ("--replay", str(recording), "--no-ui", "--speed", "60", "--port-base", str(base))  # fmt: skip
    with running("up", *arguments, cwd=tmp_path) as process:
        said = tmp_path / "stderr.txt"
        wait_until(lambda: "the recording is at" in said.read_text(), 90, "it says where it is")
        first = wait_until(lambda: has_come(base), 60, "its past is there")
        wait_until(lambda: has_come(base) > first, 60, "it moves on")
        names = [part["name"] for part in seen(tmp_path)["parts"]]
        assert interrupt(process, 30) == 130

    assert re.match(r"2026-03-01T(0[89]|1[01])", first)
    assert names == ["convert", "broker", "publish", "serve"]
    assert contents(recording) == before


@pytest.mark.broker
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_the_broker_may_be_a_cluster_behind_certificates_of_which_a_node_is_dead(
    recording, tmp_path
):
    pki = issue(tmp_path)
    base = free_port(row=3)
    with Server("mosquitto", tmp_path, *tls_lines(pki, "require_certificate true", "use_identity_as_username true")) as broker:  # fmt: skip
        arguments = (
            "--replay", str(recording), "--no-ui", "--port-base", str(base), "--broker", f"mqtts://127.0.0.1:{free_port()},127.0.0.1:{broker.port}",
            *("--ca-file", str(pki / "ca.pem"), "--cert-file", str(pki / "client.pem"), "--key-file", str(pki / "client.key")),
        )  # fmt: skip
        with running("up", *arguments, cwd=tmp_path) as process:
            wait_until(lambda: (now := status(tmp_path)) and now["ready"], 90, "all of it is ready")  # fmt: skip
            names = [part["name"] for part in seen(tmp_path)["parts"]]
            assert interrupt(process, 30) == 130

    assert names == ["convert", "publish", "serve"]
