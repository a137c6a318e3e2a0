"""What the charts draw, as columns. Pure; the x axis is NEM time, because a chart's axis knows no zone."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from energydash import nem
from energydash.ui import numbers
from energydash.ui.store import Row

NAN = math.nan

ABOVE = tuple(group.id for group in nem.FUEL_GROUPS if not group.load)
BELOW = tuple(group.id for group in nem.FUEL_GROUPS if group.load or group.storage)

Columns = dict[str, list[float]]

_LINEAR_TO = 300.0
_DECADE = 150.0
_STEPS = (10, 20, 50, 100, 300)
_MOST_STEPS = 7
_ORDINARY = (0.0, 50.0)
_ASIDE_PX = 7.0
_LANDMARKS = (-1000.0, 1000.0, 5000.0, 17500.0)


def wall_ms(moment: datetime) -> float:
    """Give milliseconds whose UTC reading is the time of day in NEM time."""
    local = moment.astimezone(nem.NEM_ZONE).replace(tzinfo=UTC)
    return local.timestamp() * 1000


def stack(times: Sequence[datetime], rows: Sequence[Row]) -> Columns:
    """Give the edges of every fuel's area, MW: generation piles up from zero, loads pile down.

    An interval that nobody reported is a gap (NaN), not a zero. A battery is above while it discharges and below
    while it charges. A generator's own use at rest (slightly negative) is drawn as zero.
    """
    columns: Columns = {"t": [wall_ms(moment) for moment in times]}
    for name in [f"{group}_top" for group in ABOVE] + [f"{group}_low" for group in BELOW]:
        columns[name] = []
    columns["zero"] = []
    for row in rows:
        known = bool(row.fuel)
        columns["zero"].append(0.0 if known else NAN)
        height = depth = 0.0
        for group in ABOVE:
            height += max(row.fuel.get(group, 0.0), 0.0)
            columns[f"{group}_top"].append(height if known else NAN)
        for group in BELOW:
            depth += min(row.fuel.get(group, 0.0), 0.0)
            columns[f"{group}_low"].append(depth if known else NAN)
    columns["demand"] = [_nan(row.demand) for row in rows]
    columns["generation"] = [_nan(row.generation) for row in rows]
    return columns


def prices(times: Sequence[datetime], by_region: dict[str, Sequence[Row]]) -> Columns:
    """Give each region's price, $/MWh, and its place on the bent axis (`<region>_y`)."""
    columns: Columns = {"t": [wall_ms(moment) for moment in times]}
    for region, rows in by_region.items():
        columns[region] = [_nan(row.price) for row in rows]
        columns[f"{region}_y"] = [bend(price) for price in columns[region]]
    return columns


def extremes(columns: Mapping[str, Sequence[float]]) -> dict[str, list[Any]]:
    """Give the day's highest and lowest price beyond the linear part, as labels; without one, a label is empty.

    `columns` are those of `prices`. There are always two rows, the highest first, so that what changes can be patched; a price
    that stays at the cap or the floor is marked where it came there. `align`, `baseline` and `shift_px` keep a text within the chart.
    """
    found: dict[str, list[Any]] = {
        name: [] for name in ("t", "y", "text", "align", "baseline", "shift_px")
    }
    times = columns.get("t", ())
    known = [
        (columns[code][i], -i, code)
        for code in nem.NEM_REGIONS
        for i in range(len(columns.get(code, ())))
        if not math.isnan(columns[code][i])
    ]
    highest = max(known, default=None)
    lowest = min(known, key=lambda each: (each[0], -each[1]), default=None)
    for place, baseline, beyond in (
        (highest, "top", highest is not None and highest[0] > _LINEAR_TO),
        (lowest, "bottom", lowest is not None and lowest[0] < -_LINEAR_TO),
    ):
        price, i, code = (place[0], -place[1], place[2]) if place and beyond else (NAN, 0, "")
        late = i > len(times) / 2
        found["t"].append(times[i] if beyond else NAN)
        found["y"].append(bend(price))
        found["text"].append(_extreme(code, price, times[i]) if beyond else "")
        found["align"].append("right" if late else "left")
        found["baseline"].append(baseline)
        found["shift_px"].append(-_ASIDE_PX if late else _ASIDE_PX)
    return found


def _extreme(code: str, price: float, wall: float) -> str:
    at = datetime.fromtimestamp(wall / 1000, UTC)
    return f"{nem.REGION_BY_CODE[code].label} {numbers.dollars(price)} at {at:%H:%M}"


def changes(
    was: Mapping[str, Any], now: Mapping[str, Sequence[Any]]
) -> dict[str, list[tuple[int, Any]]]:
    """Give what to patch for columns of the same rows to be as they are now; nothing of a column that stays."""
    found = {
        name: [(i, new) for i, new in enumerate(values) if not _same(was[name][i], new)]
        for name, values in now.items()
    }
    return {name: each for name, each in found.items() if each}


def _same(one: object, other: object) -> bool:
    return one == other or (one != one and other != other)  # noqa: PLR0124 (NaN)


def bend(price: float) -> float:
    """Give a price's place on an axis that is linear to ±300 $/MWh and logarithmic beyond.

    So -1,000 and 17,500 fit into one picture in which ordinary prices stay readable.
    """
    if math.isnan(price) or abs(price) <= _LINEAR_TO:
        return price
    return math.copysign(_LINEAR_TO + _DECADE * math.log10(abs(price) / _LINEAR_TO), price)


def price_ticks(prices: Iterable[float]) -> list[float]:
    """Give the prices to label, $/MWh: round steps where the axis is linear, a few landmarks beyond."""
    known = [price for price in prices if not math.isnan(price)]
    low, high = min([_ORDINARY[0], *known]), max([_ORDINARY[1], *known])
    reach = bend(high) - bend(low)
    step = next((s for s in _STEPS if reach / s <= _MOST_STEPS), _STEPS[-1])
    first = math.floor(max(low, -_LINEAR_TO) / step)
    last = math.ceil(min(high, _LINEAR_TO) / step)
    inner = [float(n * step) for n in range(first, last + 1)]
    return inner + [
        p for p in _LANDMARKS if min(low, -_LINEAR_TO) <= p <= max(high, _LINEAR_TO)
    ]


def _nan(value: float | None) -> float:
    return NAN if value is None else value
