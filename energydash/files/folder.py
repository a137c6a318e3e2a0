"""The data folder: where each file is, and writing that a kill cannot tear."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from energydash.errors import FileError


class DataFolder:
    """The names of the files in a data folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.facilities = root / "facilities_data.json"
        self.mapping = root / "facility_unit_mapping.json"
        self.batches = root / "batch_data"
        self.unit_metrics = root / "facility_units_metrics.json"
        self.facility_metrics = root / "facility_metrics.json"
        self.market = root / "market_data.json"
        self.source = root / "source.json"

    def batch(self, number: int) -> Path:
        """Give the file of the raw answer `number`, from 1."""
        return self.batches / f"batch_{number:03d}_metrics.json"


def read(path: Path, advice: str) -> bytes:
    """Give a file's content.

    Raises:
        FileError: it cannot be read; the text ends with `advice`.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileError(f"{path} is not there: {advice}") from None
    except OSError as exc:
        raise FileError(f"{path} cannot be read: {exc.strerror}") from exc


def write(path: Path, content: bytes) -> None:
    """Replace a file as a whole: a reader or a kill finds the old content or the new.

    Raises:
        FileError: it cannot be written.
    """
    write_with(path, lambda temporary: _dump(temporary, content))


def write_with(path: Path, writer: Callable[[Path], None]) -> None:
    """Like `write`, for what writes a path itself.

    Raises:
        FileError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            writer(temporary)
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    except OSError as exc:
        raise FileError(f"{path} cannot be written: {exc.strerror or exc}") from exc


def _dump(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
