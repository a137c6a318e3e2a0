"""`doctor` as its user runs it: it names what is wrong, says what to do, and changes nothing."""

import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nemweb_tree as tree
import pytest
import standin_faults as faults
from brokers import KINDS, MOSQUITTO, Server
from certificates import issue, tls_lines
from nemweb_server import Nemweb
from processes import PATIENT, clean_environment, energydash, free_port
from standin import KEY, StandIn, serving

from energydash import nem
from energydash.doctor import machine


@pytest.fixture
def ports():
    return ("--port", str(free_port()), "--server-port", str(free_port()))


def findings(done):
    return {each["name"]: each for each in json.loads(done.stdout)["findings"]}


def disk(free_mb):
    return SimpleNamespace(free=free_mb * 1_000_000)


def metadata(*asked):
    """The real one, of which energydash asks for something else."""
    real = importlib.metadata
    fields = {"requires": lambda _: asked, "version": real.version, "PackageNotFoundError": real.PackageNotFoundError}  # fmt: skip
    return SimpleNamespace(metadata=SimpleNamespace(**fields))


def names_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_machine_that_is_well_gets_a_line_for_each_thing_and_zero(tmp_path, ports):
    done = energydash("doctor", *ports, cwd=tmp_path)

    assert done.returncode == 0, done.stdout
    assert {line[:7].strip() for line in done.stdout.splitlines()} <= {"OK", "warning"}
    assert len(done.stdout.splitlines()) == 13
    assert names_of(tmp_path) <= {"logs", "logs/doctor.log"}


