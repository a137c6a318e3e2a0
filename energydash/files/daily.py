"""One day's rows of the big tables, and their bytes: fragments that follow each other in a file. Pure."""

import io
from collections.abc import Iterator

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from energydash.files.arithmetic import EMISSIONS, POWER, Day, Mask, Net, net
from energydash.files.blocks import METRICS
from energydash.files.clock import labels, zone_name
from energydash.files.roster import Roster

_PART = 96
_STATIONS = 150

MEASURES = ("MW", "t")
"""The units of measure of `METRICS`."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A day's values, what they sum to, and its times as texts `offset_s` seconds from UTC."""

    day: Day
    net: Net
    roster: Roster
    offset_s: int
    labels: tuple[str, ...]

    def parts(self) -> "Iterator[Scene]":
        """Cut a day into some hours each, so that what is made of them at once stays small."""
        for start in range(0, len(self.labels), _PART):
            hours = slice(start, start + _PART)
            yield Scene(
                day=self.day.part(hours),
                net=Net(
                    fuels=self.net.fuels[:, hours],
                    power=self.net.power[:, hours],
                    emissions=self.net.emissions[:, hours],
                ),
                roster=self.roster,
                offset_s=self.offset_s,
                labels=self.labels[hours],
            )

    def there(self) -> Mask:
        """Say which facilities have a value when (facilities x times): these are the rows."""
        return ~(np.isnan(self.net.power) & np.isnan(self.net.emissions))


def scene_of(day: Day, roster: Roster, offset_s: int) -> Scene:
    """Give a day with its sums."""
    return Scene(
        day=day,
        net=net(day, roster),
        roster=roster,
        offset_s=offset_s,
        labels=tuple(labels(day.stamps, offset_s)),
    )


def station_frame(scene: Scene) -> pl.DataFrame:
    """Give a row for each facility and interval with a value, by time and code."""
    roster, sums = scene.roster, scene.net
    times, rows = np.nonzero(scene.there().T)
    return pl.DataFrame(
        {
            "timestamp": _moments(scene).gather(times),
            "facility_code": pl.Series(roster.facilities, dtype=pl.String).gather(rows),
            "power": _numbers(sums.power[rows, times]),
            "emissions": _numbers(sums.emissions[rows, times]),
            "longitude": _numbers(roster.longitudes[rows]),
            "latitude": _numbers(roster.latitudes[rows]),
            "by_fuel": _mixes(scene, times, rows),
        }
    )


def unit_frame(scene: Scene) -> pl.DataFrame:
    """Give a row for each unit and interval with a value, as the source gave it, by time, facility, fuel and unit."""
    roster, values = scene.roster, scene.day.values
    times, rows = _unit_rows(scene)
    facilities = pl.Series(roster.facilities, dtype=pl.String).gather(roster.facility_of)
    return pl.DataFrame(
        {
            "timestamp": _moments(scene).gather(times),
            "facility_code": facilities.gather(rows),
            "unit_code": pl.Series(roster.units, dtype=pl.String).gather(rows),
            "fueltech_id": pl.Series(roster.fueltechs, dtype=pl.String).gather(rows),
            "power": _numbers(values[POWER][rows, times]),
            "emissions": _numbers(values[EMISSIONS][rows, times]),
        }
    )


def _unit_rows(scene: Scene) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    values = scene.day.values
    there = ~(np.isnan(values[POWER]) & np.isnan(values[EMISSIONS]))
    times, rows = np.nonzero(there.T)
    return times, rows


def _moments(scene: Scene) -> pl.Series:
    moments = pl.Series(scene.day.stamps).cast(pl.Datetime("us", "UTC"))
    return moments.dt.convert_time_zone(zone_name(scene.offset_s))


def _numbers(values: NDArray[np.float64]) -> pl.Series:
    return pl.Series(values, nan_to_null=True)


def _mixes(
    scene: Scene,
    times: NDArray[np.intp],
    rows: NDArray[np.intp],
    *,
    as_csv: bool = False,
) -> pl.Series:
    """Give JSON of MW by fuel for the rows of facilities with several fuels, null for all others.

    In CSV it stands within quotes, and its own are doubled.
    """
    around, inner = ('"', '""') if as_csv else ("", '"')
    roster = scene.roster
    several = np.flatnonzero(roster.several_fuels[rows])
    ends = np.append(roster.fuel_starts[1:], len(roster.fuels))
    starts = roster.fuel_starts[rows[several]]
    counts = ends[rows[several]] - starts
    names = pl.Series(
        [f"{msgspec.json.encode(fuel).decode()}:".replace('"', inner) for fuel in roster.fuels],
        dtype=pl.String,
    )
    parts = []
    for nth in range(counts.max(initial=0)):
        fuels = np.minimum(starts + nth, len(roster.fuels) - 1)
        mw = scene.net.fuels[fuels, times[several]]
        values = _numbers(np.where(nth < counts, mw, np.nan)).cast(pl.String)
        parts.append((names.gather(fuels) + values).alias(str(nth)))
    if not parts:
        return pl.repeat(None, rows.size, dtype=pl.String, eager=True)
    inside = pl.concat_str(pl.all(), separator=",", ignore_nulls=True)
    mixes = pl.DataFrame(parts).select(
        pl.when(inside != "").then(around + "{" + inside + "}" + around).alias("mix")
    )["mix"]
    where = np.full(rows.size, several.size)
    where[several] = np.arange(several.size)
    return mixes.append(pl.Series([None], dtype=pl.String)).gather(where)


