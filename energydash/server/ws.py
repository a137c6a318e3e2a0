"""The WebSocket: who comes in with which wish, and what it says while it is here."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import WebsocketRouteHandler
from websockets.frames import CloseCode

from energydash import nem, schema
from energydash.server.access import Access, accepted_protocol
from energydash.server.door import outlet_of
from energydash.server.fanout import Client, Fanout
from energydash.server.framing import MSGPACK_PROTOCOL
from energydash.server.limits import Bucket
from energydash.server.refusals import ERRORS

logger = logging.getLogger(__name__)

PATH = "/ws/realtime"
MAX_MESSAGE_BYTES = 16 * 1024

# A wish may cost a snapshot: seldom in the long run, a few at once.
WISHES_A_SECOND = 2.0
WISHES_AT_ONCE = 20

_CLOSE_WITHIN_S = 5.0
_decode: Callable[[str], schema.ClientFrame] = schema.decode_client_frame.decode
_unpack: Callable[[bytes], schema.ClientFrame] = schema.unpack_client_frame.decode
_LISTS = ("regions", "fuels", "facilities", "channels")


class _RefusedError(Exception):
    """The client asked for what it cannot have; `code` is for programs."""

    def __init__(self, code: schema.ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def handler(fanout: Fanout, access: Access) -> WebsocketRouteHandler:
    """Give the route's handler."""

    @websocket(PATH)
    async def realtime(socket: WebSocket) -> None:  # type: ignore[type-arg]
        if not access.admits(socket):
            await socket.close(code=CloseCode.POLICY_VIOLATION)
            return
        protocol = accepted_protocol(socket)
        outlet = outlet_of(socket.scope)
        outlet.msgpack = protocol == MSGPACK_PROTOCOL
        await socket.accept(subprotocols=protocol)
        logger.debug("%s has come", access.holder(socket))
        client = Client(outlet, outlet.form, schema.Subscribe())
        try:
            await _attend(socket, client, fanout)
        except WebSocketDisconnect:
            logger.debug("%s has gone", access.holder(socket))
        except _RefusedError as exc:
            fanout.refuse(client, exc.code, str(exc))
            await _close(socket, ERRORS[exc.code].closes[0])
        finally:
            outlet.drained = None
            fanout.leave(client)

    return realtime


async def _attend(socket: "WebSocket[Any, Any, Any]", client: Client, fanout: Fanout) -> None:
    """Serve one client until it leaves or talks nonsense."""
    wish, resume = _asked(socket.query_params.dict())
    client.wish = _checked(wish, fanout)
    outlet_of(socket.scope).drained = lambda: fanout.drained(client)
    fanout.join(client, resume)
    wishes = Bucket(WISHES_A_SECOND, WISHES_AT_ONCE, time.monotonic())
    while True:
        match _frame(await socket.receive(), client):
            case schema.Ping():
                fanout.answer(client)
            case _ if not wishes.take(time.monotonic()):
                raise _RefusedError(
                    "too_frequent", f"more than {WISHES_A_SECOND:g} wishes a second"
                )
            case schema.Subscribe() as wish:
                fanout.resubscribe(client, _checked(wish, fanout))
            case schema.Resume() as resume:
                fanout.resume(client, resume)


def _frame(event: Any, client: Client) -> schema.ClientFrame:
    """Read what a client said: JSON in a text, MessagePack in bytes where that was agreed on."""
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(detail="it has gone", code=event.get("code", 1005))
    text, data = event.get("text"), event.get("bytes")
    try:
        if text is not None:
            return _decode(text)
        if client.form.msgpack:
            return _unpack(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise _RefusedError("malformed", str(exc)) from exc
    raise _RefusedError("malformed", "bytes where JSON text was agreed on")


def _asked(query: Mapping[str, list[str]]) -> tuple[schema.Subscribe, schema.Resume | None]:
    """Read the wish that the address holds: comma-separated lists, and the tick to resume from."""
    lists = {name: _words(query.get(name, [])) for name in _LISTS}
    channels = lists.pop("channels")
    asked: dict[str, Any] = {"filter": lists} | ({"channels": channels} if channels else {})
    try:
        wish = msgspec.convert(asked, schema.Subscribe)
        if "seq" not in query:
            return wish, None
        told = {"seq": query["seq"][-1], "stream": query.get("stream", [""])[-1]}
        return wish, msgspec.convert(told, schema.Resume, strict=False)
    except msgspec.ValidationError as exc:
        raise _RefusedError("malformed", str(exc)) from exc


def _words(values: list[str]) -> list[str]:
    return [word for value in values for word in value.split(",") if word]


def _checked(wish: schema.Subscribe, fanout: Fanout) -> schema.Subscribe:
    """Refuse a filter that nothing can ever pass: an empty screen would hide the slip."""
    places = {region.code for region in nem.REGIONS} | {
        region.network for region in nem.REGIONS
    }
    places |= {place for info in fanout.hub.info.values() for place in (info.region, info.network)}  # fmt: skip
    for name, words, known in (
        ("region", wish.filter.regions, places),
        ("fuel", wish.filter.fuels, nem.FUEL_GROUP_BY_ID.keys()),
    ):
        strange = sorted(words - known)
        if strange:
            raise _RefusedError(
                "unknown_filter",
                f"no {name} {strange[0][:40]}: give some of {', '.join(sorted(known))}",
            )
    if not fanout.has_room(wish):
        raise _RefusedError("too_many_views", "too many different filters are in use")
    return wish


async def _close(socket: "WebSocket[Any, Any, Any]", code: int) -> None:
    try:
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            await socket.close(code=code)
    except (TimeoutError, WebSocketDisconnect):
        outlet_of(socket.scope).abort()
