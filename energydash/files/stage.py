"""A fetch on its way to the folder: each answer goes to disk as it comes, and all of them count at once, at the end.

What a killed fetch leaves is good for the next one with the same terms: an answer that is whole is not asked for
again. Everything lies in a hidden folder beside the data, on the same disk.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from energydash import schema
from energydash.errors import FileError
from energydash.files import manifest, version
from energydash.files.folder import DataFolder, clear_abandoned, read, write, write_with
from energydash.files.raw import join, load_provenance

logger = logging.getLogger(__name__)

_STAGE = ".fetch"
_DONE = ".fetch.done"
_LOCK = ".fetch.lock"
_ADVICE = "run the same command again"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What makes two fetches the same: with other terms, kept answers are of no use."""

    source: str
    url: str
    seed: int
    network: str
    interval: str
    status: str
    batch_size: int
    start: datetime
    end: datetime


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    terms: Terms
    begun: datetime


@contextmanager
def claimed(folder: DataFolder) -> Iterator[None]:
    """Keep every other fetch away from the folder for as long as the block runs; a kill lets go.

    Raises:
        FileError: another fetch is at work, the folder cannot be written, or is of a newer version than ours.
    """
    lock = FileLock(folder.root / _LOCK)
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise FileError(
            f"another fetch is at work in {folder.root}: let it finish, or give another --data-dir"
        ) from None
    except OSError as exc:
        raise _unwritable(folder.root, exc) from exc
    try:
        version.migrate(folder)
        clear_abandoned(folder)
        yield
    finally:
        lock.release()


class Stage:
    """The answers of one fetch: `keep` each, then `commit`. Every method raises FileError where the disk fails."""

    def __init__(self, folder: DataFolder, begun: _Begun) -> None:
        self._folder = folder
        self._place = DataFolder(folder.root / _STAGE)
        self.terms = begun.terms
        self.begun = begun.begun
        self.kept: dict[str, schema.Kept] = {}

    def keep(self, entry: schema.Kept, content: bytes) -> None:
        """Keep what came for `entry.file`; no content stands for "there is no data", and is remembered as well."""
        if content:
            write(self._place.root / entry.file, content)
        manifest.append(self._place.manifest, entry)
        self.kept[entry.file] = entry

    def read(self, name: str) -> bytes:
        """Give what was kept."""
        return read(self._place.root / name, _ADVICE)

    def commit(
        self,
        *,
        mapping: Mapping[str, Sequence[str]],
        market: schema.Kept,
        provenance: schema.Provenance,
    ) -> tuple[Path, ...]:
        """Let the new fetch take the old one's place, and give the files that it wrote.

        `market` is the entry of the joined file, whose content is made here. Killed anywhere in here, the stage
        still holds everything, and committing again ends the same.
        """
        folder, place = self._folder, self._place
        asked = self._entries("units")
        units = [entry for entry in asked if entry.size]
        _disown(folder, provenance)
        write(folder.facilities, read(place.facilities, _ADVICE))
        write(folder.mapping, msgspec.json.encode(mapping))
        answers = [self.read(entry.file) for entry in self._entries("market") if entry.size]
        write_with(folder.market, lambda path: join(path, iter(answers)))
        write_with(
            folder.unit_metrics,
            lambda path: join(path, (self.read(entry.file) for entry in units)),
        )
        self._swap([place.root / entry.file for entry in units])
        manifest.replace(
            folder.manifest,
            [
                *_asking(self._entries("catalogue"), asked),
                _measured(market, folder.market),
                *units,
            ],
        )
        write(folder.source, schema.encode(provenance))
        self._close()
        return (
            folder.facilities, folder.mapping, folder.market, folder.unit_metrics, folder.manifest,
            *(folder.root / entry.file for entry in units), folder.source,
        )  # fmt: skip

    def retain(self, names: Collection[str]) -> None:
        """Let no other file than these count."""
        self.kept = {name: entry for name, entry in self.kept.items() if name in names}

    def drop(self) -> None:
        """Forget everything."""
        shutil.rmtree(self._place.root, ignore_errors=True)

    def _entries(self, kind: str) -> list[schema.Kept]:
        """Give the entries of a kind in the order of their numbers."""
        chosen = [entry for entry in self.kept.values() if entry.kind == kind]
        return sorted(chosen, key=lambda entry: (len(entry.file), entry.file))

    def _swap(self, answers: Sequence[Path]) -> None:
        """Put the new batches in the old ones' place; in between, readers find the joined file."""
        batches = self._folder.batches
        new, old = (self._place.root / name for name in ("new_batches", "old_batches"))
        try:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            # The folder is as open as its parent.
            new.chmod(self._folder.root.stat().st_mode & 0o777)
            for path in answers:
                _link(path, new / path.name)
            shutil.rmtree(old, ignore_errors=True)
            if batches.exists():
                batches.rename(old)
            new.rename(batches)
        except OSError as exc:
            raise _unwritable(batches, exc) from exc

    def _close(self) -> None:
        """Take the stage away; renamed first, because a half of it must not be taken for a whole."""
        done = self._folder.root / _DONE
        try:
            shutil.rmtree(done, ignore_errors=True)
            self._place.root.rename(done)
        except OSError as exc:
            raise _unwritable(self._place.root, exc) from exc
        shutil.rmtree(done, ignore_errors=True)


