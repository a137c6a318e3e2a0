"""The raw side of the data folder: answers kept as the source gave them.

A fetch takes the place of the one before it at its end, so that a reader never sees half of each.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from energydash import schema
from energydash.errors import FileError
from energydash.files.folder import DataFolder, batch_name, read, write, write_with

_ADVICE = "run `energydash fetch` first"
_BATCHES = "batch_*_metrics.json"
_STAGED = ".batch_data."
# A stage that nobody has added to for so long is what a killed fetch left over.
_ABANDONED_S = 3600.0


class _RawMetrics(msgspec.Struct):
    """An answer whose metrics stay bytes, so that joining many costs no decoding."""

    data: list[msgspec.Raw]


class RawWriter:
    """A fetch on its way to the folder: unit answers go to disk as they come, `finish` makes them count.

    Leaving the `with` block without `finish` keeps what was there before. Every method raises FileError where
    the folder cannot be written.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._staged: Path | None = None
        self._count = 0

    def __enter__(self) -> Self:
        root = self._folder.root
        try:
            root.mkdir(parents=True, exist_ok=True)
            _clear_abandoned(root)
            self._staged = Path(tempfile.mkdtemp(prefix=_STAGED, dir=root))
            # mkdtemp hides it from everyone else; the folder that it becomes is as open as its parent.
            self._staged.chmod(root.stat().st_mode & 0o777)
        except OSError as exc:
            raise FileError(
                f"{root} cannot be written: {exc.strerror or exc}: check --data-dir"
            ) from exc
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._stage, ignore_errors=True)

    @property
    def _stage(self) -> Path:
        if self._staged is None:
            raise RuntimeError("a RawWriter works inside its `with` block")
        return self._staged

    def add(self, answer: bytes) -> None:
        """Keep one raw unit-level answer."""
        self._count += 1
        write(self._stage / batch_name(self._count), answer)

    def finish(
        self,
        *,
        catalogue: bytes,
        mapping: Mapping[str, Sequence[str]],
        market: Sequence[bytes],
        provenance: schema.Provenance,
    ) -> tuple[Path, ...]:
        """Let the new fetch take the old one's place, and give the files that it wrote."""
        folder = self._folder
        self._disown(provenance)
        write(folder.facilities, catalogue)
        write(folder.mapping, msgspec.json.encode(mapping))
        write_with(folder.market, lambda path: _join(path, iter(market)))
        staged = sorted(self._stage.glob(_BATCHES))
        write_with(
            folder.unit_metrics, lambda path: _join(path, (p.read_bytes() for p in staged))
        )
        self._swap()
        write(folder.source, schema.encode(provenance))
        return (
            folder.facilities, folder.mapping, folder.market, folder.unit_metrics,
            *(folder.batches / path.name for path in staged), folder.source,
        )  # fmt: skip

    def _disown(self, provenance: schema.Provenance) -> None:
        """Take the old origin away where it changes: killed half-way, a folder must not call new data old."""
        try:
            before = load_provenance(self._folder)
        except FileError:
            before = None
        if before is None or (before.source, before.simulated) != (
            provenance.source,
            provenance.simulated,
        ):
            try:
                self._folder.source.unlink(missing_ok=True)
            except OSError as exc:
                raise FileError(
                    f"{self._folder.source} cannot be replaced: {exc.strerror or exc}: check --data-dir"
                ) from exc

    def _swap(self) -> None:
        """Put the new batches in the old ones' place; in between, readers find the joined file."""
        old = self._stage.with_name(self._stage.name + ".old")
        batches = self._folder.batches
        try:
            if batches.exists():
                batches.rename(old)
            self._stage.rename(batches)
        except OSError as exc:
            raise FileError(
                f"{batches} cannot be replaced: {exc.strerror or exc}: check --data-dir"
            ) from exc
        finally:
            shutil.rmtree(old, ignore_errors=True)


def _clear_abandoned(root: Path) -> None:
    for left in root.glob(f"{_STAGED}*"):
        if time.time() - left.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)


def _join(path: Path, answers: Iterator[bytes]) -> None:
    """Write one answer that holds the metrics of all, with one of them in memory at a time."""
    with path.open("xb") as file:
        file.write(b'{"success":true,"data":[')
        comma = b""
        for answer in answers:
            for metric in msgspec.json.decode(answer, type=_RawMetrics).data:
                file.write(comma)
                file.write(metric)
                comma = b","
        file.write(b"]}")


def load_facilities(folder: DataFolder) -> schema.FacilitiesAnswer:
    """Read the catalogue.

    Raises:
        FileError: it is missing or malformed.
    """
    return _decoded(folder.facilities, schema.decode_facilities)


def unit_files(folder: DataFolder) -> list[Path]:
    """Give the raw unit-level answers in the order in which a later value replaces an earlier one."""
    return sorted(folder.batches.glob(_BATCHES), key=_batch_number)


def _batch_number(path: Path) -> tuple[int, str]:
    digits = "".join(filter(str.isdigit, path.name))
    return int(digits or 0), path.name


def load_units(folder: DataFolder) -> Iterator[schema.DataAnswer]:
    """Read the unit-level answers, one at a time: the joined file only where there are no batches.

    Raises:
        FileError: there are none, one is malformed, or a new fetch took their place meanwhile.
    """
    identity = _identity(folder.batches)
    paths = unit_files(folder)
    for path in paths:
        try:
            answer = _decoded(path, schema.decode_data)
        finally:
            # The same name may by now be another fetch's file.
            changed = _identity(folder.batches) != identity
        if changed:
            raise FileError(
                f"{folder.batches} was replaced by a new fetch while it was read: try again"
            )
        yield answer
    if not paths:
        yield _decoded(folder.unit_metrics, schema.decode_data)


def load_market(folder: DataFolder) -> schema.DataAnswer:
    """Read price and demand, of the network and of its regions.

    Raises:
        FileError: they are missing or malformed.
    """
    return _decoded(folder.market, schema.decode_data)


def load_provenance(folder: DataFolder) -> schema.Provenance | None:
    """Read where the data comes from; None where nobody said so.

    Raises:
        FileError: the file is malformed.
    """
    if not folder.source.exists():
        return None
    return _decoded(folder.source, schema.decode_provenance)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _decoded[T](path: Path, decode: Callable[[bytes], T]) -> T:
    raw = read(path, _ADVICE)
    try:
        return decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise FileError(
            f"{path} is not what `energydash fetch` writes ({exc}): fetch it again"
        ) from exc
