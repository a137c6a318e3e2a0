"""The raw side of the data folder: answers kept as the source gave them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from energydash import schema
from energydash.errors import FileError
from energydash.files.folder import DataFolder, read, write

_ADVICE = "run `energydash fetch` first"


class _RawMetrics(msgspec.Struct):
    """An answer whose metrics stay bytes, so that joining many costs no decoding."""

    data: list[msgspec.Raw]


def save(
    folder: DataFolder,
    *,
    catalogue: bytes,
    mapping: dict[str, list[str]],
    batches: Sequence[bytes],
    market: Sequence[bytes],
    provenance: schema.Provenance,
) -> None:
    """Keep a complete fetch; what an earlier one left over goes last, when all else is in place.

    Raises:
        FileError: the folder cannot be written.
    """
    write(folder.facilities, catalogue)
    write(folder.mapping, msgspec.json.encode(mapping))
    for number, batch in enumerate(batches, start=1):
        write(folder.batch(number), batch)
    write(folder.unit_metrics, _joined(batches))
    write(folder.market, _joined(market))
    write(folder.source, schema.encode(provenance))
    kept = {folder.batch(number) for number in range(1, len(batches) + 1)}
    for path in folder.batches.glob("batch_*_metrics.json"):
        if path not in kept:
            path.unlink(missing_ok=True)


def _joined(answers: Sequence[bytes]) -> bytes:
    """Give one answer that holds the metrics of all."""
    metrics = [m for raw in answers for m in msgspec.json.decode(raw, type=_RawMetrics).data]
    return msgspec.json.encode({"success": True, "data": metrics})


def load_facilities(folder: DataFolder) -> schema.FacilitiesAnswer:
    """Read the catalogue.

    Raises:
        FileError: it is missing or malformed.
    """
    return _decoded(folder.facilities, schema.decode_facilities)


def load_units(folder: DataFolder) -> Iterator[schema.DataAnswer]:
    """Read the unit-level answers, one at a time: the joined file only where there are no batches.

    Raises:
        FileError: there are none, or one is malformed.
    """
    paths = sorted(folder.batches.glob("batch_*_metrics.json")) or [folder.unit_metrics]
    for path in paths:
        yield _decoded(path, schema.decode_data)


def load_market(folder: DataFolder) -> schema.DataAnswer:
    """Read price and demand.

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


def _decoded[T](path: Path, decode: Callable[[bytes], T]) -> T:
    raw = read(path, _ADVICE)
    try:
        return decode(raw)
    except msgspec.MsgspecError as exc:
        raise FileError(
            f"{path} is not what energydash fetch writes ({exc}): fetch it again"
        ) from exc
