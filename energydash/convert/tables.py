"""The outputs that consist of days: which there are in a format, how a day becomes bytes, how days become files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import msgspec

from energydash.convert import output
from energydash.convert.output import Joined, Partitions, Range, Stat, part_of
from energydash.convert.quality import DayStats
from energydash.convert.state import DayState
from energydash.convert.sweep import MadeDay
from energydash.files import daily, tables
from energydash.files.clock import day_name
from energydash.files.daily import Scene

_ANSWER = "facility_metrics.json"


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A day in the outputs: where its bytes stand in each file, and its counts."""

    ranges: dict[str, Range]
    stats: DayStats


class _Form(msgspec.Struct, frozen=True, kw_only=True):
    path: Path
    head: bytes
    separator: bytes = b""
    tail: bytes = b""


class DayTables:
    """The unit table and the station table, as CSV with the facility level as an answer, or as Parquet."""

    def __init__(self, folder: Path, answer: Path, table_format: str, interval: str) -> None:
        self._interval = interval
        self._as_text = table_format == "csv"
        # In the order of their replacement: whoever follows the tables watches the stations'.
        self._forms: dict[str, _Form] = {}
        self._folders: dict[str, Path] = {}
        if not self._as_text:
            # Text of the same numbers would be larger than these many times over.
            self._folders = {
                name: folder / name for name in (tables.UNIT_METRICS, tables.FACILITY_METRICS)
            }
            return
        for name in (tables.UNIT_METRICS, _ANSWER, tables.FACILITY_METRICS):
            if name == _ANSWER:
                head = b'{"success":true,"data":['
                self._forms[name] = _Form(path=answer, head=head, separator=b",", tail=b"]}")
            else:
                header = ",".join(tables.COLUMNS[name]) + "\n"
                self._forms[name] = _Form(path=folder / f"{name}.csv", head=header.encode())

    def render(self, scene: Scene) -> dict[str, list[bytes]]:
        """Give a day's bytes for each output, in pieces; none where it has no row."""
        if not self._as_text:
            return {
                tables.UNIT_METRICS: [daily.parquet_bytes(daily.unit_frame(scene))],
                tables.FACILITY_METRICS: [daily.parquet_bytes(daily.station_frame(scene))],
            }
        stations, units = [], []
        for part in scene.parts():
            stations.append(daily.station_csv(part))
            units.append(daily.unit_csv(part))
        return {
            tables.UNIT_METRICS: units,
            _ANSWER: daily.answer_pieces(scene, self._interval),
            tables.FACILITY_METRICS: stations,
        }

    def write(
        self,
        numbers: Sequence[int],
        made: Iterator[MadeDay],
        kept: Mapping[int, DayState],
        agree: Callable[[dict[int, Written]], None],
    ) -> dict[int, Written]:
        """Replace the outputs by the days `numbers`: those `kept` as they were, the others as `made`, in that order.

        `agree` sees all days before anything is replaced, and may raise.

        Raises:
            FileError: an output cannot be written; before the first is replaced, any failure leaves all of them whole.
        """
        days: dict[int, Written] = {}
        partitions = {name: Partitions(path) for name, path in self._folders.items()}

        def fill(temporaries: Sequence[Path]) -> None:
            with ExitStack() as open_files:
                files = _Files(self._forms, temporaries, open_files, partitions)
                days.update(files.put_all((n, kept.get(n) or next(made)) for n in numbers))
                files.finish()
            agree(days)

        try:
            output.replace_together([form.path for form in self._forms.values()], fill)
            for each in partitions.values():
                each.commit(_told(days))
        finally:
            for each in partitions.values():
                each.discard()
        return days

    def stats(self, days: Mapping[int, Written]) -> dict[str, Stat]:
        """Give what tells each output from its successors."""
        parts = [part_of(each, day) for each in self._folders.values() for day in _told(days)]
        return output.stats_of([*(form.path for form in self._forms.values()), *parts])


def _told(days: Mapping[int, Written]) -> list[str]:
    """Give the days that have a row."""
    return [day_name(number) for number, day in days.items() if day.stats.first is not None]


class _Files:
    """The outputs on their way."""

    def __init__(
        self,
        forms: Mapping[str, _Form],
        temporaries: Sequence[Path],
        stack: ExitStack,
        partitions: Mapping[str, Partitions],
    ) -> None:
        self._forms = forms
        self._stack = stack
        self._partitions = partitions
        self._old: dict[str, BinaryIO] = {}
        self._joined = {
            name: Joined(
                stack.enter_context(path.open("xb")), form.head, form.separator, form.tail
            )
            for (name, form), path in zip(forms.items(), temporaries, strict=True)
        }

    def put_all(self, days: Iterator[tuple[int, MadeDay | DayState]]) -> dict[int, Written]:
        """Write the days in turn; the disk takes one while the next is made."""
        written: dict[int, Written] = {}
        with ThreadPoolExecutor(1) as writer:
            writing: dict[int, Future[Written]] = {}
            for number, day in days:
                written |= {n: future.result() for n, future in writing.items()}
                writing = {number: writer.submit(self._put, day)}
            written |= {n: future.result() for n, future in writing.items()}
        return written

    def _put(self, day: MadeDay | DayState) -> Written:
        written = self._keep(day) if isinstance(day, DayState) else self._add(day)
        for file in self._joined.values():
            file.settle()
        return written

    def _add(self, made: MadeDay) -> Written:
        ranges = {name: file.add(made.parts[name]) for name, file in self._joined.items()}
        if made.stats.first is not None:
            for name, each in self._partitions.items():
                each.add(day_name(made.number), made.parts[name])
        return Written(ranges=ranges, stats=made.stats)

    def _keep(self, state: DayState) -> Written:
        ranges = {
            name: file.keep(self._opened(name), state.ranges[name])
            for name, file in self._joined.items()
        }
        return Written(ranges=ranges, stats=state.stats)

    def finish(self) -> None:
        for file in self._joined.values():
            file.finish()

    def _opened(self, name: str) -> BinaryIO:
        if name not in self._old:
            path = self._forms[name].path
            self._old[name] = self._stack.enter_context(path.open("rb"))
        return self._old[name]
