"""Which raw files there are, what spans they cover, and which of them make each day."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path

import msgspec

from energydash import schema
from energydash.convert.output import Stat, stat_of
from energydash.convert.state import Input
from energydash.errors import FileError
from energydash.files import manifest, raw
from energydash.files.blocks import UnitAnswer, mixed, read_blocks
from energydash.files.clock import Clock, day_number, stamp_of
from energydash.files.folder import DataFolder, unreadable
from energydash.files.roster import Roster

_ADVICE = "run `energydash fetch` first"


class AlteredError(Exception):
    """A file is not what the manifest lists."""


class Reader:
    """Decodes raw files, and takes none for the one that was there before it.

    With a `hasher` it holds each file against the manifest on the way.
    """

    def __init__(self, folder: DataFolder, roster: Roster, hasher: Executor | None) -> None:
        self._root = folder.root
        self._roster = roster
        self._clock = Clock()
        self._buffer = bytearray()
        self._hasher = hasher
        self._last: tuple[str, Stat, UnitAnswer] | None = None

    def read(self, each: Input) -> UnitAnswer:
        """Decode a file.

        Raises:
            FileError: it is malformed, or not the file that was surveyed.
            AlteredError: it is not what the manifest lists, though the survey took it for that.
        """
        if self._last and self._last[:2] == (each.file, each.stat):
            return self._last[2]
        path = self._root / each.file
        content = self._content(path)
        digest = None
        if self._hasher and each.vouched_for:
            digest = self._hasher.submit(hashlib.sha256, content)
        try:
            answer = read_blocks(path, content, self._roster.row_of, self._clock)
        finally:
            if digest and digest.result().hexdigest() != each.listed:
                raise AlteredError
        if stat_of(path) != each.stat:
            raise FileError(f"{path} was replaced by a new fetch while it was read: try again")
        return answer

    def _content(self, path: Path) -> memoryview:
        """Give a file's content, good until the next one is read.

        Fresh memory for each file would cost as much as half of decoding it.
        """
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > len(self._buffer):
                    self._buffer = bytearray(size)
                return memoryview(self._buffer)[
                    : file.readinto(memoryview(self._buffer)[:size])
                ]
        except OSError as exc:
            raise unreadable(path, exc, _ADVICE) from exc

    def learn(self, each: Input) -> Input:
        """Give a file's entry with what its own content says."""
        answer = self.read(each)
        # It is likely to be asked for again at once, by the sweep.
        self._last = (each.file, each.stat, answer)
        return learnt(each, answer)


def learnt(each: Input, answer: UnitAnswer) -> Input:
    """Give a file's entry with what its decoded content says; the span that a manifest promised stays."""
    return msgspec.structs.replace(
        each,
        first=answer.first if each.first is None else each.first,
        last=answer.last if each.last is None else each.last,
        interval=answer.interval,
        offset_s=answer.offset_s,
        unknown=answer.unknown,
    )


def survey(
    folder: DataFolder, before: Mapping[str, Input], reader: Reader, *, thorough: bool
) -> list[Input]:
    """Give the raw files in the order in which a later value replaces an earlier one.

    What was known `before` of a file that is still the same is not asked again; else the manifest tells the span of a file that
    is as it was fetched, and any other file is decoded to learn it. Only if `thorough` is each file held against the manifest
    here; else its size must do until it is read.

    Raises:
        FileError: there are none, or one is malformed.
    """
    entries = manifest.load(folder.manifest)
    paths = raw.unit_files(folder) or [folder.unit_metrics]
    met = [_met(folder, path, entries, before, thorough=thorough) for path in paths]
    return [reader.learn(each) if _is_unread(each) else each for each in met]


def _met(
    folder: DataFolder,
    path: Path,
    entries: Mapping[str, schema.Kept],
    before: Mapping[str, Input],
    *,
    thorough: bool,
) -> Input:
    """Give the entry of a file without decoding it."""
    stat = stat_of(path)
    if stat is None:
        raise FileError(f"{path} is not there: {_ADVICE}")
    name = path.relative_to(folder.root).as_posix()
    entry = entries.get(name)
    listed = entry.sha256 if entry else ""
    known = before.get(name)
    if known and (known.stat, known.listed) == (stat, listed):
        return known
    sound = entry is not None and _is_as_fetched(path, stat, entry, thorough=thorough)
    trusted = entry if sound else None
    return Input(
        file=name,
        stat=stat,
        listed=listed,
        altered=entry is not None and not sound,
        first=stamp_of(trusted.first) if trusted and trusted.first else None,
        last=stamp_of(trusted.last) if trusted and trusted.last else None,
        interval=trusted.interval if trusted else "",
    )


def _is_unread(each: Input) -> bool:
    """Whether only the file itself can tell its span."""
    return each.unknown is None and (each.first is None or each.last is None)


def _is_as_fetched(path: Path, stat: Stat, entry: schema.Kept, *, thorough: bool) -> bool:
    if stat[0] != entry.size or not thorough:
        return stat[0] == entry.size
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


def settle(inputs: list[Input], reader: Reader) -> tuple[str, int]:
    """Give the interval of all files and the seconds from UTC of their labels: those of the first that has any.

    Raises:
        FileError: no file has any, or two differ in their interval.
    """
    interval, offset_s = "", 0
    for index, each in enumerate(inputs):
        if each.unknown is None:
            inputs[index] = reader.learn(each)
        if inputs[index].interval:
            interval, offset_s = inputs[index].interval, inputs[index].offset_s
            break
    for each in inputs:
        if each.interval not in {"", interval}:
            raise mixed(Path(each.file), each.interval, interval)
    return interval, offset_s


def by_day(inputs: list[Input], offset_s: int) -> dict[int, list[Input]]:
    """Give for each day, in order, the files whose span touches it, in theirs."""
    days: dict[int, list[Input]] = {}
    for each in inputs:
        if each.first is None or each.last is None:
            continue
        first, last = (day_number(stamp, offset_s) for stamp in (each.first, each.last))
        for number in range(first, last + 1):
            days.setdefault(number, []).append(each)
    return dict(sorted(days.items()))
