"""What the machine brings: Python, packages, clock, time zones, open files, disk, logs."""

import importlib.metadata
import os
import shutil
import sys
import time
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path

from packaging.requirements import Requirement

from energydash.doctor.finding import Finding, failed, ok, warning

_PYTHON = (3, 12)
_BUILT_IN = 2026
_DONE_BY = 2100
_AHEAD_S = 300.0
_FEW_FILES = 1024
_MB = 1_000_000
_TIGHT_MB, _FULL_MB = 1000, 100
_ZONES = ("Australia/Brisbane", "Etc/GMT-10")


def python() -> Finding:
    """Look at the interpreter."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _PYTHON:
        return failed("python", found, "install Python 3.12 or newer")
    return ok("python", f"{found} on {sys.platform}")


def packages() -> Finding:
    """Hold what is installed against what energydash asks for."""
    try:
        asked = importlib.metadata.requires("energydash") or []
        version = importlib.metadata.version("energydash")
    except importlib.metadata.PackageNotFoundError:
        return warning(
            "packages", "energydash runs without being installed", "pip install -e . tells what is missing"
        )  # fmt: skip
    wrong = [trouble for text in asked if (trouble := _trouble(Requirement(text)))]
    if wrong:
        return failed(
            "packages", ", ".join(wrong), "python -m pip install --upgrade energydash"
        )
    return ok("packages", f"energydash {version} and what it needs")


def _trouble(wanted: Requirement) -> str:
    if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
        return ""
    try:
        found = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{wanted.name} is missing"
    if wanted.specifier.contains(found, prereleases=True):
        return ""
    return f"{wanted.name} is {found}, not {wanted.specifier}"


def clock(newest_file: float | None = None, now: float | None = None) -> Finding:
    """Look whether the machine's clock can be right: within years that make sense, and not before what it has written.

    `newest_file` is the modification time of something that is there already, and `now` the clock, both in seconds since 1970.
    """
    seconds = time.time() if now is None else now
    moment = datetime.fromtimestamp(seconds, UTC)
    advice = "set the machine's clock, best by NTP: what the grid does now is asked for by it"
    if not _BUILT_IN <= moment.year < _DONE_BY:
        return failed("clock", f"it says {moment:%Y-%m-%d}", advice)
    if newest_file is not None and newest_file > seconds + _AHEAD_S:
        return warning("clock", "there are files from the future", advice)
    return ok("clock", f"{moment:%Y-%m-%d %H:%M} UTC")


def zones() -> Finding:
    """Look whether the system has time zone data, which readers of the Parquet tables need."""
    try:
        for name in _ZONES:
            zoneinfo.ZoneInfo(name)
    except zoneinfo.ZoneInfoNotFoundError as exc:
        return warning(
            "time zones", f"no data for {exc.args[0]}", "python -m pip install tzdata"
        )
    return ok("time zones", "known")


def open_files() -> Finding:
    """Look how many files and connections a process may have open."""
    if sys.platform == "win32":
        return ok("open files", "no limit to look at")
    import resource  # noqa: PLC0415 (Windows has no such module)

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < _FEW_FILES:
        return warning(
            "open files", f"{most} at most, so about as many clients", "raise it: `ulimit -Hn`, or LimitNOFILE= of systemd"
        )  # fmt: skip
    return ok(
        "open files", "any number" if most == resource.RLIM_INFINITY else f"{most:,} at most"
    )


def disk(folder: Path) -> Finding:
    """Look how much room is left for the data."""
    free_mb = shutil.disk_usage(_there(folder)).free // _MB
    advice = f"make room, or give another --data-dir than {folder}"
    if free_mb < _FULL_MB:
        return failed("disk", f"{free_mb:,} MB are free", advice)
    if free_mb < _TIGHT_MB:
        return warning("disk", f"{free_mb:,} MB are free", advice)
    return ok("disk", f"{free_mb:,} MB are free")


def logs(folder: Path) -> Finding:
    """Look whether the log can be written."""
    if os.access(_there(folder), os.W_OK):
        return ok("logs", f"{folder}/ can be written")
    return warning("logs", f"{folder}/ cannot be written", "start where you may write, or change its permissions")  # fmt: skip


def secrets(path: Path) -> list[Finding]:
    """Look whether others on this machine can read the secrets in `path`; nothing to say where there is no such file."""
    if os.name != "posix" or not path.is_file():
        return []
    if path.stat().st_mode & 0o077:
        return [
            warning("secrets", f"others on this machine can read {path}", f"chmod 600 {path}")
        ]
    return [ok("secrets", f"{path} is for you alone")]


def _there(path: Path) -> Path:
    """Give the path, or its nearest parent that exists."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())
