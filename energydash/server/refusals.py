"""Why a WebSocket is closed: one table for who closes it and for who documents that."""

from collections.abc import Mapping

import msgspec
from websockets.frames import CloseCode

from energydash import schema


class Refusal(msgspec.Struct, frozen=True):
    """What an `error` means, and the codes of the close that follows it; the first is that of what was read and refused."""

    meaning: str
    closes: tuple[int, ...]


ERRORS: Mapping[schema.ErrorCode, Refusal] = {
    "malformed": Refusal(
        "what came is no frame, no JSON or MessagePack, or no message of this protocol",
        (CloseCode.INVALID_DATA, CloseCode.PROTOCOL_ERROR),
    ),
    "too_large": Refusal(
        "a message of too many bytes, inflated, or in too many pieces",
        (CloseCode.MESSAGE_TOO_BIG,),
    ),
    "too_frequent": Refusal(
        "too many frames, or too many `subscribe` and `resume`", (CloseCode.POLICY_VIOLATION,)
    ),
    "unknown_filter": Refusal(
        "no such region or fuel: nothing could ever pass; `detail` lists those that there are",
        (CloseCode.INVALID_DATA,),
    ),
    "too_many_views": Refusal(
        "too many different filters are in use here: come back later, or use another",
        (CloseCode.TRY_AGAIN_LATER,),
    ),
}

CLOSES: Mapping[int, str] = {
    CloseCode.PROTOCOL_ERROR: "after `malformed`: it breaks RFC 6455",
    CloseCode.INVALID_DATA: "after `malformed` or `unknown_filter`: correct it before you come back",
    CloseCode.POLICY_VIOLATION: "after `too_frequent`",
    CloseCode.MESSAGE_TOO_BIG: "after `too_large`",
    CloseCode.INTERNAL_ERROR: "a ping was not answered in time: come back",
    CloseCode.SERVICE_RESTART: "the server stops: come back in a moment, with `resume`",
    CloseCode.TRY_AGAIN_LATER: "after `too_many_views`: come back later",
    CloseCode.ABNORMAL_CLOSURE: "no close came: the line broke, or the client had stopped reading and was hung up on; come back",
}
