"""What the data is worth: counted day by day, summed up for the report. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from energydash.files.arithmetic import POWER
from energydash.files.clock import step_us
from energydash.files.daily import Scene
from energydash.files.roster import Roster


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """Points of a day that came more than once: how many, how many changed, and how many of these no fetch explains."""

    replaced: int = 0
    revised: int = 0
    disagreeing: int = 0


class DayStats(msgspec.Struct, frozen=True, kw_only=True):
    """One day's counts; lists are in the order of the catalogue's roster. `first` and `last` are stamps of rows."""

    first: int | None
    last: int | None
    intervals: int
    facility_rows: list[int]
    unit_points: list[int]
    unit_rows: int
    null_power: int
    null_emissions: int
    null_unit_values: int
    outside: dict[str, int]
    overlap: Overlap


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader of the tables should know.

    `missing_intervals` are those of the span in which a facility that reports has no row; `empty_intervals` those in which
    none has. `outside_capacity` counts, by unit, the MW beyond -10 % or +110 % of its larger capacity (-110 % for storage
    and loads). `revised` values replaced another one; `disagreeing` are those of them in files that no fetch vouches
    for. `notes` and `doubts` say the findings in words.
    """

    expected_intervals: int
    empty_intervals: int
    missing_intervals: dict[str, int]
    null_emissions: int
    null_unit_values: int
    duplicates: int
    revised: int
    disagreeing: int
    outside_capacity: dict[str, int]
    altered_files: list[str]
    units_not_in_mapping: list[str]
    notes: list[str]
    doubts: list[str]


def day_stats(scene: Scene, overlap: Overlap) -> DayStats:
    """Count a day."""
    there = scene.there()
    values, seen = scene.day.values, scene.day.seen
    told = np.flatnonzero(there.any(axis=0))
    bounds = scene.day.stamps[told[[0, -1]]].tolist() if told.size else [None, None]
    power = values[POWER]
    with np.errstate(invalid="ignore"):
        wrong = (power < scene.roster.low[:, None]) | (power > scene.roster.high[:, None])
    outside = np.count_nonzero(wrong, axis=1)
    nothing = np.isnan(values)
    return DayStats(
        first=bounds[0],
        last=bounds[1],
        intervals=int(told.size),
        facility_rows=np.count_nonzero(there, axis=1).tolist(),
        unit_points=np.count_nonzero(seen, axis=(0, 2)).tolist(),
        unit_rows=int(np.count_nonzero(~nothing.all(axis=0))),
        null_power=int(np.count_nonzero(there & np.isnan(scene.net.power))),
        null_emissions=int(np.count_nonzero(there & np.isnan(scene.net.emissions))),
        null_unit_values=int(np.count_nonzero(seen & nothing)),
        outside={
            scene.roster.units[row]: int(outside[row])
            for row in np.flatnonzero(outside).tolist()
        },
        overlap=overlap,
    )


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """All days together."""

    rows: int
    unit_rows: int
    facility_rows: dict[str, int]
    reporting_units: frozenset[str]
    first: int
    last: int
    null_power: int
    null_emissions: int
    null_unit_values: int
    expected: int
    empty: int
    outside: dict[str, int]
    overlap: Overlap


def totals(days: Iterable[DayStats], roster: Roster, interval: str) -> Totals | None:
    """Sum up the days that have rows; None where none has."""
    told = [day for day in days if day.first is not None and day.last is not None]
    if not told:
        return None
    first = min(day.first for day in told if day.first is not None)
    last = max(day.last for day in told if day.last is not None)
    intervals = sum(day.intervals for day in told)
    step = step_us(interval)
    expected = (last - first) // step + 1 if step else intervals
    rows = np.sum([day.facility_rows for day in told], axis=0).tolist()
    points = np.sum([day.unit_points for day in told], axis=0).tolist()
    outside: Counter[str] = Counter()
    for day in told:
        outside.update(day.outside)
    return Totals(
        rows=sum(rows),
        unit_rows=sum(day.unit_rows for day in told),
        facility_rows={c: n for c, n in zip(roster.facilities, rows, strict=True) if n},
        reporting_units=frozenset(
            code for code, n in zip(roster.units, points, strict=True) if n
        ),
        first=first,
        last=last,
        null_power=sum(day.null_power for day in told),
        null_emissions=sum(day.null_emissions for day in told),
        null_unit_values=sum(day.null_unit_values for day in told),
        expected=expected,
        empty=max(expected - intervals, 0),
        outside=dict(sorted(outside.items())),
        overlap=Overlap(
            replaced=sum(day.overlap.replaced for day in told),
            revised=sum(day.overlap.revised for day in told),
            disagreeing=sum(day.overlap.disagreeing for day in told),
        ),
    )


def judge(
    found: Totals,
    *,
    units_without_data: int,
    unknown_units: Sequence[str],
    unknown_fuels: Sequence[str],
    altered_files: list[str],
    unmapped: list[str],
) -> Quality:
    """Say what is notable, and what is doubtful."""
    missing = _missing_intervals(found)
    overlap = found.overlap
    return Quality(
        expected_intervals=found.expected,
        empty_intervals=found.empty,
        missing_intervals=missing,
        null_emissions=found.null_emissions,
        null_unit_values=found.null_unit_values,
        duplicates=overlap.replaced,
        revised=overlap.revised,
        disagreeing=overlap.disagreeing,
        outside_capacity=found.outside,
        altered_files=altered_files,
        units_not_in_mapping=unmapped,
        notes=_in_words({
            "missing intervals of facilities": sum(missing.values()),
            "null values of units": found.null_unit_values,
            "units without data": units_without_data,
            "values that came more than once": overlap.replaced,
            "revised values": overlap.revised - overlap.disagreeing,
            "units that facility_unit_mapping.json lacks": len(unmapped),
        }),
        doubts=_in_words({
            "unknown units": len(unknown_units),
            "unknown fuels": len(unknown_fuels),
            "values outside capacity": sum(found.outside.values()),
            "altered files": len(altered_files),
            "intervals without any station": found.empty,
            "values on which files disagree": overlap.disagreeing,
        }),
    )  # fmt: skip


def _missing_intervals(found: Totals) -> dict[str, int]:
    """Give how many intervals each facility that reports lacks, the worst first; those that lack none are left out."""
    missing = {code: found.expected - rows for code, rows in found.facility_rows.items()}
    worst = sorted(missing, key=lambda code: (-missing[code], code))
    return {code: missing[code] for code in worst if missing[code] > 0}


def _in_words(counts: Mapping[str, int]) -> list[str]:
    """Give `N things` for each count above zero."""
    return [f"{count:,} {what}" for what, count in counts.items() if count]
