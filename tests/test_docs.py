"""README, --help and .env.example tell the same truth."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import typer.main

from energydash.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENV_EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands
OPTIONS = [(name, option) for name, command in COMMANDS.items() for option in command.params]


def env_names(option) -> list[str]:
    envvar = option.envvar
    return [envvar] if isinstance(envvar, str) else list(envvar or ())


def test_there_are_the_six_commands_and_three_to_operate_them():
    assert list(COMMANDS) == [
        "fetch", "convert", "publish", "serve", "ui", "up", "doctor", "status", "down",
    ]  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_help_and_a_section_in_the_readme(name):
    assert COMMANDS[name].help
    assert f"### `energydash {name}`" in README


@pytest.mark.parametrize(
    ("command", "option"), OPTIONS, ids=lambda value: getattr(value, "name", value)
)
def test_an_option_has_help_and_stands_in_the_readme(command, option):
    if option.name == "help":
        return
    assert option.help
    assert any(f"`{flag}" in README for flag in option.opts), f"{option.opts} of {command}"


def test_each_setting_of_the_environment_is_in_the_example_and_back():
    told = set(re.findall(r"^#?([A-Z][A-Z_]+)=", ENV_EXAMPLE, re.MULTILINE))
    read = {name for _, option in OPTIONS for name in env_names(option)}

    assert told == read | {"OPENELECTRICITY_API_KEY"}


def test_an_example_left_untouched_changes_nothing():
    active = re.findall(r"^[A-Z_]+=(.*)$", ENV_EXAMPLE, re.MULTILINE)

    assert active == [""]


def test_ci_runs_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    line = "python -m pip install -e '.[test]' && python -m pytest"

    assert line in README
    assert line in script


def test_the_readmes_pictures_are_there_and_small():
    pictures = re.findall(r"\.github/images/[\w-]+\.png", README)

    assert pictures
    for picture in pictures:
        assert 10_000 < (ROOT / picture).stat().st_size < 600_000


def test_the_picture_of_the_whole_names_every_step_and_runs_nothing():
    (name,) = re.findall(r"\.github/images/[\w-]+\.svg", README)
    drawing = ET.parse(ROOT / name)
    words = {word for each in drawing.iter() for word in (each.text or "").split()}

    assert {"fetch", "convert", "publish", "serve", "ui", "up"} <= words
    assert {each.tag.rpartition("}")[2] for each in drawing.iter()} <= {
        "svg", "title", "desc", "defs", "marker", "path", "rect", "line", "text",
    }  # fmt: skip


def test_every_link_within_the_readme_leads_to_a_heading():
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {
        re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings
    }
    links = set(re.findall(r"\]\(#([\w-]+)\)", README))

    assert links
    assert links <= anchors
