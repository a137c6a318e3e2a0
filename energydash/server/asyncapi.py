"""The WebSocket's protocol as an AsyncAPI 3.0 document, made from the structs that the wire is read and written with."""

import inspect
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_304_NOT_MODIFIED

from energydash import __version__, schema
from energydash.config import ServeSettings
from energydash.server import door, fanout, sample, ws
from energydash.server.framing import JSON_PROTOCOL, MSGPACK_PROTOCOL
from energydash.server.refusals import CLOSES, ERRORS

PATH = "/schema/asyncapi.json"

_TYPE = f"application/vnd.aai.asyncapi+json;version={(_VERSION := '3.0.0')}"
_SCHEMAS = "#/components/schemas/{name}"
_CHANNEL = {"$ref": "#/channels/realtime"}
_SNAPSHOTS = ("initial_data", "initial_market_data", "initial_charts")
_UPDATES = ("facility_update", "market_update", "charts_update")
_ANSWERS: dict[type[schema.ClientFrame], Sequence[str]] = {
    schema.Subscribe: (*_SNAPSHOTS, "status", "error"),
    schema.Resume: (*_UPDATES, *_SNAPSHOTS, "status", "error"),
    schema.Ping: ("status", "error"),
}
_ABOUT = f"""\
The grid's state and each change of it: what every power station makes, the market, and sums by region and network.

First comes `hello`, then a snapshot of each channel that was chosen, then `status`; after that, at most every {fanout.TICK_S * 1000:.0f} ms,
what changed within that time, and `status` every second. Power is MW, emissions are t CO2 in the interval, times are ISO 8601 with an
offset. Who ignores the fields and types that it does not know goes on working.
"""
_LISTS = "names with commas between them; the parameter may be repeated"


def handler(settings: ServeSettings) -> HTTPRouteHandler:
    """Give the route's handler; the document is made once."""
    body = msgspec.json.encode(document(settings))
    headers = {
        "ETag": f'"{sha256(body).hexdigest()[:32]}"',
        "Cache-Control": "no-cache",
        # It tells what anybody may read, and the tools that draw it are web pages.
        "Access-Control-Allow-Origin": "*",
    }

    @get(PATH, media_type=MediaType.JSON, sync_to_thread=False, include_in_schema=False)
    def protocol(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Give the WebSocket's protocol (AsyncAPI)."""
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=HTTP_304_NOT_MODIFIED, headers=headers)
        return Response(body, media_type=_TYPE, headers=headers)

    return protocol


def document(settings: ServeSettings) -> dict[str, Any]:
    """Give the document for a server with these settings."""
    frames = [*sample.server_frames(), *sample.client_frames()]
    messages = {_tag(type(frame)): _message(frame) for frame in frames}
    _, schemas = msgspec.json.schema_components(
        (type(f) for f in frames), ref_template=_SCHEMAS
    )
    return {
        "asyncapi": _VERSION,
        "info": {
            "title": "energydash",
            "version": f"{schema.PROTOCOL}.0.0",
            "description": _ABOUT,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"this": _server(settings)},
        "channels": {"realtime": _channel(messages)},
        "operations": _operations(),
        "components": {
            "messages": messages,
            "schemas": _tidy(schemas),
            "securitySchemes": _SECURITY,
        },
    }


