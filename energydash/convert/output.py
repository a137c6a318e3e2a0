"""The outputs: files made of one fragment a day, and folders of one Parquet file a day; what did not change is kept as bytes."""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from energydash.errors import FileError
from energydash.files.folder import write, write_with

Range = tuple[int, int]
"""Where bytes stand in a file: from, to."""

Stat = tuple[int, int, int]
"""Size, modification time (ns) and inode: whoever writes a file changes one of them."""

PART = "part.parquet"
"""The file in the folder of each day."""

_STAGE = ".stage."
# What nobody has touched for so long is what a killed conversion left over.
_ABANDONED_S = 3600.0
_CHUNK = 1 << 20


class Joined:
    """A file on its way: a head, a fragment for each day with a separator between, a tail."""

    def __init__(self, file: BinaryIO, head: bytes, separator: bytes, tail: bytes) -> None:
        self._file = file
        self._separator = separator
        self._tail = tail
        self._at = file.write(head)
        self._is_first = True

    def add(self, pieces: Sequence[bytes]) -> Range:
        """Write a day's fragment, and give where it stands."""
        start = self._separate(sum(map(len, pieces)))
        for piece in pieces:
            self._at += self._file.write(piece)
        return start, self._at

    def keep(self, old: BinaryIO, where: Range) -> Range:
        """Copy a day's fragment from the file as it was, and give where it stands now.

        Raises:
            FileError: the file is shorter than it was.
        """
        left = where[1] - where[0]
        start = self._separate(left)
        old.seek(where[0])
        while left:
            chunk = old.read(min(left, _CHUNK))
            if not chunk:
                raise FileError(f"{old.name} was cut short meanwhile: try again")
            left -= len(chunk)
            self._at += self._file.write(chunk)
        return start, self._at

    def settle(self) -> None:
        """See what is written onto the disk: in the end, all at once would make everybody wait."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        """End the file."""
        self._file.write(self._tail)

    def _separate(self, length: int) -> int:
        if length and not self._is_first:
            self._at += self._file.write(self._separator)
        self._is_first = self._is_first and not length
        return self._at


class Partitions:
    """A table as `date=YYYY-MM-DD/part.parquet`, which every engine reads; days are staged, then put in place one by one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stage = folder.parent / f"{_STAGE}{secrets.token_hex(6)}"

    def add(self, day: str, pieces: Sequence[bytes]) -> None:
        """Stage a day."""
        write(self._stage / day, b"".join(pieces))

    def commit(self, days: Sequence[str]) -> None:
        """Put the staged days in place and take away those that are not among `days`.

        Raises:
            FileError: the folder cannot be written.
        """
        try:
            self._commit(days)
        except OSError as exc:
            raise FileError(
                f"{self._folder} cannot be written: {exc.strerror or exc}: check the folder and the space left"
            ) from exc

    def _commit(self, days: Sequence[str]) -> None:
        staged = sorted(self._stage.iterdir()) if self._stage.exists() else []
        for each in staged:
            place = part_of(self._folder, each.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            each.replace(place)
        gone = {part_of(self._folder, day).parent for day in days}
        for each in self._folder.glob("date=*"):
            if each not in gone:
                shutil.rmtree(each)
        if staged:
            # Whoever follows the table watches its folder.
            os.utime(self._folder)

    def discard(self) -> None:
        """Leave nothing staged."""
        shutil.rmtree(self._stage, ignore_errors=True)


def part_of(folder: Path, day: str) -> Path:
    """Give the file of a day in a partitioned table."""
    return folder / f"date={day}" / PART


def put(path: Path, content: bytes) -> bool:
    """Replace a file unless it already holds this; say whether it did.

    Raises:
        FileError: it cannot be written.
    """
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    write(path, content)
    return True


def replace_together(paths: Sequence[Path], fill: Callable[[Sequence[Path]], None]) -> None:
    """Let `fill` write temporary files for all `paths`, then replace one after the other, the last one last.

    Raises:
        FileError: one cannot be written; if `fill` failed, none is replaced.
    """

    def nest(rest: Sequence[Path], temporaries: tuple[Path, ...]) -> None:
        if rest:
            write_with(rest[-1], lambda temporary: nest(rest[:-1], (temporary, *temporaries)))
        else:
            fill(temporaries)

    nest(paths, ())


def clear_abandoned(folder: Path) -> None:
    """Remove what conversions that were killed left over."""
    for left in [*folder.glob(".*.tmp"), *folder.glob(f"{_STAGE}*")]:
        # Another conversion may end, and take its own away, while we look.
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime < _ABANDONED_S:
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()


def stat_of(path: Path) -> Stat | None:
    """Give what tells a file from its successors; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def stats_of(paths: Sequence[Path]) -> dict[str, Stat]:
    """Give what tells these files from their successors."""
    found = {str(path.resolve()): stat_of(path) for path in paths}
    return {name: stat for name, stat in found.items() if stat is not None}
