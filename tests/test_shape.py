"""The house rules that a machine can hold: one direction, one home, short modules, a docstring in each."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "energydash"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 350
# One module holds every record that crosses a boundary: to read a wire, one page is enough.
LONGER = {"schema.py": 470}

# What every part may import, and the stages in the order in which data passes them.
SHARED = {
    "errors",
    "secret",
    "address",
    "alerting",
    "plain",
    "nem",
    "schema",
    "config",
    "log",
    "progress",
    "process",
    "threads",
    "browser",
}
STAGES = ("sources", "files", "fetch", "convert", "stream", "server")
# The dashboard knows the server by its wire alone, and a data folder by what any tool reads there; the command line
# and the supervisor start all of them.
EDGES = {
    "ui": {"files"},
    "supervise": {"files"},
    "up": {"supervise"},
    "doctor": {"supervise", "files", "sources", "stream"},
    "options": set(),
    "console": set(),
    "cli_publish": {"stream", "options", "console"},
    "cli_up": {"sources", "up", "supervise", "doctor", "options", "console"},
    "cli": {*STAGES, "ui", "options", "console", "cli_publish", "cli_up"},
}
HOMES = {
    "httpx": {"sources"},
    "openelectricity": {"sources"},
    "polars": {"files", "convert"},
    "paho": {"stream"},
    "aiomqtt": {"stream"},
    "iotcore": {"stream"},
    "litestar": {"server"},
    "uvicorn": {"server"},
    "prometheus_client": {"server"},
    "panel": {"ui"},
    "bokeh": {"ui"},
    "holoviews": {"ui"},
    "typer": {"cli", "cli_up", "options", "console"},
    "psutil": {"supervise", "doctor"},
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def allowed_parts(part: str) -> set[str]:
    if part in EDGES:
        return SHARED | EDGES[part] | {part}
    if part in STAGES:
        return SHARED | set(STAGES[: STAGES.index(part) + 1])
    return SHARED


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_a_module_imports_only_what_lies_before_it_on_the_datas_way():
    known = {part_of(module) for module in MODULES}
    doors = {PACKAGE / "__init__.py", PACKAGE / "__main__.py"}
    wrong = {}
    for path in set(MODULES) - doors:
        own = {name.split(".")[1] for name in imports_of(path) if name.startswith("energydash.")}  # fmt: skip
        wrong[name_of(path)] = own & known - allowed_parts(part_of(path))

    assert {path: parts for path, parts in wrong.items() if parts} == {}


def test_each_heavy_library_has_one_home():
    strays = {
        (name_of(path), name)
        for path in MODULES
        for name in imports_of(path)
        if part_of(path) not in HOMES.get(name.split(".")[0], {part_of(path)})
    }

    assert strays == set()


def test_a_module_is_short_and_says_its_job():
    texts = {path: path.read_text(encoding="utf-8") for path in MODULES}
    long = {name_of(path) for path, text in texts.items() if len(text.splitlines()) > LONGER.get(path.name, MAX_LINES)}  # fmt: skip
    silent = {name_of(path) for path, text in texts.items() if not ast.get_docstring(ast.parse(text))}  # fmt: skip

    assert long == set()
    assert silent == set()


def test_nothing_but_the_agreed_stands_at_the_top():
    agreed = {
        "energydash", "tests", "data", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "logs", "dist", "uv.lock", "build",
    }  # fmt: skip
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}

    assert {name for name in found if not name.endswith(".egg-info")} <= agreed
