"""Raw answers to structs: the one parser for every source."""

import msgspec

from energydash import schema
from energydash.errors import SourceError


def parse_facilities(raw: bytes) -> schema.FacilitiesAnswer:
    """Read a catalogue.

    Raises:
        SourceError: the answer is not one; the text says where it goes wrong.
    """
    try:
        answer = schema.decode_facilities(raw)
    except msgspec.MsgspecError as exc:
        raise SourceError(f"the catalogue that the source gave makes no sense: {exc}") from exc
    _check(answer)
    return answer


def parse_data(raw: bytes) -> schema.DataAnswer:
    """Read a data answer, of units or of the market.

    Raises:
        SourceError: the answer is not one; the text says where it goes wrong.
    """
    try:
        answer = schema.decode_data(raw)
    except msgspec.MsgspecError as exc:
        raise SourceError(f"the data that the source gave makes no sense: {exc}") from exc
    _check(answer)
    return answer


def _check(answer: schema.FacilitiesAnswer | schema.DataAnswer) -> None:
    if not answer.success:
        raise SourceError(f"the source reports a failure: {answer.error or 'without a reason'}")
