"""What the supervisor is made of, each alone: back-off, clocks, ports, a part's life, the picture."""

import asyncio
import contextlib
import io
import json
import math
import os
import signal
import socket
import sys
import time
from datetime import timedelta

import msgspec
import psutil
import pytest
from brokers import Server, until
from hypothesis import given
from hypothesis import strategies as st
from processes import free_port, wait_until
from rich.console import Console

from energydash import nem, schema
from energydash.config import UpSettings
from energydash.errors import ConfigError, EnergydashError, PortInUseError
from energydash.supervise import claim, feed, gauges, jumps, remote, view
from energydash.supervise.backoff import (
    FIRST_S,
    HEALTHY_AFTER_S,
    LONGEST_AFTER_WORK_S,
    LONGEST_S,
    Backoff,
)
from energydash.supervise.claim import Member, Running
from energydash.supervise.control import Control, ask
from energydash.supervise.family import Family
from energydash.supervise.jumps import JUMP_S, Jumps
from energydash.supervise.now import PartNow, UpNow
from energydash.supervise.part import Part, Phase
from energydash.supervise.plan import Clock, plan, recording_in
from energydash.supervise.ports import Wanted, require_free
from energydash.supervise.supervisor import Supervisor

NOW = UpNow(
    pid=1, uptime_s=93_784, source="demo", simulated=True, page="http://127.0.0.1:8050", server="http://127.0.0.1:8000",
    mqtt="mqtt://127.0.0.1:1883", ready=True, parts=(),
)  # fmt: skip


# --- back-off and clocks ---------------------------------------------------------------------------


@given(st.lists(st.floats(0, 100), max_size=2000))
def test_pauses_grow_with_early_deaths_up_to_a_bound_and_are_short_again_after_a_healthy_life(
    lives,
):
    backoff = Backoff(lambda _low, high: high)
    early = 0
    for lived in lives:
        early = 1 if lived > HEALTHY_AFTER_S else early + 1
        pause_s = backoff.pause_s(lived, worked=False)
        assert pause_s == min(LONGEST_S, FIRST_S * 2 ** min(early - 1, 10))


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=2000))
def test_who_worked_is_back_soon_however_often_it_is_killed(lives):
    backoff = Backoff(lambda _low, high: high)
    failures = 0
    for lived, worked in lives:
        pause_s = backoff.pause_s(lived, worked=worked)
        failures = 0 if worked else 1 if lived > HEALTHY_AFTER_S else failures + 1
        assert backoff.failures == failures
        if worked:
            assert pause_s <= LONGEST_AFTER_WORK_S
            assert lived <= HEALTHY_AFTER_S or pause_s == FIRST_S
        else:
            assert pause_s == min(LONGEST_S, FIRST_S * 2 ** min(failures - 1, 10))


def test_pauses_are_anything_up_to_the_bound():
    backoff = Backoff()
    pauses = [backoff.pause_s(0, worked=False) for _ in range(400)]

    assert 0 <= min(pauses) < LONGEST_S / 4
    assert LONGEST_S * 3 / 4 < max(pauses) <= LONGEST_S


class Clocks:
    """A wall clock and a monotonic one that a test moves."""

    def __init__(self):
        self.wall, self.steady = 1_000_000.0, 50.0

    def pass_by(self, seconds, *, jump=0.0):
        self.steady += seconds
        self.wall += seconds + jump


@given(
    st.lists(st.tuples(st.floats(0, 1e5), st.sampled_from([0.0, 0.5, -0.5, 3600.0, -3600.0])))
)
def test_a_sleep_or_a_set_clock_is_noticed_once_and_a_small_step_never(steps):
    clocks = Clocks()
    watch = Jumps(lambda: clocks.wall, lambda: clocks.steady)
    for seconds, jump in steps:
        clocks.pass_by(seconds, jump=jump)
        noticed = watch.look()
        assert math.isclose(noticed, jump if abs(jump) >= JUMP_S else 0, abs_tol=0.01)
        assert watch.look() == 0


