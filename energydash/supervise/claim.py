"""The file that says who runs in a folder, so that `status` and `down` find it and no stranger is ever touched.

A lock that the system lets go when its holder dies says whether anybody runs; the file beside it says who, and how to reach them.
It holds the token of the control socket, so only its owner may read it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from energydash.errors import EnergydashError, FileError
from energydash.files.folder import write

_FILE = "up.json"
_LOCK = ".up.lock"
_PRIVATE = 0o600
# Who looks whether anybody runs holds the lock for a moment.
_LOOKED_WITHIN_S = 0.5


class Member(msgspec.Struct, frozen=True):
    """A process: pids come again, so the time of its creation (seconds since 1970) belongs to its name."""

    name: str
    pid: int
    created: float


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A running `up`: itself, its parts, and where it listens to `status` and `down`."""

    up: Member
    port: int
    token: str
    parts: tuple[Member, ...] = ()


def load(folder: Path) -> Running | None:
    """Read who runs in a folder, or ran there and was killed; None where there is nothing to read.

    Raises:
        FileError: the file is there, and cannot be read.
    """
    path = folder / _FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Running)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as exc:
        raise FileError(f"{path} cannot be read ({exc}): delete it") from exc


def save(folder: Path, running: Running) -> None:
    """Say who runs, to this user alone.

    Raises:
        FileError: it cannot be written.
    """
    write(folder / _FILE, msgspec.json.encode(running), mode=_PRIVATE)


def forget(folder: Path) -> None:
    """Take the file away."""
    (folder / _FILE).unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Whether somebody runs in a folder."""
    lock = FileLock(folder / _LOCK)
    if not (folder / _LOCK).exists():
        return False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep every other `up` away from the folder for as long as the block runs; a kill lets go.

    Raises:
        EnergydashError: another runs there.
        FileError: the folder cannot be written.
    """
    lock = FileLock(folder / _LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_LOOKED_WITHIN_S)
    except Timeout:
        raise EnergydashError(
            f"another `energydash up` runs in {folder}: `energydash status` shows it, `energydash down` ends it"
        ) from None
    except OSError as exc:
        raise FileError(
            f"{folder} cannot be written: {exc.strerror or exc}: check --data-dir"
        ) from exc
    try:
        yield
    finally:
        forget(folder)
        lock.release()
