"""The files of each report: which hold which labels, getting those that are missing, and keeping all as they came."""

import asyncio
import logging
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from energydash import nem
from energydash.errors import SourceError
from energydash.process import only_error
from energydash.sources.nemweb.keeping import Answer, Shelf
from energydash.sources.nemweb.listing import archives, file_names, newest_of_each, within
from energydash.sources.nemweb.reading import read_market, read_rooftop, read_units
from energydash.sources.nemweb.transport import AbsentError, Transport
from energydash.threads import to_its_end

logger = logging.getLogger(__name__)

_CURRENT, _ARCHIVE = "Reports/Current", "Reports/Archive"
_EPOCH = datetime(2000, 1, 1, tzinfo=nem.NEM_ZONE)
_DAY = timedelta(days=1)

# Fewer files than this are not worth a whole day's archive.
_ARCHIVE_SAVES = 24
_LISTING_GOOD_S = 8.0
_ARCHIVES_GOOD_S = 600.0
_LABELS_KEPT = 700
"""How much of a report stays decoded: what a follow reads again, 48 hours at most."""
_TRIES_OF_A_BROKEN_FILE = 2
_BROKEN_RESTS_S = 60.0

Values = dict[datetime, dict[Any, float]]
"""What a report says, by label."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of report: its folder on the server and on the shelf, how its files are named, and what reads them.

    `every` is the time between two labels, `archive_days` how many days one archive holds.
    """

    folder: str
    prefix: str
    read: Callable[[bytes], Values]
    every: timedelta = nem.INTERVAL
    archive_days: int = 1

    @property
    def current(self) -> str:
        """The path of the last days' files."""
        return f"{_CURRENT}/{self.folder}/"

    @property
    def archive(self) -> str:
        """The path of the archives."""
        return f"{_ARCHIVE}/{self.folder}/"


SCADA = Report(folder="Dispatch_SCADA", prefix="PUBLIC_DISPATCHSCADA", read=read_units)
DISPATCH = Report(folder="DispatchIS_Reports", prefix="PUBLIC_DISPATCHIS", read=read_market)
ROOFTOP = Report(
    folder="ROOFTOP_PV/ACTUAL",
    prefix="PUBLIC_ROOFTOP_PV_ACTUAL_MEASUREMENT",
    read=read_rooftop,
    every=timedelta(minutes=30),
    archive_days=7,
)


class _Listed(msgspec.Struct, frozen=True):
    answer: Answer
    names: tuple[str, ...]
    at: float