async def test_every_jump_is_told_until_it_is_cancelled():
    clocks, told = Clocks(), []
    steps = iter([0.0, 28_800.0, 0.0, -7200.0])

    async def sleep(seconds):
        clocks.pass_by(seconds, jump=next(steps, 0.0))
        await asyncio.sleep(0)
        if len(told) == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await jumps.watch(Jumps(lambda: clocks.wall, lambda: clocks.steady), told.append, sleep)

    assert told == [28_800.0, -7200.0]


def test_the_simulated_grid_stands_while_the_machine_sleeps_and_the_real_one_is_at_the_present():
    origin = Clock(None, 0, 1, real=True).now()
    simulated = Clock(origin, 100.0, 60.0)

    # Neither a suspend nor a set clock moves the monotonic one.
    assert simulated.now(lambda: 101.0) == origin + timedelta(minutes=1)
    assert abs(Clock(origin - timedelta(days=9), 0, 1, real=True).now() - origin) < timedelta(seconds=5)  # fmt: skip


@pytest.mark.parametrize("source", ["openelectricity", "demo"])
def test_after_a_jump_the_real_grid_is_streamed_anew_from_the_present(
    source, tmp_path, monkeypatch
):
    """Paced by the monotonic clock from the start on, it would lag by the length of the sleep for ever."""
    monkeypatch.setenv("OPENELECTRICITY_API_KEY", "a-key")
    ports = {"port": free_port(), "server_port": free_port()}
    supervisor = Supervisor(plan(UpSettings(data_dir=tmp_path, source=source, **ports)))
    anew = []
    for each in (supervisor.publish, supervisor.feed.follow):
        monkeypatch.setattr(each, "start_anew", lambda name=each.name: anew.append(name))

    supervisor.jumped(8 * 3600.0)

    assert anew == (["publish", "follow"] if source == "openelectricity" else [])


def test_a_brokers_password_is_in_no_argument(tmp_path):
    asked = {"port": free_port(), "server_port": free_port()}
    what = plan(UpSettings(data_dir=tmp_path, source="demo", broker="mqtt://me:hush@127.0.0.1:1", **asked))  # fmt: skip
    parts = Supervisor(what).parts

    for each in parts:
        assert "hush" not in " ".join(each._arguments())
    assert [each.name for each in parts if "hush" in str(each._environment)] == ["publish", "serve"]  # fmt: skip


# --- ports -----------------------------------------------------------------------------------------


def test_all_ports_in_use_are_named_with_a_base_that_is_free():
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
            each.listen()
        ports = [each.getsockname()[1] for each in (one, two)]
        with pytest.raises(
            PortInUseError, match=r"ports \d+ and \d+ .*--port-base \d+"
        ) as caught:
            require_free([Wanted(port, "--port") for port in ports])
    assert all(str(port) in str(caught.value) for port in ports)


def test_two_parts_cannot_have_one_port():
    port = free_port()
    with pytest.raises(PortInUseError, match="--port and --server-port name the same port"):
        require_free([Wanted(port, "--port"), Wanted(port, "--server-port")])


# --- a part ----------------------------------------------------------------------------------------


def part(code, **more):
    return Part("part", lambda: ["-c", code], **more)


async def test_a_part_that_fails_from_the_start_ends_with_its_own_last_words(monkeypatch):
    monkeypatch.setattr("energydash.supervise.backoff.FIRST_S", 0.01)
    one = part("import sys; sys.exit('energydash: the moon is missing')", probe=never)

    with pytest.raises(EnergydashError, match="part keeps failing: energydash: the moon is missing"):  # fmt: skip
        await one.for_ever()


async def test_a_part_that_does_not_accept_its_settings_is_not_tried_again():
    one = part("import sys; sys.stderr.write('energydash: no such port\\n'); sys.exit(2)", probe=never)  # fmt: skip

    with pytest.raises(ConfigError, match=r"^no such port$"):
        await one.for_ever()
    assert one.restarts == 0


async def never():
    return False


async def always():
    return True


