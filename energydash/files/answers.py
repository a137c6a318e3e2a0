"""Raw answers as arrays: decoded as fast as JSON allows, one series in memory as objects at a time.

The API's own form is read, and what older tools dumped: null keys, times with a space, and batches wrapped in
`{"batch_index", "facility_codes", "data"}`.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from energydash.errors import FileError
from energydash.files.clock import Clock, Stamps, offset_of

Values = NDArray[np.float64]


class _Point(msgspec.Struct, array_like=True, gc=False):
    time: str
    value: float | None


class _Columns(msgspec.Struct, gc=False):
    unit_code: str | None = None
    region: str | None = None
    network_region: str | None = None


class _Series(msgspec.Struct, gc=False):
    # Its points stay bytes at first: as objects, those of a whole folder would take half a gigabyte.
    data: msgspec.Raw
    name: str | None = None
    columns: _Columns | None = None


class _Metric(msgspec.Struct, gc=False):
    metric: str
    network_code: str | None = None
    unit: str | None = None
    interval: str | None = None
    results: list[_Series] | None = None


class _Answer(msgspec.Struct, gc=False):
    data: list[_Metric]


class _Wrapped(msgspec.Struct, gc=False):
    data: list[_Metric] | _Answer


class Series(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One series: ascending or not, NaN for null; `offset_s` is what its first label says, from UTC."""

    metric: str
    network_code: str
    measure: str
    interval: str
    unit_code: str | None
    region: str | None
    stamps: Stamps
    values: Values
    offset_s: int


_decode_answer = msgspec.json.Decoder(_Wrapped).decode
_decode_points = msgspec.json.Decoder(list[_Point]).decode


class _Axis:
    """The times of the last series: most series of an answer share theirs, and then the array too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._texts: list[str] = []
        self._stamps: Stamps = np.array([], dtype=np.int64)
        self._offset_s = 0

    def of(self, texts: list[str]) -> tuple[Stamps, int]:
        if texts != self._texts:
            self._stamps = self._clock.stamps(texts)
            self._texts = texts
            self._offset_s = offset_of(texts[0])
        return self._stamps, self._offset_s


def read_series(path: Path, content: bytes, clock: Clock) -> Iterator[Series]:
    """Yield the series of an answer that have points, in its order; `path` is for errors.

    Raises:
        FileError: the content is no such answer, or a time makes no sense or has no offset.
    """
    axis = _Axis(clock)
    try:
        answer = _decode_answer(content)
        metrics = answer.data.data if isinstance(answer.data, _Answer) else answer.data
        for metric in metrics:
            for series in metric.results or ():
                points = _decode_points(series.data)
                if points:
                    yield _series(metric, series, points, axis)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as exc:
        raise FileError(
            f"{path} is not what `energydash fetch` writes ({exc}): fetch it again"
        ) from exc


def _series(metric: _Metric, series: _Series, points: list[_Point], axis: _Axis) -> Series:
    stamps, offset_s = axis.of([point.time for point in points])
    columns = series.columns or _Columns()
    return Series(
        metric=metric.metric,
        network_code=metric.network_code or "NEM",
        measure=metric.unit or "",
        interval=metric.interval or "5m",
        unit_code=columns.unit_code,
        region=columns.region or columns.network_region,
        stamps=stamps,
        # NumPy takes None for NaN.
        values=np.fromiter([point.value for point in points], np.float64, len(points)),
        offset_s=offset_s,
    )
