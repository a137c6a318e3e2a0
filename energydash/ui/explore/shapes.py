"""The shapes in which a span is looked at: over time, as a duration curve, by the time of day, one against another. Pure.

Times are milliseconds of NEM time (UTC+10): a chart's axis knows no zone.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from energydash import nem
from energydash.files.tracks import HOUR_MS, Numbers, Track, Tracks

Times = npt.NDArray[np.int64]

DAY_MS = 24 * HOUR_MS
_OFFSET_MS = round((nem.NEM_ZONE.utcoffset(None)).total_seconds() * 1000)
# More points than pixels show nothing more.
_DURATION_POINTS = 400
_SLOT_MS = HOUR_MS // 2


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """Values over time: `columns[i]` are those of `names[i]`, NaN where there is none."""

    names: tuple[str, ...]
    times: Times
    columns: tuple[Numbers, ...]


class Heat(msgspec.Struct, frozen=True, kw_only=True):
    """A mean for each day (columns, from `first_day`) and each half hour of it (rows)."""

    first_day: int
    cells: npt.NDArray[np.float64]

    @property
    def days(self) -> int:
        """How many days there are."""
        return int(self.cells.shape[1])


def begin(tracks: Tracks) -> int:
    """Give the first interval, ms of NEM time."""
    return tracks.start_ms + _OFFSET_MS


def end(tracks: Tracks) -> int:
    """Give the end of the last interval, ms of NEM time."""
    return begin(tracks) + tracks.length * tracks.step_ms


def window(tracks: Tracks, low: float, high: float) -> Tracks:
    """Give the intervals that begin within [low, high), ms of NEM time."""
    first, last = (
        min(max(-int(-(edge - begin(tracks)) // tracks.step_ms), 0), tracks.length)
        for edge in (low, high)
    )

    def cut(parts: Sequence[Track]) -> tuple[Track, ...]:
        return tuple(Track(p.name, p.over[first:last], p.under[first:last]) for p in parts)

    return msgspec.structs.replace(
        tracks,
        start_ms=tracks.start_ms + first * tracks.step_ms,
        tracks=cut(tracks.tracks),
        prices=cut(tracks.prices),
        renewables=cut(tracks.renewables),
    )


def _local(tracks: Tracks) -> Times:
    return begin(tracks) + tracks.step_ms * np.arange(tracks.length, dtype=np.int64)


def _means(track: Track, places: Times, length: int) -> Numbers:
    """Give the mean of what falls into each place: the sum of dividends by that of divisors."""
    over, under = (
        np.bincount(places, np.nan_to_num(part), length) for part in (track.over, track.under)
    )
    means: Numbers = np.divide(over, under, out=np.full(length, np.nan), where=under > 0)
    return means


def lines(parts: Sequence[Track], tracks: Tracks, every_ms: int) -> Lines:
    """Give means over steps of `every_ms`, which begin at NEM time's midnight; `parts` are on the grid of `tracks`."""
    steps = _local(tracks) // max(every_ms, tracks.step_ms)
    first = int(steps[0]) if steps.size else 0
    length = int(steps[-1]) - first + 1 if steps.size else 0
    return Lines(
        names=tuple(part.name for part in parts),
        times=(first + np.arange(length, dtype=np.int64)) * max(every_ms, tracks.step_ms),
        columns=tuple(_means(part, steps - first, length) for part in parts),
    )


def duration(values: Numbers) -> tuple[Numbers, Numbers]:
    """Give (share of the time in %, value that it reached or exceeded); what is missing is left out."""
    known = np.sort(values[~np.isnan(values)])[::-1]
    shares = 100 * np.arange(1, known.size + 1) / max(known.size, 1)
    if known.size > _DURATION_POINTS:
        kept = np.linspace(0, known.size - 1, _DURATION_POINTS).round().astype(int)
        return shares[kept], known[kept]
    return shares, known


def profile(track: Track, tracks: Tracks) -> tuple[Numbers, Numbers]:
    """Give (hour of the day, mean at that time over all days)."""
    slot_ms = _slot(tracks)
    slots = DAY_MS // slot_ms
    means = _means(track, _local(tracks) % DAY_MS // slot_ms, slots)
    return np.arange(slots) * slot_ms / HOUR_MS, means


def heat(track: Track, tracks: Tracks) -> Heat:
    """Give a track's mean by day and time of day."""
    local, slot_ms = _local(tracks), _slot(tracks)
    slots = DAY_MS // slot_ms
    days = local // DAY_MS
    first = int(days[0]) if days.size else 0
    count = int(days[-1]) - first + 1 if days.size else 0
    places = (days - first) * slots + local % DAY_MS // slot_ms
    means = _means(track, places, count * slots)
    return Heat(first_day=first * DAY_MS, cells=means.reshape(count, slots).T)


def _slot(tracks: Tracks) -> int:
    """Give the length of a time of day: half an hour, unless an interval is longer and parts a day evenly."""
    step = max(tracks.step_ms, _SLOT_MS)
    return step if DAY_MS % step == 0 else DAY_MS


def against(x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    """Give the pairs of which both are known."""
    both = ~(np.isnan(x) | np.isnan(y))
    return x[both], y[both]
