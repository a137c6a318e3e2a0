"""Units to facilities: the sums that make a table right. Pure functions; no value is NaN here, null outside.

A station at a time on plain arrays: a week of the NEM is 2.8 million points, and the stations do not touch
each other.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from energydash import nem, schema
from energydash.errors import FileError

BATTERY_HALVES = (nem.BATTERY_CHARGING, nem.BATTERY_DISCHARGING)
POWER = "power"
EMISSIONS = "emissions"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = 1e6
# The API gives four decimals; sums of floats must not show their noise.
_DECIMALS = 6

Stamps = NDArray[np.int64]
Values = NDArray[np.float64]
_Axes = dict[tuple[int, datetime, datetime], tuple[tuple[datetime, ...], Stamps]]


class UnitSeries(msgspec.Struct, frozen=True, kw_only=True):
    """One series of a known unit: microseconds since 1970, and MW or t with NaN for no value."""

    unit: str
    fueltech: str
    metric: str
    zone: tzinfo
    stamps: Stamps
    values: Values


class Collected(msgspec.Struct, kw_only=True):
    """The series of every facility, and the codes that no catalogue knows."""

    by_facility: dict[str, list[UnitSeries]] = msgspec.field(default_factory=dict)
    unknown_units: set[str] = msgspec.field(default_factory=set)
    interval: str = "5m"


def collect(
    answers: Iterable[schema.DataAnswer], units: Mapping[str, tuple[str, str]]
) -> Collected:
    """Sort the answers' series by facility; `units` gives each unit's (facility, fueltech).

    Raises:
        FileError: a time has no offset.
    """
    found = Collected()
    for answer in answers:
        axes: _Axes = {}
        for metric in answer.data:
            found.interval = metric.interval
            for series in metric.results:
                _collect_series(found, metric.metric, series, units, axes)
    return found


def _collect_series(
    found: Collected,
    metric: str,
    series: schema.Series,
    units: Mapping[str, tuple[str, str]],
    axes: _Axes,
) -> None:
    unit = series.columns.unit_code
    if not series.data or unit is None or metric not in {POWER, EMISSIONS}:
        return
    if unit not in units:
        found.unknown_units.add(unit)
        return
    facility, fueltech = units[unit]
    moments, values = zip(*series.data, strict=True)
    stamps = _stamps(series.name, moments, axes)
    found.by_facility.setdefault(facility, []).append(
        UnitSeries(
            unit=unit,
            fueltech=fueltech,
            metric=metric,
            zone=moments[0].tzinfo,
            stamps=stamps,
            values=np.array(values, dtype=np.float64),
        )
    )


def _stamps(name: str, moments: tuple[datetime, ...], axes: _Axes) -> Stamps:
    """Give the times as numbers; most series of an answer share their times, and then the array."""
    refuse_naive(name, moments[0])
    key = (len(moments), moments[0], moments[-1])
    known = axes.get(key)
    if known is not None and known[0] == moments:
        return known[1]
    for moment in moments:
        refuse_naive(name, moment)
    seconds = np.fromiter((moment.timestamp() for moment in moments), np.float64, len(moments))
    stamps = np.rint(seconds * _MICROSECONDS).astype(np.int64)
    axes[key] = (moments, stamps)
    return stamps


def refuse_naive(name: str, moment: datetime) -> None:
    """Refuse a time that does not say its offset.

    Raises:
        FileError: it does not.
    """
    if moment.tzinfo is None:
        raise FileError(
            f"the series {name[:60]} has times without an offset ({moment.isoformat()}): fetch it again"
        )


def net_by_fuel(series: Iterable[UnitSeries], axis: Stamps, metric: str) -> dict[str, Values]:
    """Give one facility's MW (or t) by fuel along `axis`, each value counted once and signed.

    The last of several values for one unit and time counts. A battery is its signed `battery` units at each interval where
    one has a value, else discharging minus charging; pumps are loads. NaN where a fuel has no value at all.
    """
    units: dict[tuple[str, str], Values] = {}
    for each in series:
        if each.metric == metric:
            values = units.setdefault((each.fueltech, each.unit), np.full(axis.size, np.nan))
            values[np.searchsorted(axis, each.stamps)] = each.values
    # By unit code, because a sum of floats depends on its order and a table must not on the answers'.
    columns: dict[str, list[Values]] = {}
    for fueltech, unit in sorted(units):
        values = units[fueltech, unit]
        is_load = metric == POWER and fueltech in {nem.PUMPS, nem.BATTERY_CHARGING}
        columns.setdefault(fueltech, []).append(-np.abs(values) if is_load else values)
    fuels = {fueltech: _sum(found) for fueltech, found in columns.items()}
    halves = [fuels.pop(half) for half in BATTERY_HALVES if half in fuels]
    if halves:
        net = _sum(halves)
        signed = fuels.get(nem.BATTERY)
        fuels[nem.BATTERY] = net if signed is None else np.where(np.isnan(signed), net, signed)
    return {fuel: _rounded(fuels[fuel]) for fuel in sorted(fuels)}


def _sum(columns: list[Values]) -> Values:
    """Sum what is there; nothing there is NaN, not zero."""
    if len(columns) == 1:
        return columns[0]
    stack = np.vstack(columns)
    return np.where(np.isnan(stack).all(axis=0), np.nan, np.nansum(stack, axis=0))


def _rounded(values: Values) -> Values:
    # Adding zero turns -0.0, which a load at rest gives, into 0.0.
    rounded: Values = np.round(values, _DECIMALS) + 0.0
    return rounded


def facility_rows(
    code: str, series: list[UnitSeries], labels: "Labels", *, several_fuels: bool
) -> pl.DataFrame:
    """Give one facility's power (MW, net) and emissions (t), a row for each interval with a value.

    `by_fuel` is JSON, MW by fueltech id, where the facility has several fuels.
    """
    axis = np.unique(np.concatenate([each.stamps for each in series]))
    fuels = net_by_fuel(series, axis, POWER)
    nothing = np.full(axis.size, np.nan)
    power = _rounded(_sum([*fuels.values()])) if fuels else nothing
    emitted = net_by_fuel(series, axis, EMISSIONS)
    emissions = _rounded(_sum([*emitted.values()])) if emitted else nothing
    there = ~(np.isnan(power) & np.isnan(emissions))
    shown = {fuel: values[there] for fuel, values in fuels.items()} if several_fuels else {}
    stamps = axis[there]
    return pl.DataFrame(
        {
            "stamp": stamps,
            "timestamp": pl.Series(labels.of(stamps, series[0].zone), dtype=pl.String),
            "facility_code": pl.repeat(code, stamps.size, dtype=pl.String, eager=True),
            "power": pl.Series(power[there], nan_to_null=True),
            "emissions": pl.Series(emissions[there], nan_to_null=True),
            "by_fuel": _fuels_json(shown, stamps.size),
        }
    )


def _fuels_json(fuels: dict[str, Values], height: int) -> pl.Series:
    texts: list[str | None] = [None] * height
    if fuels:
        rows = zip(*(values.tolist() for values in fuels.values()), strict=True)
        for index, row in enumerate(rows):
            # Only NaN differs from itself.
            mix = {fuel: mw for fuel, mw in zip(fuels, row, strict=True) if mw == mw}  # noqa: PLR0124
            texts[index] = schema.encode(mix).decode() if mix else None
    return pl.Series(texts, dtype=pl.String)


class Labels:
    """The text of each interval in the source's own offset, made once."""

    def __init__(self) -> None:
        self._texts: dict[tuple[timedelta | None, int], str] = {}

    def of(self, stamps: Stamps, zone: tzinfo) -> list[str]:
        """Give ISO 8601 texts with the offset of `zone`."""
        offset = zone.utcoffset(None)
        return [
            self._texts.get((offset, stamp)) or self._make(offset, stamp, zone)
            for stamp in stamps.tolist()
        ]

    def _make(self, offset: timedelta | None, stamp: int, zone: tzinfo) -> str:
        text = (_EPOCH + timedelta(microseconds=stamp)).astimezone(zone).isoformat()
        self._texts[offset, stamp] = text
        return text


