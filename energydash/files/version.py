"""Which shape a data folder has, so that no version misreads what another wrote.

`version.json` holds the number of the shape. A folder without one is from before there were numbers: its shape is the first.
"""

from collections.abc import Callable, Mapping

import msgspec

from energydash import __version__
from energydash.errors import FileError
from energydash.files.folder import DataFolder, read, write

CURRENT = 1
"""The shape that this version reads and writes."""

_FILE = "version.json"

Step = Callable[[DataFolder], None]

# From each older number to the next; a step must be safe to do again, for a kill can come in its middle.
_STEPS: Mapping[int, Step] = {}


class _Shape(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    written_by: str = ""


def version_of(folder: DataFolder) -> int:
    """Give the number of a folder's shape.

    Raises:
        FileError: the file that says it cannot be read.
    """
    path = folder.root / _FILE
    if not path.exists():
        return 1
    try:
        return msgspec.json.decode(read(path, ""), type=_Shape).version
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise FileError(
            f"{path} is not what energydash writes ({exc}): give another --data-dir, or fetch again into an empty one"
        ) from exc


def check(folder: DataFolder) -> int:
    """Give the number of a folder's shape, if it is one that this version understands.

    Raises:
        FileError: a newer version wrote it, or one so old that nothing leads on from it.
    """
    found = version_of(folder)
    if found > CURRENT:
        raise FileError(
            f"{folder.root} was written by a newer energydash (data version {found}, this one knows {CURRENT}): "
            "upgrade, or give another --data-dir"
        )
    missing = [number for number in range(found, CURRENT) if number not in _STEPS]
    if missing:
        raise FileError(
            f"{folder.root} has data version {found}, from which this energydash knows no way to {CURRENT}: "
            "give another --data-dir and fetch again"
        )
    return found


def migrate(folder: DataFolder) -> None:
    """Bring a folder that we are about to write to the current shape, step by step; the caller keeps others away.

    Raises:
        FileError: as `check`, or the folder cannot be written.
    """
    for number in range(check(folder), CURRENT):
        _STEPS[number](folder)
        _stamp(folder, number + 1)
    if not (folder.root / _FILE).exists():
        _stamp(folder, CURRENT)


def _stamp(folder: DataFolder, number: int) -> None:
    shape = _Shape(version=number, written_by=__version__)
    write(folder.root / _FILE, msgspec.json.encode(shape) + b"\n")
