"""The data folder: where each file is, and writing that a kill cannot tear."""

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from energydash.errors import FileError

# Whoever still writes after that is dead; a conversion writes beside us.
_ABANDONED_S = 3600.0


class DataFolder:
    """The names of the files in a data folder; tables may live elsewhere than in its `csv_output`."""

    def __init__(self, root: Path, tables: Path | None = None) -> None:
        self.root = root
        self.facilities = root / "facilities_data.json"
        self.mapping = root / "facility_unit_mapping.json"
        self.batches = root / "batch_data"
        self.unit_metrics = root / "facility_units_metrics.json"
        self.facility_metrics = root / "facility_metrics.json"
        self.market = root / "market_data.json"
        self.manifest = root / "manifest.jsonl"
        self.source = root / "source.json"
        self.tables = root / "csv_output" if tables is None else tables
        self.facilities_csv = self.tables / "facilities.csv"
        self.units_csv = self.tables / "facility_units.csv"
        self.facility_metrics_csv = self.tables / "facility_metrics_wide.csv"
        self.market_csv = self.tables / "market_metrics_data.csv"
        self.market_metadata_csv = self.tables / "market_metrics_metadata.csv"
        self.tables_source = self.tables / "source.json"

    def batch(self, number: int) -> Path:
        """Give the file of the raw answer `number`, from 1."""
        return self.batches / batch_name(number)


def batch_name(number: int) -> str:
    """Give the name of the raw answer `number`, from 1."""
    return f"batch_{number:03d}_metrics.json"


def read(path: Path, advice: str) -> bytes:
    """Give a file's content.

    Raises:
        FileError: it cannot be read; the text ends with `advice` where it is missing.
    """
    try:
        return path.read_bytes()
    except OSError as exc:
        raise unreadable(path, exc, advice) from exc


def unreadable(path: Path, exc: OSError, advice: str) -> FileError:
    """Give the error for a file that cannot be read; the text ends with `advice` where it is missing."""
    if isinstance(exc, FileNotFoundError):
        return FileError(f"{path} is not there: {advice}")
    return FileError(f"{path} cannot be read: {exc.strerror or exc}: check its permissions")


def write(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Replace a file as a whole: a reader or a kill finds the old content or the new.

    `mode` is who may read it, less what the user's umask takes away.

    Raises:
        FileError: it cannot be written.
    """
    write_with(path, lambda temporary: _dump(temporary, content, mode))


def write_with(path: Path, writer: Callable[[Path], None]) -> None:
    """Do what `write` does, for a `writer` that fills the path it is given.

    Raises:
        FileError: it cannot be written.
    """
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            writer(temporary)
            _sync(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as exc:
        raise FileError(
            f"{path} cannot be written: {exc.strerror or exc}: check the folder and the space left"
        ) from exc


def clear_abandoned(folder: DataFolder) -> None:
    """Remove what writes that were killed left over long ago."""
    for place in (folder.root, folder.batches):
        for left in place.glob(".*.tmp"):
            # Its writer may be alive after all, and take it away while we look.
            with suppress(OSError):
                if left.is_file() and time.time() - left.stat().st_mtime >= _ABANDONED_S:
                    left.unlink()


def _dump(path: Path, content: bytes, mode: int) -> None:
    new = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, new, mode), "wb") as file:
        file.write(content)


def _sync(path: Path) -> None:
    # Without it, a power cut after the rename can leave an empty file under the final name.
    with path.open("rb+") as file:
        os.fsync(file.fileno())