def _server(settings: ServeSettings) -> dict[str, Any]:
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    server: dict[str, Any] = {
        "host": "{host}",
        "protocol": "ws",
        "description": f"energydash {__version__}",
        "variables": {
            "host": {
                "default": f"{name}:{settings.port}",
                "description": "The name and port that you reached this document by",
            }
        },
    }
    if settings.tokens:
        server["security"] = [
            {"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY
        ]
    return server


_SECURITY = {
    "header": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer …` with the handshake",
    },
    "subprotocol": {
        "type": "httpApiKey",
        "name": "Sec-WebSocket-Protocol",
        "in": "header",
        "description": "For browsers, which cannot set a header: offer `bearer.…` among the subprotocols",
    },
}


def _channel(messages: Iterable[str]) -> dict[str, Any]:
    query = {name: {"type": "string", "description": _LISTS} for name in schema.Filter.__struct_fields__}  # fmt: skip
    query |= {
        "channels": {"type": "string", "description": f"`facilities`, `market`, `charts`: {_LISTS}"},
        "seq": {"type": "integer", "description": "resume after this `seq`, as `resume` does"},
        "stream": {"type": "string", "description": "the numbering that `seq` belongs to"},
    }  # fmt: skip
    offers = {
        "type": "string",
        "description": f"`{JSON_PROTOCOL}` (as without any), `{MSGPACK_PROTOCOL}`, `bearer.…`; several with commas",
    }
    return {
        "address": ws.PATH,
        "title": "The live feed",
        "description": "The address may hold the first `subscribe` or `resume`, so that no snapshot is sent that nobody wants.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {"type": "object", "properties": query},
                "headers": {"type": "object", "properties": {"Sec-WebSocket-Protocol": offers}},
                "bindingVersion": "0.1.0",
            }
        },
        "x-encodings": {
            JSON_PROTOCOL: "each message is a text of JSON",
            MSGPACK_PROTOCOL: "each message is MessagePack of the same document, times as texts, in both directions",
            "permessage-deflate": "agreed on where offered, without context takeover on either side",
        },
        "x-error-codes": {
            code: {"meaning": refusal.meaning, "closes": [int(c) for c in refusal.closes]}
            for code, refusal in ERRORS.items()
        },
        "x-close-codes": {str(int(code)): meaning for code, meaning in CLOSES.items()},
        "x-limits": limits(),
    }


def limits() -> dict[str, float]:
    """Give what a client has to keep to, and what it can count on."""
    return {
        "tick_ms": round(fanout.TICK_S * 1000),
        "message_bytes": ws.MAX_MESSAGE_BYTES,
        "message_fragments": door.FRAGMENTS,
        "frames_per_second": door.FRAMES_A_SECOND,
        "frames_at_once": door.FRAMES_AT_ONCE,
        "wishes_per_second": ws.WISHES_A_SECOND,
        "wishes_at_once": ws.WISHES_AT_ONCE,
        "different_filters": fanout.MAX_VIEWS,
        "stalled_s": fanout.STALLED_S,
        "behind_s": fanout.BEHIND_S,
        "ping_every_s": door.PING_EVERY_S,
        "pong_within_s": door.PONG_WITHIN_S,
    }


def _operations() -> dict[str, Any]:
    sent = [_tag(type(frame)) for frame in sample.server_frames()]
    feed = {
        "action": "send",
        "channel": _CHANNEL,
        "title": "What the server sends",
        "messages": _in_channel(sent),
    }
    asked = {
        _tag(kind): {
            "action": "receive",
            "channel": _CHANNEL,
            "title": _summary(kind),
            "messages": _in_channel([_tag(kind)]),
            "reply": {"channel": _CHANNEL, "messages": _in_channel(answers)},
        }
        for kind, answers in _ANSWERS.items()
    }
    return {"feed": feed, **asked}


def _in_channel(names: Iterable[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/realtime/messages/{name}"} for name in names]


def _message(frame: schema.ServerFrame | schema.ClientFrame) -> dict[str, Any]:
    kind = type(frame)
    # Sets and mappings have no order of their own.
    shown = msgspec.to_builtins(frame, order="deterministic")
    return {
        "name": _tag(kind),
        "title": kind.__name__,
        "summary": _summary(kind),
        "description": inspect.getdoc(kind),
        "payload": {"$ref": _SCHEMAS.format(name=kind.__name__)},
        "examples": [{"name": _tag(kind), "payload": shown}],
    }


def _tidy(part: Any) -> Any:
    """Give schemas without the indentation of docstrings and the chance order of sets: the same on each start, as its ETag says."""
    match part:
        case dict():
            tidied = {key: _tidy(value) for key, value in part.items()}
            if isinstance(tidied.get("description"), str):
                tidied["description"] = inspect.cleandoc(tidied["description"])
            if tidied.get("uniqueItems") and isinstance(tidied.get("default"), list):
                tidied["default"] = sorted(tidied["default"])
            return tidied
        case list():
            return [_tidy(value) for value in part]
    return part


def _summary(kind: type[msgspec.Struct]) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def _tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)
