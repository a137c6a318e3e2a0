"""How values become an answer: buckets of time, holes filled or not, and the shape of a metric."""

from datetime import timedelta
from functools import cache

import standin_grid as grid
from standin_rules import OFFSETS

_DAY = 288
_MONTHS = {"1M": (1, 0), "3M": (3, 0), "season": (3, 11), "1y": (12, 0), "fy": (12, 6)}


def bucket_of(n, interval):
    """Give the step at which the interval of a step starts; it may lie before the window."""
    match interval:
        case "5m":
            return n
        case "1h":
            return n - n % 12
        case "1d":
            return n - n % _DAY
    return _long_bucket(n // _DAY, interval)


@cache
def _long_bucket(day, interval):
    if interval == "7d":  # weeks start on Sunday; day 1 was one
        return (day - (day - 1) % 7) * _DAY
    date = grid.EPOCH + timedelta(days=day)
    length, first = _MONTHS[interval]
    months = date.year * 12 + date.month - 1
    year, month = divmod(months - (months - first) % length, 12)
    return grid.step_of(date.replace(year=year, month=month + 1, day=1))


class Axis:
    """The time of one answer: its steps, their buckets, and the text of each."""

    def __init__(self, asked, first, stop):
        self.steps = range(first, max(first, stop))
        self.interval, self.offset = asked.interval, OFFSETS[asked.network]
        self.buckets = list(dict.fromkeys(bucket_of(n, self.interval) for n in self.steps))
        self._texts = {b: grid.label_of(b).isoformat() + self.offset for b in self.buckets}
        self._places = {b: place for place, b in enumerate(self.buckets)}

    def gather(self, steps, values, *, mean):
        """Give {bucket: value}: the mean or the sum of what is there, None where nothing is."""
        if self.interval == "5m":
            return dict(zip(steps, values, strict=True))
        found = {}
        for n, value in zip(steps, values, strict=True):
            inside = found.setdefault(bucket_of(n, self.interval), [])
            if value is not None:
                inside.append(value)
        return {b: _joined(inside, mean=mean) for b, inside in found.items()}

    def points(self, cells, *, fill):
        """Give the points of a series; a hole inside it is null, or left out by older servers."""
        inside = cells
        if fill:
            first, last = min(cells), max(cells)
            inside = self.buckets[self._places[first] : self._places[last] + 1]
        texts, value = self._texts, cells.get
        return [(texts[b], value(b)) for b in inside]

    def text(self, bucket):
        return self._texts[bucket]


def _joined(values, *, mean):
    if not values:
        return None
    return round(sum(values) / len(values) if mean else sum(values), 6)


def shaped(asked, metric, unit_name, results, *, groupings=()):
    """Give one entry of `data`; its span is that of all points, not of each series nor of the request.

    `results` are (name, columns, points).
    """
    # The texts are of one length and zone, so their order is that of time.
    span = {
        "date_start": min(points[0][0] for _, _, points in results),
        "date_end": max(points[-1][0] for _, _, points in results),
    }
    return {
        "network_code": asked.network, "metric": metric, "unit": unit_name, "interval": asked.interval, **span,
        "groupings": list(groupings),
        "results": [{"name": name, **span, "columns": columns, "data": points} for name, columns, points in results],
        "network_timezone_offset": OFFSETS[asked.network],
    }  # fmt: skip
