"""The data folder says its version: an older one is brought forward, a newer one refused, and nothing is misread."""

import json

import pytest
from processes import energydash

from energydash.errors import FileError
from energydash.files import version
from energydash.files.folder import DataFolder


@pytest.fixture
def folder(tmp_path):
    return DataFolder(tmp_path)


def says(folder, number):
    (folder.root / "version.json").write_text(json.dumps({"version": number}))


def test_a_folder_from_before_there_were_versions_gets_one_at_the_next_fetch(tmp_path):
    assert energydash("fetch", "--quiet", "--source", "demo", "--days", "0.02", cwd=tmp_path).returncode == 0  # fmt: skip
    stamp = tmp_path / "data/version.json"
    assert json.loads(stamp.read_bytes())["version"] == version.CURRENT
    stamp.unlink()

    assert energydash("convert", "--quiet", cwd=tmp_path).returncode == 0
    assert energydash("fetch", "--quiet", "--source", "demo", "--days", "0.02", cwd=tmp_path).returncode == 0  # fmt: skip

    assert json.loads(stamp.read_bytes())["version"] == version.CURRENT


@pytest.mark.parametrize("command", ["fetch", "convert", "doctor"])
def test_a_newer_folder_is_refused_with_the_reason(tmp_path, command):
    (tmp_path / "data").mkdir()
    says(DataFolder(tmp_path / "data"), version.CURRENT + 1)
    before = (tmp_path / "data/version.json").read_bytes()

    done = energydash(command, "--quiet" if command != "doctor" else "--json", cwd=tmp_path)

    assert done.returncode == 1
    assert "newer energydash" in done.stdout + done.stderr
    assert (tmp_path / "data/version.json").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"version": "one"}'])
def test_a_version_that_says_nothing_is_refused(folder, content):
    (folder.root / "version.json").write_bytes(content)

    with pytest.raises(FileError, match=r"version\.json"):
        version.check(folder)


def test_an_older_folder_goes_through_every_step_in_turn(folder, monkeypatch):
    says(folder, 1)
    done = []
    monkeypatch.setattr(version, "CURRENT", 3)
    monkeypatch.setattr(
        version, "_STEPS", {1: lambda _: done.append(1), 2: lambda _: done.append(2)}
    )

    version.migrate(folder)

    assert done == [1, 2]
    assert version.version_of(folder) == 3


def test_a_step_that_fails_is_done_again_and_none_before_it(folder, monkeypatch):
    says(folder, 1)
    done = []

    def fails_once(_):
        done.append(2)
        if done.count(2) == 1:
            raise FileError("the disk is full")

    monkeypatch.setattr(version, "CURRENT", 3)
    monkeypatch.setattr(version, "_STEPS", {1: lambda _: done.append(1), 2: fails_once})
    with pytest.raises(FileError):
        version.migrate(folder)

    version.migrate(folder)

    assert done == [1, 2, 2]


def test_an_old_folder_that_nothing_leads_on_from_is_refused_with_the_reason(folder):
    says(folder, 0)

    with pytest.raises(FileError, match="knows no way"):
        version.check(folder)
