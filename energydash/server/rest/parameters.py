"""What may be asked for in an address: filters, fields, pages, windows of time; checked, or refused with what there is."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, get_args

import msgspec
from litestar.exceptions import ValidationException
from litestar.openapi.spec import Example, OpenAPIType
from litestar.params import QueryParameter

from energydash import nem
from energydash.server.rest.desk import Asked
from energydash.server.rest.negotiation import FormatName

MAX_PAGE = 2_000
"""Facilities in one answer, at most; as many as a server knows."""

MAX_INTERVALS = 10_000
"""Intervals in one answer, at most: over a month of five minutes."""


def optional(description: str, *examples: str, **schema: Any) -> QueryParameter:
    """Describe a parameter that may be left out; `schema` says what is given where it is not."""
    return QueryParameter(
        description=description,
        examples=[Example(value=text) for text in examples],
        # Left out is not null, which an address cannot say.
        schema_extra={"one_of": None, "type": OpenAPIType.STRING, **schema},
    )


def words(description: str, *examples: str, known: Sequence[str] = ()) -> QueryParameter:
    """Describe a parameter that is one word, or several with commas between them, of those that are known."""
    word = "|".join(known)
    pattern = {"pattern": f"^({word})(,({word}))*$"} if known else {}
    several = f"{description}; several with commas between them"
    return optional(several, *examples, **pattern)


Format = Annotated[
    FormatName | None,
    optional(
        "How to write the answer: it counts before the Accept header",
        "csv",
        enum=list(get_args(FormatName)),
    ),
]


class Page(msgspec.Struct, frozen=True):
    """A part of a list: so many, after so many."""

    limit: int
    offset: int

    def others(self, total: int) -> dict[str, dict[str, int]]:
        """Give the parameters of the pages around this one, by their relation."""
        pages = {}
        if self.offset > 0:
            pages["first"] = {"limit": self.limit, "offset": 0}
            before = max(0, self.offset - self.limit)
            pages["prev"] = {"limit": min(self.limit, self.offset), "offset": before}
        if self.offset + self.limit < total:
            pages["next"] = {"limit": self.limit, "offset": self.offset + self.limit}
        return pages


class Window(msgspec.Struct, frozen=True):
    """A half-open window of event time, [start, end), and how many intervals of it to give; None: not bounded so."""

    start: datetime | None
    end: datetime | None
    limit: int

    def bounds(self, times: Sequence[datetime]) -> tuple[int, int, int]:
        """Give from where to where the ascending times are given, and how many of them are in the window."""
        first = 0 if self.start is None else bisect_left(times, self.start)
        last = len(times) if self.end is None else bisect_left(times, self.end)
        return first, min(max(first, last), first + self.limit), max(0, last - first)

    def others(self, times: Sequence[datetime]) -> dict[str, dict[str, str]]:
        """Give the parameters of the page after this one, by its relation."""
        first, last, total = self.bounds(times)
        return {"next": {"start": times[last].isoformat()}} if last - first < total else {}


def page(
    limit: Annotated[
        int, QueryParameter(ge=1, le=MAX_PAGE, description="How many to give")
    ] = MAX_PAGE,
    offset: Annotated[
        int, QueryParameter(ge=0, le=1_000_000, description="How many to leave out before")
    ] = 0,
) -> Page:
    """Read which part of a list is asked for."""
    return Page(limit, offset)


_MOMENT = "this event time; RFC 3339, network time (UTC+10) where it has no offset"
_TIME = {"format": "date-time"}
_SPACE = re.compile(r"(?<=[0-9]) (?=[0-9]{2}:[0-9]{2}$)")


def window(
    start: Annotated[
        str | None, optional(f"From {_MOMENT}", "2026-03-01T00:00:00Z", **_TIME)
    ] = None,
    end: Annotated[
        str | None, optional(f"To before {_MOMENT}", "2026-03-02T00:00:00Z", **_TIME)
    ] = None,
    limit: Annotated[
        int,
        QueryParameter(
            ge=1,
            le=MAX_INTERVALS,
            description="How many intervals to give; the `Link` header has the address of the next ones",
        ),
    ] = MAX_INTERVALS,
) -> Window:
    """Read which window of time is asked for.

    Raises:
        ValidationException: a time is none.
    """
    return Window(moment("start", start), moment("end", end), limit)


def moment(name: str, text: str | None) -> datetime | None:
    """Read a time (RFC 3339); one without an offset is the network's.

    Raises:
        ValidationException: it is none.
    """
    if text is None:
        return None
    try:
        # An address writes a space as +, so that a + in it arrives as a space.
        read = msgspec.convert(_SPACE.sub("+", text), datetime)
    except msgspec.ValidationError as exc:
        raise refused(name, "give a time as 2026-03-01T00:00:00+10:00") from exc
    return read if read.utcoffset() is not None else read.replace(tzinfo=nem.NEM_ZONE)


def choices(name: str, text: str | None, known: Callable[[], Iterable[str]]) -> tuple[str, ...]:
    """Give the words that were given, in the order of what is known; none were given: nothing.

    Raises:
        ValidationException: one of them is nothing that is known: an empty list would hide the slip.
    """
    if text is None:
        return ()
    there = list(dict.fromkeys(known()))
    given = [word.strip() for word in text.split(",")]
    for word in given:
        if word not in there:
            shown = ", ".join(there) or "nothing yet"
            raise refused(name, f"there is no {word[:40]!r}: give one of {shown}")
    return tuple(word for word in there if word in given)


def refused(name: str, why: str) -> ValidationException:
    """Give the error of a parameter."""
    return ValidationException(why, extra=[{"key": name, "message": why}])


async def only_known(request: Asked) -> None:
    """Refuse what the framework would pass over: parameters that there are not, a second value, `null` for none.

    A slip of the pen would give something else than was meant.

    Raises:
        ValidationException: there is one.
    """
    known = _parameters(request.route_handler)
    for name, value in request.query_params.multi_items():
        if name not in known:
            there = f"give {', '.join(sorted(known))}" if known else "there are none here"
            raise refused(name[:40], f"no such parameter: {there}")
        if len(request.query_params.getall(name)) > 1:
            raise refused(name, "given more than once: several words have commas between them")
        if value.lower() == "null" and str not in known[name].args:
            raise refused(name, "leave it out instead")


def _parameters(handler: Any) -> dict[str, Any]:
    """Give the fields of a route that stand in an address's query, those of its dependencies too."""
    given = dict(handler.parsed_fn_signature.parameters)
    for name, dependency in handler.resolve_dependencies().items():
        if given.pop(name, None) is not None:
            given |= dependency.parsed_fn_signature.parameters
    return {
        name: field
        for name, field in given.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }
