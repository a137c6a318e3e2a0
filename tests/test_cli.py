"""The command line's contract: one clear line and the right exit code."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
from processes import clean_environment, energydash, free_port


def only_line(done):
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_wrong_usage_ends_with_two(tmp_path):
    assert energydash("fetch", "--bogus", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("publish", "--speed", "zero"), "--speed zero"),
        (("fetch", "--start", "yesterday"), "'yesterday' is no date"),
        (("fetch", "--start", "2026-03-02", "--end", "2026-03-01"), "the window is empty"),
        (("fetch", "--source", "openelectricity"), "OPENELECTRICITY_API_KEY"),
        (("publish", "--broker", "http://x"), "the broker address is not understood"),
        (("publish", "--loop", "--follow"), "give one of them"),
        (("publish", "--home-assistant-facility", "A"), "give --home-assistant too"),
        (("publish", "--rebase", "then"), "--rebase then"),
        (("publish", "--start", "2026-03-02", "--end", "2026-03-01"), "the window is empty"),
        (("publish", "--facility-topic", "a/#"), "is no topic"),
        (("serve", "--facility-topic", "g/a", "--market-topic", "g/b"), "would share the retained g/latest"),
        (("serve", "--cafile", "no.pem", "--broker", "mqtts://h"), "no.pem is not there"),
        (("serve", "--host", "0.0.0.0"), "--token"),
        (("ui", "--host", "0.0.0.0", "--no-open"), "--insecure"),
        (("ui", "--backend", "http://x", "--no-open"), "no WebSocket address"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_wrong_setting_is_one_line_and_two(tmp_path, arguments, words):
    done = energydash(*arguments, "--quiet", cwd=tmp_path)

    assert done.returncode == 2
    assert words in only_line(done)


def test_it_says_its_version(tmp_path):
    done = energydash("--version", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"energydash \d+\.\d+\.\d+\n", done.stdout)


def test_a_failure_beneath_a_running_service_is_one_line_and_one(tmp_path):
    port = str(free_port())
    nobody = f"mqtt://{'a' * 80}.example"
    done = energydash("serve", "--quiet", "--port", port, "--broker", nobody, cwd=tmp_path)

    assert done.returncode == 1
    assert "no valid host name" in only_line(done)


def test_resuming_without_acknowledgements_says_what_it_cannot_promise(tmp_path):
    for qos, said in (("0", True), ("1", False)):
        done = energydash("publish", "--resume", "--qos", qos, cwd=tmp_path)
        assert done.returncode == 1
        assert ("nobody acknowledges" in done.stderr) is said


def test_a_missing_file_is_one_line_and_one(tmp_path):
    done = energydash("convert", "--quiet", cwd=tmp_path)

    assert done.returncode == 1
    assert "energydash fetch" in only_line(done)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Half an hour of the simulated grid, with its tables."""
    folder = tmp_path_factory.mktemp("tables")
    assert energydash("fetch", "--quiet", "--days", "0.02", cwd=folder).returncode == 0
    assert energydash("convert", "--quiet", cwd=folder).returncode == 0
    return folder / "data"


def test_an_unreachable_broker_is_one_line_and_one(data, tmp_path):
    done = energydash(
        "publish", "--quiet", "--broker", f"127.0.0.1:{free_port()}", "--data-dir", str(data), cwd=tmp_path
    )  # fmt: skip

    assert done.returncode == 1
    assert "no MQTT broker answers" in only_line(done)


def test_a_malformed_row_names_file_and_line(data, tmp_path):
    copytree(data, tmp_path / "data")
    table = tmp_path / "data/csv_output/facility_metrics_wide.csv"
    lines = table.read_text().splitlines()
    lines[2] = lines[2].replace(lines[2].split(",")[2], "many", 1)
    table.write_text("\n".join(lines) + "\n")

    done = energydash(
        "publish", "--quiet", "--broker", f"127.0.0.1:{free_port()}", cwd=tmp_path
    )

    assert done.returncode == 1
    line = only_line(done)
    assert "facility_metrics_wide.csv" in line
    assert "line 3" in line


def test_the_result_is_json_on_stdout_and_nothing_else(tmp_path):
    done = energydash("fetch", "--json", "--days", "0.02", cwd=tmp_path)

    summary = json.loads(done.stdout)
    assert summary["source"] == "demo"
    assert summary["simulated"] is True


def test_a_key_is_never_shown(tmp_path):
    key = "a-key-that-nobody-must-see"
    done = energydash(
        "fetch", "--days", "0.02", "--base-url", f"http://127.0.0.1:{free_port()}", cwd=tmp_path,
        OPENELECTRICITY_API_KEY=key,
    )  # fmt: skip

    assert done.returncode == 1
    logs = "".join(path.read_text() for path in Path(tmp_path, "logs").glob("*"))
    assert key not in done.stdout + done.stderr + logs


def test_settings_come_from_flag_then_environment_then_file(tmp_path):
    (tmp_path / ".env").write_text("ENERGYDASH_SPEED=file\n")

    from_file = energydash("publish", cwd=tmp_path)
    from_env = energydash("publish", cwd=tmp_path, ENERGYDASH_SPEED="environment")
    from_flag = energydash(
        "publish", "--speed", "flag", cwd=tmp_path, ENERGYDASH_SPEED="environment"
    )

    assert "--speed file" in from_file.stderr
    assert "--speed environment" in from_env.stderr
    assert "--speed flag" in from_flag.stderr


def test_help_imports_nothing_heavy(tmp_path):
    code = (
        "import sys\nfrom energydash.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'polars', 'panel', 'bokeh', 'litestar', 'openelectricity', 'numpy', 'httpx', 'aiomqtt'}\n"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0


def test_help_answers_quickly(tmp_path):
    def worked_s():
        # What it computes, not what it waits for: others may have the processor.
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = worked_s()
    done = energydash("--help", cwd=tmp_path)

    assert done.returncode == 0
    assert worked_s() - before < 3


LOST = """
import signal, sys
from energydash.__main__ import main

class Lost:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "energydash.cli":
            Lost()

sys.meta_path.insert(0, Finder())
main()
"""


def test_a_ctrl_c_that_python_drops_while_it_loads_ends_the_command(tmp_path):
    arguments = ("up", "--source", "demo", "--no-open", "--port-base", str(free_port(row=3)))
    done = subprocess.run(
        [sys.executable, "-c", LOST, *arguments], cwd=tmp_path, env=clean_environment(),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 130
    assert "Traceback" not in done.stderr