async def test_a_part_waits_for_what_it_needs_instead_of_dying_of_its_absence():
    there, asked = [True], []

    async def needs():
        asked.append(there[0])
        return there[0]

    one = part("import time; time.sleep(60)", probe=always, needs=needs)
    running = asyncio.create_task(one.for_ever())
    try:
        await one.ready.wait()
        there[0] = False
        psutil.Process(one.pid).kill()
        await until(lambda: asked.count(False) >= 5, "it asks again and again")
        assert (one.phase, one.restarts, one.pid) == (Phase.WAITING, 1, None)
        there[0] = True
        await until(lambda: one.phase is Phase.READY, "it is back")
        assert one.restarts == 1
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_publisher_starts_only_where_a_broker_answers(tmp_path):
    broker = Server("embedded", tmp_path)
    asked = {"port": free_port(), "server_port": free_port()}
    what = plan(UpSettings(data_dir=tmp_path, source="demo", broker=broker.address.url, **asked))  # fmt: skip
    publish = Supervisor(what).publish
    looks = []
    answers, publish._needs = publish._needs, lambda: looks.append(1) or answers()
    running = asyncio.create_task(publish.for_ever())
    try:
        await until(lambda: len(looks) > 2, "it looks for the broker")
        assert (publish.phase, publish.pid) == (Phase.WAITING, None)
        with broker:
            await until(lambda: publish.pid is not None, "it is started")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_another_programs_broker_on_our_port_is_not_taken_for_ours(tmp_path):
    ports = {"port": free_port(), "server_port": free_port()}
    theirs = Server("embedded", tmp_path)
    what = plan(UpSettings(data_dir=tmp_path, source="demo", **ports))
    supervisor = Supervisor(msgspec.structs.replace(what, broker=theirs.address))
    with theirs:
        assert not await supervisor._broker_answers()
        # Ours finds the port taken.
        ours = asyncio.create_task(supervisor.broker.once())
        await until(lambda: supervisor.broker.pid is not None or ours.done(), "ours is started")
        while not ours.done():
            assert not await supervisor._broker_answers()
        assert await ours != 0
    running = asyncio.create_task(supervisor.broker.once())
    try:
        await until(supervisor.broker.ready.is_set, "ours runs")
        assert await supervisor._broker_answers()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_part_that_was_ready_once_is_started_again_for_ever(monkeypatch):
    monkeypatch.setattr("energydash.supervise.backoff.LONGEST_AFTER_WORK_S", 0.0)
    one = part(
        "import time; time.sleep(0.2); raise SystemExit('energydash: gone')", probe=always
    )
    running = asyncio.create_task(one.for_ever())
    try:
        await until(lambda: one.restarts >= 5, "it has died five times", 60)
        assert not running.done()
        assert one.error == "gone"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert one.pid is None


async def test_words_without_an_end_and_without_sense_do_not_end_the_supervision():
    one = part(
        "import os; os.write(2, b'x' * 3_000_000 + b'\\n\\xff\\x1b[2J\\nlast\\x1b[2J words')"
    )

    assert await one.once() == 0
    assert one.last_words == "last\\x1b[2J words"


async def test_a_part_started_anew_is_no_death():
    one = part("import time; time.sleep(60)")
    running = asyncio.create_task(one.for_ever())
    try:
        await one.ready.wait()
        first = one.pid
        one.start_anew()
        await until(lambda: one.pid not in {first, None}, "another runs")
        assert one.restarts == 0
        assert one.phase in {Phase.STARTING, Phase.READY}
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# --- what is asked of the server, and the tables -----------------------------------------------------


@contextlib.asynccontextmanager
async def answering(said):
    """A server that says this to everybody, and closes nothing."""
    guests = []

    async def met(reader, writer):
        guests.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for guest in guests:
            guest.transport.abort()


@pytest.mark.parametrize("status", ["200 OK", "503 Service Unavailable"])
async def test_an_answer_that_stops_halfway_is_none(monkeypatch, status):
    monkeypatch.setattr(gauges, "_ANSWER_WITHIN_S", 0.3)
    head = f"HTTP/1.1 {status}\r\nContent-Length: 100\r\n\r\nhalf"
    async with answering(head.encode()) as url:
        server = gauges.Server(url, None)
        assert not await asyncio.to_thread(server.answers)
        assert await asyncio.to_thread(server.health) is None


