"""The manifest: what each raw file holds, one JSON line a file, appended as the files come.

A line counts once it is whole: a process killed in the middle of one leaves a torn end that readers pass over.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from energydash import schema
from energydash.errors import FileError
from energydash.files.folder import read, write


def digest(content: bytes) -> str:
    """Give the SHA-256 that the manifest keeps of a file, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def append(path: Path, entry: schema.Kept) -> None:
    """Add a line and see it onto the disk.

    Raises:
        FileError: it cannot be written.
    """
    try:
        with path.open("ab") as file:
            # A torn line of a killed process would swallow this one.
            if file.tell() and not _ends_whole(path):
                file.write(b"\n")
            file.write(schema.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise FileError(
            f"{path} cannot be written: {exc.strerror or exc}: check the folder and the space left"
        ) from exc


def replace(path: Path, entries: Iterable[schema.Kept]) -> None:
    """Write all lines anew, as a whole.

    Raises:
        FileError: it cannot be written.
    """
    write(path, b"".join(schema.encode(entry) + b"\n" for entry in entries))


def load(path: Path) -> dict[str, schema.Kept]:
    """Read the entries by file name, the last of each; none where there is no manifest.

    Raises:
        FileError: it cannot be read.
    """
    if not path.exists():
        return {}
    entries = {}
    for line in read(path, "").splitlines():
        try:
            entry = schema.decode_kept(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        entries[entry.file] = entry
    return entries


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