def find(folder: DataFolder) -> Stage | None:
    """Give what an earlier fetch left, as far as it is whole; None where there is nothing of use."""
    shutil.rmtree(folder.root / _DONE, ignore_errors=True)
    root = folder.root / _STAGE
    try:
        begun = msgspec.json.decode(read(root / "terms.json", ""), type=_Begun)
    except (FileError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    stage = Stage(folder, begun)
    for name, entry in manifest.load(root / "manifest.jsonl").items():
        if _is_whole(root / name, entry):
            stage.kept[name] = entry
    return stage


def begin(folder: DataFolder, terms: Terms, moment: datetime) -> Stage:
    """Begin anew; what an earlier fetch left is gone.

    Raises:
        FileError: the folder cannot be written.
    """
    begun = _Begun(terms=terms, begun=moment)
    root = folder.root / _STAGE
    shutil.rmtree(root, ignore_errors=True)
    write(root / "terms.json", msgspec.json.encode(begun))
    return Stage(folder, begun)


def _is_whole(path: Path, entry: schema.Kept) -> bool:
    if not entry.size:
        return True
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256
    except OSError:
        return False


def _asking(
    catalogue: Sequence[schema.Kept], asked: Sequence[schema.Kept]
) -> list[schema.Kept]:
    """Say in the catalogue's entry who was asked for: who has no data has no file that would tell."""
    codes = tuple(sorted({code for entry in asked for code in entry.facilities}))
    return [msgspec.structs.replace(entry, facilities=codes) for entry in catalogue]


def _measured(entry: schema.Kept, path: Path) -> schema.Kept:
    content = read(path, _ADVICE)
    return msgspec.structs.replace(entry, sha256=manifest.digest(content), size=len(content))


def _link(path: Path, target: Path) -> None:
    """Give a file a second name; where the disk knows no such thing, a copy."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _disown(folder: DataFolder, provenance: schema.Provenance) -> None:
    """Take the old origin away where it changes: killed half-way, a folder must not call new data old."""
    before = None
    with suppress(FileError):
        before = load_provenance(folder)
    if before and (before.source, before.simulated) == (
        provenance.source,
        provenance.simulated,
    ):
        return
    try:
        folder.source.unlink(missing_ok=True)
    except OSError as exc:
        raise _unwritable(folder.source, exc) from exc


def _unwritable(path: Path, exc: OSError) -> FileError:
    return FileError(f"{path} cannot be written: {exc.strerror or exc}: check --data-dir")
