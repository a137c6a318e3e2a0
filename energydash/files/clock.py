"""Labels and numbers: the times of the files as microseconds since 1970, and back as text. No I/O."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Stamps = NDArray[np.int64]

MICROSECOND = timedelta(microseconds=1)
SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A single time out of all proportion would have a conversion go through millions of empty days.
_YEARS = range(1990, 2101)
_HOUR_S = 3600
_UNIT_S = {"m": 60, "h": _HOUR_S, "d": 86_400}


class Clock:
    """Reads labels, each text once: a week has 2,016 of them and a folder says them millions of times."""

    def __init__(self) -> None:
        self._known = _Known()

    def stamps(self, texts: list[str]) -> Stamps:
        """Give ISO 8601 texts (with `T` or a space) as microseconds since 1970.

        Raises:
            ValueError: one is no time, has no offset, or is of no year in which there is a market.
        """
        return np.array([*map(self._known.__getitem__, texts)], dtype=np.int64)


class _Known(dict[str, int]):
    def __missing__(self, text: str) -> int:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError(f"the time {text[:40]} has no offset")
        if moment.year not in _YEARS:
            raise ValueError(f"the time {text[:40]} is not of these times")
        stamp = stamp_of(moment)
        self[text] = stamp
        return stamp


def stamp_of(moment: datetime) -> int:
    """Give an aware moment as microseconds since 1970."""
    return (moment - _EPOCH) // MICROSECOND


def moment_of(stamp: int, offset_s: int) -> datetime:
    """Give a stamp as a moment at `offset_s` seconds from UTC."""
    return (_EPOCH + stamp * MICROSECOND).astimezone(timezone(timedelta(seconds=offset_s)))


def offset_of(text: str) -> int:
    """Give the seconds from UTC that a label says."""
    offset = datetime.fromisoformat(text).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def labels(stamps: Stamps, offset_s: int) -> list[str]:
    """Give stamps as ISO 8601 texts at `offset_s` seconds from UTC."""
    unit: Literal["s", "us"] = "us" if (stamps % SECOND_US).any() else "s"
    local = (stamps + offset_s * SECOND_US).astype("datetime64[us]")
    suffix = moment_of(0, offset_s).isoformat()[len("1970-01-01T00:00:00") :]
    return [text + suffix for text in np.datetime_as_string(local, unit=unit).tolist()]


def zone_name(offset_s: int) -> str:
    """Give the fixed zone's name in the time zone database; UTC where it has none.

    Its signs are POSIX's: `Etc/GMT-10` is ten hours ahead of UTC.
    """
    hours, rest = divmod(offset_s, _HOUR_S)
    return f"Etc/GMT{-hours:+d}" if hours and not rest else "UTC"


def day_number(stamp: int, offset_s: int) -> int:
    """Give the day of the label since 1970, in the label's own zone."""
    return (stamp + offset_s * SECOND_US) // DAY_US


def day_bounds(number: int, offset_s: int) -> tuple[int, int]:
    """Give the stamps between which a day lies, its end left out."""
    start = number * DAY_US - offset_s * SECOND_US
    return start, start + DAY_US


def day_name(number: int) -> str:
    """Give a day as YYYY-MM-DD."""
    return (_EPOCH + timedelta(days=number)).date().isoformat()


def step_us(interval: str) -> int | None:
    """Give the length of an interval such as `5m`; None for months and longer, which vary."""
    count, unit = interval[:-1], interval[-1:]
    if not count.isdigit() or unit not in _UNIT_S:
        return None
    return int(count) * _UNIT_S[unit] * SECOND_US or None
