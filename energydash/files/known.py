"""What is known of the last days, so that of an answer only what is new or has changed need be kept."""

from array import array
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

from energydash import nem, schema

REACH = timedelta(hours=72)
"""How far back values are remembered: as far as anything is read again, and a day for what comes late."""

_STEP_S = nem.INTERVAL.total_seconds()
_SLOTS = int(REACH / nem.INTERVAL)
_NULL = float("nan")


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Of an answer, what was not known: how many values are `new`, how many are `revised`."""

    answer: schema.DataAnswer
    new: int
    revised: int


class Known:
    """The newest values of each series: (metric, unit or region) by label.

    A ring for each series: slot n holds the value of the label whose number modulo the ring's length is n.
    """

    def __init__(self) -> None:
        self._labels: defaultdict[tuple[str, str], array[int]] = defaultdict(
            lambda: array("q", [-1]) * _SLOTS
        )
        self._values: defaultdict[tuple[str, str], array[float]] = defaultdict(
            lambda: array("d", [_NULL]) * _SLOTS
        )

    def learn(self, answer: schema.DataAnswer, since: datetime) -> None:
        """Take in what is kept already, as far as it is not older than `since`."""
        for metric in answer.data:
            for series in metric.results:
                self._news(_key(metric, series), (p for p in series.data if p[0] >= since))

    def changes(self, answer: schema.DataAnswer) -> Changes:
        """Take in an answer, and give what of it was not known: whole metrics and series may be gone."""
        new = revised = 0
        metrics = []
        for metric in answer.data:
            results = []
            for series in metric.results:
                points, fresh = self._news(_key(metric, series), series.data)
                new += fresh
                revised += len(points) - fresh
                if points:
                    results.append(msgspec.structs.replace(series, data=tuple(points)))
            if results:
                metrics.append(msgspec.structs.replace(metric, results=tuple(results)))
        return Changes(
            answer=msgspec.structs.replace(answer, data=tuple(metrics)),
            new=new,
            revised=revised,
        )

    def movement(self) -> dict[str, float]:
        """Give what each unit's power moves from one interval to the next, on average, MW."""
        moves = {}
        for (metric, code), values in self._values.items():
            if metric != "power":
                continue
            known = [value for value in self._in_order(metric, code, values) if value == value]  # noqa: PLR0124 (NaN)
            if len(known) > 1:
                steps = (abs(b - a) for a, b in pairwise(known))
                moves[code] = sum(steps) / (len(known) - 1)
        return moves

    def _in_order(self, metric: str, code: str, values: "array[float]") -> list[float]:
        labels = self._labels[metric, code]
        return [
            values[n] for n in sorted(range(_SLOTS), key=labels.__getitem__) if labels[n] >= 0
        ]

    def _news(
        self, key: tuple[str, str], points: Iterable[schema.Point]
    ) -> tuple[list[schema.Point], int]:
        """Give the points that are new or other than known, and how many of them are new."""
        labels, values = self._labels[key], self._values[key]
        found, fresh = [], 0
        for point in points:
            number = int(point[0].timestamp() / _STEP_S)
            value = _NULL if point[1] is None else point[1]
            slot = number % _SLOTS
            if labels[slot] == number:
                old = values[slot]
                if old == value or (old != old and value != value):  # noqa: PLR0124 (NaN)
                    continue
            else:
                fresh += 1
            labels[slot], values[slot] = number, value
            found.append(point)
        return found, fresh


def _key(metric: schema.Metric, series: schema.Series) -> tuple[str, str]:
    columns = series.columns
    return metric.metric, columns.unit_code or columns.region or columns.network_region or ""
