"""The log: one line a record whoever wrote the names in it, bounded, without secrets, and never the end of the work."""

import json
import logging
import os
import socket
import stat
import subprocess
import sys
import weakref
from pathlib import Path

import msgspec
import pytest
from brokers import until
from hypothesis import example, given
from hypothesis import strategies as st
from processes import clean_environment, energydash, free_port
from test_guard import HANDSHAKE
from tornado.httpserver import HTTPServer
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from energydash import log
from energydash.plain import plain, plain_json

NASTY = "Sun\nFarm\r\x1b[2J\x1b]0;owned\x07\x9b31m\u202etxt.exe\u2028end"


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Set the log up in a folder of its own, and give the machine's back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for handler in handlers:
        root.removeHandler(handler)
    monkeypatch.delenv(log.FORMAT, raising=False)
    yield tmp_path / "logs"
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    for handler in handlers:
        root.addHandler(handler)


def write(folder, *records, **more):
    log.set_up("test", folder=folder, **more)
    for record in records:
        logging.getLogger("energydash.test").warning("%s", record)
    return (folder / "test.log").read_text(encoding="utf-8").splitlines()


@given(st.text())
@example(NASTY)
def test_plain_text_obeys_nothing_and_loses_nothing(text):
    shown = plain(text)

    assert len(shown.splitlines()) <= 1
    assert not any(c in shown for c in "\x1b\x9b\x07\r\n\u202e\u2066")
    if text.isascii() and text.isprintable():
        assert shown == text


@given(st.recursive(st.text() | st.integers(), st.lists))
@example([NASTY])
def test_json_for_a_terminal_means_the_same(value):
    text = plain_json(msgspec.json.encode(value).decode())

    assert json.loads(text) == value
    assert not any(c in text for c in "\x1b\x9b\u202e")


def test_a_name_cannot_forge_a_line_or_move_the_cursor(logs, capsys):
    lines = write(logs, f"{NASTY} 2026-01-01 ERROR forged")

    assert len(lines) == 1
    assert "\\x1b[2J" in lines[0]
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert "\x1b" not in printed


def test_an_errors_traceback_is_one_line_too(logs):
    log.set_up("test", folder=logs)
    try:
        int(NASTY)
    except ValueError:
        logging.getLogger("x").exception("it failed")

    lines = (logs / "test.log").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    assert "ValueError" in lines[0]


def test_json_lines_are_objects_with_the_same_words(logs, monkeypatch):
    monkeypatch.setenv(log.FORMAT, "json")

    (line,) = write(logs, NASTY)

    told = json.loads(line)
    assert told["level"] == "WARNING"
    assert told["logger"] == "energydash.test"
    assert told["message"] == plain(NASTY)
    assert told["time"].endswith("+00:00")


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_of_the_environment_and_no_password_in_an_address_is_written(
    logs, monkeypatch, capsys, form
):
    monkeypatch.setenv(log.FORMAT, form)
    monkeypatch.setenv("OPENELECTRICITY_API_KEY", "oe-abcdef-123")
    monkeypatch.setenv("ENERGYDASH_TOKEN", "ann:first-secret bob:second-secret")

    text = "\n".join(write(logs, "oe-abcdef-123", "Bearer second-secret", "mqtts://me:hush@example.org:8883"))  # fmt: skip
    text += capsys.readouterr().err

    for secret in ("oe-abcdef-123", "first-secret", "second-secret", "hush"):
        assert secret not in text
    assert "mqtts://me:***@example.org" in text


def test_a_record_out_of_all_proportion_is_cut(logs):
    (line,) = write(logs, "x" * 1_000_000)

    assert len(line) < 5000


def test_the_files_are_bounded_and_private(logs, monkeypatch):
    monkeypatch.setattr(log, "_FILE_BYTES", 2000)

    write(logs, *("a line of some length, to fill the file" for _ in range(500)))

    files = sorted(path.name for path in logs.iterdir())
    assert files == ["test.log", "test.log.1", "test.log.2", "test.log.3"]
    assert all(path.stat().st_size <= 2100 for path in logs.iterdir())
    if os.name == "posix":
        assert {stat.S_IMODE(path.stat().st_mode) for path in logs.iterdir()} == {0o600}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
async def test_a_page_that_is_closed_while_it_is_told_something_is_no_error(logs):
    log.set_up("ui", folder=logs)
    sockets = []

    class Page(WebSocketHandler):
        def open(self):
            sockets.append(self)

    server = HTTPServer(Application([("/", Page)]))
    server.listen(port := free_port(), "127.0.0.1")
    with socket.create_connection(("127.0.0.1", port)) as browser:
        browser.sendall(HANDSHAKE.replace(b"/ws/realtime", b"/"))
        await until(lambda: sockets, "it has come")
        # It takes nothing, so that most of this is still on its way when it goes.
        written = weakref.ref(sockets[0].write_message("x" * 20_000_000))
    await until(lambda: written() is None, "it has gone")
    server.stop()
    await server.close_all_connections()
    assert (logs / "ui.log").read_text() == ""


def test_a_full_disk_is_said_once_and_the_work_goes_on(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/x.log").symlink_to("/dev/full")
    code = (
        "import logging; from energydash import log; log.set_up('x')\n"
        "for n in range(5): logging.getLogger('y').info('line %d', n)\nprint('done')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0
    assert done.stdout == "done\n"
    assert done.stderr.splitlines() == ["energydash: the log cannot be written: No space left on device"]  # fmt: skip


def test_a_healthy_command_says_little(tmp_path):
    done = energydash("fetch", "--quiet", "--source", "demo", "--days", "0.02", "--log-format", "json", cwd=tmp_path)  # fmt: skip

    assert done.returncode == 0
    assert done.stderr == ""
    lines = (tmp_path / "logs/fetch.log").read_text().splitlines()
    assert len(lines) < 10
    assert all(json.loads(line)["level"] == "INFO" for line in lines)