async def test_our_own_server_is_asked_through_no_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # What the library made of the environment at its first use is no matter here.
    monkeypatch.setattr("urllib.request._opener", None)
    monkeypatch.setattr(gauges, "_ANSWER_WITHIN_S", 60.0)
    said = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
    async with answering(said) as url:
        assert await asyncio.to_thread(gauges.Server(url, None).answers)


async def test_tables_that_cannot_be_made_are_tried_again_after_pauses_that_grow(
    tmp_path, monkeypatch
):
    bounds, tried, broken = [], [], [True]

    def pick(_least, most):
        bounds.append(most)
        return 0.0

    monkeypatch.setattr(feed, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(feed, "Backoff", lambda: Backoff(pick))
    asked = {"port": free_port(), "server_port": free_port()}
    one = feed.Feed(plan(UpSettings(data_dir=tmp_path, source="nemweb", **asked)))
    one._plan.folder.mkdir()
    manifest = one._plan.folder / "manifest.jsonl"

    async def convert():
        tried.append(time.monotonic())
        if broken[0]:
            raise EnergydashError("the disk is full")

    monkeypatch.setattr(one.convert, "or_fail", convert)
    running = asyncio.create_task(one._convert_changes())
    # It has looked at what is there to begin with.
    await asyncio.sleep(0)
    try:
        for failures in (7, 9):
            manifest.write_text(str(failures))
            os.utime(manifest, (failures, failures))
            await until(lambda n=failures: len(bounds) >= n, "it has failed")
            broken[0] = False
            before = len(tried)
            await until(lambda n=before: len(tried) > n, "it works")
            if failures == 7:
                grown = bounds.copy()
                bounds.clear()
            broken[0] = True
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert grown[:7] == [1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_S, LONGEST_S]
    assert bounds[:2] == [1.0, 2.0]


async def test_a_folder_of_another_source_is_said_before_it_is_fetched_anew(
    tmp_path, monkeypatch, caplog
):
    asked = {"port": free_port(), "server_port": free_port()}
    one = feed.Feed(plan(UpSettings(data_dir=tmp_path, source="demo", **asked)))
    one._plan.folder.mkdir()
    known = schema.Provenance(source="nemweb", simulated=False, start=nem.now(), end=nem.now(), fetched_at=nem.now())  # fmt: skip
    (one._plan.folder / "source.json").write_bytes(schema.encode(known))

    async def broken():
        raise EnergydashError("enough")

    monkeypatch.setattr(one.fetch, "or_fail", broken)
    with pytest.raises(EnergydashError, match="enough"):
        await one.run()
    assert "the folder is of nemweb: it is fetched anew from demo" in caplog.text


# --- the folder's file, and who may ask ----------------------------------------------------------------


def running_as(member, port=1, token="t"):
    return Running(up=member, port=port, token=token)


def test_a_pid_that_has_come_again_is_no_process_of_ours(tmp_path):
    me = psutil.Process()
    stranger = Member("up", me.pid, me.create_time() - 1000)
    claim.save(tmp_path, running_as(stranger))

    assert remote.found(stranger) is None
    assert remote.found(Member("up", me.pid, me.create_time())) is not None
    assert remote.down(tmp_path) is False
    assert me.is_running()
    assert claim.load(tmp_path) is None


def test_the_file_is_for_its_owner_alone(tmp_path):
    claim.save(tmp_path, running_as(Member("up", 1, 1.0)))

    if os.name == "posix":
        assert (tmp_path / "up.json").stat().st_mode & 0o077 == 0


def test_one_folder_has_one_supervisor(tmp_path):
    with claim.held(tmp_path):
        assert claim.is_held(tmp_path)
        with pytest.raises(EnergydashError, match="energydash down"), claim.held(tmp_path):
            pass
    assert not claim.is_held(tmp_path)


async def test_only_who_has_the_token_is_answered():
    control = Control(lambda: NOW)
    async with control.listening():
        right = running_as(Member("up", 1, 1.0), control.port, control.token)
        wrong = msgspec.structs.replace(right, token="guess")
        assert await asyncio.to_thread(ask, right, "status") == NOW
        for bad in (wrong, msgspec.structs.replace(right, token="")):
            with pytest.raises(EnergydashError, match="does not answer"):
                await asyncio.to_thread(ask, bad, "down")
        assert not control.down.is_set()
        await asyncio.to_thread(ask, right, "down")
        assert control.down.is_set()


@pytest.mark.parametrize("noise", [b"", b"\n", b"{}\n", b"\xff\xfe\n", b"x" * 100_000 + b"\n", b"GET / HTTP/1.1\r\n\r\n"])  # fmt: skip
async def test_noise_is_hung_up_on_and_the_next_is_answered(noise):
    control = Control(lambda: NOW)
    async with control.listening():
        reader, writer = await asyncio.open_connection("127.0.0.1", control.port)
        writer.write(noise)
        writer.write_eof()
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
        right = running_as(Member("up", 1, 1.0), control.port, control.token)
        assert await asyncio.to_thread(ask, right, "status") == NOW


# --- the picture ------------------------------------------------------------------------------------


def drawn(now, width=160):
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(view.picture(now, width))
    return out.getvalue()


def test_the_picture_shows_each_part_and_obeys_no_name():
    evil = PartNow(name="serve", state="restarting", pid=7, port=8000, uptime_s=61, restarts=3, memory_mb=81.4,
                   rate=1234.4, lag_s=2, last_error="[red]x[/red] \x1b[2J\nforged")  # fmt: skip
    text = drawn(msgspec.structs.replace(NOW, parts=(evil,)))

    assert "1 d 2 h" in text
    for word in ("serve", "restarting", "8000", "1 min 1 s", "3", "81 MB", "1,234/s", "2 s", "[red]x[/red]"):  # fmt: skip
        assert word in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == 3


def test_the_picture_fits_a_narrow_terminal():
    row = PartNow(name="serve", state="ready", last_error="y" * 500)
    assert all(len(line) <= 100 for line in drawn(msgspec.structs.replace(NOW, parts=(row,)), 100).splitlines())  # fmt: skip


# --- replay --------------------------------------------------------------------------------------------


def test_a_folder_with_nothing_to_replay_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"--replay .* holds neither"):
        recording_in(tmp_path, tmp_path)