def station_csv(scene: Scene) -> bytes:
    """Give the rows of `station_frame` as CSV, without the header.

    What is the same on every day is text already, and quoted where it must be: to format it, and to look for what needs quotes,
    takes half of the time.
    """
    roster, sums = scene.roster, scene.net
    times, rows = np.nonzero(scene.there().T)
    return _plain_csv(
        {
            "timestamp": pl.Series(scene.labels, dtype=pl.String).gather(times),
            "facility_code": pl.Series(roster.facility_texts, dtype=pl.String).gather(rows),
            "power": _numbers(sums.power[rows, times]),
            "emissions": _numbers(sums.emissions[rows, times]),
            "place": pl.Series(roster.place_texts, dtype=pl.String).gather(rows),
            "by_fuel": _mixes(scene, times, rows, as_csv=True),
        }
    )


def unit_csv(scene: Scene) -> bytes:
    """Give the rows of `unit_frame` as CSV, without the header."""
    values = scene.day.values
    times, rows = _unit_rows(scene)
    return _plain_csv(
        {
            "timestamp": pl.Series(scene.labels, dtype=pl.String).gather(times),
            "codes": pl.Series(scene.roster.unit_texts, dtype=pl.String).gather(rows),
            "power": _numbers(values[POWER][rows, times]),
            "emissions": _numbers(values[EMISSIONS][rows, times]),
        }
    )


def _plain_csv(columns: dict[str, pl.Series]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_csv(buffer, include_header=False, quote_style="never")
    return buffer.getvalue()


def parquet_bytes(table: pl.DataFrame) -> bytes:
    """Give a table as a Parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def answer_pieces(scene: Scene, interval: str) -> list[bytes]:
    """Give the facility level in the form of the API's answers, compactly: a JSON entry for each metric."""
    there = scene.there()
    if not there.any():
        return []
    values = (scene.net.power, scene.net.emissions)
    return [
        *_entry(scene, there, values[POWER], METRICS[POWER], interval), b",",
        *_entry(scene, there, values[EMISSIONS], METRICS[EMISSIONS], interval),
    ]  # fmt: skip


def _entry(
    scene: Scene, there: Mask, values: NDArray[np.float64], metric: str, interval: str
) -> Iterator[bytes]:
    what = {"metric": metric, "unit": MEASURES[METRICS.index(metric)], "interval": interval}
    start, end = msgspec.json.encode(what)[:-1] + b',"results":[', b"]}]}"
    for first in range(0, len(there), _STATIONS):
        text = _series(
            scene, there, values, metric, range(len(there))[first : first + _STATIONS]
        )
        if text:
            # Each series ends the one before it.
            yield start + text.removeprefix(b"]},") if start else text
            start = b""
    yield end


def _series(
    scene: Scene, there: Mask, values: NDArray[np.float64], metric: str, stations: range
) -> bytes:
    """Write the points as a table whose separators are JSON's: that is ten times as fast as encoding objects."""
    rows, times = np.nonzero(there[stations.start : stations.stop])
    rows += stations.start
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    texts = scene.labels
    heads = [
        f']}},{_head(metric, scene.roster.facilities[row])}["{texts[time]}"'
        for row, time in zip(rows[first].tolist(), times[first].tolist(), strict=True)
    ]
    which = times.copy()
    which[first] = len(texts) + np.arange(first.size)
    starts = pl.Series([*(f',["{text}"' for text in texts), *heads], dtype=pl.String)
    table = pl.DataFrame(
        {"start": starts.gather(which), "value": _numbers(values[rows, times])}
    )
    buffer = io.BytesIO()
    table.write_csv(
        buffer,
        include_header=False,
        line_terminator="]",
        quote_style="never",
        null_value="null",
    )
    return buffer.getvalue()


def _head(metric: str, code: str) -> str:
    series = {"name": f"{metric}_{code}", "columns": {"facility_code": code}}
    return msgspec.json.encode(series).decode()[:-1] + ',"data":['
