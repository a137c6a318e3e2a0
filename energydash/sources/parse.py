"""Raw answers to structs: the one parser for every source.

Lenient where the API may grow (new words, new fields, absent or null keys), strict where a wrong value would
travel on as a number.
"""

from collections.abc import Callable

import msgspec

from energydash import schema
from energydash.errors import SourceError


class _Verdict(msgspec.Struct):
    """What an answer says about itself, read first: a failure need not hold any data."""

    success: bool = True
    error: str | None = None


def parse_whole_catalogue(raw: bytes) -> schema.FacilitiesAnswer:
    """Read a catalogue in which every value is what it should be.

    Raises:
        SourceError: the answer is not one; the text says where it goes wrong.
    """
    return _parse(raw, schema.decode_facilities, "catalogue")


def parse_data(raw: bytes) -> schema.DataAnswer:
    """Read a data answer, of units or of the market.

    Raises:
        SourceError: the answer is not one; the text says where it goes wrong.
    """
    answer = _parse(raw, schema.decode_data, "data answer")
    for metric in answer.data:
        for series in metric.results:
            # All of a series' times have one form; which zone a bare one means, nobody can know.
            if series.data and series.data[0][0].tzinfo is None:
                raise SourceError(
                    f"the source's data answer makes no sense: times without an offset in {series.name}"
                )
    return answer


def _parse[T: (schema.FacilitiesAnswer, schema.DataAnswer)](
    raw: bytes, decode: Callable[[bytes], T], what: str
) -> T:
    try:
        answer = decode(raw)
    # Text that is no UTF-8 raises an error that is not msgspec's own.
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise SourceError(
            _failure(raw) or f"the source's {what} makes no sense: {exc}"
        ) from exc
    if not answer.success:
        raise SourceError(_failure(raw) or f"the source reports a failed {what}")
    return answer


def _failure(raw: bytes) -> str | None:
    """Give what a failed answer says of itself."""
    try:
        verdict = msgspec.json.decode(raw, type=_Verdict)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if verdict.success or not verdict.error:
        return None
    return f"the source reports a failure: {' '.join(verdict.error.split())}"