class _Room:
    """What is known of one report: who reads it, its last readings, and which files (path and name) were found broken, and when."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.readings: OrderedDict[str, Values] = OrderedDict()
        self.broken: dict[str, float] = {}

    def remember(self, path: str, name: str, values: Values) -> None:
        self.broken.pop(path + name, None)
        self.readings[name] = values
        while sum(map(len, self.readings.values())) > _LABELS_KEPT and len(self.readings) > 1:
            self.readings.popitem(last=False)

    def rests(self, file: str) -> bool:
        """Whether a file was found broken so lately that it is no use to look again."""
        return time.monotonic() - self.broken.get(file, -_BROKEN_RESTS_S) < _BROKEN_RESTS_S

    def forget_gone(self, path: str, names: Collection[str]) -> None:
        """Forget which files of a folder were broken that its listing no longer has."""
        there = {path + name for name in names}
        for file in [each for each in self.broken if each.startswith(path)]:
            # What is still kept here may be wanted all the same: that rests as well.
            if file not in there and not self.rests(file):
                del self.broken[file]


class Library:
    """Reads labels of reports, from the shelf where it has them, else from the server."""

    def __init__(self, transport: Transport, shelf: Shelf) -> None:
        self._transport = transport
        self._shelf = shelf
        self._listed: dict[str, _Listed] = {}
        self._listing = asyncio.Lock()
        self._rooms: defaultdict[str, _Room] = defaultdict(_Room)

    async def current(self, report: Report, *, anew: bool = False) -> tuple[str, ...]:
        """Give the names of a report's current files, at most some seconds old; `anew`, of this moment.

        Raises:
            SourceError: the server fails or refuses.
        """
        return await self._names(report.current, 0.0 if anew else _LISTING_GOOD_S)

    async def newest(self, report: Report, *, anew: bool = False) -> datetime | None:
        """Give the newest label of the current files.

        Raises:
            SourceError: the server fails or refuses.
        """
        names = await self.current(report, anew=anew)
        return max(newest_of_each(names, report.prefix), default=None)

    async def values(self, report: Report, start: datetime, end: datetime | None) -> Values:
        """Give the values of the labels in [start, end), or up to the newest; a label without a file is absent.

        A label of which there is a file of its own is read from that, unless a day lacks so many that its archive costs less.

        Raises:
            SourceError: the server fails or refuses.
        """
        async with self._rooms[report.folder].turn:
            kept, dated = await asyncio.to_thread(self._kept, report, start, end)
            listed = newest_of_each(await self.current(report), report.prefix)
            # What the server has taken away since may still be kept.
            files = newest_of_each(dated, report.prefix) | listed
            if end is None:
                end = max(files, default=start) + nem.INTERVAL
            labels = _labels(start, end, report.every)
            # What is newer than the newest file is in no archive either.
            newest = max(files, default=end)
            lacking = [label for label in labels if label not in files and label < newest]
            to_get = [label for label in labels if label in files and files[label] not in kept]
            found = await self._archived(report, _days_of(lacking, to_get))
            # To which day midnight belongs, only the archives themselves know.
            midnights = {_day(label) - _DAY for label in lacking if label not in found and _is_midnight(label)}  # fmt: skip
            found = await self._archived(report, midnights) | found
            single = [files[t] for t in labels if t in files and (t not in found or files[t] in kept)]  # fmt: skip
            found |= await self._read_all(report, report.current, single)
        return {label: found[label] for label in sorted(found) if start <= label < end}

    def _kept(
        self, report: Report, start: datetime, end: datetime | None
    ) -> tuple[frozenset[str], list[str]]:
        """Give the names of all files kept of a report, and of those that a window needs."""
        kept = self._shelf.names(report.folder)
        return kept, within(kept, report.prefix, start, end)

    async def document(self, folder: str, name: str) -> bytes:
        """Give a file whose content changes under its name, asking only whether it has.

        Raises:
            AbsentError: there is none.
            SourceError: the server fails or refuses.
        """
        known = await asyncio.to_thread(self._shelf.read, folder, name)
        path = f"{_CURRENT}/{folder}/{name}"
        answer = await self._transport.get(path, known)
        if answer is not known:
            await to_its_end(self._keep, folder, name, path, answer)
        return answer.content

    async def documents(self, folder: str) -> tuple[str, ...]:
        """Give the names of the current files of a folder.

        Raises:
            AbsentError: there is no such folder.
            SourceError: the server fails or refuses.
        """
        return await self._names(f"{_CURRENT}/{folder}/", _LISTING_GOOD_S)

    async def _names(self, path: str, good_for_s: float) -> tuple[str, ...]:
        async with self._listing:
            known = self._listed.get(path)
            if known and time.monotonic() - known.at < good_for_s:
                return known.names
            answer = await self._transport.get(path, known.answer if known else None)
            names = file_names(answer.content.decode(errors="replace"))
            self._listed[path] = _Listed(answer, names, time.monotonic())
            for room in self._rooms.values():
                room.forget_gone(path, names)
            return names

    async def _archived(self, report: Report, days: set[date]) -> Values:
        """Give what the archives of these days hold."""
        if not days:
            return {}
        try:
            names = await self._names(report.archive, _ARCHIVES_GOOD_S)
        except AbsentError:
            return {}
        there = archives(names, report.prefix)
        reach = timedelta(days=report.archive_days)
        near = (day for day in sorted(there) if any(abs(day - each) < reach for each in days))
        return await self._read_all(report, report.archive, [there[day] for day in near])

    async def _read_all(self, report: Report, path: str, names: Sequence[str]) -> Values:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._reading(report, path, name)) for name in names]
        except ExceptionGroup as failures:
            raise only_error(failures) from None
        found: Values = {}
        for task in tasks:
            for label, values in task.result().items():
                found[label] = found[label] | values if label in found else values
        return found

    async def _reading(self, report: Report, path: str, name: str) -> Values:
        """Give what a file holds: nothing where it is gone or broken, which is said in the log."""
        room = self._rooms[report.folder]
        if name in room.readings:
            room.readings.move_to_end(name)
            return room.readings[name]
        if room.rests(path + name):
            return {}
        kept = await asyncio.to_thread(self._shelf.read, report.folder, name)
        error = ""
        for _ in range(_TRIES_OF_A_BROKEN_FILE):
            try:
                answer = kept or await self._transport.get(path + name)
            except AbsentError:
                error = "listed, but not there"
                break
            keep = None if answer is kept else partial(self._keep, report.folder, name, path + name)  # fmt: skip
            try:
                values = await to_its_end(_taken_in, report, answer, keep)
            except SourceError as exc:
                kept, error = None, str(exc)
                continue
            room.remember(path, name, values)
            return values
        logger.warning("%s is left out: %s", name, error)
        room.broken[path + name] = time.monotonic()
        return {}

    def _keep(self, folder: str, name: str, path: str, answer: Answer) -> None:
        self._shelf.keep(folder, name, f"{self._transport.url}/{path}", answer)


def _taken_in(report: Report, answer: Answer, keep: Callable[[Answer], None] | None) -> Values:
    """Read a file, and keep it if it can be read."""
    values = report.read(answer.content)
    if keep is not None:
        keep(answer)
    return values


def _labels(start: datetime, end: datetime, every: timedelta) -> list[datetime]:
    first = start + (_EPOCH - start) % every
    return [first + n * every for n in range(max(0, -((first - end) // every)))]


def _day(label: datetime) -> date:
    return label.astimezone(nem.NEM_ZONE).date()


def _is_midnight(label: datetime) -> bool:
    local = label.astimezone(nem.NEM_ZONE)
    return (local.hour, local.minute) == (0, 0)


def _days_of(lacking: Iterable[datetime], to_get: Iterable[datetime]) -> set[date]:
    """Give the days whose archive is wanted: those that lack labels, and those of which many files are to be got."""
    counts = Counter(map(_day, to_get))
    return {day for day, count in counts.items() if count >= _ARCHIVE_SAVES} | {
        *map(_day, lacking)
    }
