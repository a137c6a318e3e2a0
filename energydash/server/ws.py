"""The WebSocket: one handler a client, which writes from its queue and reads its wishes."""

import asyncio
import logging

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import WebsocketRouteHandler

from energydash import schema
from energydash.server.access import Access, accepted_protocol
from energydash.server.fanout import Client, Fanout

logger = logging.getLogger(__name__)

PATH = "/ws/realtime"
MAX_MESSAGE_BYTES = 16 * 1024

_WRITE_WITHIN_S = 20.0
_POLICY = 1008
_UNREADABLE = 1007
_TOO_MANY = 1013
_MAX_CLIENTS = 10_000


def handler(fanout: Fanout, access: Access) -> WebsocketRouteHandler:
    """Give the route's handler."""

    @websocket(PATH)
    async def realtime(socket: WebSocket) -> None:  # type: ignore[type-arg]
        if not access.has_token(socket) or not access.has_origin(socket):
            await socket.close(code=_POLICY)
            return
        await socket.accept(subprotocols=accepted_protocol(socket))
        if len(fanout.clients) >= _MAX_CLIENTS:
            await socket.close(code=_TOO_MANY)
            return
        await _attend(socket, fanout)

    return realtime


async def _attend(socket: "WebSocket", fanout: Fanout) -> None:  # type: ignore[type-arg]
    """Serve one client until it leaves, stops reading or talks nonsense."""
    client = Client()
    fanout.join(client)
    try:
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(_write(socket, client, fanout), name="write")
            await _read(socket, client, fanout)
            writing.cancel()
    except* (WebSocketDisconnect, TimeoutError, ConnectionError):
        logger.debug("a client has gone")
    finally:
        fanout.leave(client)


async def _write(socket: "WebSocket", client: Client, fanout: Fanout) -> None:  # type: ignore[type-arg]
    while True:
        text = await client.next()
        if text is None:
            client.restart(fanout.snapshot(client.wish))
            continue
        async with asyncio.timeout(_WRITE_WITHIN_S):
            await socket.send_text(text)


async def _read(socket: "WebSocket", client: Client, fanout: Fanout) -> None:  # type: ignore[type-arg]
    """Follow the client's wishes; return after one that makes no sense."""
    while True:
        try:
            text = await socket.receive_text()
            frame = schema.decode_client_frame.decode(text)
        except WebSocketDisconnect:
            return
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
            await _refuse(socket, str(exc))
            return
        match frame:
            case schema.Subscribe():
                fanout.resubscribe(client, frame)
            case schema.Resume(seq=seq):
                fanout.resume(client, seq)
            case schema.Ping():
                client.put((schema.encode(fanout.status()).decode(),))


async def _refuse(socket: "WebSocket", detail: str) -> None:  # type: ignore[type-arg]
    error = schema.ErrorFrame(code="malformed", detail=detail)
    async with asyncio.timeout(_WRITE_WITHIN_S):
        await socket.send_text(schema.encode(error).decode())
        await socket.close(code=_UNREADABLE)
