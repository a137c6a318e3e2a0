"""The raw side of the data folder: answers kept as the source gave them.

A fetch takes the place of the one before it at its end, so that a reader never sees half of each.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from energydash import schema
from energydash.errors import FileError, SourceError
from energydash.files.folder import DataFolder, read
from energydash.sources.catalogue import parse_facilities

_ADVICE = "run `energydash fetch` first"
_BATCHES = "batch_*_metrics.json"


class _RawMetrics(msgspec.Struct):
    """An answer whose metrics stay bytes, so that joining many costs no decoding."""

    data: list[msgspec.Raw]


def join(path: Path, answers: Iterator[bytes]) -> None:
    """Write one answer to a new file that holds the metrics of all, with one of them in memory at a time."""
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
    return _decoded(folder.facilities, parse_facilities)


def unit_files(folder: DataFolder) -> list[Path]:
    """Give the raw unit-level answers in the order in which a later value replaces an earlier one."""
    return sorted(folder.batches.glob(_BATCHES), key=batch_number)


def batch_number(path: Path) -> tuple[int, str]:
    """Give a raw answer's number, then its name, to order them by."""
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


def load_answer(path: Path) -> schema.DataAnswer:
    """Read one data answer.

    Raises:
        FileError: it is missing or malformed.
    """
    return _decoded(path, schema.decode_data)


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
    except (SourceError, msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise FileError(
            f"{path} is not what `energydash fetch` writes ({exc}): fetch it again"
        ) from exc
