"""What may be asked for in an address: filters, fields, pages, windows of time; checked, or refused with what there is."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
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


_MOMENT = (
    "this event time; RFC 3339, network time (UTC+10) where it has no offset; write + as %2B"
)
_TIME = {"format": "date-time"}


def window(
    start: Annotated[
        datetime | None, optional(f"From {_MOMENT}", "2026-03-01T00:00:00Z", **_TIME)
    ] = None,
    end: Annotated[
        datetime | None, optional(f"To before {_MOMENT}", "2026-03-02T00:00:00Z", **_TIME)
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
    """Read which window of time is asked for."""
    return Window(_aware(start), _aware(end), limit)


def choices(name: str, text: str | None, known: Iterable[str]) -> tuple[str, ...]:
    """Give the words that were given, in the order of what is known; none were given: nothing.

    Raises:
        ValidationException: one of them is nothing that is known: an empty list would hide the slip.
    """
    if text is None:
        return ()
    there = list(dict.fromkeys(known))
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
    """Refuse parameters that the route does not have: a slip of the pen would give something else than was meant.

    Raises:
        ValidationException: there is one.
    """
    known = sorted(_names(request.route_handler))
    for name in request.query_params:
        if name not in known:
            there = f"give {', '.join(known)}" if known else "there are none here"
            raise refused(name[:40], f"no such parameter: {there}")


def _names(handler: Any) -> set[str]:
    given = dict(handler.parsed_fn_signature.parameters)
    for name, dependency in handler.resolve_dependencies().items():
        if given.pop(name, None) is not None:
            given |= dependency.parsed_fn_signature.parameters
    return {
        kwarg.name or name
        for name, field in given.items()
        if isinstance(kwarg := field.kwarg_definition, QueryParameter)
    }


def _aware(moment: datetime | None) -> datetime | None:
    """Read a time without an offset as the network's."""
    if moment is None or moment.utcoffset() is not None:
        return moment
    return moment.replace(tzinfo=nem.NEM_ZONE)