def wide_frame(
    found: Collected, places: Mapping[str, tuple[float | None, float | None, bool]]
) -> pl.DataFrame:
    """Give every facility's rows, sorted by time and code.

    `places` gives each facility's longitude, latitude and whether it has several fuels.
    """
    frames = list(_facility_frames(found, places))
    if not frames:
        return pl.DataFrame()
    return pl.concat(frames).sort("stamp", "facility_code").drop("stamp")


def _facility_frames(
    found: Collected, places: Mapping[str, tuple[float | None, float | None, bool]]
) -> Iterator[pl.DataFrame]:
    labels = Labels()
    for code, series in found.by_facility.items():
        longitude, latitude, several = places[code]
        yield facility_rows(code, series, labels, several_fuels=several).select(
            "stamp",
            "timestamp",
            "facility_code",
            "power",
            "emissions",
            pl.lit(longitude, pl.Float64).alias("longitude"),
            pl.lit(latitude, pl.Float64).alias("latitude"),
            "by_fuel",
        )


def market_frame(answer: schema.DataAnswer) -> pl.DataFrame:
    """Give the market's values by time, network, metric and region (null: the whole network), nulls kept.

    Raises:
        FileError: a time has no offset.
    """
    rows = []
    for metric in answer.data:
        for series in metric.results:
            region = series.columns.region or series.columns.network_region
            for moment, value in series.data:
                refuse_naive(series.name, moment)
                rows.append(
                    (moment, moment.isoformat(), metric.network_code, metric.metric, value, region, metric.unit, metric.interval)
                )  # fmt: skip
    columns: dict[str, Any] = {
        "stamp": pl.Datetime("us", "UTC"), "timestamp": pl.String, "network_code": pl.String,
        "metric": pl.String, "value": pl.Float64, "network_region": pl.String, "unit": pl.String, "interval": pl.String,
    }  # fmt: skip
    keys = ["stamp", "network_code", "metric", "network_region"]
    return (
        pl.DataFrame(rows, schema=columns, orient="row")
        .unique(keys, keep="last", maintain_order=True)
        .sort(keys, nulls_last=False)
        .drop("stamp")
    )
