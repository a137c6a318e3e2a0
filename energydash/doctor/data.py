"""How a data folder is: its version, whether its files are what was fetched, what an interrupted fetch left."""

import hashlib
import os
from pathlib import Path

from energydash import schema
from energydash.doctor.finding import Finding, failed, ok, warning
from energydash.errors import FileError
from energydash.files import manifest, version
from energydash.files.folder import DataFolder

_SHOWN = 3
_STAGE = ".fetch"


def examine(root: Path) -> Finding:
    """Look at a data folder; one that is not there yet is well."""
    name = f"data in {root}"
    if not root.exists():
        return ok(name, "nothing yet: `energydash fetch` fills it")
    folder = DataFolder(root)
    try:
        version.check(folder)
        entries = manifest.load(folder.manifest)
        trouble = _altered(root, entries)
    except FileError as exc:
        return failed(name, str(exc), "fetch again into another folder")
    if not os.access(root, os.W_OK):
        return failed(
            name, "it cannot be written", "change its permissions, or give another --data-dir"
        )
    if trouble:
        more = f" and {len(trouble) - _SHOWN} more" if len(trouble) > _SHOWN else ""
        return failed(name, f"not as it was fetched: {', '.join(trouble[:_SHOWN])}{more}", "run the same `energydash fetch` again")  # fmt: skip
    return _unfinished(name, root, len(entries))


def _unfinished(name: str, root: Path, files: int) -> Finding:
    if (root / _STAGE).exists():
        return warning(
            name, "a fetch is at work, or was stopped before its end", "the same `energydash fetch` goes on with it; --restart drops it"
        )  # fmt: skip
    if not files:
        return ok(name, "nothing is fetched yet")
    return ok(name, f"{files:,} files are as they were fetched")


def _altered(root: Path, entries: dict[str, schema.Kept]) -> list[str]:
    return [
        name
        for name, entry in entries.items()
        if entry.size and _digest(root / name) != entry.sha256
    ]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
