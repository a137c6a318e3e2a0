"""The systemd unit and the container file in the README, as far as they can be tried without their machines."""

import re
import shutil
import subprocess
import sys

import pytest
from processes import energydash
from readme import block

ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(ANALYZE is None, reason="systemd is not installed")
def test_systemd_has_no_complaint_about_the_unit(tmp_path):
    text = block("ini", "[Unit]").replace("/srv/energydash/venv/bin/energydash", sys.executable)
    unit = tmp_path / "energydash.service"
    unit.write_text(
        text.replace("User=energydash\n", "").replace("/srv/energydash", str(tmp_path))
    )

    done = subprocess.run([ANALYZE, "verify", str(unit)], capture_output=True, text=True, check=False)  # fmt: skip

    assert [line for line in done.stderr.splitlines() if unit.name in line] == []


@pytest.mark.parametrize(("language", "words"), [("ini", "[Unit]"), ("dockerfile", "FROM")])
def test_the_commands_in_it_take_the_options_that_it_gives_them(tmp_path, language, words):
    """With --help last, an option that is wrong still ends the command with 2."""
    text = block(language, words)
    found = re.findall(r"^ExecStart=\S+ (.*)$", text, re.MULTILINE)
    found += [" ".join(re.findall(r'"([^"]+)"', line)[1:]) for line in text.splitlines() if "CMD [" in line]  # fmt: skip

    assert found
    for line in found:
        done = energydash(*line.split(), "--help", cwd=tmp_path)
        assert done.returncode == 0, line
