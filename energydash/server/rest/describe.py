"""The OpenAPI document: what the framework cannot see of the routes, such as forms, errors, caching and examples."""

import dataclasses
from typing import Any

import msgspec
from litestar import Router
from litestar.datastructures import CacheControlHeader
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    Example,
    License,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    Schema,
    SecurityRequirement,
    SecurityScheme,
    Tag,
)

from energydash import __version__
from energydash.server import problems
from energydash.server.rest.negotiation import MEDIA_TYPES

_SCHEME = "bearer"
_SCHEMA_S = 300
BEARER: SecurityRequirement = {_SCHEME: []}

_DESCRIPTION = """\
Australia's power grid as this server holds it: the newest values and the hours before them.

Times are ISO 8601 with an offset. Power is MW (a load is negative), emissions are tonnes of CO2 in the five-minute interval,
prices are $/MWh; null is "no value", never zero. Errors are problem details (RFC 9457)."""

_ERRORS = {
    400: "A parameter makes no sense; `detail` says what there is",
    401: "The token is missing or wrong",
    403: "The address was asked by a name that is not ours",
    404: "There is no such thing",
    406: "It cannot be had in any of the media types that are accepted",
    429: "Too many requests from one address; `Retry-After` says for how many seconds to wait",
    500: "A bug",
}


def document(*, guarded: bool) -> OpenAPIConfig:
    """Give the document's settings; `guarded`: a token is asked for."""
    schemes: dict[str, SecurityScheme | Reference] = {
        _SCHEME: SecurityScheme(type="http", scheme="bearer", description="A token of --token")
    }
    return OpenAPIConfig(
        title="energydash",
        version=__version__,
        description=_DESCRIPTION,
        license=License(name="MIT", identifier="MIT"),
        use_handler_docstrings=True,
        tags=[
            Tag(name="grid", description="Facilities, market and charts"),
            Tag(name="server", description="The server itself; no token is needed"),
        ],
        components=Components(security_schemes=schemes if guarded else None),
        render_plugins=[JsonRenderPlugin()],
        # It changes with the version alone, and tells nothing that the README does not.
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            cache_control=CacheControlHeader(max_age=_SCHEMA_S),
            include_in_schema=False,
        ),
    )


def described(
    example: msgspec.Struct | None,
    *,
    tabular: bool = False,
    missing: bool = False,
    kept: bool = True,
    unready: bool = False,
) -> dict[str, Any]:
    """Give how a route is described, as arguments of its handler.

    Args:
        example: an answer.
        tabular: it can be had as a table, and in parts.
        missing: what it is about may not be there.
        kept: a client may keep the answer, and ask whether it still holds.
        unready: it answers 503 while the server is not ready.
    """

    @dataclasses.dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            responses: dict[str, Any] = dict(self.responses or {})
            # Where a token is asked for, any name of ours will do.
            responses.pop("403" if self.security else "401", None)
            done = responses["200"]
            if example is not None:
                _exemplify(done, example)
            if tabular:
                _tabulate(done)
            if unready:
                why = "Not ready, and why"
                responses["503"] = OpenAPIResponse(description=why, content=done.content)
            if kept:
                done.headers = {**(done.headers or {}), **_caching(paged=tabular)}
                still = "What the client holds (`If-None-Match`) is still so"
                responses["304"] = OpenAPIResponse(description=still)
            self.responses = responses

    # What is kept stands behind the guard too.
    guarded = kept or example is None
    there = {400: guarded, 401: guarded, 403: guarded, 404: missing, 406: kept}
    return {
        "operation_class": Described,
        "responses": {
            status: ResponseSpec(
                problems.Problem,
                description=description,
                media_type=problems.MEDIA_TYPE,
                generate_examples=False,
                examples=[Example(value=problems.problem(status, description))],
            )
            for status, description in _ERRORS.items()
            if there.get(status, True)
        },
    }


def _exemplify(response: OpenAPIResponse, example: msgspec.Struct) -> None:
    media = (response.content or {})[MEDIA_TYPES["json"]]
    media.examples = {"example": Example(value=msgspec.to_builtins(example))}


def _tabulate(response: OpenAPIResponse) -> None:
    content: dict[str, OpenAPIMediaType] = dict(response.content or {})
    text = Schema(type=OpenAPIType.STRING, description="A header, then a line for each row; units stand in the header")  # fmt: skip
    content[MEDIA_TYPES["csv"]] = OpenAPIMediaType(schema=text)
    stream = Schema(type=OpenAPIType.STRING, content_media_type=MEDIA_TYPES["arrow"])
    content[MEDIA_TYPES["arrow"]] = OpenAPIMediaType(schema=stream)
    response.content = content


def _caching(*, paged: bool) -> dict[str, OpenAPIHeader | Reference]:
    headers: dict[str, OpenAPIHeader | Reference] = {
        "ETag": _header("Weak; new when the content is"),
        "Cache-Control": _header("A copy may be kept, but not used without asking (`private`: by the token's holder alone)"),
        "Vary": _header("What else the answer depends on"),
    }  # fmt: skip
    if paged:
        headers["Link"] = _header("Where the next, previous and first part are (RFC 8288)")
    return headers


def _header(description: str) -> OpenAPIHeader:
    return OpenAPIHeader(schema=Schema(type=OpenAPIType.STRING), description=description)
