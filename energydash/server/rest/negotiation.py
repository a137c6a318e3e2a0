"""In which form an answer goes out: what was asked for in the address counts, then what the client accepts. Pure."""

import re
from typing import Literal

import msgspec
from litestar.datastructures.headers import MediaTypeHeader

from energydash.server.problems import NotAcceptableError

FormatName = Literal["json", "csv", "arrow"]

MEDIA_TYPES: dict[FormatName, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
}
EXTENSIONS: dict[FormatName, str] = {"json": "json", "csv": "csv", "arrow": "arrows"}

_ETAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


class Form(msgspec.Struct, frozen=True):
    """How an answer is written, and whether it may be compressed."""

    format: FormatName = "json"
    gzip: bool = False


def chosen_format(
    asked: FormatName | None, accept: str, offered: tuple[FormatName, ...]
) -> FormatName:
    """Give the format that the client likes best (RFC 9110 section 12.5.1); of equal ones, the first that is offered.

    Raises:
        NotAcceptableError: it takes none of them.
    """
    if asked is not None:
        return asked
    if not accept.strip():
        return offered[0]
    ranges = [MediaTypeHeader(text) for text in accept.split(",")]
    best = max(offered, key=lambda name: _liking(MEDIA_TYPES[name], ranges))
    if _liking(MEDIA_TYPES[best], ranges) <= 0:
        types = ", ".join(MEDIA_TYPES[name] for name in offered)
        raise NotAcceptableError(f"this can be had as {types}")
    return best


def takes_gzip(accept_encoding: str) -> bool:
    """Whether the client takes gzip (RFC 9110 section 12.5.3)."""
    liking = {}
    for part in accept_encoding.lower().split(","):
        name, _, parameter = part.partition(";")
        liking[name.strip()] = _quality(parameter.strip().removeprefix("q="))
    return liking.get("gzip", liking.get("x-gzip", liking.get("*", 0.0))) > 0


def is_current(if_none_match: str | None, tag: str) -> bool:
    """Whether one of the tags that the client holds is this one, compared weakly (RFC 9110 section 13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return tag.removeprefix("W/") in _ETAG.findall(if_none_match)


def _liking(media_type: str, ranges: list[MediaTypeHeader]) -> float:
    """Give the quality that the most specific range gives to a type."""
    kind, _, subtype = media_type.partition("/")
    levels = ((kind, subtype), (kind, "*"), ("*", "*"))
    for main, sub in levels:
        for each in ranges:
            if (each.maintype.lower(), each.subtype.lower()) == (main, sub):
                return _quality(each.params.get("q", ""))
    return 0.0


def _quality(text: str) -> float:
    """Give a weight between 0 and 1; what is no weight is passed over."""
    return float(text) if _QUALITY.fullmatch(text) else 1.0
