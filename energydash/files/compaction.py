"""Many small answers of a folder that grows become one a day, and days that are too old go; no value that stays changes.

What is merged is numbered after all that it holds, so a reader that meets old and new side by side reads the same values from
both: nothing need be locked, and a kill in the middle leaves nothing wrong, only something to do again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from energydash import schema
from energydash.errors import FileError
from energydash.files import manifest, raw
from energydash.files.folder import DataFolder, batch_name, write

_Head = tuple[str, str, str, str]
_Key = tuple[_Head, schema.Columns]
_Entries = Mapping[str, schema.Kept]


def _name(folder: DataFolder, path: Path) -> str:
    return path.relative_to(folder.root).as_posix()


def days_of(entry: schema.Kept, zone_of: datetime) -> range:
    """Give the days (ordinals, in the zone of `zone_of`) that a file touches; none where it holds no point."""
    if entry.first is None or entry.last is None:
        return range(0)
    first, last = (
        moment.astimezone(zone_of.tzinfo).toordinal() for moment in (entry.first, entry.last)
    )
    return range(first, last + 1)


class Inventory:
    """Which file touches which day. `alone` are the files that have their one day to themselves: they are done."""

    def __init__(self, folder: DataFolder, entries: _Entries, now: datetime) -> None:
        paths = raw.unit_files(folder)
        known = {path: entries.get(_name(folder, path)) for path in paths}
        self.is_known = None not in known.values()
        self.days: dict[int, list[Path]] = {}
        spans = {path: days_of(entry, now) for path, entry in known.items() if entry}
        for path, span in spans.items():
            for day in span:
                self.days.setdefault(day, []).append(path)
        self.alone = {
            path
            for path, span in spans.items()
            if len(span) == 1 and self.days[span[0]] == [path]
        }
        self.scattered = [path for path in paths if path not in self.alone]

    def older_than(self, oldest: int | None) -> bool:
        """Whether there is a day that must go."""
        return oldest is not None and min(self.days, default=oldest) < oldest


def merge(
    folder: DataFolder, entries: _Entries, inventory: Inventory, first_number: int, oldest: int | None, now: datetime,
) -> dict[str, schema.Kept]:  # fmt: skip
    """Merge what is scattered, take away what is older than the day `oldest`, and give the entries of what is there then.

    Raises:
        FileError: the folder cannot be read or written; what was done until then is right in itself.
    """
    added: dict[str, schema.Kept] = {}
    number = first_number
    for day in sorted(inventory.days):
        paths = [path for path in inventory.days[day] if path not in inventory.alone]
        if not paths or (oldest is not None and day < oldest):
            continue
        sources = [entries[_name(folder, path)] for path in paths]
        answer = merged((raw.load_answer(path) for path in paths), day, day, now)
        if not answer.data:
            continue
        entry = _written(folder, number, sources, answer)
        added[entry.file] = entry
        number += 1
    gone = [*inventory.scattered]
    if oldest is not None:
        gone += [path for d, paths in inventory.days.items() if d < oldest for path in paths]
    for path in gone:
        _unlink(path)
    left = {name: each for name, each in entries.items() if folder.root / name not in gone}
    return left | added


def _written(
    folder: DataFolder, number: int, sources: Sequence[schema.Kept], answer: schema.DataAnswer
) -> schema.Kept:
    name = f"batch_data/{batch_name(number)}"
    content = schema.encode(answer)
    labels = labels_of(answer)
    entry = msgspec.structs.replace(
        sources[-1],
        file=name,
        sha256=manifest.digest(content),
        size=len(content),
        start=min((each.start for each in sources if each.start), default=None),
        facilities=tuple(sorted({code for each in sources for code in each.facilities})),
        points=len(labels),
        first=min(labels, default=None),
        last=max(labels, default=None),
    )
    write(folder.root / name, content)
    manifest.append(folder.manifest, entry)
    return entry


def labels_of(answer: schema.DataAnswer) -> list[datetime]:
    """Give the label of each point."""
    return [p[0] for metric in answer.data for series in metric.results for p in series.data]


def merged(
    answers: Iterable[schema.DataAnswer], first: int, last: int | None, now: datetime
) -> schema.DataAnswer:
    """Give the points of the days `first` to `last` (None: all that follow) in one answer; a later answer's value replaces an earlier one's."""
    series: dict[_Key, dict[datetime, float | None]] = {}
    names: dict[_Key, str] = {}
    for answer in answers:
        for key, name, points in _series(answer):
            values = series.setdefault(key, {})
            names.setdefault(key, name)
            for moment, value in points:
                day = moment.astimezone(now.tzinfo).toordinal()
                if first <= day and (last is None or day <= last):
                    values[moment] = value
    return _answer(series, names)


def _series(answer: schema.DataAnswer) -> Iterator[tuple[_Key, str, Iterable[schema.Point]]]:
    for metric in answer.data:
        for each in metric.results:
            head = (metric.metric, metric.network_code, metric.unit, metric.interval)
            yield (head, each.columns), each.name, each.data


def _answer(
    series: Mapping[_Key, Mapping[datetime, float | None]], names: Mapping[_Key, str]
) -> schema.DataAnswer:
    metrics: dict[_Head, list[schema.Series]] = {}
    for key, values in series.items():
        if values:
            head, columns = key
            points = tuple(sorted(values.items(), key=_moment))
            one = schema.Series(name=names[key], columns=columns, data=points)
            metrics.setdefault(head, []).append(one)
    return schema.DataAnswer(
        data=tuple(
            schema.Metric(metric=metric, network_code=network, unit=unit, interval=interval, results=tuple(results))
            for (metric, network, unit, interval), results in metrics.items()
        )
    )  # fmt: skip


def _moment(point: schema.Point) -> datetime:
    return point[0]


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise FileError(
            f"{path} cannot be removed: {exc.strerror or exc}: check its permissions"
        ) from exc
