"""One conversion, from the data folder to the tables and the report."""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
import polars as pl

from energydash import nem
from energydash.config import ConvertSettings
from energydash.convert import inputs as raw_inputs
from energydash.convert import output, quality, state
from energydash.convert.inputs import AlteredError, Reader
from energydash.convert.quality import Quality, Totals
from energydash.convert.small import SmallTables, mapped_units
from energydash.convert.state import DayState, Input, State
from energydash.convert.sweep import MadeDay, Sweep
from energydash.convert.tables import DayTables, Written
from energydash.errors import FileError
from energydash.files import manifest, raw, version
from energydash.files.clock import day_name, moment_of
from energydash.files.folder import DataFolder, read
from energydash.files.roster import Roster, roster
from energydash.progress import Progress

logger = logging.getLogger(__name__)


class ConvertSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversion made of the raw answers; `start` and `end` are the first and last label.

    Of the `days`, `days_converted` were made now; the others stand as they were.
    """

    output_dir: str
    format: str
    interval: str
    rows: int
    unit_rows: int
    facilities: int
    market_rows: int
    start: datetime
    end: datetime
    files: int
    days: int
    days_converted: int
    null_power: int
    null_market_values: int
    units_without_data: int
    unknown_units: list[str]
    unknown_fuels: list[str]
    facilities_without_location: list[str]
    quality: Quality


def run(settings: ConvertSettings, progress: Progress) -> ConvertSummary:
    """Convert a data folder; each table is replaced as a whole, and what did not change stays untouched.

    Raises:
        FileError: a file is missing, malformed or cannot be written; until all is converted, the tables stay as they were.
    """
    progress(0, None, "catalogue and market")
    output.clear_abandoned(settings.output_dir)
    try:
        return _convert(settings, progress, thorough=False)
    except AlteredError:
        logger.info("a file is not what the manifest lists: each is looked at")
        return _convert(settings, progress, thorough=True)


def _convert(
    settings: ConvertSettings, progress: Progress, *, thorough: bool
) -> ConvertSummary:
    source = DataFolder(settings.input_dir)
    version.check(source)
    catalogue = raw.load_facilities(source)
    rows = roster(catalogue)
    # Decoding keeps one core busy; the other may meanwhile do what is small, and digest what is decoded.
    with ThreadPoolExecutor(2) as pool:
        small_tables = pool.submit(SmallTables, source, catalogue, settings)
        reader = Reader(source, rows, None if thorough else pool)
        conversion = _Conversion(settings, source, rows, reader, thorough=thorough)
        days = conversion.run(small_tables, progress)
        small = small_tables.result()
    found = _sum_up(days, rows, conversion.interval, source)
    logger.info("%d rows of %d facilities", found.rows, len(found.facility_rows))
    return _summary(settings, conversion, small, found, mapped_units(source))


class _Conversion:
    """What is read, what was remembered, and which days these make."""

    def __init__(
        self,
        settings: ConvertSettings,
        source: DataFolder,
        rows: Roster,
        reader: Reader,
        *,
        thorough: bool,
    ) -> None:
        self._source = source
        self._rows = rows
        self._reader = reader
        self._catalogue = manifest.digest(read(source.facilities, ""))
        self._memory = settings.output_dir / f".convert-{settings.format}.json"
        before = state.load(self._memory, self._catalogue)
        self.inputs = raw_inputs.survey(
            source, before.inputs if before else {}, reader, thorough=thorough
        )
        self.interval, self.offset_s = raw_inputs.settle(self.inputs, self._reader)
        if before and (before.interval, before.offset_s) != (self.interval, self.offset_s):
            before = None
        self._before = before
        self.plan = raw_inputs.by_day(self.inputs, self.offset_s)
        self._outputs = DayTables(
            settings.output_dir, _answer_of(settings), settings.format, self.interval
        )
        self.converted = 0

    def run(self, small: Future[SmallTables], progress: Progress) -> Mapping[int, Written]:
        """Make what changed, and remember it."""
        before = self._before.days if self._before else {}
        kept = {
            n: day for n, day in before.items() if day.inputs == _tokens(self.plan.get(n, []))
        }
        wanted = {n: inputs for n, inputs in self.plan.items() if n not in kept}
        self.converted = len(wanted)
        if self._before and not wanted and kept.keys() == before.keys():
            days = {n: Written(ranges=day.ranges, stats=day.stats) for n, day in kept.items()}
            small.result().write()
        else:
            days = self._made(wanted, kept, small, progress)
        self._remember(days)
        return days

    def _made(
        self,
        wanted: Mapping[int, list[Input]],
        kept: Mapping[int, DayState],
        small: Future[SmallTables],
        progress: Progress,
    ) -> dict[int, Written]:
        def agree(days: Mapping[int, Written]) -> None:
            _sum_up(days, self._rows, self.interval, self._source)
            small.result().write()

        sweep = Sweep(
            self._reader, self._rows, self.interval, self.offset_s, self._outputs.render
        )
        # Left to the garbage collector, its threads might be waited for in one of them.
        with closing(sweep.days(wanted)) as made:
            shown = _shown(made, len(wanted), progress)
            days = self._outputs.write([*self.plan], shown, kept, agree)
        self.inputs = [sweep.learnt.get(each.file, each) for each in self.inputs]
        return days

    def _remember(self, days: Mapping[int, Written]) -> None:
        now = State(
            catalogue=self._catalogue,
            interval=self.interval,
            offset_s=self.offset_s,
            inputs={each.file: each for each in self.inputs},
            days={
                n: DayState(inputs=_tokens(self.plan[n]), ranges=day.ranges, stats=day.stats)
                for n, day in days.items()
            },
            outputs=self._outputs.stats(days),
        )
        if now != self._before:
            state.save(self._memory, now)


def _answer_of(settings: ConvertSettings) -> Path:
    """Give where the facility level stands as an answer: in the data folder only where the tables are there, too."""
    root, tables = settings.input_dir, settings.output_dir
    is_inside = tables.resolve().is_relative_to(root.resolve())
    return DataFolder(root if is_inside else tables).facility_metrics


def _tokens(inputs: list[Input]) -> tuple[tuple[str, output.Stat], ...]:
    return tuple((each.file, each.stat) for each in inputs)


def _shown(days: Iterator[MadeDay], total: int, progress: Progress) -> Iterator[MadeDay]:
    for done, day in enumerate(days, start=1):
        progress(done, total, day_name(day.number))
        yield day


def _sum_up(
    days: Mapping[int, Written], rows: Roster, interval: str, source: DataFolder
) -> Totals:
    found = quality.totals([day.stats for day in days.values()], rows, interval)
    if found is None:
        raise FileError(f"{source.batches} holds no value of any known unit: fetch again")
    return found


def _summary(
    settings: ConvertSettings,
    conversion: _Conversion,
    small: SmallTables,
    found: Totals,
    mapped: frozenset[str] | None,
) -> ConvertSummary:
    unknown_fuels = sorted(set(small.units["fueltech_id"]) - set(nem.FUELTECHS))
    unknown_units = sorted({unit for each in conversion.inputs for unit in each.unknown or ()})
    without_data = small.units.height - len(found.reporting_units)
    return ConvertSummary(
        output_dir=str(settings.output_dir),
        format=settings.format,
        interval=conversion.interval,
        rows=found.rows,
        unit_rows=found.unit_rows,
        facilities=len(found.facility_rows),
        market_rows=small.market.height,
        start=moment_of(found.first, conversion.offset_s),
        end=moment_of(found.last, conversion.offset_s),
        files=len(conversion.inputs),
        days=len(conversion.plan),
        days_converted=conversion.converted,
        null_power=found.null_power,
        null_market_values=small.market["value"].null_count(),
        units_without_data=without_data,
        unknown_units=unknown_units,
        unknown_fuels=unknown_fuels,
        facilities_without_location=sorted(
            small.facilities.filter(pl.col("longitude").is_null())["facility_code"]
        ),
        quality=quality.judge(
            found,
            units_without_data=without_data,
            unknown_units=unknown_units,
            unknown_fuels=unknown_fuels,
            altered_files=[each.file for each in conversion.inputs if each.altered],
            unmapped=sorted(found.reporting_units - mapped) if mapped is not None else [],
        ),
    )