def test_a_port_in_use_is_named_with_its_holder_and_the_fix(tmp_path, ports):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = energydash("doctor", "--json", *ports[:2], "--server-port", str(port), cwd=tmp_path)  # fmt: skip

    found = findings(done)["port of the server"]
    assert done.returncode == 1
    assert found["state"] == "failed"
    assert f"{port} is in use" in found["text"]
    assert "--server-port" in found["advice"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_broker_that_answers_is_well_and_one_that_does_not_is_told(kind, tmp_path, ports):
    with Server(kind, tmp_path) as broker:
        url = f"mqtt://127.0.0.1:{broker.port}"
        there = energydash("doctor", "--json", "--broker", url, *ports, cwd=tmp_path)
    gone = energydash("doctor", "--json", "--broker", url, *ports, cwd=tmp_path)

    assert findings(there)["broker"]["state"] == "ok"
    assert findings(gone)["broker"]["state"] == "failed"
    assert gone.returncode == 1


needs_mosquitto = [
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]


@needs_mosquitto[0]
@needs_mosquitto[1]
def test_a_brokers_certificate_is_verified_with_the_authority_that_is_named(tmp_path, ports):
    pki = issue(tmp_path)
    with Server("mosquitto", tmp_path, *tls_lines(pki, "allow_anonymous true")) as broker:
        ask = ("doctor", "--json", "--broker", f"mqtts://127.0.0.1:{broker.port}", *ports)
        trusted = energydash(*ask, "--ca-file", str(pki / "ca.pem"), cwd=tmp_path)
        strange = energydash(*ask, "--ca-file", str(pki / "strange.pem"), cwd=tmp_path)
    unusable = energydash(*ask, "--ca-file", str(pki / "broker.key"), cwd=tmp_path)

    assert findings(trusted)["broker"]["state"] == "ok"
    assert "CERTIFICATE_VERIFY_FAILED" in findings(strange)["broker"]["text"]
    assert "cannot be used" in findings(unusable)["broker"]["text"]
    assert (trusted.returncode, strange.returncode, unusable.returncode) == (0, 1, 1)


def test_each_node_of_a_cluster_has_a_line_and_one_that_lives_is_enough(tmp_path, ports):
    with Server("embedded", tmp_path) as broker:
        dead = free_port()
        ask = ("doctor", "--json", "--broker", f"mqtt://127.0.0.1:{dead},127.0.0.1:{broker.port}", *ports)  # fmt: skip
        half = energydash(*ask, cwd=tmp_path)
    none = energydash(*ask, cwd=tmp_path)

    nodes = [f"broker 127.0.0.1:{port}" for port in (dead, broker.port)]
    assert [findings(half)[node]["state"] for node in nodes] == ["warning", "ok"]
    assert [findings(none)[node]["state"] for node in nodes] == ["failed", "failed"]
    assert (half.returncode, none.returncode) == (0, 1)


@needs_mosquitto[0]
@needs_mosquitto[1]
def test_a_broker_that_refuses_us_is_told_without_the_password(tmp_path, ports):
    with Server("mosquitto", tmp_path, "allow_anonymous false", "user root") as broker:
        url = f"mqtt://me:hush-hush-hush@127.0.0.1:{broker.port}"
        done = energydash("doctor", "--json", "--broker", url, *ports, cwd=tmp_path)

    assert findings(done)["broker"]["state"] == "failed"
    assert "hush" not in done.stdout + done.stderr


def test_the_keys_quota_is_told_and_a_wrong_key_fails(tmp_path, ports):
    with serving(StandIn()) as api:
        arguments = ("doctor", "--json", "--base-url", f"{api.url}/v4", *ports)
        good = energydash(*arguments, cwd=tmp_path, OPENELECTRICITY_API_KEY=KEY)
        wrong = energydash(*arguments, cwd=tmp_path, OPENELECTRICITY_API_KEY="not-the-key")

    assert findings(good)["key"]["state"] in {"ok", "warning"}
    assert "left today" in findings(good)["key"]["text"]
    assert findings(wrong)["key"]["state"] == "failed"
    assert str(findings(wrong)["key"]).count("check OPENELECTRICITY_API_KEY") == 1
    assert wrong.returncode == 1
    assert "not-the-key" not in wrong.stdout + wrong.stderr


def test_an_api_that_cannot_be_reached_is_a_warning(tmp_path, ports):
    base = f"http://127.0.0.1:{free_port()}"
    done = energydash("doctor", "--json", "--base-url", base, *ports, cwd=tmp_path, OPENELECTRICITY_API_KEY=KEY)  # fmt: skip

    found = findings(done)["key"]
    assert found["state"] == "warning"
    assert found["advice"] == "check the network and --base-url"
    assert "--base-url" not in found["text"]
    assert done.returncode == 0


def test_an_api_that_fails_is_a_warning_and_no_matter_of_the_network(tmp_path, ports):
    with serving(StandIn()) as api:
        api.faults.add(faults.maintenance(), times=None)
        done = energydash("doctor", "--json", "--base-url", f"{api.url}/v4", *ports, cwd=tmp_path, OPENELECTRICITY_API_KEY=KEY)  # fmt: skip

    found = findings(done)["key"]
    assert (found["state"], found["advice"]) == ("warning", "try again later")
    assert "503" in found["text"]
    assert done.returncode == 0


def test_an_altered_file_and_a_stopped_fetch_are_told(tmp_path, ports):
    assert energydash("fetch", "--quiet", "--source", "demo", "--days", "0.02", cwd=tmp_path).returncode == 0  # fmt: skip
    well = energydash("doctor", "--json", *ports, cwd=tmp_path)
    (tmp_path / "data/.fetch").mkdir()
    left = energydash("doctor", "--json", *ports, cwd=tmp_path)
    batch = tmp_path / "data/batch_data/batch_001_metrics.json"
    batch.write_bytes(batch.read_bytes() + b" ")
    altered = energydash("doctor", "--json", *ports, cwd=tmp_path)

    assert findings(well)["data in data"]["state"] == "ok"
    assert findings(left)["data in data"]["state"] == "warning"
    assert altered.returncode == 1
    assert "batch_001_metrics.json" in findings(altered)["data in data"]["text"]


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has modes")
def test_secrets_that_others_can_read_are_doubted(tmp_path):
    path = tmp_path / ".env"
    path.touch()
    path.chmod(0o644)
    (open_to_all,) = machine.secrets(path)
    path.chmod(0o600)
    (private,) = machine.secrets(path)

    assert (open_to_all.state, private.state) == ("warning", "ok")
    assert "chmod 600" in open_to_all.advice
    assert machine.secrets(tmp_path / "none") == []


def _lacking(finding, **state):
    """What a check of the machine finds where `state` is what the system says."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in state.items():
            patch.setattr(machine, name, value)
        return finding()


@pytest.mark.parametrize(
    ("found", "state", "advice"),
    [
        (_lacking(machine.python, sys=SimpleNamespace(version_info=(3, 11, 9), platform="linux")), "failed", "3.12"),
        (_lacking(lambda: machine.disk(Path()), shutil=SimpleNamespace(disk_usage=lambda _: disk(50))), "failed", "--data-dir"),
        (_lacking(lambda: machine.disk(Path()), shutil=SimpleNamespace(disk_usage=lambda _: disk(500))), "warning", "make room"),
        (_lacking(machine.zones, _ZONES=("Australia/Nowhere",)), "warning", "tzdata"),
        (_lacking(lambda: machine.logs(Path()), os=SimpleNamespace(access=lambda *_: False, W_OK=2)), "warning", "permissions"),
        (_lacking(machine.packages, importlib=metadata("polars>=99", "no-such-thing>=1")), "failed", "--upgrade"),
    ],
    ids=["python", "full", "tight", "zones", "logs", "packages"],
)  # fmt: skip
def test_what_the_machine_lacks_is_told_with_what_to_do(found, state, advice):
    assert found.state == state
    assert advice in found.advice


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has such limits")
def test_a_small_number_of_open_files_is_told(tmp_path, ports):
    command = (
        f"ulimit -n 512; exec {sys.executable} -m energydash doctor --json {' '.join(ports)}"
    )
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=True)  # fmt: skip

    assert findings(done)["open files"]["state"] == "warning"
    assert "512" in findings(done)["open files"]["text"]


def test_a_clock_out_of_all_time_fails_and_one_behind_its_own_files_is_doubted():
    assert machine.clock(now=0.0).state == "failed"
    assert machine.clock(newest_file=time.time() + 3600).state == "warning"
    assert machine.clock(newest_file=time.time()).state == "ok"


def test_aemos_server_is_told_to_be_there_or_what_auto_shows_without_it(tmp_path, ports):
    newest = nem.floor_interval(nem.now()) - tree.STEP
    with serving(Nemweb(tree.tree(newest, 1))) as web:
        there = energydash(
            "doctor", "--json", "--nemweb-url", web.url, *ports, cwd=tmp_path, how=PATIENT
        )
    gone = energydash("doctor", "--json", *ports, cwd=tmp_path)

    assert findings(there)["nemweb"]["state"] == "ok"
    assert findings(gone)["nemweb"]["state"] == "warning"
    assert "simulated grid" in findings(gone)["nemweb"]["text"]
    assert gone.returncode == 0