def test_tables_are_replayed_as_they_are_and_raw_answers_converted_elsewhere(tmp_path):
    tables, raw = tmp_path / "tables", tmp_path / "raw"
    tables.mkdir()
    raw.mkdir()
    (tables / "facility_metrics_wide").mkdir()
    (tables / "market_metrics_data.csv").touch()
    (raw / "facilities_data.json").write_text(json.dumps({}))

    assert recording_in(tables, tmp_path / "w").tables == tables
    assert recording_in(tables, tmp_path / "w").raw is None
    assert recording_in(raw, tmp_path / "w").tables == tmp_path / "w/replay"


async def test_cancelling_twice_kills_at_once_what_does_not_listen(monkeypatch):
    monkeypatch.setattr("energydash.supervise.part._STOP_WITHIN_S", 60.0)
    code = "import signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsys.stderr.write('deaf\\n')\ntime.sleep(60)"  # fmt: skip
    one = part(code)
    running = asyncio.create_task(one.for_ever())
    await until(lambda: one.last_words == "deaf", "it is deaf")
    process = psutil.Process(one.pid)
    began = time.monotonic()
    running.cancel()
    await asyncio.sleep(0.2)
    assert process.is_running()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert time.monotonic() - began < 30
    wait_until(lambda: not process.is_running(), 10, "it is gone")
    assert -one.process.returncode == signal.SIGKILL


async def test_a_second_ctrl_c_kills_the_parts_and_nobody_else():
    part = Part("sleeper", lambda: ("-c", "import time; time.sleep(60)"))
    browser = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)")  # fmt: skip
    running = asyncio.create_task(part.once())
    try:
        async with asyncio.timeout(30):
            await part.ready.wait()
        family = Family()
        family.parts = [part, Part("idle", lambda: ())]
        family.kill()
        async with asyncio.timeout(30):
            assert await running == -signal.SIGKILL
        assert browser.returncode is None
    finally:
        browser.kill()
        await browser.wait()
