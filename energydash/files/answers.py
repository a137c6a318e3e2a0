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
Content = bytes | memoryview


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


_decode_values = msgspec.json.Decoder(list[float | None]).decode
_OPEN, _CLOSE, _SPACE = b"[] "
# Beyond any grid's megawatts or any market's price by far, but sums and roundings of it are still finite.
_MOST = 1e12


class _Axis:
    """The times of the last series that was decoded: most series of an answer share theirs, to the letter.

    Of such a series only the values need be decoded, once its times are found to be the same bytes: blanked out, they
    leave a list of numbers. That takes two thirds of the time, and half of it is what a conversion takes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._texts: list[str] = []
        self._heads = b""
        self._width = 0
        self.stamps: Stamps = np.array([], dtype=np.int64)
        self.offset_s = 0

    def values(self, points: bytes) -> Values:
        """Give the values of a series; its times are then those of the axis.

        Raises:
            ValueError: a time or a value makes no sense; or msgspec's errors: these are no points.
        """
        shared = self._blanked(points)
        return self._decoded(points) if shared is None else shared

    def _blanked(self, points: bytes) -> Values | None:
        """Give the values where the times are the same; None where they are not, or look otherwise."""
        text = np.array(np.frombuffer(points, np.uint8))
        opens = np.flatnonzero(text == _OPEN)
        count = len(self._texts)
        if not count or opens.size != count + 1 or opens[0] or text[-1] != _CLOSE:
            return None
        starts = opens[1:]
        if starts[-1] + self._width > text.size:
            return None
        kind = np.dtype((np.void, self._width))
        windows = np.ndarray((text.size - self._width + 1,), kind, text.data, strides=(1,))
        if windows[starts].tobytes() != self._heads:
            return None
        windows[starts] = np.frombuffer(b" " * self._width, kind)[0]
        text[text == _CLOSE] = _SPACE
        text[-1] = _CLOSE
        try:
            values = _decode_values(text.data)
        except msgspec.MsgspecError:
            return None
        return _array(values) if len(values) == count else None

    def _decoded(self, content: bytes) -> Values:
        points = _decode_points(content)
        texts = [point.time for point in points]
        if texts and texts != self._texts:
            self.stamps = self._clock.stamps(texts)
            self.offset_s = offset_of(texts[0])
            heads = [f'["{text}",'.encode() for text in texts]
            even = len({*map(len, heads)}) == 1
            self._texts = texts
            # Times of several lengths are no sight for the short cut: no head is ever empty.
            self._heads, self._width = (b"".join(heads), len(heads[0])) if even else (b"", 1)
        return _array([point.value for point in points])


def _array(values: list[float | None]) -> Values:
    # NumPy takes None for NaN.
    array = np.fromiter(values, np.float64, len(values))
    beyond = np.abs(array) > _MOST
    if beyond.any():
        raise ValueError(f"a value of {array[beyond][0]:g} makes no sense")
    return array


def read_series(path: Path, content: Content, clock: Clock) -> Iterator[Series]:
    """Yield the series of an answer that have points, in its order; `path` is for errors.

    Raises:
        FileError: the content is no such answer, or a time or a value makes no sense, or a time has no offset.
    """
    axis = _Axis(clock)
    try:
        answer = _decode_answer(content)
        metrics = answer.data.data if isinstance(answer.data, _Answer) else answer.data
        for metric in metrics:
            for series in metric.results or ():
                values = axis.values(series.data)
                if values.size:
                    yield _series(metric, series, values, axis)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as exc:
        raise FileError(
            f"{path} is not what `energydash fetch` writes ({exc}): fetch it again"
        ) from exc


def _series(metric: _Metric, series: _Series, values: Values, axis: _Axis) -> Series:
    columns = series.columns or _Columns()
    return Series(
        metric=metric.metric,
        network_code=metric.network_code or "NEM",
        measure=metric.unit or "",
        interval=metric.interval or "5m",
        unit_code=columns.unit_code,
        region=columns.region or columns.network_region,
        stamps=axis.stamps,
        values=values,
        offset_s=axis.offset_s,
    )
